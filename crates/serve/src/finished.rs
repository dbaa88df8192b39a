//! How a job stands that is over, from its report.

use std::io;

use lastline_jobs::{FoundJob, JobState, RankReport, rebuild_report};
use lastline_line::ReadBack as _;
use lastline_watch::{
    BarriersView, EndView, FailureView, GapSide, GapView, JobView, LedgerView, RankState, RankView,
    Snapshot, StageView, cut_line,
};

use crate::files::JobFiles;
use crate::routes::timestamp;
use crate::rows::Row;
use crate::window;

pub(crate) fn snapshot(job: &FoundJob, files: &JobFiles) -> io::Result<Snapshot> {
    let report = match &job.state {
        JobState::Finished(report) => (**report).clone(),
        _ => rebuild_report(job)?,
    };
    let mut snapshot = Snapshot::default();
    let mut view = JobView::default();
    view.id.clone_from(&report.job);
    view.command.clone_from(&report.command);
    view.world_size = report.world_size;
    view.started = timestamp(&report.started);
    view.log_dir = Some(job.dir.clone());
    view.stopped_by = report.stopped_by;
    snapshot.job = view;
    let mut ledger = LedgerView::default();
    let mut gaps = Vec::new();
    for rank in &report.ranks {
        for (stream, told) in &rank.streams {
            let id =
                files.streams().into_iter().find(|id| (id.rank, id.stream) == (rank.rank, *stream));
            let l = &told.ledger;
            ledger.read_bytes += l.read_bytes;
            ledger.read_lines += l.read_lines;
            ledger.filed_bytes += l.filed_bytes;
            ledger.not_filed_bytes += l.not_filed.bytes();
            ledger.shown_bytes += l.shown_bytes;
            ledger.withheld.show += l.withheld.show;
            ledger.withheld.redrawn += l.withheld.redrawn;
            ledger.withheld.streaming_off += l.withheld.streaming_off;
            ledger.lost_bytes += l.lost.bytes();
            for (side, all) in [(GapSide::NotFiled, &l.not_filed), (GapSide::Lost, &l.lost)] {
                let of = |gap: &lastline_line::Gap| {
                    Some(GapView::new(id?, side, gap.span, gap.cause.clone()))
                };
                gaps.extend(all.as_slice().iter().filter_map(of));
            }
        }
        snapshot.ranks.push(rank_view(rank, files)?);
    }
    snapshot.ledger = ledger;
    snapshot.set_gaps(gaps);
    snapshot.first_failure = report.first_failure.clone().map(|failure| {
        let of = report.ranks.iter().find(|rank| rank.rank == failure.rank);
        FailureView::new(of.and_then(|rank| timestamp(rank.ended.as_deref()?)), failure)
    });
    snapshot.barriers =
        BarriersView::new(report.barriers.len() as u64, report.barriers.last().cloned());
    snapshot.stages =
        report.teardown.iter().map(|s| StageView::over(s.stage, s.seconds, s.timed_out)).collect();
    let mut end = EndView::default();
    end.time = timestamp(&report.ended);
    end.balanced = report.balanced;
    end.broken_off = report.broken_off;
    snapshot.ended = Some(end);
    Ok(snapshot)
}

fn rank_view(rank: &RankReport, files: &JobFiles) -> io::Result<RankView> {
    let mut view = RankView::waiting(rank.rank);
    view.host.clone_from(&rank.host);
    view.pid = rank.pid;
    view.started = timestamp(&rank.started);
    view.ended = rank.ended.as_deref().and_then(timestamp);
    view.stopped = rank.stopped_by_lastline;
    view.state = match (rank.exit(), &rank.error) {
        (Some(exit), _) => RankState::Exited(exit),
        (None, Some(error)) => RankState::NotStarted(error.clone()),
        (None, None) => RankState::Lost("unknown".into()),
    };
    for told in rank.streams.values() {
        view.bytes += told.ledger.read_bytes;
        view.lines += told.ledger.read_lines;
        view.shown_bytes += told.ledger.shown_bytes;
    }
    for id in files.streams().into_iter().filter(|id| id.rank == rank.rank) {
        let end = files.filed(id);
        if let Some(Row::Line { span, text, .. }) = window::backward(files, id, end, 1)?.pop() {
            view.last_output = view.last_output.max(files.time_of(id, span.from));
            view.last_line = cut_line(&String::from_utf8_lossy(&text)).to_owned();
        }
    }
    Ok(view)
}
