//! What is told at the end.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use lastline_line::{
    BarrierOutcome, Exit, Gaps, Holder, Imbalance, MemoryKills, StageReport, StopCause, Stream,
    StreamEnd, StreamLedger, Timestamp, Version, signal_text,
};
use serde::{Deserialize, Serialize};

use crate::lenient;

/// The account of a whole job. Its JSON is `report.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// The version of Lastline that wrote it.
    pub lastline: String,
    /// The job's id.
    pub job: String,
    /// The command as it was given.
    pub command: Vec<String>,
    /// When the job started, RFC 3339.
    pub started: String,
    /// When it was over.
    pub ended: String,
    /// How many ranks.
    pub world_size: u32,
    /// Every stream's ledger adds up.
    pub balanced: bool,
    /// Which stream's does not, and where.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub imbalances: Vec<String>,
    /// The rank that failed first, when one did.
    pub first_failure: Option<FirstFailure>,
    /// Who told Lastline to stop, when somebody did: a signal, the owner of the job, or its
    /// time, which was over.
    #[serde(default, deserialize_with = "lenient::known")]
    pub stopped_by: Option<StopCause>,
    /// No report could be read: this was rebuilt from the files, and reaches as far as they do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub broken_off: bool,
    /// What beside the streams could not be forced to disk although that was wanted, `index` or
    /// `directory`, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub not_synced: BTreeMap<String, String>,
    /// Where the kernel killed processes for want of memory, cgroup by cgroup.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub memory_kills: Vec<MemoryKills>,
    /// One per host, in order; empty when there was one, and it was not lost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<HostReport>,
    /// Hosts that wanted to take part and were not let in, by their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedHost>,
    /// Ranks of which no host has ever been heard: they had ended before, or never came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_heard_of: Vec<u32>,
    /// One per rank, in order.
    pub ranks: Vec<RankReport>,
    /// One per barrier, in order: the first hundred and the last.
    #[serde(deserialize_with = "lenient::all_known")]
    pub barriers: Vec<BarrierReport>,
    /// How many barriers there were between those, by their verdicts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "lenient::by_name")]
    pub barriers_left_out: BTreeMap<BarrierOutcome, u64>,
    /// The stages of the teardown, in order.
    #[serde(default, deserialize_with = "lenient::all_known")]
    pub teardown: Vec<StageReport>,
    /// Where it could not be written. No file says so, only whoever made it.
    #[serde(skip)]
    pub not_written: Vec<NotWritten>,
}

/// A place where a report could not be written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotWritten {
    /// Where.
    pub path: PathBuf,
    /// It was asked for there, beside the job's own files or without any.
    pub asked: bool,
    /// Why, in the words of the system.
    pub cause: String,
}

impl NotWritten {
    /// A report that is not at `path`, because of `cause`.
    pub fn new(path: PathBuf, asked: bool, cause: impl Into<String>) -> Self {
        Self { path, asked, cause: cause.into() }
    }
}

/// One host of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HostReport {
    /// The number of its machine; several hosts may be on one machine.
    #[serde(rename = "node_rank")]
    pub node: u32,
    /// Its name.
    pub host: String,
    /// The process that ran its ranks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Its first rank.
    #[serde(default)]
    pub first_rank: u32,
    /// How many ranks it had.
    #[serde(default)]
    pub procs: u32,
    /// Why it was given up, when it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<String>,
    /// It was heard of after it had been given up: what its ranks said from then on is in its files alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub spoke_again: bool,
    /// It was given up because its heartbeats had stopped.
    #[serde(default)]
    pub heartbeat_lost: bool,
    /// For how long nothing had been heard of it then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_seconds: Option<f64>,
    /// By how much its clock was ahead of the driver's, when that was measured; negative when it was
    /// behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_offset_seconds: Option<f64>,
    /// The most by which that may be wrong: half of the shortest trip there and back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_offset_uncertainty_seconds: Option<f64>,
}

impl HostReport {
    /// A host that was there to the end.
    pub fn new(node: u32, host: impl Into<String>) -> Self {
        Self {
            node,
            host: host.into(),
            pid: None,
            first_rank: 0,
            procs: 0,
            lost: None,
            spoke_again: false,
            heartbeat_lost: false,
            silent_seconds: None,
            clock_offset_seconds: None,
            clock_offset_uncertainty_seconds: None,
        }
    }
}

/// A host that is no part of the job: it claimed a rank that another one has, or another number of
/// ranks. Nothing of it is in the report but this.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RefusedHost {
    /// Its name, when it said that to this driver; otherwise `why` begins with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The process that wanted to run its ranks, when the name is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Why, as it was told itself.
    pub why: String,
}

impl RefusedHost {
    /// A host of which only that is known.
    pub fn new(why: impl Into<String>) -> Self {
        Self { host: None, pid: None, why: why.into() }
    }
}

/// The rank that failed first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FirstFailure {
    /// Which rank.
    pub rank: u32,
    /// Where it ran.
    pub host: String,
    /// Its exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The kernel killed it for want of memory.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub killed_for_memory: bool,
    /// How long it had run.
    pub after_seconds: f64,
    /// Its last lines, at most 20, so that the one that says why is among them: of stderr, or of
    /// stdout when stderr has nothing, or only warnings while stdout says why.
    pub last_lines: Vec<String>,
    /// Which stream they are of, when it printed anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_lines_of: Option<Stream>,
    /// Where lines between them were left out, when they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<LeftOut>,
    /// The other ranks that failed by themselves with the same statement, at the same place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub same_text: Vec<u32>,
    /// The line of it in which they and the first differ, with what differs in braces, when they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_text_but_for: Option<String>,
    /// Those that failed by themselves with another statement, by what they said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<OtherFailure>,
    /// By how much the clocks of hosts may differ after what was measured, when a rank of another host
    /// failed within that: either may have been the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_uncertainty_seconds: Option<f64>,
    /// Ranks of several hosts failed, and the clock of one of those was never measured.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub clocks_unmeasured: bool,
}

impl FirstFailure {
    /// A failure of `rank` on `host`, of which nothing else is known yet.
    pub fn new(rank: u32, host: impl Into<String>) -> Self {
        Self {
            rank,
            host: host.into(),
            code: None,
            signal: None,
            killed_for_memory: false,
            after_seconds: 0.0,
            last_lines: Vec::new(),
            last_lines_of: None,
            left_out: None,
            same_text: Vec::new(),
            same_text_but_for: None,
            others: Vec::new(),
            clock_uncertainty_seconds: None,
            clocks_unmeasured: false,
        }
    }
}

/// Lines that were left out of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LeftOut {
    /// Behind how many of the list's lines.
    pub after: usize,
    /// How many.
    pub lines: usize,
}

impl LeftOut {
    /// So many lines, behind the list's first `after`.
    pub fn new(after: usize, lines: usize) -> Self {
        Self { after, lines }
    }
}

/// Ranks that failed by themselves, and not as the first one did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OtherFailure {
    /// The ranks, ascending.
    pub ranks: Vec<u32>,
    /// What the first of them said: a traceback where there is one, at most 20 lines of it.
    pub last_words: Vec<String>,
    /// The line that says why, with what differs among them in braces; empty when they said nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub statement: String,
}

impl OtherFailure {
    /// Ranks that said this last; the last of the words is the statement.
    pub fn new(ranks: Vec<u32>, last_words: Vec<String>) -> Self {
        let statement = last_words.last().cloned().unwrap_or_default();
        Self { ranks, last_words, statement }
    }
}

/// One rank.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RankReport {
    /// Which rank.
    pub rank: u32,
    /// Where it ran.
    pub host: String,
    /// Which start of it, as its streams bear it; none when it was not started, or is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch: Option<String>,
    /// Its process; none when it could not be started.
    pub pid: Option<u32>,
    /// Its exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// It has ended, and nobody knows how.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exit_unknown: bool,
    /// The kernel killed it for want of memory: the counter of its cgroup says so of no fewer
    /// processes than ranks were killed there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub killed_for_memory: bool,
    /// Lastline told it to end before it had.
    pub stopped_by_lastline: bool,
    /// It failed and was to be started again, which the job's `max_restarts` allowed: no failure of the job.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub started_again: bool,
    /// Why it could not be started, or that its host was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When it started.
    pub started: String,
    /// When it exited.
    pub ended: Option<String>,
    /// Its streams by name.
    pub streams: BTreeMap<Stream, StreamReport>,
}

impl RankReport {
    /// A rank on `host` that has not been started.
    pub fn new(rank: u32, host: impl Into<String>) -> Self {
        Self {
            rank,
            host: host.into(),
            launch: None,
            pid: None,
            code: None,
            signal: None,
            exit_unknown: false,
            killed_for_memory: false,
            stopped_by_lastline: false,
            started_again: false,
            error: None,
            started: String::new(),
            ended: None,
            streams: BTreeMap::new(),
        }
    }

    /// Says how it ended.
    pub fn set_exit(&mut self, exit: Exit) {
        (self.code, self.signal, self.exit_unknown) = match exit {
            Exit::Code(code) => (Some(code), None, false),
            Exit::Signal(signal) => (None, Some(signal), false),
            Exit::Unknown => (None, None, true),
        };
    }

    /// How it ended; `None` when it did not, as far as the report reaches.
    pub fn exit(&self) -> Option<Exit> {
        let unknown = self.exit_unknown.then_some(Exit::Unknown);
        self.code.map(Exit::Code).or(self.signal.map(Exit::Signal)).or(unknown)
    }

    /// Whether it is known to have ended with 0.
    pub fn succeeded(&self) -> bool {
        self.code == Some(0)
    }

    /// Whether it is known to have ended otherwise, or could not be started.
    pub fn failed(&self) -> bool {
        self.error.is_some() || self.exit().is_some_and(Exit::is_failure)
    }

    /// `exit code 3`, `signal 9 (SIGKILL)` and whether for want of memory, or why it could not be
    /// started.
    pub fn how(&self) -> String {
        match (&self.error, self.exit()) {
            (Some(error), _) => error.clone(),
            (None, Some(Exit::Signal(signal))) if self.killed_for_memory => {
                format!("{}, killed by the kernel for want of memory", signal_text(signal))
            }
            (None, Some(exit)) => exit.to_string(),
            (None, None) => String::from("did not end"),
        }
    }
}

/// One stream of a rank.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StreamReport {
    /// What became of its bytes.
    #[serde(flatten)]
    pub ledger: StreamLedger,
    /// Filed, but not forced to disk although that was wanted.
    #[serde(default, skip_serializing_if = "Gaps::is_empty")]
    pub not_synced: Gaps,
    /// How it ended.
    pub end: StreamEnd,
    /// Who still held it, when it leaked.
    pub leaked_to: Vec<Holder>,
    /// What reading it failed with, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl StreamReport {
    /// A stream that ended like this, and all of which that is filed is on the disk.
    pub fn new(ledger: StreamLedger, end: StreamEnd) -> Self {
        Self { ledger, not_synced: Gaps::default(), end, leaked_to: Vec::new(), error: None }
    }
}

/// One barrier.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BarrierReport {
    /// Its number.
    pub version: u64,
    /// How long it took.
    pub seconds: f64,
    /// The worst verdict of its streams.
    pub verdict: BarrierOutcome,
}

impl BarrierReport {
    /// A barrier that took so long.
    pub fn new(version: Version, took: Duration, verdict: BarrierOutcome) -> Self {
        Self { version: version.0, seconds: took.as_secs_f64(), verdict }
    }
}

impl Report {
    /// A job that did nothing yet, at no time, with no ranks: the rest is for the caller to say.
    pub fn new(job: impl Into<String>, command: Vec<String>, world_size: u32) -> Self {
        Self {
            lastline: env!("CARGO_PKG_VERSION").into(),
            job: job.into(),
            command,
            started: String::new(),
            ended: String::new(),
            world_size,
            balanced: true,
            imbalances: Vec::new(),
            first_failure: None,
            stopped_by: None,
            broken_off: false,
            not_synced: BTreeMap::new(),
            memory_kills: Vec::new(),
            hosts: Vec::new(),
            refused: Vec::new(),
            not_heard_of: Vec::new(),
            ranks: Vec::new(),
            barriers: Vec::new(),
            barriers_left_out: BTreeMap::new(),
            teardown: Vec::new(),
            not_written: Vec::new(),
        }
    }

    /// The start of a rank that is told as the first failure: the first one of it that ended as that did.
    pub fn first_failed(&self) -> Option<&RankReport> {
        let failure = self.first_failure.as_ref()?;
        self.ranks.iter().find(|rank| {
            let how = (rank.code, rank.signal) == (failure.code, failure.signal);
            rank.rank == failure.rank && how && !rank.started_again
        })
    }

    /// The number of the signal by which Lastline was told to stop.
    pub fn told_to_stop(&self) -> Option<i32> {
        match self.stopped_by? {
            StopCause::Signal(signal) => Some(signal),
            StopCause::Failure | StopCause::Owner | StopCause::Timeout => None,
        }
    }

    /// Checks every ledger, and says so in `balanced`.
    pub fn check_balance(&mut self) {
        let streams = self.ranks.iter().flat_map(|rank| {
            rank.streams.iter().map(|(stream, report)| (rank.rank, *stream, report))
        });
        let wrong = streams.filter_map(|(rank, stream, report)| {
            let imbalance: Imbalance = report.ledger.balance().err()?;
            Some(format!("rank {rank} {stream}: {imbalance}"))
        });
        self.imbalances = wrong.collect();
        self.balanced = self.imbalances.is_empty();
    }
}

/// RFC 3339, UTC, to the microsecond.
pub fn rfc3339(time: Timestamp) -> String {
    let micros = i64::try_from(time.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_microsecond(micros).unwrap_or_default().to_string()
}
