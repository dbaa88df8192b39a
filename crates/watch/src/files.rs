//! A job as its files show it.

use std::collections::BTreeMap;

use lastline_appender::Extent;
use lastline_jobs::{FoundJob, JobState, RankReport, Report, rebuild_report};
use lastline_line::{
    Exit, Launch, Offset, ReadBack as _, ReadOutcome, Stream, StreamId, StreamLedger, Timestamp,
};

use crate::activity::Activity;
use crate::address::parse_launch;
use crate::archives::Archives;
use crate::error::WatchError;
use crate::rank::{LAST_LINE_BYTES, RankState, RankView, cut_line};
use crate::snapshot::{BarriersView, EndView, FailureView, GapSide, GapView, Snapshot, StageView};

/// Why it is not known how a rank ended.
const NOT_KNOWN: &str = "there is no report that says how it ended";
/// Why a rank is not over although its job is.
const NOT_ENDED: &str = "it had not ended when its job was over";

/// A job as its files show it. What is missing in an interrupted job's report is told from what it
/// filed, all of which is read for that.
///
/// # Errors
///
/// When the files cannot be read.
pub fn snapshot_of(job: &FoundJob, archives: &Archives) -> Result<Snapshot, WatchError> {
    let mut snapshot = match &job.state {
        JobState::Finished(report) => of_report(report),
        JobState::Broken => {
            let report = rebuild_report(job).map_err(|source| WatchError::Rebuild { source })?;
            of_report(&report)
        }
        _ => of_running(job, archives),
    };
    let of = &mut snapshot.job;
    of.id.clone_from(&job.info.job);
    of.log_dir = Some(job.dir.clone());
    of.started = of.started.or_else(|| time(&job.info.started));
    let last = last_extents(archives);
    for view in &mut snapshot.ranks {
        tell_last(view, archives, &last);
    }
    Ok(snapshot)
}

/// One that runs, or of which nobody says how it ended, as far as its files are.
fn of_running(job: &FoundJob, archives: &Archives) -> Snapshot {
    let mut snapshot = Snapshot::default();
    snapshot.job.command.clone_from(&job.info.command);
    snapshot.job.world_size = job.info.world_size;
    let started = time(&job.info.started);
    for rank in 0..job.info.world_size {
        let view = snapshot.rank_mut(rank);
        (view.state, view.started) = (RankState::Running, started);
    }
    let mut gaps = Vec::new();
    for id in archives.streams() {
        let (bytes, missing) = (archives.filed(id).0, archives.gaps(id));
        let view = snapshot.rank_mut(id.rank);
        view.launch = Some(id.launch).filter(|launch| *launch != Launch(0)).or(view.launch);
        view.bytes += bytes;
        snapshot.ledger.read_bytes += bytes;
        snapshot.ledger.not_filed_bytes += missing.bytes();
        snapshot.ledger.filed_bytes += bytes - missing.bytes().min(bytes);
        let named = missing.as_slice().iter();
        gaps.extend(named.map(|gap| GapView::new(id, GapSide::NotFiled, gap.span, &*gap.cause)));
    }
    snapshot.set_gaps(gaps);
    snapshot
}

/// A job as its report tells of it.
pub fn of_report(report: &Report) -> Snapshot {
    let mut snapshot = Snapshot::default();
    let job = &mut snapshot.job;
    job.id.clone_from(&report.job);
    (job.command, job.world_size) = (report.command.clone(), report.world_size);
    (job.started, job.stopped_by) = (time(&report.started), report.stopped_by);
    let mut gaps = Vec::new();
    for rank in &report.ranks {
        // Those of a rank that was started again come in the order of its starts.
        *snapshot.rank_mut(rank.rank) = view(rank, report.broken_off);
        for (stream, of) in &rank.streams {
            add(&mut snapshot, &of.ledger);
            gaps.extend(gaps_of(rank, *stream, &of.ledger));
        }
    }
    snapshot.set_gaps(gaps);
    snapshot.first_failure = report.first_failure.clone().map(|failure| {
        let ended = snapshot.rank(failure.rank).and_then(|view| view.ended);
        FailureView::new(ended, failure)
    });
    let left_out: u64 = report.barriers_left_out.values().sum();
    let count = report.barriers.len() as u64 + left_out;
    snapshot.barriers = BarriersView::new(count, report.barriers.last().copied());
    let rows = report.teardown.iter();
    snapshot.stages =
        rows.map(|row| StageView::over(row.stage, row.seconds, row.timed_out)).collect();
    snapshot.stages.sort_by_key(|stage| stage.stage);
    let mut end = EndView::default();
    (end.time, end.balanced) = (time(&report.ended), report.balanced);
    end.broken_off = report.broken_off;
    snapshot.ended = Some(end);
    snapshot
}

fn view(rank: &RankReport, broken_off: bool) -> RankView {
    let mut view = RankView::waiting(rank.rank);
    view.host.clone_from(&rank.host);
    view.launch = launch(rank);
    view.pid = rank.pid;
    view.state = state(rank, broken_off);
    (view.started, view.ended) = (time(&rank.started), rank.ended.as_deref().and_then(time));
    view.stopped = rank.stopped_by_lastline;
    for stream in rank.streams.values() {
        view.bytes += stream.ledger.read_bytes;
        view.lines += stream.ledger.read_lines;
        view.shown_bytes += stream.ledger.shown_bytes;
    }
    view
}

fn launch(rank: &RankReport) -> Option<Launch> {
    parse_launch(rank.launch.as_deref()?).ok()
}

fn state(rank: &RankReport, broken_off: bool) -> RankState {
    match (&rank.error, rank.code, rank.signal) {
        (Some(why), Some(_), _) => RankState::NotStarted(why.clone()),
        (Some(why), None, _) => RankState::Lost(why.clone()),
        (None, _, Some(signal)) => RankState::Exited(Exit::Signal(signal)),
        (None, Some(code), None) => RankState::Exited(Exit::Code(code)),
        (None, None, None) if rank.exit_unknown => RankState::Exited(Exit::Unknown),
        (None, None, None) if rank.launch.is_none() && !broken_off => RankState::Waiting,
        (None, None, None) => {
            RankState::Lost(String::from(if broken_off { NOT_KNOWN } else { NOT_ENDED }))
        }
    }
}

fn add(snapshot: &mut Snapshot, ledger: &StreamLedger) {
    let sum = &mut snapshot.ledger;
    sum.read_bytes += ledger.read_bytes;
    sum.read_lines += ledger.read_lines;
    sum.filed_bytes += ledger.filed_bytes;
    sum.not_filed_bytes += ledger.not_filed.bytes();
    sum.shown_bytes += ledger.shown_bytes;
    sum.withheld.show += ledger.withheld.show;
    sum.withheld.streaming_off += ledger.withheld.streaming_off;
    sum.withheld.redrawn += ledger.withheld.redrawn;
    sum.lost_bytes += ledger.lost.bytes();
}

fn gaps_of(rank: &RankReport, stream: Stream, ledger: &StreamLedger) -> Vec<GapView> {
    let id = StreamId::new(launch(rank).unwrap_or_default(), rank.rank, stream);
    let sides = [(GapSide::NotFiled, &ledger.not_filed), (GapSide::Lost, &ledger.lost)];
    let named = sides.into_iter().flat_map(|(side, gaps)| {
        gaps.as_slice().iter().map(move |gap| GapView::new(id, side, gap.span, &*gap.cause))
    });
    named.collect()
}

/// RFC 3339 as microseconds since the epoch.
fn time(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    // What was never started has the epoch there.
    u64::try_from(time.as_microsecond()).ok().filter(|micros| *micros > 0).map(Timestamp)
}

/// The last extent of each stream.
fn last_extents(archives: &Archives) -> BTreeMap<StreamId, Extent> {
    let before_end = |id: StreamId| (id, Offset(archives.filed(id).0.saturating_sub(1)));
    let ends = archives.streams().into_iter().map(before_end).collect();
    archives.extents_after(&ends).into_iter().map(|extent| (extent.stream, extent)).collect()
}

/// When a rank said something last, and what.
fn tell_last(view: &mut RankView, archives: &Archives, last: &BTreeMap<StreamId, Extent>) {
    let own = last.values().filter(|extent| {
        let id = extent.stream;
        id.rank == view.rank && view.launch.is_none_or(|launch| launch == id.launch)
    });
    let Some(extent) = own.max_by_key(|extent| extent.time) else {
        return;
    };
    view.last_output = extent.time;
    view.last_line = last_line(archives, extent);
}

/// The last line of the stream whose last extent this is, as much as is told, and its end where it
/// is longer than a little more than that.
fn last_line(archives: &Archives, last: &Extent) -> String {
    let end = last.span.to;
    let mut at = Offset(end.0.saturating_sub(4 * LAST_LINE_BYTES as u64));
    let (mut text, mut buffer) = (Vec::new(), [0; 4 * LAST_LINE_BYTES]);
    while at < end {
        match archives.read_back(last.stream, at, &mut buffer) {
            Ok(ReadOutcome::Read(bytes)) if bytes > 0 => {
                text.extend_from_slice(&buffer[..bytes]);
                at += bytes as u64;
            }
            Ok(ReadOutcome::Gone { to, .. }) if to > at => {
                text.clear();
                at = to;
            }
            _ => break,
        }
    }
    let text = text.strip_suffix(b"\n").unwrap_or(&text);
    let line = text.rsplit(|byte| *byte == b'\n').next().unwrap_or(text);
    cut_line(&String::from_utf8_lossy(line)).to_owned()
}

/// Who said how much when, up to what `snapshot` knows, in at most `max_columns` columns.
///
/// What is not filed yet of what the snapshot has is put at `now`, so that each rank's columns add
/// up to its bytes, of all its starts.
pub fn activity_of(
    snapshot: &Snapshot,
    archives: Option<&Archives>,
    max_columns: usize,
    now: Timestamp,
) -> Activity {
    let start = snapshot.job.started.unwrap_or(now);
    let mut activity = Activity::new(start, max_columns);
    let end = snapshot.ended.as_ref().and_then(|end| end.time);
    activity.reach(end.unwrap_or(now));
    let mut left: BTreeMap<u32, u64> =
        snapshot.ranks.iter().map(|view| (view.rank, view.bytes)).collect();
    let extents = archives.map(|archives| archives.extents_after(&BTreeMap::new()));
    let mut latest = BTreeMap::new();
    for extent in extents.unwrap_or_default() {
        let id = extent.stream;
        let time = extent.time.or_else(|| latest.get(&id).copied()).unwrap_or(start);
        latest.insert(id, time);
        let launch = snapshot.rank(id.rank).and_then(|view| view.launch);
        let is_last = launch.is_none_or(|launch| launch == id.launch || id.launch == Launch(0));
        let bytes = match left.get_mut(&id.rank).filter(|_| is_last) {
            Some(left) => {
                let bytes = extent.span.len().min(*left);
                *left -= bytes;
                bytes
            }
            None => extent.span.len(),
        };
        activity.add(id.rank, time, bytes);
    }
    for view in &snapshot.ranks {
        let rest = left.get(&view.rank).copied().unwrap_or(0);
        let at = view.last_output.or(end).unwrap_or(now);
        activity.add(view.rank, at, rest);
        activity.set_run(view);
    }
    activity
}
