//! A job that runs, as whoever looks at it is told.

use std::path::PathBuf;

use lastline_jobs::Report;
use lastline_line::{Gaps, StreamId, StreamSet, Timestamp};
use lastline_watch::{
    BarriersView, EndView, GapSide, GapView, LedgerView, RankState, RankView, Snapshot,
};

use super::DriverState;
use super::failure::first_failure;
use super::record::Record;
use super::runs::{RunRecord, RunState};
use super::seen::{Streams, Wanted};
use crate::clock::now;
use crate::lock;
use crate::plan::Plan;

/// What does not change of a job.
#[derive(Debug)]
pub(super) struct About {
    job: String,
    log_dir: Option<PathBuf>,
    pub(super) show: Option<StreamSet>,
}

impl About {
    pub(super) fn of(plan: &Plan) -> Self {
        let log_dir = plan.files.as_ref().map(|files| files.dir.clone());
        Self { job: plan.job.clone(), log_dir, show: plan.show.clone() }
    }

    pub(super) fn job(&self) -> &str {
        &self.job
    }
}

/// The job as it stands; `report` once there is one.
pub(super) fn snapshot(shared: &DriverState, report: Option<&Report>) -> Snapshot {
    let streams = Streams::of(shared, Wanted::LastLine);
    let barriers = lock(&shared.barriers).last();
    let teardown = lock(&shared.teardown).clone();
    let mut snapshot = Snapshot::default();
    let time = now();
    let record = shared.record();
    let job = &mut snapshot.job;
    job.id.clone_from(if record.job.is_empty() { &shared.about.job } else { &record.job });
    (job.command, job.world_size) = (record.command.clone(), record.world_size);
    (job.started, job.stopped_by) = (record.started, record.stopping);
    job.fold = Some((*lock(&shared.fold)).to_owned());
    job.log_dir.clone_from(&shared.about.log_dir);
    snapshot.ranks = record.runs.last().map(|run| view(&record, run, &streams, time)).collect();
    snapshot.first_failure = first_failure(&record).cloned();
    snapshot.barriers = BarriersView::new(barriers.0, barriers.1);
    snapshot.stages = teardown.stages(record.stages());
    snapshot.ledger = ledger(&record, &streams);
    snapshot.set_gaps(gaps(&record, &streams));
    drop(record);
    snapshot.ended = report.map(|report| {
        let mut end = EndView::default();
        (end.time, end.balanced) = (Some(time), report.balanced);
        end
    });
    snapshot
}

fn view(record: &Record, run: &RunRecord, streams: &Streams, now: Timestamp) -> RankView {
    let mut view = RankView::waiting(run.rank);
    view.host = record.host_name(run.host);
    (view.launch, view.pid, view.stopped, view.ended) =
        (run.launch, run.pid, run.stopped, run.ended);
    view.started = run.launch.map(|_| run.started);
    view.state = match &run.state {
        RunState::Waiting => RankState::Waiting,
        RunState::Running => RankState::Running,
        RunState::Exited(exit) => RankState::Exited(*exit),
        RunState::NotStarted(why, _) => RankState::NotStarted(why.clone()),
        RunState::Lost(why) => RankState::Lost(why.clone()),
    };
    (view.bytes, view.lines) = streams.read_of(run);
    view.shown_bytes = streams.shown_bytes(run);
    if let Some((time, id)) = streams.spoke(run) {
        view.last_output = Some(time);
        view.last_line = streams.last_lines(id).last().cloned().unwrap_or_default();
    }
    view.note_silence(now);
    view
}

/// The sums over all starts of all ranks.
fn ledger(record: &Record, streams: &Streams) -> LedgerView {
    let mut sum = LedgerView::default();
    for run in record.runs.in_order() {
        for id in run.ids() {
            let (bytes, lines) = streams.read(run, id);
            sum.read_bytes += bytes;
            sum.read_lines += lines;
            if let Some(filed) = &run.stream(id.stream).filed {
                sum.filed_bytes += filed.filed_bytes;
                sum.not_filed_bytes += filed.not_filed.bytes();
            }
            if let Some(account) = streams.account(id) {
                sum.shown_bytes += account.shown_bytes;
                sum.withheld.show += account.withheld.show;
                sum.withheld.streaming_off += account.withheld.streaming_off;
                sum.withheld.redrawn += account.withheld.redrawn;
                sum.lost_bytes += account.lost.bytes();
            }
        }
    }
    sum
}

fn gaps(record: &Record, streams: &Streams) -> Vec<GapView> {
    let named = |id: StreamId, side: GapSide, gaps: &Gaps| {
        let gaps = gaps.as_slice().iter();
        gaps.map(|gap| GapView::new(id, side, gap.span, gap.cause.clone())).collect::<Vec<_>>()
    };
    let mut found = Vec::new();
    for run in record.runs.in_order() {
        for id in run.ids() {
            if let Some(filed) = &run.stream(id.stream).filed {
                found.extend(named(id, GapSide::NotFiled, &filed.not_filed));
            }
            if let Some(account) = streams.account(id) {
                found.extend(named(id, GapSide::Lost, &account.lost));
            }
        }
    }
    found
}
