//! The way out, after the streams' ends: flush, abort, drop, print.

use std::sync::Arc;
use std::time::Duration;

use lastline_appender::Written;
use lastline_spawn::{Process, has_members_of, kill_until_empty};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

use crate::account::report;
use crate::plan::StopCause;
use crate::rank::Event;
use crate::report::{Report, StreamEnd};
use crate::stage::LAST_MOMENT;
use crate::stage::Stage;
use crate::supervisor::Supervisor;

pub(crate) async fn take_down(mut job: Supervisor) -> Report {
    flush(&mut job).await;
    abort(&mut job).await;
    let written = close(&mut job).await;
    job.inner.close_control();
    let printing = Instant::now();
    job.teardown.record("print", printing, false);
    report(job, written).await
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
            verdicts = &mut flushed => break verdicts.summary() == lastline_line::BarrierOutcome::TimedOut,
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
        groups.iter().for_each(|group| group.signal(libc::SIGTERM));
    }
    let left = if leave { Vec::new() } else { left_of(&groups).await };
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
    groups.iter().for_each(|group| group.release());
    for stream in job.ranks.iter_mut().flat_map(|rank| &mut rank.streams) {
        if let (Some(tee), None) = (&stream.tee, stream.end) {
            job.inner.client.abandon(tee.stream());
            stream.end = Some(StreamEnd::Aborted);
        }
    }
}

/// The groups that still have a member.
async fn left_of(groups: &[Arc<dyn Process>]) -> Vec<Arc<dyn Process>> {
    let groups = groups.to_vec();
    let look = tokio::task::spawn_blocking(move || {
        let left = has_members_of(&groups);
        groups.into_iter().zip(left).filter(|(_, left)| *left).map(|(group, _)| group).collect()
    });
    look.await.unwrap_or_default()
}

/// Waits for what is left of the groups, SIGKILL after the grace, or when there is no time.
async fn end_groups(groups: &[Arc<dyn Process>], grace: Duration, hurry: impl Future<Output = ()>) {
    if groups.is_empty() {
        return;
    }
    let all_gone = async {
        let mut left = groups.to_vec();
        while !left.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            left = left_of(&left).await;
        }
    };
    tokio::select! {
        () = all_gone => return,
        () = tokio::time::sleep(grace) => {}
        () = hurry => {}
    }
    let groups = groups.to_vec();
    let killing = tokio::task::spawn_blocking(move || kill_until_empty(&groups));
    if killing.await.ok() != Some(true) {
        tracing::debug!("what was killed is not gone yet");
    }
}

/// Closes senders, files and client, in this order: queues are emptied, writers joined. What the
/// files say counts also when the console never takes the rest.
async fn close(job: &mut Supervisor) -> Option<Written> {
    let deadline = job.teardown.left().max(LAST_MOMENT);
    let sending = deadline.saturating_sub(2 * LAST_MOMENT).max(LAST_MOMENT);
    let stage = Stage { name: "drop", deadline: deadline + 2 * LAST_MOMENT };
    let until = Instant::now() + deadline;
    let left = |until: Instant| until.saturating_duration_since(Instant::now()).max(LAST_MOMENT);
    let (inner, wiring) = (&job.inner, &job.wiring);
    let mut written = None;
    let closed = job.teardown.run(stage, async {
        if let Some(sender) = inner.close_ways() {
            let _sent = sender.close(sending).await;
        }
        written = wiring.close_files(left(until)).await;
        if !inner.client.finished(left(until)).await {
            tracing::debug!("the console did not take everything");
        }
    });
    if closed.await.is_none() {
        tracing::debug!("not everything was closed in time");
    }
    // Files that could not be closed in time still say what they have.
    written.or_else(|| Some(job.wiring.appender.as_ref()?.written()))
}

impl Supervisor {
    /// The processes of the ranks that were started.
    pub(crate) fn groups(&self) -> Vec<Arc<dyn Process>> {
        self.ranks.iter().filter_map(|rank| rank.process.clone()).collect()
    }

    /// All is over: the guardian may go. Not when a rank is being started still.
    pub(crate) fn say_farewell(self) {
        let Self { running, starting, .. } = self;
        if starting == 0 {
            running.end();
        }
    }
}
