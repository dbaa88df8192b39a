//! A job as it stands at one moment.

use std::path::PathBuf;
use std::time::Duration;

use lastline_jobs::{BarrierReport, FirstFailure};
use lastline_line::{Span, Stage, StopCause, StreamId, Timestamp, WithheldBytes};
use serde::{Deserialize, Serialize};

use crate::address;
use crate::rank::RankView;

/// After how long a rank that says nothing is called silent: 10 s.
pub const SILENT_AFTER: Duration = Duration::from_secs(10);
/// How many gaps a snapshot names; the others are counted.
pub const MAX_GAPS: usize = 1000;

/// What can be seen of a job at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// What is known of the job as a whole.
    pub job: JobView,
    /// Every rank that is known of, in ascending order.
    pub ranks: Vec<RankView>,
    /// The rank that failed first, when one did.
    #[serde(default)]
    pub first_failure: Option<FailureView>,
    /// The barriers that were answered.
    #[serde(default)]
    pub barriers: BarriersView,
    /// The stages of the teardown that have begun, in order.
    #[serde(default)]
    pub stages: Vec<StageView>,
    /// The sums over all streams.
    #[serde(default)]
    pub ledger: LedgerView,
    /// What is missing of streams, by stream, side and offset; at most [`MAX_GAPS`].
    #[serde(default)]
    pub gaps: Vec<GapView>,
    /// How many gaps more there are.
    #[serde(default)]
    pub gaps_left_out: u64,
    /// How the job ended, once it has.
    #[serde(default)]
    pub ended: Option<EndView>,
}

/// What is known of a job as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct JobView {
    /// Its id.
    pub id: String,
    /// The command as it was given.
    #[serde(default)]
    pub command: Vec<String>,
    /// How many ranks it is to have; 0 while no host has said so.
    #[serde(default)]
    pub world_size: u32,
    /// When it started.
    #[serde(default)]
    pub started: Option<Timestamp>,
    /// How its console folds: `ranks`, `similar` or `off`, where that is known.
    #[serde(default)]
    pub fold: Option<String>,
    /// Where its files are, when it has any.
    #[serde(default)]
    pub log_dir: Option<PathBuf>,
    /// Why it is being stopped, or was.
    #[serde(default)]
    pub stopped_by: Option<StopCause>,
}

/// The rank that failed first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FailureView {
    /// When.
    #[serde(default)]
    pub time: Option<Timestamp>,
    /// Who, why, and what it said; the same as in the job's report.
    #[serde(flatten)]
    pub failure: FirstFailure,
}

impl FailureView {
    /// A failure at this time.
    pub fn new(time: Option<Timestamp>, failure: FirstFailure) -> Self {
        Self { time, failure }
    }
}

/// The barriers of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BarriersView {
    /// How many were answered.
    pub count: u64,
    /// The last of them.
    #[serde(default)]
    pub last: Option<BarrierReport>,
}

impl BarriersView {
    /// So many, and the last.
    pub fn new(count: u64, last: Option<BarrierReport>) -> Self {
        Self { count, last }
    }
}

/// How far a stage of the teardown has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StageState {
    /// It goes on.
    Running,
    /// It ended by itself.
    Done,
    /// It was given up at its deadline.
    TimedOut,
}

/// One stage of the teardown.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StageView {
    /// Which one.
    pub stage: Stage,
    /// How far it has come.
    pub state: StageState,
    /// How long it took; 0 while it goes on.
    pub seconds: f64,
    /// Since when it goes on, while it does.
    #[serde(default)]
    pub since: Option<Timestamp>,
}

impl StageView {
    /// A stage that goes on.
    pub fn running(stage: Stage, since: Timestamp) -> Self {
        Self { stage, state: StageState::Running, seconds: 0.0, since: Some(since) }
    }

    /// A stage that is over.
    pub fn over(stage: Stage, seconds: f64, timed_out: bool) -> Self {
        let state = if timed_out { StageState::TimedOut } else { StageState::Done };
        Self { stage, state, seconds, since: None }
    }
}

/// The sums of the ledger, in bytes and lines of the streams.
///
/// While the job runs they are as far as hosts have told: what is filed is only known of streams
/// that have ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LedgerView {
    /// Bytes read.
    pub read_bytes: u64,
    /// Lines read.
    pub read_lines: u64,
    /// Bytes in files.
    pub filed_bytes: u64,
    /// Bytes that no file has.
    pub not_filed_bytes: u64,
    /// Bytes on the console.
    pub shown_bytes: u64,
    /// Bytes not on the console, as asked for.
    pub withheld: WithheldBytes,
    /// Bytes not on the console that should be.
    pub lost_bytes: u64,
}

/// Which side of the ledger misses something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GapSide {
    /// No file has it.
    NotFiled,
    /// It was not shown, and should have been.
    Lost,
}

/// A range of a stream that is missing on one side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GapView {
    /// Whose bytes.
    #[serde(flatten, with = "address::stream")]
    pub stream: StreamId,
    /// Where they are missing.
    pub side: GapSide,
    /// Which bytes.
    #[serde(flatten)]
    pub span: Span,
    /// Why, in words.
    pub cause: String,
}

impl GapView {
    /// Bytes of a stream that are missing there.
    pub fn new(stream: StreamId, side: GapSide, span: Span, cause: impl Into<String>) -> Self {
        Self { stream, side, span, cause: cause.into() }
    }

    /// What tells it from other gaps: one that grows stays the same.
    pub fn key(&self) -> (u32, StreamId, GapSide, u64) {
        (self.stream.rank, self.stream, self.side, self.span.from.0)
    }
}

/// How a job ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EndView {
    /// When; none where that is not known.
    #[serde(default)]
    pub time: Option<Timestamp>,
    /// There is no report that can be read: lastline was killed, or could not write one.
    #[serde(default)]
    pub broken_off: bool,
    /// Every stream's ledger adds up.
    #[serde(default)]
    pub balanced: bool,
}

impl EndView {
    /// A job of which nobody says how it ended.
    pub(crate) fn broken_off() -> Self {
        Self { time: None, broken_off: true, balanced: false }
    }
}

impl Snapshot {
    /// Keeps what was `told` of the same job while it ran and its files do not say, or less exactly.
    pub(crate) fn keep_told(&mut self, told: &Self) {
        self.job.fold.clone_from(&told.job.fold);
        for view in &mut self.ranks {
            let Some(known) = told.rank(view.rank).filter(|known| known.launch == view.launch)
            else {
                continue;
            };
            if known.bytes == view.bytes && known.last_output.is_some() {
                view.last_output = known.last_output;
            }
            if known.bytes == view.bytes && !known.last_line.is_empty() {
                view.last_line.clone_from(&known.last_line);
            }
        }
    }

    /// The view of a rank.
    pub fn rank(&self, rank: u32) -> Option<&RankView> {
        // Where every rank is known, it stands at its own place.
        let at = rank as usize;
        if let Some(found) = self.ranks.get(at).filter(|found| found.rank == rank) {
            return Some(found);
        }
        self.ranks.binary_search_by_key(&rank, |view| view.rank).ok().map(|at| &self.ranks[at])
    }

    /// The place of a rank, which it is given where it has none.
    pub(crate) fn rank_mut(&mut self, rank: u32) -> &mut RankView {
        let at = match self.ranks.binary_search_by_key(&rank, |view| view.rank) {
            Ok(at) => at,
            Err(at) => {
                self.ranks.insert(at, RankView::waiting(rank));
                at
            }
        };
        &mut self.ranks[at]
    }

    /// Puts `gaps` in, in their order, as many as are named.
    pub fn set_gaps(&mut self, mut gaps: Vec<GapView>) {
        gaps.sort_by_key(GapView::key);
        self.gaps_left_out = gaps.len().saturating_sub(MAX_GAPS) as u64;
        gaps.truncate(MAX_GAPS);
        self.gaps = gaps;
    }
}
