//! What a driver knows of hosts and ranks, from what hosts say. Pure.

use std::collections::{BTreeMap, HashMap};

use lastline_line::{
    Exit, Gaps, Holder, HostEvent, HostId, HostMessage, Launch, MemoryKills, Offset, Span, Stage,
    StageReport, StopCause, Stream, StreamEnd, StreamId, Timestamp, Version,
};

/// Why nothing is known of a stream's files.
const NO_WORD: &str = "its host is lost: what it filed is not known here";

/// What is known of a host.
#[derive(Clone, Debug, Default)]
pub(super) struct HostRecord {
    pub(super) host: String,
    /// The number of its machine.
    pub(super) node_rank: u32,
    /// It has said its last.
    pub(super) down: bool,
    /// It cannot be reached any more, and why.
    pub(super) lost: Option<String>,
    /// Its stages that are over.
    pub(super) stages: Vec<StageReport>,
}

impl HostRecord {
    pub(super) fn is_gone(&self) -> bool {
        self.down || self.lost.is_some()
    }

    /// All its streams have ended, or were given up.
    fn is_read(&self) -> bool {
        self.is_gone() || self.stages.iter().any(|row| row.stage == Stage::Eof)
    }
}

/// What is known of a stream, beside what the client received of it.
#[derive(Clone, Debug, Default)]
pub(super) struct StreamRecord {
    pub(super) end: Option<StreamEnd>,
    /// What its host read; what was received when the host is lost.
    pub(super) read_bytes: Option<u64>,
    pub(super) read_lines: u64,
    pub(super) error: Option<String>,
    pub(super) leaked_to: Vec<Holder>,
    pub(super) filed: Option<FiledRecord>,
    pub(super) last_lines: Vec<String>,
}

/// What a stream's files have.
#[derive(Clone, Debug, Default)]
pub(super) struct FiledRecord {
    pub(super) filed_bytes: u64,
    pub(super) not_filed: Gaps,
    pub(super) not_synced: Gaps,
}

impl StreamRecord {
    /// What its files have, where `read_bytes` were read.
    pub(super) fn filed(&self, read_bytes: u64) -> FiledRecord {
        let mut filed = self.filed.clone().unwrap_or_default();
        let settled = Offset(filed.filed_bytes + filed.not_filed.bytes());
        filed.not_filed.declare(Span::new(settled, Offset(read_bytes)), NO_WORD);
        filed
    }
}

/// Where one start of a rank stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RunState {
    /// It was not started yet.
    Waiting,
    Running,
    Exited(Exit),
    /// It could not be started: why, and the exit code that stands for that.
    NotStarted(String, i32),
    /// Its host is lost.
    Lost(String),
}

/// One start of a rank.
#[derive(Clone, Debug)]
pub(super) struct RunRecord {
    pub(super) rank: u32,
    pub(super) host: HostId,
    pub(super) launch: Option<Launch>,
    pub(super) pid: Option<u32>,
    /// Both its outputs are one stream.
    terminal: bool,
    pub(super) state: RunState,
    /// Lastline told it to end before it did.
    pub(super) stopped: bool,
    pub(super) started: Timestamp,
    pub(super) ended: Option<Timestamp>,
    pub(super) streams: [StreamRecord; 2],
}

impl RunRecord {
    fn waiting(rank: u32, host: HostId) -> Self {
        Self {
            rank,
            host,
            launch: None,
            pid: None,
            terminal: false,
            state: RunState::Waiting,
            stopped: false,
            started: Timestamp::default(),
            ended: None,
            streams: Default::default(),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        !matches!(self.state, RunState::Waiting | RunState::Running)
    }

    /// Whether it is known to have failed, or could not be started.
    pub(super) fn failed(&self) -> bool {
        match self.state {
            RunState::Exited(exit) => exit.is_failure(),
            RunState::NotStarted(..) => true,
            RunState::Waiting | RunState::Running | RunState::Lost(_) => false,
        }
    }

    /// The exit code that stands for its end.
    pub(super) fn exit_code(&self) -> Option<i32> {
        match &self.state {
            RunState::Exited(exit) => exit.shell_code(),
            RunState::NotStarted(_, code) => Some(*code),
            _ => None,
        }
    }

    pub(super) fn stream(&self, stream: Stream) -> &StreamRecord {
        &self.streams[usize::from(stream == Stream::Stderr)]
    }

    /// The last 20 lines of its stderr, or of its stdout when that is empty.
    pub(super) fn last_lines(&self) -> &[String] {
        let lines = self.streams.iter().rev().map(|stream| &stream.last_lines);
        let lines = lines.filter(|lines| !lines.is_empty()).map(Vec::as_slice).next();
        lines.map(last_twenty).unwrap_or_default()
    }

    /// The ids of its streams, once it has been started.
    pub(super) fn ids(&self) -> impl Iterator<Item = StreamId> {
        let id = |launch| Stream::ALL.map(|stream| StreamId::new(launch, self.rank, stream));
        let launch = self.launch.filter(|_| !matches!(self.state, RunState::NotStarted(..)));
        let streams = if self.terminal { 1 } else { 2 };
        launch.map(id).into_iter().flatten().take(streams)
    }
}

/// Those that a person is shown of the lines that are kept.
pub(super) fn last_twenty<T>(lines: &[T]) -> &[T] {
    &lines[lines.len().saturating_sub(20)..]
}

/// What a host said that others than the record have to act on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Consequence {
    None,
    /// A rank runs: what prints may want to know.
    Started {
        rank: u32,
        pid: Option<u32>,
        host: String,
        job: String,
    },
    /// These streams answer a barrier.
    Barrier(Version, Vec<StreamId>),
    /// A host is gone: each barrier that still waits for its word gets this.
    Gone(Vec<Version>, GoneStreams),
}

/// The streams of a host that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GoneStreams {
    pub(super) streams: Vec<StreamId>,
    /// Why what they said last may not have come; all has been sent when there is no reason.
    pub(super) lost: Option<String>,
}

/// What is known of all hosts and ranks.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// How many hosts the job has.
    expected: usize,
    pub(super) job: String,
    pub(super) command: Vec<String>,
    pub(super) world_size: u32,
    pub(super) started: Option<Timestamp>,
    pub(super) hosts: BTreeMap<HostId, HostRecord>,
    runs: Vec<RunRecord>,
    by_launch: HashMap<(u32, Launch), usize>,
    /// The last start of each rank.
    last: BTreeMap<u32, usize>,
    /// Who failed first by itself.
    first_failure: Option<usize>,
    pub(super) stopping: Option<StopCause>,
    pub(super) not_synced: BTreeMap<String, String>,
    pub(super) memory_kills: Vec<MemoryKills>,
    killed_for_memory: Vec<u32>,
    /// No host will say anything more.
    closed: bool,
    /// Barriers, and whose word each still waits for.
    barriers: HashMap<Version, Vec<HostId>>,
}

impl Record {
    /// Nothing is known yet of a job of so many hosts.
    pub(super) fn new(expected: usize) -> Self {
        Self { expected, ..Self::default() }
    }

    /// No host will say anything more. Gives those that have not said their last.
    pub(super) fn close(&mut self) -> Vec<HostId> {
        self.closed = true;
        if self.hosts.is_empty() {
            // It is missed all the same.
            self.hosts.insert(HostId::HERE, HostRecord::default());
        }
        self.present()
    }

    /// A host said something.
    pub(super) fn apply(&mut self, message: HostMessage) -> Consequence {
        let HostMessage { host: id, event } = message;
        match event {
            HostEvent::Up {
                host,
                node_rank,
                job,
                command,
                world_size,
                first_rank,
                procs,
                time,
                ..
            } => {
                self.hosts.insert(id, HostRecord { host, node_rank, ..HostRecord::default() });
                (self.job, self.command) = (job, command);
                self.world_size = self.world_size.max(world_size);
                self.started = Some(self.started.map_or(time, |started| started.min(time)));
                for rank in first_rank..first_rank.saturating_add(procs) {
                    self.last.insert(rank, self.runs.len());
                    self.runs.push(RunRecord::waiting(rank, id));
                }
            }
            HostEvent::Started { rank, launch, pid, terminal, time } => {
                let run = self.begin(id, rank, launch);
                (run.state, run.pid, run.started) = (RunState::Running, pid, time);
                run.terminal = terminal;
                let host = self.host_name(id);
                return Consequence::Started { rank, pid, host, job: self.job.clone() };
            }
            HostEvent::NotStarted { rank, launch, error, code, stopped, time } => {
                let run = self.begin(id, rank, launch);
                run.state = RunState::NotStarted(error, code);
                (run.stopped, run.started, run.ended) = (stopped, time, Some(time));
                self.note_failure(rank, launch);
            }
            HostEvent::Exited { rank, launch, exit, stopped, time } => {
                if let Some(run) = self.run_mut(rank, launch) {
                    run.state = RunState::Exited(exit);
                    (run.stopped, run.ended) = (stopped, Some(time));
                    self.note_failure(rank, launch);
                }
            }
            HostEvent::Barrier { version, streams } => {
                if let Some(waiting) = self.barriers.get_mut(&version) {
                    waiting.retain(|other| *other != id);
                }
                return Consequence::Barrier(version, streams);
            }
            HostEvent::Stopping { cause } => {
                self.stopping.get_or_insert(cause);
            }
            HostEvent::NotSynced { what, cause } => drop(self.not_synced.insert(what, cause)),
            HostEvent::MemoryKills { cgroups, ranks } => {
                self.memory_kills.extend(cgroups);
                self.killed_for_memory.extend(ranks);
            }
            HostEvent::Stage(row) => {
                let stages = &mut self.hosts.entry(id).or_default().stages;
                if !stages.iter().any(|known| known.stage == row.stage) {
                    stages.push(row);
                }
            }
            HostEvent::Down => {
                self.hosts.entry(id).or_default().down = true;
                self.end_runs(id, "its host ended without a word of it");
                return self.gone(id);
            }
            HostEvent::Lost { why } => return self.lose(id, &why),
            event => self.apply_to_stream(event),
        }
        Consequence::None
    }

    fn apply_to_stream(&mut self, event: HostEvent) {
        match event {
            HostEvent::StreamEnded { stream, end, read_bytes, read_lines, error, leaked_to } => {
                if let Some(record) = self.stream_mut(stream) {
                    (record.end, record.read_bytes) = (Some(end), Some(read_bytes));
                    (record.read_lines, record.error) = (read_lines, error);
                    record.leaked_to = leaked_to;
                }
            }
            HostEvent::LastLines { stream, lines } => {
                if let Some(record) = self.stream_mut(stream) {
                    record.last_lines = lines;
                }
            }
            HostEvent::Filed { stream, filed_bytes, not_filed, not_synced } => {
                if let Some(record) = self.stream_mut(stream) {
                    record.filed = Some(FiledRecord { filed_bytes, not_filed, not_synced });
                }
            }
            other => tracing::debug!(?other, "a host says what this driver does not know"),
        }
    }

    /// A start of a rank: the one that was waited for, or one more.
    fn begin(&mut self, host: HostId, rank: u32, launch: Launch) -> &mut RunRecord {
        let waiting = self.last.get(&rank).copied();
        let waiting = waiting.filter(|at| self.runs[*at].state == RunState::Waiting);
        let at = waiting.unwrap_or_else(|| {
            self.runs.push(RunRecord::waiting(rank, host));
            self.runs.len() - 1
        });
        self.last.insert(rank, at);
        self.by_launch.insert((rank, launch), at);
        let run = &mut self.runs[at];
        run.launch = Some(launch);
        run
    }

    /// The first that fails by itself is remembered.
    fn note_failure(&mut self, rank: u32, launch: Launch) {
        if let Some(at) = self.by_launch.get(&(rank, launch)).copied()
            && self.runs[at].failed()
            && !self.runs[at].stopped
        {
            self.first_failure.get_or_insert(at);
        }
    }

    /// A host cannot be reached any more.
    pub(super) fn lose(&mut self, host: HostId, why: &str) -> Consequence {
        let known = self.hosts.entry(host).or_default();
        if known.is_gone() {
            return Consequence::None;
        }
        known.lost = Some(why.to_owned());
        self.end_runs(host, why);
        self.gone(host)
    }

    /// Nothing more is heard of the ranks of a host.
    fn end_runs(&mut self, host: HostId, why: &str) {
        for run in self.runs.iter_mut().filter(|run| run.host == host && !run.is_over()) {
            run.state = RunState::Lost(why.to_owned());
        }
    }

    fn streams_of(&self, host: HostId) -> GoneStreams {
        let streams = self.runs.iter().filter(|run| run.host == host).flat_map(RunRecord::ids);
        let lost = self.hosts.get(&host).and_then(|host| host.lost.clone());
        GoneStreams { streams: streams.collect(), lost }
    }

    fn gone(&mut self, host: HostId) -> Consequence {
        let streams = self.streams_of(host);
        let mut versions = Vec::new();
        for (version, waiting) in &mut self.barriers {
            let before = waiting.len();
            waiting.retain(|other| *other != host);
            versions.extend((waiting.len() < before).then_some(*version));
        }
        Consequence::Gone(versions, streams)
    }

    /// A barrier is opened. How many hosts' words it waits for, and that of hosts that are gone.
    pub(super) fn open_barrier(&mut self, version: Version) -> (usize, Vec<Vec<StreamId>>) {
        let gone = self.hosts.iter().filter(|(_, host)| host.is_gone());
        let gone = gone.map(|(host, _)| self.streams_of(*host).streams).collect();
        self.barriers.insert(version, self.present());
        // One that was not heard of yet is waited for until the deadline.
        let missing = if self.closed { 0 } else { self.expected };
        (self.hosts.len().max(missing), gone)
    }

    /// A barrier has its verdicts.
    pub(super) fn close_barrier(&mut self, version: Version) {
        self.barriers.remove(&version);
    }

    /// The name of a host; empty when it is not known.
    pub(super) fn host_name(&self, host: HostId) -> String {
        self.hosts.get(&host).map(|known| known.host.clone()).unwrap_or_default()
    }

    fn run_mut(&mut self, rank: u32, launch: Launch) -> Option<&mut RunRecord> {
        let at = *self.by_launch.get(&(rank, launch))?;
        Some(&mut self.runs[at])
    }

    fn stream_mut(&mut self, id: StreamId) -> Option<&mut StreamRecord> {
        let run = self.run_mut(id.rank, id.launch)?;
        Some(&mut run.streams[usize::from(id.stream == Stream::Stderr)])
    }

    /// Every start, in the order of ranks and then of starts.
    pub(super) fn runs(&self) -> Vec<&RunRecord> {
        let mut runs: Vec<&RunRecord> = self.runs.iter().collect();
        runs.sort_by_key(|run| run.rank);
        runs
    }

    /// The last start of each rank, in order.
    pub(super) fn last_runs(&self) -> impl Iterator<Item = &RunRecord> {
        self.last.values().map(|at| &self.runs[*at])
    }

    pub(super) fn first_failure(&self) -> Option<&RunRecord> {
        self.first_failure.map(|at| &self.runs[at])
    }

    pub(super) fn was_killed_for_memory(&self, rank: u32) -> bool {
        self.killed_for_memory.contains(&rank)
    }

    /// Whether nothing more is to be heard of any process.
    pub(super) fn ranks_are_over(&self) -> bool {
        let all_known = self.closed || self.hosts.len() >= self.expected;
        all_known && self.runs.iter().all(RunRecord::is_over)
    }

    /// Whether every host has read all that it will.
    pub(super) fn is_read(&self) -> bool {
        self.hosts.values().all(HostRecord::is_read)
    }

    /// Whether every host has said its last, or cannot be reached.
    pub(super) fn is_gone(&self) -> bool {
        self.hosts.values().all(HostRecord::is_gone)
    }

    /// Hosts that have neither said their last nor are lost.
    pub(super) fn present(&self) -> Vec<HostId> {
        self.hosts.iter().filter(|(_, host)| !host.is_gone()).map(|(id, _)| *id).collect()
    }

    /// Hosts' stages, merged: the longest of each, and late when one was.
    pub(super) fn stages(&self) -> Vec<StageReport> {
        let rows = self.hosts.values().flat_map(|host| &host.stages);
        merge_stages(rows.copied())
    }
}

/// One row of each stage, in order: the longest, and late when one of them was.
pub(super) fn merge_stages(rows: impl IntoIterator<Item = StageReport>) -> Vec<StageReport> {
    let mut merged: BTreeMap<Stage, StageReport> = BTreeMap::new();
    for row in rows {
        let known = merged.entry(row.stage).or_insert(row);
        known.seconds = known.seconds.max(row.seconds);
        known.timed_out |= row.timed_out;
    }
    merged.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(record: &mut Record, event: HostEvent) -> Consequence {
        record.apply(HostMessage { host: HostId::HERE, event })
    }

    fn up(procs: u32) -> HostEvent {
        HostEvent::Up {
            host: "here".into(),
            pid: 1,
            job: "j".into(),
            command: vec!["x".into()],
            world_size: procs,
            first_rank: 0,
            procs,
            node_rank: 0,
            local_first: 0,
            local_world_size: procs,
            time: Timestamp(5),
        }
    }

    fn started(rank: u32) -> HostEvent {
        HostEvent::Started {
            rank,
            launch: Launch(rank.into()),
            pid: Some(9),
            terminal: false,
            time: Timestamp(6),
        }
    }

    fn exited(rank: u32, code: i32, stopped: bool) -> HostEvent {
        let (launch, exit) = (Launch(rank.into()), Exit::Code(code));
        HostEvent::Exited { rank, launch, exit, stopped, time: Timestamp(7) }
    }

    #[test]
    fn a_job_is_over_when_every_rank_of_every_host_is() {
        let mut record = Record::new(1);
        assert!(!record.ranks_are_over());
        said(&mut record, up(2));
        assert!(!record.ranks_are_over());
        for rank in 0..2 {
            said(&mut record, started(rank));
            said(&mut record, exited(rank, 0, false));
        }
        assert!(record.ranks_are_over());
        assert!(record.first_failure().is_none());
    }

    #[test]
    fn a_host_that_is_never_heard_of_is_lost_when_nobody_will_be() {
        let mut record = Record::new(1);
        assert_eq!(record.open_barrier(Version(1)).0, 1, "it is waited for");
        assert_eq!(record.close(), [HostId::HERE]);
        assert!(record.ranks_are_over() && !record.is_gone());
        said(&mut record, HostEvent::Lost { why: "nobody came".into() });
        assert!(record.is_gone());
    }

    #[test]
    fn a_host_that_goes_leaves_no_rank_that_is_waited_for() {
        let mut record = Record::new(1);
        said(&mut record, up(2));
        said(&mut record, started(0));
        said(&mut record, HostEvent::Down);
        assert!(record.ranks_are_over() && record.is_gone());
    }

    #[test]
    fn the_first_failure_is_the_first_that_was_not_stopped() {
        let mut record = Record::new(1);
        said(&mut record, up(3));
        (0..3).for_each(|rank| drop(said(&mut record, started(rank))));
        said(&mut record, exited(2, 143, true));
        said(&mut record, exited(1, 3, false));
        said(&mut record, exited(0, 4, false));
        assert_eq!(record.first_failure().map(|run| run.rank), Some(1));
    }

    #[test]
    fn a_lost_host_answers_barriers_with_what_is_known_of_it() {
        let mut record = Record::new(1);
        said(&mut record, up(1));
        said(&mut record, started(0));
        assert_eq!(record.open_barrier(Version(1)), (1, vec![]));
        let ids: Vec<StreamId> =
            Stream::ALL.map(|stream| StreamId::new(Launch(0), 0, stream)).into();
        let gone = said(&mut record, HostEvent::Lost { why: "gone".into() });
        let lost = GoneStreams { streams: ids.clone(), lost: Some("gone".into()) };
        assert_eq!(gone, Consequence::Gone(vec![Version(1)], lost));
        assert!(record.ranks_are_over() && record.is_gone());
        assert_eq!(record.open_barrier(Version(2)), (1, vec![ids]));
        assert_eq!(said(&mut record, HostEvent::Lost { why: "again".into() }), Consequence::None);
    }

    #[test]
    fn a_rank_that_is_started_again_has_a_record_of_each_start() {
        let mut record = Record::new(1);
        said(&mut record, up(1));
        said(&mut record, started(0));
        said(&mut record, exited(0, 1, false));
        let again = HostEvent::Started {
            rank: 0,
            launch: Launch(7),
            pid: Some(10),
            terminal: false,
            time: Timestamp(8),
        };
        said(&mut record, again);
        assert_eq!(record.runs().len(), 2);
        assert_eq!(record.last_runs().map(|run| run.pid).collect::<Vec<_>>(), [Some(10)]);
        assert!(!record.ranks_are_over());
    }
}
