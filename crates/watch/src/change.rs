//! What happens to a job, and what it makes of a snapshot.

use lastline_jobs::BarrierReport;
use lastline_line::{Exit, Launch, Timestamp};
use serde::{Deserialize, Serialize};

use crate::address;
use crate::rank::{RankState, RankView};
use crate::snapshot::{
    BarriersView, EndView, FailureView, GapView, JobView, LedgerView, MAX_GAPS, Snapshot, StageView,
};

/// What happened to a job since its watcher was told something last.
///
/// Whatever happened in between is one change: a watcher that is slow is told less often, and of
/// the same state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Change {
    /// More is known of the job as a whole, or it is being stopped.
    Job(JobView),
    /// A rank was started, for the first time or again: nothing is known yet of what it says.
    Started {
        /// Which rank.
        rank: u32,
        /// Where.
        host: String,
        /// Which start of it.
        #[serde(with = "address::optional_launch")]
        launch: Option<Launch>,
        /// Its process there.
        pid: Option<u32>,
        /// When.
        time: Option<Timestamp>,
    },
    /// A rank has exited.
    Exited {
        /// Which rank.
        rank: u32,
        /// How.
        exit: Exit,
        /// It had been told to.
        stopped: bool,
        /// When.
        time: Option<Timestamp>,
    },
    /// A rank says nothing any more, or something again.
    Silent {
        /// Which rank.
        rank: u32,
        /// Since when; none when it speaks again.
        since: Option<Timestamp>,
    },
    /// What ranks have said since they were in such a list last.
    Output(Vec<Output>),
    /// A rank stands as this, for what no other change says.
    Rank(RankView),
    /// A rank failed first, or more is known of it.
    FirstFailure(FailureView),
    /// Barriers were answered.
    Barrier {
        /// How many by now.
        count: u64,
        /// The last.
        last: Option<BarrierReport>,
    },
    /// A stage of the teardown has begun, or ended.
    Stage(StageView),
    /// The sums of the ledger.
    Ledger(LedgerView),
    /// Something is missing of a stream; the same again, with the same start, when it grows.
    Gap(GapView),
    /// How many gaps there are that are not named.
    GapsLeftOut(u64),
    /// The job is over. Nothing follows.
    Ended(EndView),
    /// All of it anew: so much has changed that nothing else says it.
    Snapshot(Box<Snapshot>),
}

/// What one rank has said since it was told last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Output {
    /// Which rank.
    pub rank: u32,
    /// How many bytes more it has said.
    pub bytes: u64,
    /// How many lines more.
    pub lines: u64,
    /// How many bytes more are on the console.
    pub shown_bytes: u64,
    /// When it said something last.
    pub time: Option<Timestamp>,
    /// Its last line, when that is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_line: Option<String>,
}

impl Output {
    /// What makes `before` say as much as `after`; none where that has not said more.
    fn between(before: &RankView, after: &RankView) -> Option<Self> {
        let output = Self {
            rank: after.rank,
            bytes: after.bytes.checked_sub(before.bytes)?,
            lines: after.lines.checked_sub(before.lines)?,
            shown_bytes: after.shown_bytes.checked_sub(before.shown_bytes)?,
            time: after.last_output,
            last_line: (before.last_line != after.last_line).then(|| after.last_line.clone()),
        };
        let is_nothing = output.last_line.is_none()
            && (output.bytes, output.lines, output.shown_bytes) == (0, 0, 0)
            && before.last_output == after.last_output;
        (!is_nothing).then_some(output)
    }

    fn apply_to(self, view: &mut RankView) {
        view.bytes = view.bytes.saturating_add(self.bytes);
        view.lines = view.lines.saturating_add(self.lines);
        view.shown_bytes = view.shown_bytes.saturating_add(self.shown_bytes);
        view.last_output = self.time;
        if let Some(line) = self.last_line {
            view.last_line = line;
        }
    }
}

impl Snapshot {
    /// Takes a change in.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Job(job) => self.job = job,
            Change::Started { .. } | Change::Exited { .. } | Change::Silent { .. } => {
                self.apply_to_rank(change);
            }
            Change::Output(outputs) => {
                for output in outputs {
                    output.clone().apply_to(self.rank_mut(output.rank));
                }
            }
            Change::Rank(view) => {
                let rank = view.rank;
                *self.rank_mut(rank) = view;
            }
            Change::FirstFailure(failure) => self.first_failure = Some(failure),
            Change::Barrier { count, last } => self.barriers = BarriersView { count, last },
            Change::Stage(stage) => {
                match self.stages.binary_search_by_key(&stage.stage, |known| known.stage) {
                    Ok(at) => self.stages[at] = stage,
                    Err(at) => self.stages.insert(at, stage),
                }
            }
            Change::Ledger(ledger) => self.ledger = ledger,
            Change::Gap(gap) => self.apply_gap(gap),
            Change::GapsLeftOut(count) => self.gaps_left_out = count,
            Change::Ended(end) => self.ended = Some(end),
            Change::Snapshot(whole) => *self = *whole,
        }
    }

    /// Takes changes in, in their order.
    pub fn apply_all(&mut self, changes: impl IntoIterator<Item = Change>) {
        changes.into_iter().for_each(|change| self.apply(change));
    }

    fn apply_to_rank(&mut self, change: Change) {
        match change {
            Change::Started { rank, host, launch, pid, time } => {
                *self.rank_mut(rank) = RankView {
                    host,
                    launch,
                    pid,
                    started: time,
                    state: RankState::Running,
                    ..RankView::waiting(rank)
                };
            }
            Change::Exited { rank, exit, stopped, time } => {
                let view = self.rank_mut(rank);
                view.state = RankState::Exited(exit);
                (view.stopped, view.ended, view.silent_since) = (stopped, time, None);
            }
            Change::Silent { rank, since } => self.rank_mut(rank).silent_since = since,
            _ => {}
        }
    }

    fn apply_gap(&mut self, gap: GapView) {
        match self.gaps.binary_search_by_key(&gap.key(), GapView::key) {
            Ok(at) => self.gaps[at] = gap,
            Err(at) => self.gaps.insert(at, gap),
        }
        // What is left out of the list is counted by whoever tells.
        self.gaps.truncate(MAX_GAPS);
    }

    /// What happened to this one until it was `later`.
    ///
    /// Law: applied to this one, in their order, they make it equal to `later`, whatever the two
    /// are. Takes time and room for what differs, and time for each rank.
    pub fn changes_to(&self, later: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        if self.job != later.job {
            changes.push(Change::Job(later.job.clone()));
        }
        if !self.rank_changes_to(later, &mut changes) || !self.other_changes_to(later, &mut changes)
        {
            return vec![Change::Snapshot(Box::new(later.clone()))];
        }
        changes
    }

    /// False where a rank is not there any more.
    fn rank_changes_to(&self, later: &Self, changes: &mut Vec<Change>) -> bool {
        let mut fresh = Fresh::default();
        let mut known = self.ranks.iter().peekable();
        for after in &later.ranks {
            let before = known.next_if(|before| before.rank <= after.rank);
            if before.is_some_and(|before| before.rank < after.rank) {
                return false;
            }
            match before {
                Some(before) if before == after => {}
                Some(before) => fresh.add(before.clone(), after),
                None => {
                    let told = fresh.len();
                    fresh.add(RankView::waiting(after.rank), after);
                    if fresh.len() == told {
                        // It is known of now.
                        fresh.begun.push(Change::Rank(after.clone()));
                    }
                }
            }
        }
        fresh.tell(changes);
        known.next().is_none()
    }

    /// False where something is not there any more.
    fn other_changes_to(&self, later: &Self, changes: &mut Vec<Change>) -> bool {
        if self.first_failure != later.first_failure {
            let Some(failure) = &later.first_failure else { return false };
            changes.push(Change::FirstFailure(failure.clone()));
        }
        if self.barriers != later.barriers {
            let BarriersView { count, last } = later.barriers;
            changes.push(Change::Barrier { count, last });
        }
        if !self.stage_changes_to(later, changes) || !self.gap_changes_to(later, changes) {
            return false;
        }
        if self.ledger != later.ledger {
            changes.push(Change::Ledger(later.ledger));
        }
        if self.ended != later.ended {
            let Some(end) = &later.ended else { return false };
            changes.push(Change::Ended(end.clone()));
        }
        true
    }

    fn stage_changes_to(&self, later: &Self, changes: &mut Vec<Change>) -> bool {
        let has = |stages: &[StageView], wanted: &StageView| {
            stages.iter().any(|stage| stage.stage == wanted.stage)
        };
        if !self.stages.iter().all(|stage| has(&later.stages, stage)) {
            return false;
        }
        let fresh = later.stages.iter().filter(|stage| !self.stages.contains(stage));
        changes.extend(fresh.copied().map(Change::Stage));
        true
    }

    fn gap_changes_to(&self, later: &Self, changes: &mut Vec<Change>) -> bool {
        if self.gaps_left_out != later.gaps_left_out {
            changes.push(Change::GapsLeftOut(later.gaps_left_out));
        }
        if self.gaps == later.gaps {
            return true;
        }
        let find = |key| self.gaps.binary_search_by_key(&key, GapView::key).ok();
        let mut kept = 0;
        for gap in &later.gaps {
            match find(gap.key()) {
                Some(at) => {
                    kept += 1;
                    if self.gaps[at] != *gap {
                        changes.push(Change::Gap(gap.clone()));
                    }
                }
                None => changes.push(Change::Gap(gap.clone())),
            }
        }
        kept == self.gaps.len()
    }
}

/// What happened to ranks, in the order in which it is told.
#[derive(Default)]
struct Fresh {
    /// Starts, and whatever else needs a whole view.
    begun: Vec<Change>,
    outputs: Vec<Output>,
    /// Exits and silence.
    ended: Vec<Change>,
}

impl Fresh {
    fn len(&self) -> usize {
        self.begun.len() + self.outputs.len() + self.ended.len()
    }

    /// What makes `before` the same as `after`: one change for each thing that happened, where that
    /// says all, else the view itself.
    fn add(&mut self, before: RankView, after: &RankView) {
        let rank = after.rank;
        let has_begun = !matches!(after.state, RankState::Waiting | RankState::NotStarted(_));
        let is_another = before.state == RankState::Waiting || before.launch != after.launch;
        let begun = (has_begun && is_another).then(|| Change::Started {
            rank,
            host: after.host.clone(),
            launch: after.launch,
            pid: after.pid,
            time: after.started,
        });
        let mut made = Snapshot { ranks: vec![before], ..Snapshot::default() };
        made.apply_all(begun.clone());
        let output = Output::between(&made.ranks[0], after);
        made.apply_all(output.clone().map(|output| Change::Output(vec![output])));
        let exit = match after.state {
            RankState::Exited(exit) if made.ranks[0].state != after.state => Some(exit),
            _ => None,
        };
        let (stopped, time) = (after.stopped, after.ended);
        let exited = exit.map(|exit| Change::Exited { rank, exit, stopped, time });
        made.apply_all(exited.clone());
        let since = after.silent_since;
        let silent = made.ranks[0].silent_since != since;
        let silent = silent.then_some(Change::Silent { rank, since });
        made.apply_all(silent.clone());
        if made.ranks[0] == *after {
            self.begun.extend(begun);
            self.outputs.extend(output);
            self.ended.extend(exited.into_iter().chain(silent));
        } else {
            self.begun.push(Change::Rank(after.clone()));
        }
    }

    fn tell(self, changes: &mut Vec<Change>) {
        changes.extend(self.begun);
        if !self.outputs.is_empty() {
            changes.push(Change::Output(self.outputs));
        }
        changes.extend(self.ended);
    }
}
