//! The driver's loop.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lastline_client::Inherited;
use lastline_jobs::{NotWritten, OpenDir, Report};
use lastline_line::{Control, Stage, StopCause, StreamSet};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::DriverState;
use super::report::put_together;
use super::teardown::{Teardown, of_both};
use super::writers::ReportWriters;
use crate::clock::{Clock, now};
use crate::plan::OnFailure;
use crate::running_time::TICK;
use crate::shutdown::{LAST_MOMENT, Limits, Shutdown};
use crate::work::{Work, poll_work};

/// The stages that a driver goes through; *abort* is the hosts'.
const STAGES: &[Stage] = &[Stage::Eof, Stage::Flush, Stage::Drop, Stage::Print];
/// Eight times as often as once in so long hosts are told that output moves, or in the budget of their
/// shutdown, where that is shorter.
const TELL_AT_LEAST: Duration = Duration::from_secs(8);
/// How often it is looked whether a host is silent, or eight times in what makes it lost. More seldom, it
/// would be taken for a standstill of this process, in which nobody is silent.
const LOOK_AT_LEAST: Duration = TICK.saturating_mul(2);
/// How often hosts at a distance are asked for their time.
const PING_EVERY: Duration = Duration::from_secs(5);
/// How long hosts that have not come may still come to a job that is being stopped: who is started at
/// the same time may be slower, and looks for its driver a few times a second.
const LATE_HOSTS: Duration = Duration::from_secs(5);
/// Without a deadline of its own.
const ENDLESS: Duration = Duration::from_secs(u32::MAX as u64);

/// What a driver is told beforehand.
pub(super) struct Settings {
    /// As each host was told when `None`.
    pub(super) on_failure: Option<OnFailure>,
    /// After how much silence a host at a distance is lost; none where the host is here.
    pub(super) lost_after: Option<Duration>,
    /// After how much time the job is stopped.
    pub(super) timeout: Option<Duration>,
    pub(super) limits: Limits,
    pub(super) job: String,
    pub(super) show: Option<StreamSet>,
    /// The directory of the job's files, whatever its name will be: the report is one of them.
    pub(super) dir: Option<Arc<OpenDir>>,
    /// Where else it was asked for.
    pub(super) asked: Option<PathBuf>,
}

/// What a handle asks of the loop.
#[derive(Debug)]
pub(super) enum Request {
    Stop(StopCause),
    /// The job runs on, without this driver.
    Leave,
}

pub(super) struct DriverLoop {
    settings: Settings,
    writers: ReportWriters,
    shared: Arc<DriverState>,
    requested: UnboundedReceiver<Request>,
    changes: watch::Receiver<u64>,
    finished: watch::Sender<Option<Arc<Report>>>,
    clock: Clock,
    shutdown: Shutdown,
    /// What hosts know of the progress here.
    told: u64,
    /// Until when hosts that have not come are waited for, while the job is being stopped.
    late_until: Option<Duration>,
    /// The stage whose work goes on.
    entered: Option<Stage>,
    work: Option<Work<bool>>,
    leaves: bool,
}

impl DriverLoop {
    pub(super) fn new(
        settings: Settings,
        writers: ReportWriters,
        shared: Arc<DriverState>,
        requested: UnboundedReceiver<Request>,
        finished: watch::Sender<Option<Arc<Report>>>,
    ) -> Self {
        let changes = shared.changes.subscribe();
        let (clock, shutdown) = (shared.clock.clone(), Shutdown::new(settings.limits, STAGES));
        let (told, late_until, entered, work) = (0, None, None, None);
        Self {
            settings,
            writers,
            shared,
            requested,
            changes,
            finished,
            clock,
            shutdown,
            told,
            late_until,
            entered,
            work,
            leaves: false,
        }
    }

    /// Runs the driver to the job's end.
    pub(super) async fn run(mut self) {
        let every = self.settings.limits.budget.min(TELL_AT_LEAST) / 8;
        let mut tell = tokio::time::interval(every.max(Duration::from_millis(1)));
        tell.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let patience = self.settings.lost_after;
        let often = patience.map_or(LOOK_AT_LEAST, |patience| LOOK_AT_LEAST.min(patience / 8));
        let mut look = tokio::time::interval(often.max(Duration::from_millis(1)));
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ping = tokio::time::interval(PING_EVERY);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.advance();
            if self.leaves {
                return self.leave().await;
            }
            if self.shutdown.is_over() {
                break;
            }
            let deadline = self.shutdown.deadline();
            tokio::select! {
                biased;
                Some(request) = self.requested.recv() => self.handle_request(request),
                Ok(()) = self.changes.changed() => self.look(),
                done = poll_work(&mut self.work) => self.handle_done(done),
                () = self.clock.sleep_until(deadline) => self.handle_deadline(),
                () = self.clock.sleep_until(self.settings.timeout), if self.may_time_out() => {
                    self.stop_for_time();
                }
                () = self.clock.sleep_until(self.late_until), if self.late_until.is_some() => {
                    self.late_until = None;
                    self.shared.record().expect_no_more();
                }
                _ = tell.tick(), if self.waits_for_hosts() => self.tell_progress(),
                _ = ping.tick(), if patience.is_some() => self.shared.ping(),
                _ = look.tick(), if patience.is_some() => {
                    self.shared.look_for_silent(patience.unwrap_or_default());
                }
            }
        }
        self.finish().await;
    }

    /// Goes on to the next stage where nothing holds the present one.
    fn advance(&mut self) {
        loop {
            let now = self.clock.now();
            let begins = self.shutdown.stage().is_none() && self.shared.record().ranks_are_over();
            if begins {
                self.shutdown.begin(now, self.progress());
            }
            {
                let record = self.shared.record();
                if self.shutdown.stage() == Some(Stage::Eof) && record.is_read() {
                    self.shutdown.done(now);
                }
                if self.entered == Some(Stage::Drop) && self.work.is_none() && record.is_gone() {
                    // Hosts are done; what is left of the time is the console's.
                    self.shared.gate.close();
                    let within = self.shutdown.left(now).max(LAST_MOMENT);
                    let (clock, shared) = (self.clock.clone(), Arc::clone(&self.shared));
                    self.work = Some(Box::pin(async move {
                        let finished = shared.client().finished(ENDLESS);
                        clock.within(within, finished).await.unwrap_or_default()
                    }));
                }
            }
            if self.shutdown.stage() == self.entered {
                return;
            }
            self.entered = self.shutdown.stage();
            self.tell_teardown();
            self.work = self.work_of(self.entered);
        }
    }

    /// Whoever looks at the job sees how far this has come.
    fn tell_teardown(&self) {
        let teardown = Teardown::new(self.entered, self.shutdown.rows(), now());
        *crate::lock(&self.shared.teardown) = teardown;
        self.shared.changed();
    }

    fn work_of(&self, stage: Option<Stage>) -> Option<Work<bool>> {
        let shared = Arc::clone(&self.shared);
        match stage {
            // A last barrier over all streams.
            Some(Stage::Flush) => Some(Box::pin(async move {
                shared.barrier(ENDLESS, true).await;
                true
            })),
            Some(Stage::Print) => {
                self.shared.give_up_present();
                let writing = self.write(&self.report(), None);
                Some(Box::pin(async move { writing.await.1 }))
            }
            _ => None,
        }
    }

    /// Something was heard of a host.
    fn look(&mut self) {
        let (down, cause) = {
            let record = self.shared.record();
            let down = record.hosts.values().any(|host| host.down);
            (down, record.stop_cause(self.settings.on_failure))
        };
        if down {
            // Those that have said their last may go; others do not feel spoken to.
            self.shared.control.send(Control::Dismiss);
        }
        if let Some(cause) = cause.filter(|_| !self.shutdown.is_stopping()) {
            // Hosts that stop already are not hurried by a failure.
            self.shared.control.send(Control::Stop { cause: StopCause::Failure });
            self.stopping(cause);
        }
    }

    fn handle_request(&mut self, request: Request) {
        match request {
            Request::Stop(cause) => self.stop(cause),
            Request::Leave => self.leaves = true,
        }
    }

    /// What was received is shown, as far as the console takes it; there is no report.
    async fn leave(self) {
        self.shared.gate.leave();
        let finished = self.shared.client().finished(ENDLESS);
        let shown = self.clock.within(self.settings.limits.budget, finished).await;
        tracing::debug!(?shown, "this driver has left the job");
    }

    fn stop(&mut self, cause: StopCause) {
        self.shared.control.send(Control::Stop { cause });
        self.stopping(cause);
    }

    fn may_time_out(&self) -> bool {
        self.settings.timeout.is_some()
            && self.shutdown.stage().is_none()
            && !self.shutdown.is_stopping()
    }

    /// The time of the job is over.
    fn stop_for_time(&mut self) {
        let running = self.shared.record().runs.running();
        let seconds = self.settings.timeout.unwrap_or_default().as_secs_f64();
        let (s, verb) = if running.len() == 1 { ("", "is") } else { ("s", "are") };
        tracing::warn!("the job's {seconds} s are over: rank{s} {running} {verb} stopped");
        self.stop(StopCause::Timeout);
    }

    fn stopping(&mut self, cause: StopCause) {
        let first = !self.shutdown.is_stopping();
        let (now, progress) = (self.clock.now(), self.progress());
        // What it says to do is for hosts, which decide themselves.
        self.shutdown.stop(now, cause, progress);
        if first {
            self.shared.stopping.store(true, Ordering::Release);
            self.expect_late_hosts(now);
            let shared = Arc::clone(&self.shared);
            tokio::spawn(async move { shared.flush_within(shared.flush_timeout).await });
        }
    }

    /// Hosts that look for this driver find it still, and are told to stop, too. Where none was there
    /// none is waited for.
    fn expect_late_hosts(&mut self, now: Duration) {
        let mut record = self.shared.record();
        if self.settings.lost_after.is_some() && !record.hosts.is_empty() {
            self.late_until = Some(now + LATE_HOSTS);
        } else {
            record.expect_no_more();
        }
    }

    fn handle_done(&mut self, done: bool) {
        self.work = None;
        if done {
            self.shutdown.done(self.clock.now());
        } else {
            self.shutdown.done_in_part(self.clock.now());
        }
    }

    fn handle_deadline(&mut self) {
        let (now, progress) = (self.clock.now(), self.progress());
        self.shutdown.expired(now, progress);
    }

    /// Whether hosts may wait for what goes on here.
    fn waits_for_hosts(&self) -> bool {
        matches!(self.shutdown.stage(), Some(Stage::Eof | Stage::Flush))
    }

    /// Hosts wait as long as output moves. What they send does not say so while a slow console works
    /// at one large piece of it; so they are told again how far a stream has come.
    fn tell_progress(&mut self) {
        let progress = self.progress();
        if std::mem::replace(&mut self.told, progress) >= progress {
            return;
        }
        // One will do.
        if let Some((stream, through)) = self.shared.client().open_stream() {
            self.shared.control.send(Control::Acknowledge { stream, through });
        }
    }

    /// What has been received and shown, and what this process's own outputs have taken, as a number
    /// that grows: of one that is slow it is not known for long whether it has all of a block.
    fn progress(&self) -> u64 {
        self.shared.client().progress() + Inherited::taken_bytes()
    }

    /// The report as far as it is known.
    fn report(&self) -> Report {
        let barriers = crate::lock(&self.shared.barriers).kept();
        let requested = self.shutdown.requested_by();
        let record = self.shared.record();
        let stages = of_both(record.stages(), &self.shutdown.rows());
        // No older than the record: what that says was read is in them, as far as it was received.
        let accounts = self.shared.client().accounts();
        put_together(&record, &self.settings, accounts, barriers, requested, stages)
    }

    /// Writes a report, unless there is none to be made: of a job of which nobody was heard there may be one of
    /// an earlier driver's.
    fn write(
        &self,
        report: &Report,
        reader_within: Option<Duration>,
    ) -> impl Future<Output = (Vec<NotWritten>, bool)> + use<> + Send + 'static {
        let heard = !self.shared.distant || !self.shared.record().hosts.is_empty();
        let writing = heard.then(|| self.writers.write(report, reader_within, &self.clock));
        async move {
            match writing {
                Some(writing) => writing.await,
                None => (Vec::new(), true),
            }
        }
    }

    /// Writes the report as it is at the end, wherever it is wanted.
    async fn finish(self) {
        // Whatever is late is not waited for.
        self.shared.gate.close();
        let mut report = self.report();
        let left = self.shutdown.left(self.clock.now());
        let writing = self.write(&report, Some(left));
        (report.not_written, _) = writing.await;
        // What only the first writing missed is there now.
        for NotWritten { path, cause, .. } in &report.not_written {
            tracing::warn!("the report was not written to {}: {cause}", path.display());
        }
        self.finished.send_replace(Some(Arc::new(report)));
    }
}
