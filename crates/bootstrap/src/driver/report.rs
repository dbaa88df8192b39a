//! The report of a job, put together from what hosts said and what was shown.

use std::collections::BTreeMap;

use lastline_client::Account;
use lastline_jobs::{
    BarrierReport, HostReport, RankReport, RefusedHost, Report, StreamReport, rfc3339,
};
use lastline_line::{
    BarrierOutcome, Capture, Offset, StageReport, StopCause, StreamEnd, StreamId, StreamLedger,
    StreamSet,
};

use super::failure::first_failure;
use super::hosts::HostRecord;
use super::record::Record;
use super::run::Settings;
use super::runs::{RunRecord, RunState};
use super::streams::{FiledRecord, StreamRecord};
use super::trips::ClockOffset;
use crate::clock::now;

/// Why output is not shown that the console did not take in time.
const NOT_SHOWN: &str = "not shown before the deadline of the teardown";

pub(super) fn put_together(
    record: &Record,
    settings: &Settings,
    accounts: Vec<(StreamId, Account)>,
    (barriers, barriers_left_out): (Vec<BarrierReport>, BTreeMap<BarrierOutcome, u64>),
    requested: Option<StopCause>,
    teardown: Vec<StageReport>,
) -> Report {
    let job = if record.job.is_empty() { &settings.job } else { &record.job };
    let mut report = Report::new(job.clone(), record.command.clone(), record.world_size);
    report.lastline = env!("CARGO_PKG_VERSION").into();
    report.started = rfc3339(record.started.unwrap_or_else(now));
    report.ended = rfc3339(now());
    report.first_failure = first_failure(record).map(|view| view.failure.clone());
    report.stopped_by = requested;
    report.not_synced = record.not_synced.clone();
    let hosts = record.hosts.values();
    report.memory_kills = hosts.flat_map(|host| host.memory_kills.iter().cloned()).collect();
    let accounts: BTreeMap<StreamId, Account> = accounts.into_iter().collect();
    let runs = record.runs.in_order();
    report.ranks = runs
        .iter()
        .map(|run| rank_report(record, run, &accounts, settings.show.as_ref()))
        .collect();
    (report.barriers, report.barriers_left_out) = (barriers, barriers_left_out);
    report.teardown = teardown;
    report.hosts = host_reports(record);
    report.refused = refused(record);
    report.not_heard_of = record.not_heard_of();
    report.check_balance();
    report
}

/// Told where there are several, or one was lost.
fn host_reports(record: &Record) -> Vec<HostReport> {
    let any_lost = record.hosts.values().any(|host| host.lost.is_some());
    if record.hosts.len() < 2 && !any_lost {
        return Vec::new();
    }
    let mut hosts: Vec<&HostRecord> = record.hosts.values().collect();
    hosts.sort_by_key(|host| (host.node_rank, host.first_rank));
    hosts.into_iter().map(host_report).collect()
}

fn refused(record: &Record) -> Vec<RefusedHost> {
    let mut refused: Vec<RefusedHost> = record
        .refused
        .values()
        .map(|refused| {
            let mut told = RefusedHost::new(refused.why.clone());
            (told.host, told.pid) = refused.host.clone().unzip();
            told
        })
        .collect();
    // Not in the order of random numbers.
    refused.sort();
    refused
}

fn host_report(host: &HostRecord) -> HostReport {
    let mut report = HostReport::new(host.node_rank, host.host.clone());
    report.pid = (host.pid > 0).then_some(host.pid);
    (report.first_rank, report.procs) = (host.first_rank, host.procs);
    report.lost.clone_from(&host.lost);
    report.spoke_again = host.spoke_again;
    report.heartbeat_lost = host.silent_for.is_some();
    report.silent_seconds = host.silent_for.map(|silent_for| silent_for.as_secs_f64());
    report.clock_offset_seconds = host.clock.map(ClockOffset::seconds);
    report.clock_offset_uncertainty_seconds =
        host.clock.map(|clock| clock.uncertainty.as_secs_f64());
    report
}

fn rank_report(
    record: &Record,
    run: &RunRecord,
    accounts: &BTreeMap<StreamId, Account>,
    show: Option<&StreamSet>,
) -> RankReport {
    let mut report = RankReport::new(run.rank, record.host_name(run.host));
    report.launch = run.launch.map(|launch| launch.to_string());
    report.pid = run.pid;
    match &run.state {
        RunState::Exited(exit) => report.set_exit(*exit),
        RunState::NotStarted(error, code) => {
            (report.code, report.error) = (Some(*code), Some(error.clone()));
        }
        RunState::Lost(why) => report.error = Some(format!("its host is lost: {why}")),
        RunState::Waiting | RunState::Running => {}
    }
    report.killed_for_memory = record.was_killed_for_memory(run.rank);
    report.stopped_by_lastline = run.stopped;
    report.started_again = run.starts_again;
    report.started = rfc3339(run.started);
    report.ended = run.ended.map(rfc3339);
    // A terminal is told as stdout, beside a stderr that is empty.
    let streams = match run.capture {
        Capture::Merged => Capture::Merged.streams(),
        Capture::Pipes | Capture::Terminal => Capture::Pipes.streams(),
    };
    report.streams = streams
        .iter()
        .map(|&stream| {
            let id = run.launch.map(|launch| StreamId::new(launch, run.rank, stream));
            let account = id.and_then(|id| accounts.get(&id)).cloned().unwrap_or_default();
            let shown = show.is_none_or(|show| show.of(stream).contains(run.rank));
            (stream, stream_report(run, run.stream(stream), account, shown))
        })
        .collect();
    report
}

/// Both sides of a stream: what the client did not account for was not shown, which is a loss where
/// it was to be; what no writer accounted for was not filed.
fn stream_report(
    run: &RunRecord,
    stream: &StreamRecord,
    mut account: Account,
    shown: bool,
) -> StreamReport {
    let read_bytes = stream.read_bytes.unwrap_or(account.received.0);
    if shown {
        account.settle(Offset(read_bytes), NOT_SHOWN);
    } else {
        account.settle_hidden(Offset(read_bytes));
    }
    let FiledRecord { filed_bytes, not_filed, not_synced } = stream.filed(read_bytes);
    let ledger = StreamLedger {
        read_bytes,
        read_lines: stream.read_bytes.map_or(account.received_lines, |_| stream.read_lines),
        filed_bytes,
        not_filed,
        shown_bytes: account.shown_bytes,
        withheld: account.withheld,
        lost: account.lost,
    };
    let was_lost = matches!(run.state, RunState::Lost(_));
    // What was never started had nothing to read.
    let end = stream.end.unwrap_or(if was_lost { StreamEnd::Aborted } else { StreamEnd::Eof });
    let mut report = StreamReport::new(ledger, end);
    report.not_synced = not_synced;
    report.leaked_to.clone_from(&stream.leaked_to);
    report.error.clone_from(&stream.error);
    report
}
