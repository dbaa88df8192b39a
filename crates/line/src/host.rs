//! Events of a host and its ranks, beside their output.

use serde::{Deserialize, Serialize};

use crate::{
    Exit, Gaps, Holder, HostId, Launch, MemoryKills, StageReport, StopCause, Stream, StreamEnd,
    StreamId, Timestamp, Version,
};

/// An event of a host. It never waits behind output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostMessage {
    /// Which host.
    pub host: HostId,
    /// What has happened.
    pub event: HostEvent,
}

/// How what a rank writes is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capture {
    /// Its stdout and its stderr by a pipe each.
    #[default]
    Pipes,
    /// Both by one pipe: what the two are told as is one stream.
    Merged,
    /// Both by a terminal, which is told as its stdout.
    Terminal,
}

impl Capture {
    /// The streams that come of it.
    pub const fn streams(self) -> &'static [Stream] {
        match self {
            Self::Pipes => &Stream::SEPARATE,
            Self::Merged => &[Stream::Merged],
            Self::Terminal => &[Stream::Stdout],
        }
    }
}

/// What happens to a host and its ranks. A driver that has all of it knows what there
/// is to know of the host's side of a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HostEvent {
    /// The first event of a host.
    Up {
        /// Its name.
        host: String,
        /// The process that runs the ranks.
        pid: u32,
        /// The job.
        job: String,
        /// The command as it was given.
        command: Vec<String>,
        /// How many ranks the whole job has.
        world_size: u32,
        /// The ranks of this host: the first one.
        first_rank: u32,
        /// And how many.
        procs: u32,
        /// The number of its machine, from 0; several hosts may be on one machine.
        node_rank: u32,
        /// The number of its first rank among those of all hosts on its machine.
        local_first: u32,
        /// The ranks of all hosts on its machine.
        local_world_size: u32,
        /// When one of its ranks fails, or it is lost, those of all hosts are to be stopped.
        stops_all: bool,
        /// When the job started here.
        time: Timestamp,
    },
    /// A rank runs. Sent before any of its output.
    Started {
        /// Which rank.
        rank: u32,
        /// Which start of it.
        launch: Launch,
        /// Its process, when it has an id here.
        pid: Option<u32>,
        /// How what it writes is taken.
        capture: Capture,
        /// When.
        time: Timestamp,
    },
    /// A rank could not be started.
    NotStarted {
        /// Which rank.
        rank: u32,
        /// Which start of it.
        launch: Launch,
        /// Why.
        error: String,
        /// The exit code that stands for it: 126 or 127.
        code: i32,
        /// It was not wanted any more.
        stopped: bool,
        /// When.
        time: Timestamp,
    },
    /// A rank has exited.
    Exited {
        /// Which rank.
        rank: u32,
        /// Which start of it.
        launch: Launch,
        /// How.
        exit: Exit,
        /// The host had asked it to end before it did.
        stopped: bool,
        /// It failed, and the host starts it again: that is no failure of the job.
        #[serde(default)]
        starts_again: bool,
        /// When.
        time: Timestamp,
    },
    /// A stream has ended.
    StreamEnded {
        /// Which stream.
        stream: StreamId,
        /// How.
        end: StreamEnd,
        /// Bytes taken from it.
        read_bytes: u64,
        /// Lines taken from it; a last one without newline counts.
        read_lines: u64,
        /// What reading failed with, if it did.
        error: Option<String>,
        /// Who still holds it, when it leaked.
        leaked_to: Vec<Holder>,
    },
    /// Which streams answer a barrier; their marks travel with their output.
    Barrier {
        /// Which barrier.
        version: Version,
        /// The streams of all ranks whose start had begun when the barrier was asked for.
        streams: Vec<StreamId>,
    },
    /// The ranks are asked to end.
    Stopping {
        /// Why.
        cause: StopCause,
    },
    /// The last lines of a stream, oldest first, of a rank that failed.
    LastLines {
        /// Which stream.
        stream: StreamId,
        /// The lines, without newlines; bytes that are no text are replaced.
        lines: Vec<String>,
    },
    /// What became of a stream in its files.
    Filed {
        /// Which stream.
        stream: StreamId,
        /// In its files, in bytes.
        filed_bytes: u64,
        /// In no file.
        not_filed: Gaps,
        /// In a file, and not forced to disk although that was wanted.
        not_synced: Gaps,
    },
    /// Something beside the streams could not be forced to disk although that was wanted.
    NotSynced {
        /// `index` or `directory`.
        what: String,
        /// Why.
        cause: String,
    },
    /// Where the kernel killed processes for want of memory.
    MemoryKills {
        /// Cgroup by cgroup.
        cgroups: Vec<MemoryKills>,
        /// The ranks of which that is known.
        ranks: Vec<u32>,
    },
    /// A stage of the host's teardown is over.
    Stage(StageReport),
    /// It is no part of the job: its ranks were not started, or are stopped. What it said before is
    /// not the job's.
    Refused {
        /// Why, in words for whoever started it.
        why: String,
    },
    /// The last event of a host: everything has been sent, filed and closed.
    Down,
    /// Sent for a host by whoever finds that it cannot be reached any more.
    Lost {
        /// How that is known.
        why: String,
    },
}

/// A host is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Which host.
    pub host: HostId,
    /// When it was sent, by the host's clock.
    pub time: Timestamp,
    /// The [`Control::Ping`](crate::Control::Ping) that it answers, when it answers one whose sender
    /// looks for the answer.
    pub answers: Option<PingId>,
}

/// Marks a ping whose answer is looked for. Drawn at random: several drivers may ping one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PingId(pub u64);

/// What a driver gets beside output.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// An event of a host.
    Host(HostMessage),
    /// A host is alive. It comes out of [`Inbox::next`](crate::Inbox::next), too, and wakes whoever
    /// waits there.
    Heartbeat(Heartbeat),
    /// There is no way to hosts at present, so that their silence says nothing of them. It is said again
    /// and again while that lasts.
    Deaf,
    /// All hosts are gone: nothing more will come.
    Closed,
}

/// Takes events of hosts. It is called by whoever receives, and must not block.
pub type Listener = Box<dyn FnMut(Heard) + Send>;
