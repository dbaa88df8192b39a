//! The report of a job, put together from what its parts say.

use std::collections::BTreeMap;
use std::sync::Arc;

use lastline_appender::Written;
use lastline_client::Account;
use lastline_line::{Gaps, Offset, Span, Stream, StreamId, StreamLedger};
use tokio::time::Instant;

use crate::clock::now;
use crate::failure::first_failure;
use crate::job_dir::{REPORT_FILE, report_text, write_report};
use crate::plan::StopCause;
use crate::rank::{RankState, StreamState};
use crate::report::{RankReport, Report, StreamEnd, StreamReport, rfc3339};
use crate::stage::LAST_MOMENT;
use crate::supervisor::Supervisor;

/// Why nothing is filed when nobody wants files.
const FILES_OFF: &str = "files are off (--no-files)";
/// Why output is not shown that the console did not take in time.
const NOT_SHOWN: &str = "not shown before the deadline of the teardown";
/// Why bytes are not filed that no writer speaks of.
const NOT_FILED: &str = "not filed before the deadline of the teardown";

/// The report, written wherever it is wanted; the job is over with it.
pub(crate) async fn report(mut job: Supervisor, written: Option<Written>) -> Report {
    let report = put_together(&mut job, written.as_ref());
    file(&report, &job).await;
    job.say_farewell();
    report
}

/// Writes the report among the job's files, and where else it was asked for. A place that does
/// not answer in time is told and left alone: its disk may hang for ever.
async fn file(report: &Report, job: &Supervisor) {
    let text: Arc<[u8]> = report_text(report).into();
    let beside_files = job.plan.files.as_ref().map(|files| files.dir.join(REPORT_FILE));
    let asked = job.plan.report.clone().filter(|path| Some(path) != beside_files.as_ref());
    let writing = asked.into_iter().chain(beside_files).map(|path| {
        let (text, place) = (Arc::clone(&text), path.clone());
        (path, tokio::task::spawn_blocking(move || write_report(&text, &place)))
    });
    let until = Instant::now() + job.teardown.left().max(LAST_MOMENT);
    for (path, written) in writing.collect::<Vec<_>>() {
        let path = path.display();
        match tokio::time::timeout_at(until, written).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(%error, %path, "the report was not written"),
            Ok(Err(error)) => tracing::warn!(%error, %path, "the report was not written"),
            Err(_) => tracing::warn!(%path, "the report was not written: its disk does not answer"),
        }
    }
}

fn put_together(job: &mut Supervisor, written: Option<&Written>) -> Report {
    let stopped_by = job.told_to_stop().and_then(stopped_by);
    job.memory.look_again();
    let command = job.plan.command.iter().map(|word| word.to_string_lossy().into_owned());
    let (barriers, barriers_left_out) = job.inner.take_barriers();
    let mut report = Report {
        lastline: env!("CARGO_PKG_VERSION").into(),
        job: job.plan.job.clone(),
        command: command.collect(),
        started: rfc3339(job.started),
        ended: rfc3339(now()),
        world_size: job.plan.procs,
        balanced: false,
        imbalances: Vec::new(),
        first_failure: first_failure(job),
        stopped_by,
        broken_off: false,
        not_synced: others_not_synced(written),
        memory_kills: job.memory.tally().reports().into_iter().map(memory_kills).collect(),
        ranks: rank_reports(job, written),
        barriers,
        barriers_left_out,
        teardown: job.teardown.reports(),
    };
    report.check_balance();
    report
}

fn rank_reports(job: &Supervisor, written: Option<&Written>) -> Vec<RankReport> {
    let accounts: BTreeMap<StreamId, _> = job.inner.client.accounts().into_iter().collect();
    let files = job.wiring.appender.is_some();
    let ranks = job.ranks.iter().map(|rank| {
        let streams = rank.streams.iter().map(|stream| {
            let account = accounts.get(&stream.id).cloned().unwrap_or_default();
            let shown = job.plan.show.as_ref().is_none_or(|show| show.contains(rank.rank));
            let mut ledger = ledger(stream, account, shown);
            file_side(&mut ledger, stream.id, written, files);
            let not_synced = not_synced(stream.id, written);
            (stream.id.stream, stream_report(stream, ledger, not_synced))
        });
        let killed_for_memory = job.memory.tally().has(rank.rank);
        RankReport { killed_for_memory, ..rank_report(rank, &job.inner.host, streams.collect()) }
    });
    ranks.collect()
}

/// The console's side of a stream: what the client did not account for was not shown, which is a loss
/// where it was to be.
fn ledger(stream: &StreamState, mut account: Account, shown: bool) -> StreamLedger {
    let (read_bytes, read_lines) = stream.tee.as_ref().map_or((0, 0), lastline_tee::Tee::counts);
    if shown {
        account.settle(Offset(read_bytes), NOT_SHOWN);
    } else {
        account.settle_hidden(Offset(read_bytes));
    }
    StreamLedger {
        read_bytes,
        read_lines,
        shown_bytes: account.shown_bytes,
        withheld: account.withheld,
        lost: account.lost,
        ..StreamLedger::default()
    }
}

/// The file's side: what no writer accounted for was not filed.
fn file_side(ledger: &mut StreamLedger, stream: StreamId, written: Option<&Written>, files: bool) {
    let known = written.and_then(|written| written.streams.get(&stream));
    if let Some(known) = known {
        ledger.filed_bytes = known.filed_bytes;
        ledger.not_filed = known.not_filed.clone();
    }
    let settled = ledger.filed_bytes + ledger.not_filed.bytes();
    let rest = Span::new(Offset(settled), Offset(ledger.read_bytes));
    ledger.not_filed.declare(rest, if files { NOT_FILED } else { FILES_OFF });
}

fn not_synced(stream: StreamId, written: Option<&Written>) -> Gaps {
    let known = written.and_then(|written| written.streams.get(&stream));
    known.map(|known| known.not_synced.clone()).unwrap_or_default()
}

/// The index and the directory, where they could not be forced to disk.
fn others_not_synced(written: Option<&Written>) -> BTreeMap<String, String> {
    let reasons = written.map(|written| {
        [("index", written.index_not_synced), ("directory", written.directory_not_synced)]
    });
    let failed = reasons.into_iter().flatten().filter_map(|(what, reason)| Some((what, reason?)));
    failed.map(|(what, reason)| (what.to_owned(), reason.words().into_owned())).collect()
}

fn stream_report(stream: &StreamState, ledger: StreamLedger, not_synced: Gaps) -> StreamReport {
    let end = match stream.end {
        Some(end) => end,
        // It was never started: there was nothing to read.
        None => StreamEnd::Eof,
    };
    StreamReport { ledger, not_synced, end, leaked_to: stream.leaked_to.clone() }
}

fn rank_report(
    rank: &RankState,
    host: &str,
    streams: BTreeMap<Stream, StreamReport>,
) -> RankReport {
    let (code, signal) = match rank.exit {
        Some(lastline_spawn::Exit::Code(code)) => (Some(code), None),
        Some(lastline_spawn::Exit::Signal(signal)) => (None, Some(signal)),
        Some(lastline_spawn::Exit::Unknown) | None => (rank.exit_code(), None),
    };
    RankReport {
        rank: rank.rank,
        host: host.to_owned(),
        pid: rank.pid(),
        code,
        signal,
        killed_for_memory: false,
        stopped_by_lastline: rank.stopped_by_lastline,
        error: rank.error.as_ref().map(|(error, _)| error.clone()),
        started: rfc3339(rank.started),
        ended: rank.ended.map(rfc3339),
        streams,
    }
}

fn memory_kills(kills: lastline_spawn::MemoryKills) -> crate::report::MemoryKills {
    let lastline_spawn::MemoryKills { cgroup, processes, ranks, .. } = kills;
    crate::report::MemoryKills { cgroup, processes, ranks }
}

fn stopped_by(cause: StopCause) -> Option<String> {
    match cause {
        StopCause::Signal(signal) => Some(crate::report::signal_text(signal)),
        StopCause::Owner => Some("owner".into()),
        StopCause::Failure => None,
    }
}
