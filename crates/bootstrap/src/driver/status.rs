//! The ranks of a job while it runs.

use std::collections::HashMap;
use std::sync::Arc;

use lastline_line::{Exit, Launch, Stream, StreamId, Timestamp};
use tokio::sync::watch;

use super::DriverState;
use super::runs::{RunRecord, RunState, last_twenty};

/// Where a rank stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RankState {
    /// It has not been started yet.
    Waiting,
    /// It runs.
    Running,
    /// It has exited.
    Exited(Exit),
    /// It could not be started, and why.
    NotStarted(String),
    /// Its host is lost, and how that is known.
    Lost(String),
}

/// A rank as it stands.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RankStatus {
    /// Which rank.
    pub rank: u32,
    /// Where it runs.
    pub host: String,
    /// Which start of it; none before the first.
    pub launch: Option<Launch>,
    /// Where it stands.
    pub state: RankState,
    /// Its process, when it has an id on its host.
    pub pid: Option<u32>,
    /// Bytes of both streams: read where its host is this process, received otherwise.
    pub bytes: u64,
    /// Lines of both streams that were read; none of another process are known before a stream ends.
    pub lines: u64,
    /// Bytes that have been shown.
    pub shown_bytes: u64,
    /// When it said something last; none when it has said nothing.
    pub silent_since: Option<Timestamp>,
    /// The last lines of its stderr, or of its stdout when that is empty; oldest first, at most 20.
    pub last_lines: Vec<String>,
}

/// What can be seen of a stream in the process that reads it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) read_bytes: u64,
    pub(crate) read_lines: u64,
    pub(crate) last_lines: Vec<String>,
}

/// Every rank, as far as hosts and the client tell.
pub(super) fn ranks(shared: &DriverState) -> Vec<RankStatus> {
    let accounts: HashMap<StreamId, _> = shared.client().accounts().into_iter().collect();
    let record = shared.record();
    let status = |run: &RunRecord| {
        let known = || run.ids().filter_map(|id| accounts.get(&id));
        let received = |id: &StreamId| accounts.get(id).map_or(0, |account| account.received.0);
        let bytes = |id: StreamId| run.stream(id.stream).read_bytes.unwrap_or(received(&id));
        let counted = |id: &StreamId| accounts.get(id).map_or(0, |account| account.received_lines);
        let lines = |id: StreamId| run.stream(id.stream).read_lines.max(counted(&id));
        let state = match &run.state {
            RunState::Waiting => RankState::Waiting,
            RunState::Running => RankState::Running,
            RunState::Exited(exit) => RankState::Exited(*exit),
            RunState::NotStarted(why, _) => RankState::NotStarted(why.clone()),
            RunState::Lost(why) => RankState::Lost(why.clone()),
        };
        RankStatus {
            rank: run.rank,
            host: record.host_name(run.host),
            launch: run.launch,
            state,
            pid: run.pid,
            bytes: run.ids().map(bytes).sum(),
            lines: run.ids().map(lines).sum(),
            shown_bytes: known().map(|account| account.shown_bytes).sum(),
            silent_since: known().filter_map(|account| account.last_arrival).max(),
            last_lines: run.last_lines().to_vec(),
        }
    };
    record.runs.last().map(status).collect()
}

impl RankStatus {
    /// Adds what the process that reads its streams sees of them.
    pub(crate) fn see(&mut self, seen: &HashMap<StreamId, Seen>) {
        let Some(launch) = self.launch else {
            return;
        };
        let ids = Stream::ALL.map(|stream| StreamId::new(launch, self.rank, stream));
        let streams: Vec<&Seen> = ids.iter().filter_map(|id| seen.get(id)).collect();
        self.bytes = self.bytes.max(streams.iter().map(|seen| seen.read_bytes).sum());
        self.lines = self.lines.max(streams.iter().map(|seen| seen.read_lines).sum());
        let mut lines = streams.iter().rev().map(|seen| &seen.last_lines);
        if let Some(lines) = lines.find(|lines| !lines.is_empty()) {
            self.last_lines = last_twenty(lines).to_vec();
        }
    }
}

/// The ranks of a job, again whenever something is heard of one.
pub struct RankChanges {
    changes: watch::Receiver<u64>,
    shared: std::sync::Weak<DriverState>,
}

impl RankChanges {
    pub(super) fn new(shared: Arc<DriverState>) -> Self {
        Self { changes: shared.changes.subscribe(), shared: Arc::downgrade(&shared) }
    }

    /// The ranks after the next change; those that come while nobody asks are one. `None` when the
    /// job is over and nobody holds it any more. Cancel-safe.
    pub async fn next(&mut self) -> Option<Vec<RankStatus>> {
        self.changes.changed().await.ok()?;
        Some(ranks(&*self.shared.upgrade()?))
    }
}

impl std::fmt::Debug for RankChanges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RankChanges").finish_non_exhaustive()
    }
}
