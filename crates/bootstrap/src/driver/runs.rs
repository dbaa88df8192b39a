//! Starts of ranks, on whichever host: what is known of each.

use std::collections::{BTreeMap, HashMap};

use lastline_line::{Capture, Exit, HostId, Launch, RankSet, Stream, StreamId, Timestamp};

use super::streams::StreamRecord;

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
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RunRecord {
    pub(super) rank: u32,
    pub(super) host: HostId,
    pub(super) launch: Option<Launch>,
    pub(super) pid: Option<u32>,
    /// How what it writes is taken.
    pub(super) capture: Capture,
    pub(super) state: RunState,
    /// Lastline told it to end before it did.
    pub(super) stopped: bool,
    /// It failed, and its host said that it starts it again.
    pub(super) starts_again: bool,
    pub(super) started: Timestamp,
    pub(super) ended: Option<Timestamp>,
    pub(super) streams: [StreamRecord; Stream::ALL.len()],
}

impl RunRecord {
    fn waiting(rank: u32, host: HostId) -> Self {
        Self {
            rank,
            host,
            launch: None,
            pid: None,
            capture: Capture::Pipes,
            state: RunState::Waiting,
            stopped: false,
            starts_again: false,
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

    /// Whether that is a failure of the job: nobody asked it to end, or starts it again.
    pub(super) fn failed_for_good(&self) -> bool {
        self.failed() && !self.stopped && !self.starts_again
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
        &self.streams[stream as usize]
    }

    /// The last lines of its stderr, or of its stdout when that is empty, as its host said them.
    pub(super) fn last_lines(&self) -> &[String] {
        let lines = self.streams.iter().rev().map(|stream| &stream.last_lines);
        lines.map(Vec::as_slice).find(|lines| !lines.is_empty()).unwrap_or_default()
    }

    /// The ids of its streams, once it has been started.
    pub(super) fn ids(&self) -> impl Iterator<Item = StreamId> {
        let launch = self.launch.filter(|_| !matches!(self.state, RunState::NotStarted(..)));
        let streams = self.capture.streams().iter();
        streams.filter_map(move |stream| Some(StreamId::new(launch?, self.rank, *stream)))
    }
}

/// Those that a person is shown of the lines that are kept.
pub(super) fn last_twenty<T>(lines: &[T]) -> &[T] {
    &lines[lines.len().saturating_sub(20)..]
}

/// All starts of all ranks.
#[derive(Debug, Default)]
pub(super) struct Runs {
    all: Vec<RunRecord>,
    by_launch: HashMap<(u32, Launch), usize>,
    /// The last start of each rank.
    last: BTreeMap<u32, usize>,
    /// Who failed by itself on each host, in the order in which that said so.
    failed: BTreeMap<HostId, Vec<usize>>,
}

impl Runs {
    /// A host is to start this rank.
    pub(super) fn expect(&mut self, rank: u32, host: HostId) {
        self.last.insert(rank, self.all.len());
        self.all.push(RunRecord::waiting(rank, host));
    }

    /// A start of a rank: the one that was waited for, or one more; nothing where it is known already.
    pub(super) fn begin(
        &mut self,
        host: HostId,
        rank: u32,
        launch: Launch,
    ) -> Option<&mut RunRecord> {
        if self.by_launch.contains_key(&(rank, launch)) {
            return None;
        }
        let waits = |run: &RunRecord| run.state == RunState::Waiting && run.host == host;
        let waiting = self.last.get(&rank).copied().filter(|at| waits(&self.all[*at]));
        let at = waiting.unwrap_or_else(|| {
            self.all.push(RunRecord::waiting(rank, host));
            self.all.len() - 1
        });
        self.last.insert(rank, at);
        self.by_launch.insert((rank, launch), at);
        let run = &mut self.all[at];
        run.launch = Some(launch);
        Some(run)
    }

    /// One that has just failed by itself, if it has, is remembered.
    pub(super) fn note_failure(&mut self, rank: u32, launch: Launch) {
        if let Some(at) = self.by_launch.get(&(rank, launch)).copied()
            && self.all[at].failed_for_good()
        {
            let failed = self.failed.entry(self.all[at].host).or_default();
            if !failed.contains(&at) {
                failed.push(at);
            }
        }
    }

    /// Who failed first on each host.
    pub(super) fn first_failures(&self) -> impl Iterator<Item = &RunRecord> {
        self.failed.values().filter_map(|failed| failed.first()).map(|at| &self.all[*at])
    }

    /// Nothing more is heard of the ranks of a host.
    pub(super) fn lose(&mut self, host: HostId, why: &str) {
        for run in self.all.iter_mut().filter(|run| run.host == host && !run.is_over()) {
            run.state = RunState::Lost(why.to_owned());
        }
    }

    pub(super) fn of(&self, host: HostId) -> impl Iterator<Item = &RunRecord> {
        self.all.iter().filter(move |run| run.host == host)
    }

    /// Takes away what a host had: it is no part of the job.
    pub(super) fn forget(&mut self, host: HostId) {
        let failed = std::mem::take(&mut self.failed);
        let failed: Vec<(u32, Launch)> = failed
            .into_values()
            .flatten()
            .filter_map(|at| Some((self.all[at].rank, self.all[at].launch?)))
            .collect();
        self.all.retain(|run| run.host != host);
        (self.by_launch, self.last) = Default::default();
        for (at, run) in self.all.iter().enumerate() {
            self.last.insert(run.rank, at);
            self.by_launch.extend(run.launch.map(|launch| ((run.rank, launch), at)));
        }
        failed.into_iter().for_each(|(rank, launch)| self.note_failure(rank, launch));
    }

    pub(super) fn run_mut(&mut self, rank: u32, launch: Launch) -> Option<&mut RunRecord> {
        let at = *self.by_launch.get(&(rank, launch))?;
        Some(&mut self.all[at])
    }

    pub(super) fn stream_mut(&mut self, id: StreamId) -> Option<&mut StreamRecord> {
        let run = self.run_mut(id.rank, id.launch)?;
        Some(&mut run.streams[id.stream as usize])
    }

    /// Every start, in the order of ranks and then of starts.
    pub(super) fn in_order(&self) -> Vec<&RunRecord> {
        let mut runs: Vec<&RunRecord> = self.all.iter().collect();
        runs.sort_by_key(|run| run.rank);
        runs
    }

    /// The last start of each rank, in order.
    pub(super) fn last(&self) -> impl Iterator<Item = &RunRecord> {
        self.last.values().map(|at| &self.all[*at])
    }

    /// The ranks that run.
    pub(super) fn running(&self) -> RankSet {
        let running = self.last().filter(|run| matches!(run.state, RunState::Running));
        running.map(|run| run.rank).collect()
    }

    /// The host of a rank's last start.
    pub(super) fn host_of(&self, rank: u32) -> Option<HostId> {
        self.last.get(&rank).map(|at| self.all[*at].host)
    }

    /// How many ranks have been heard of.
    pub(super) fn ranks(&self) -> usize {
        self.last.len()
    }

    pub(super) fn are_over(&self) -> bool {
        self.all.iter().all(RunRecord::is_over)
    }
}
