//! The ranks of a job while it runs.

use std::sync::Arc;

use lastline_line::{Exit, Launch, Timestamp};
use tokio::sync::watch;

use super::DriverState;
use super::runs::{RunRecord, RunState};
use super::seen::{Streams, Wanted};

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
    /// Lines of both streams, counted where the bytes are.
    pub lines: u64,
    /// Bytes that have been shown.
    pub shown_bytes: u64,
    /// When it said something last; none when it has said nothing.
    pub silent_since: Option<Timestamp>,
    /// The last lines of its stderr, or of its stdout when that is empty; oldest first, at most 20. Of another
    /// process they are known once the rank has failed and all of it is read.
    pub last_lines: Vec<String>,
}

/// Every rank, as far as hosts and the client tell.
pub(super) fn ranks(shared: &DriverState) -> Vec<RankStatus> {
    let streams = Streams::of(shared, Wanted::LastLines);
    let record = shared.record();
    let status = |run: &RunRecord| {
        let (bytes, lines) = streams.read_of(run);
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
            bytes,
            lines,
            shown_bytes: streams.shown_bytes(run),
            silent_since: streams.spoke(run).map(|(time, _)| time),
            last_lines: streams.last_lines_of(run).to_vec(),
        }
    };
    record.runs.last().map(status).collect()
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
