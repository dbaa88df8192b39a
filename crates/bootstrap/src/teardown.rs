//! The way out, after the streams' ends: flush, abort, drop, print.

use std::collections::{BTreeMap, HashSet};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use lastline_appender::Written;
use lastline_line::{Offset, Span, Stream, StreamId, StreamLedger};
use rustix::process::{Pid, Signal, pidfd_send_signal};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

use crate::failure::first_failure;
use crate::job_dir::{REPORT_FILE, write_report};
use crate::plan::StopCause;
use crate::processes::{group_exists, members, signal_group};
use crate::rank::{Event, RankState, StreamState, until_exit};
use crate::report::{RankReport, Report, StreamEnd, StreamReport, rfc3339};
use crate::stage::Stage;
use crate::supervisor::{LAST_MOMENT, Supervisor, now};

/// Why nothing is filed when nobody wants files.
const FILES_OFF: &str = "files are off (--no-files)";
/// Why output is not shown that the console did not take in time.
const NOT_SHOWN: &str = "not shown before the deadline of the teardown";
/// Why bytes are not filed that no writer speaks of.
const NOT_FILED: &str = "not filed before the deadline of the teardown";

pub(crate) async fn take_down(mut job: Supervisor) -> Report {
    flush(&mut job).await;
    abort(&mut job).await;
    let written = close(&mut job).await;
    job.inner.close_control();
    let printing = Instant::now();
    job.teardown.record("print", printing, false);
    report(job, written)
}

/// A last barrier over all streams. A job that ends by itself waits as long as the console moves.
async fn flush(job: &mut Supervisor) {
    let started = Instant::now();
    let inner = Arc::clone(&job.inner);
    let mut flushed = std::pin::pin!(inner.flush_within(Duration::from_secs(u32::MAX.into())));
    let timed_out = loop {
        let within = job.teardown.left_before_closing().max(LAST_MOMENT);
        tokio::select! {
            biased;
            verdicts = &mut flushed => break verdicts.summary() == "timed out",
            cause = told_to_stop(&mut job.events) => {
                // Who says it twice does not want to wait.
                if !job.stop_late(cause) {
                    break true;
                }
            }
            () = tokio::time::sleep(within) => if !job.renew_patience() { break true },
        }
    };
    job.teardown.record("flush", started, timed_out);
}

/// The next time that somebody asks for the end.
async fn told_to_stop(events: &mut UnboundedReceiver<Event>) -> StopCause {
    loop {
        match events.recv().await {
            Some(Event::Stop(cause)) if cause != StopCause::Failure => return cause,
            Some(_) => {}
            None => std::future::pending().await,
        }
    }
}

/// Ends what is left in the ranks' groups; stops and joins the tees that did not end by themselves.
async fn abort(job: &mut Supervisor) {
    let deadline = job.teardown.left().max(LAST_MOMENT);
    // SIGKILL comes while there is time to see it done.
    let grace = job.grace_left().min(deadline / 2);
    let groups = job.groups();
    let leave = job.plan.leave_background;
    if !leave {
        groups.iter().for_each(|(group, _)| signal_group(*group, Signal::TERM));
    }
    job.reap(&groups);
    let left = if leave { HashSet::new() } else { left_of(&groups) };
    job.let_go(&groups, &left);
    let tees: Vec<_> = job.tees().filter(|tee| !tee.is_finished()).cloned().collect();
    let (events, mut told) = (&mut job.events, None);
    let stage = Stage { name: "abort", deadline };
    let ended = job.teardown.run(stage, async {
        tees.iter().for_each(lastline_tee::Tee::stop);
        let hurry = async { told = Some(told_to_stop(events).await) };
        end_groups(&left, grace, hurry).await;
        for tee in &tees {
            if tokio::time::timeout(LAST_MOMENT, tee.join()).await.is_err() {
                tee.kill();
            }
        }
    });
    if ended.await.is_none() {
        tees.iter().for_each(lastline_tee::Tee::kill);
    }
    if let Some(cause) = told {
        job.stop_late(cause);
    }
    job.take_exits();
    job.let_go(&groups, &HashSet::new());
    for stream in job.ranks.iter_mut().flat_map(|rank| &mut rank.streams) {
        if let (Some(tee), None) = (&stream.tee, stream.end) {
            job.inner.client.abandon(tee.stream());
            stream.end = Some(StreamEnd::Aborted);
        }
    }
}

/// The groups that still have a member.
fn left_of(groups: &[(Pid, Arc<OwnedFd>)]) -> HashSet<u32> {
    let left = groups.iter().filter(|(group, _)| group_exists(*group));
    left.map(|(group, _)| group.as_raw_nonzero().get().unsigned_abs()).collect()
}

/// Waits for what is left of the groups, SIGKILL after the grace, or when there is no time.
async fn end_groups(groups: &HashSet<u32>, grace: Duration, hurry: impl Future<Output = ()>) {
    if groups.is_empty() {
        return;
    }
    let groups = groups.clone();
    let found = tokio::task::spawn_blocking(move || members(&groups)).await.unwrap_or_default();
    let found: Vec<Arc<OwnedFd>> = found.into_iter().map(Arc::new).collect();
    tokio::select! {
        () = all_exited(&found) => return,
        () = tokio::time::sleep(grace) => {}
        () = hurry => {}
    }
    for pidfd in &found {
        if let Err(error) = pidfd_send_signal(pidfd, Signal::KILL) {
            tracing::debug!(%error, "it ended by itself");
        }
    }
    if tokio::time::timeout(LAST_MOMENT, all_exited(&found)).await.is_err() {
        tracing::debug!("what was killed is not gone yet");
    }
}

async fn all_exited(pidfds: &[Arc<OwnedFd>]) {
    for pidfd in pidfds {
        if let Err(error) = until_exit(pidfd).await {
            tracing::debug!(%error, "a process in a rank's group is not waited for");
        }
    }
}

/// Closes senders, files and client, in this order: queues are emptied, writers joined. What the
/// files say counts also when the console never takes the rest.
async fn close(job: &mut Supervisor) -> Option<Written> {
    let deadline = job.teardown.left().max(LAST_MOMENT);
    let sending = deadline.saturating_sub(2 * LAST_MOMENT).max(LAST_MOMENT);
    let stage = Stage { name: "drop", deadline: deadline + 2 * LAST_MOMENT };
    let (inner, wiring) = (&job.inner, &job.wiring);
    let mut written = None;
    let closed = job.teardown.run(stage, async {
        if let Some(sender) = inner.close_ways() {
            let _sent = sender.close(sending).await;
        }
        written = wiring.close_files(deadline).await;
        if !inner.client.finished(deadline).await {
            tracing::debug!("the console did not take everything");
        }
    });
    if closed.await.is_none() {
        tracing::debug!("not everything was closed in time");
    }
    written
}

fn report(mut job: Supervisor, written: Option<Written>) -> Report {
    let accounts: BTreeMap<StreamId, _> = job.inner.client.accounts().into_iter().collect();
    let host = job.inner.host.clone();
    let files = job.wiring.appender.is_some();
    job.memory.look_again();
    let memory = job.memory.tally();
    let ranks = job.ranks.iter().map(|rank| {
        let streams = rank.streams.iter().map(|stream| {
            let account = accounts.get(&stream.id).cloned().unwrap_or_default();
            let mut ledger = ledger(stream, account);
            file_side(&mut ledger, stream.id, written.as_ref(), files);
            (stream.id.stream, stream_report(stream, ledger))
        });
        let killed_for_memory = memory.has(rank.rank);
        RankReport { killed_for_memory, ..rank_report(rank, &host, streams.collect()) }
    });
    let ranks = ranks.collect();
    let command = job.plan.command.iter().map(|word| word.to_string_lossy().into_owned());
    let mut report = Report {
        lastline: env!("CARGO_PKG_VERSION").into(),
        job: job.plan.job.clone(),
        command: command.collect(),
        started: rfc3339(job.started),
        ended: rfc3339(now()),
        world_size: job.plan.procs,
        balanced: false,
        imbalances: Vec::new(),
        first_failure: first_failure(&job),
        stopped_by: stopped_by(&job),
        broken_off: false,
        memory_kills: memory.reports(),
        ranks,
        barriers: job.inner.take_barriers(),
        teardown: Vec::new(),
    };
    let teardown =
        std::mem::replace(&mut job.teardown, crate::stage::Teardown::new(Duration::ZERO));
    report.teardown = teardown.into_reports();
    report.check_balance();
    let beside_files = job.plan.files.as_ref().map(|files| files.dir.join(REPORT_FILE));
    let asked = job.plan.report.as_ref().filter(|path| Some(*path) != beside_files.as_ref());
    for path in beside_files.iter().chain(asked) {
        if let Err(error) = write_report(&report, path) {
            tracing::warn!(%error, path = %path.display(), "the report was not written");
        }
    }
    job.say_farewell();
    report
}

/// The console's side of a stream: what the client did not account for was not shown.
fn ledger(stream: &StreamState, mut account: lastline_client::Account) -> StreamLedger {
    let (read_bytes, read_lines) = stream.tee.as_ref().map_or((0, 0), lastline_tee::Tee::counts);
    account.settle(Offset(read_bytes), NOT_SHOWN);
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

fn stream_report(stream: &StreamState, ledger: StreamLedger) -> StreamReport {
    let end = match stream.end {
        Some(end) => end,
        // It was never started: there was nothing to read.
        None => StreamEnd::Eof,
    };
    StreamReport { ledger, end, leaked_to: stream.leaked_to.clone() }
}

fn rank_report(
    rank: &RankState,
    host: &str,
    streams: BTreeMap<Stream, StreamReport>,
) -> RankReport {
    let (code, signal) = match rank.exit {
        Some(crate::processes::Exit::Code(code)) => (Some(code), None),
        Some(crate::processes::Exit::Signal(signal)) => (None, Some(signal)),
        None => (rank.exit_code(), None),
    };
    RankReport {
        rank: rank.rank,
        host: host.to_owned(),
        pid: rank.pid.map(|pid| pid.as_raw_nonzero().get().unsigned_abs()),
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

fn stopped_by(job: &Supervisor) -> Option<String> {
    match job.stop.as_ref()?.cause {
        StopCause::Signal(signal) => Some(crate::report::signal_text(signal)),
        StopCause::Owner => Some("owner".into()),
        StopCause::Failure => None,
    }
}
