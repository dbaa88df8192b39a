//! The driver's loop.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lastline_jobs::{OpenDir, REPORT_FILE, Report, report_text, write_report};
use lastline_line::{Control, RankSet, Stage, StopCause};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{oneshot, watch};

use super::DriverState;
use super::report::put_together;
use crate::SpawnError;
use crate::blocking::Blocking;
use crate::clock::Clock;
use crate::plan::OnFailure;
use crate::shutdown::{LAST_MOMENT, Limits, Shutdown};
use crate::work::{Work, poll_work};

/// The stages that a driver goes through; *abort* is the hosts'.
const STAGES: &[Stage] = &[Stage::Eof, Stage::Flush, Stage::Drop, Stage::Print];
/// Without a deadline of its own.
const ENDLESS: Duration = Duration::from_secs(u32::MAX as u64);

/// What a driver is told beforehand.
pub(super) struct Settings {
    pub(super) on_failure: OnFailure,
    pub(super) limits: Limits,
    pub(super) job: String,
    pub(super) show: Option<RankSet>,
    /// The directory of the job's files, whatever its name will be: the report is one of them.
    pub(super) dir: Option<Arc<OpenDir>>,
    /// Where else it was asked for.
    pub(super) asked: Option<PathBuf>,
}

/// What a handle asks of the loop.
#[derive(Debug)]
pub(super) enum Request {
    Stop(StopCause),
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
    /// The stage whose work goes on.
    entered: Option<Stage>,
    work: Option<Work<bool>>,
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
        let (entered, work) = (None, None);
        Self {
            settings,
            writers,
            shared,
            requested,
            changes,
            finished,
            clock,
            shutdown,
            entered,
            work,
        }
    }

    /// Runs the driver to the job's end.
    pub(super) async fn run(mut self) {
        loop {
            self.advance();
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
            }
        }
        self.finish().await;
    }

    /// Goes on to the next stage where nothing holds the present one.
    fn advance(&mut self) {
        loop {
            let now = self.clock.now();
            {
                let record = self.shared.record();
                if record.ranks_are_over() && self.shutdown.stage().is_none() {
                    let progress = self.progress();
                    self.shutdown.begin(now, progress);
                }
                if self.shutdown.stage() == Some(Stage::Eof) && record.is_read() {
                    self.shutdown.done(now);
                }
                if self.entered == Some(Stage::Drop) && self.work.is_none() && record.is_gone() {
                    // Hosts are done; what is left of the time is the console's.
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
            self.work = self.work_of(self.entered);
        }
    }

    fn work_of(&self, stage: Option<Stage>) -> Option<Work<bool>> {
        let shared = Arc::clone(&self.shared);
        match stage {
            // A last barrier over all streams.
            Some(Stage::Flush) => Some(Box::pin(async move {
                shared.flush_within(ENDLESS).await;
                true
            })),
            Some(Stage::Print) => {
                Some(Box::pin(self.writers.write(&self.report(), false, &self.clock)))
            }
            _ => None,
        }
    }

    /// Something was heard of a host.
    fn look(&mut self) {
        let (down, lost, failed, stopping) = {
            let record = self.shared.record();
            let lost = record.hosts.values().any(|host| host.lost.is_some());
            let down = record.hosts.values().filter(|host| host.down).count();
            (down, lost, record.first_failure().is_some(), record.stopping)
        };
        if down > 0 {
            // Those that have said their last may go; others do not feel spoken to.
            self.shared.control.send(Control::Dismiss);
        }
        let fails = (failed || lost) && self.settings.on_failure == OnFailure::Stop;
        let cause = stopping.or(fails.then_some(StopCause::Failure));
        if let Some(cause) = cause.filter(|_| !self.shutdown.is_stopping()) {
            // Hosts that stop already are not hurried by a failure.
            self.shared.control.send(Control::Stop { cause: StopCause::Failure });
            self.stopping(cause);
        }
    }

    fn handle_request(&mut self, request: Request) {
        match request {
            Request::Stop(cause) => self.stop(cause),
        }
    }

    fn stop(&mut self, cause: StopCause) {
        self.shared.control.send(Control::Stop { cause });
        self.stopping(cause);
    }

    fn stopping(&mut self, cause: StopCause) {
        let first = !self.shutdown.is_stopping();
        let (now, progress) = (self.clock.now(), self.progress());
        // What it says to do is for hosts, which decide themselves.
        self.shutdown.stop(now, cause, progress);
        if first {
            let shared = Arc::clone(&self.shared);
            tokio::spawn(async move { shared.flush_within(shared.flush_timeout).await });
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

    /// What has been received and shown, as a number that grows.
    fn progress(&self) -> u64 {
        let accounts = self.shared.client().accounts();
        accounts.iter().map(|(_, account)| account.received.0 + account.shown().0).sum()
    }

    /// The report as far as it is known.
    fn report(&self) -> Report {
        let barriers = crate::lock(&self.shared.barriers).kept();
        let requested = self.shutdown.requested_by();
        let record = self.shared.record();
        // The reading is the hosts', and so is the signal.
        let own = self.shutdown.rows();
        let own = own.into_iter().filter(|row| !matches!(row.stage, Stage::Eof | Stage::Signal));
        let stages = super::record::merge_stages(record.stages().into_iter().chain(own));
        let accounts = self.shared.client().accounts();
        put_together(&record, &self.settings, accounts, barriers, requested, stages)
    }

    /// Writes the report as it is at the end, wherever it is wanted.
    async fn finish(self) {
        let report = self.report();
        self.writers.write(&report, true, &self.clock).await;
        self.finished.send_replace(Some(Arc::new(report)));
    }
}

/// Who writes the report: a thread for each place, so that a disk that hangs keeps the other place
/// from nothing.
pub(super) struct ReportWriters {
    dir: Option<(Arc<OpenDir>, Blocking)>,
    asked: Option<(PathBuf, Blocking)>,
}

impl ReportWriters {
    /// Starts the threads for the places that there are.
    pub(super) fn start(settings: &Settings) -> Result<Self, SpawnError> {
        let thread = || Blocking::start("lastline-report", 1);
        let dir = settings.dir.clone().map(|dir| thread().map(|thread| (dir, thread)));
        let asked = settings.asked.clone().map(|path| thread().map(|thread| (path, thread)));
        Ok(Self { dir: dir.transpose()?, asked: asked.transpose()? })
    }

    /// Writes it beside the files, and with `everywhere` where it was asked for, too; whether that was
    /// in time. A place that does not answer in time is told and given up: its disk may hang for ever.
    fn write(
        &self,
        report: &Report,
        everywhere: bool,
        clock: &Clock,
    ) -> impl Future<Output = bool> + use<> + Send + 'static {
        let text: Arc<[u8]> = report_text(report).into();
        let beside = self.dir.as_ref().map(|(dir, thread)| {
            let (dir, text, path) = (Arc::clone(dir), Arc::clone(&text), dir.path());
            let written = thread.run(move || dir.replace(REPORT_FILE, &text));
            (path.join(REPORT_FILE), written)
        });
        let asked = self.asked.as_ref().filter(|_| everywhere).map(|(path, thread)| {
            let place = path.clone();
            (path.clone(), thread.run(move || write_report(&text, &place)))
        });
        let (clock, places) = (clock.clone(), beside.into_iter().chain(asked).collect::<Vec<_>>());
        async move {
            let mut in_time = true;
            for (path, written) in places {
                in_time &= is_written(&path, written, &clock).await;
            }
            in_time
        }
    }
}

/// Whether a place answered in time; what went wrong is told.
async fn is_written(
    path: &Path,
    written: oneshot::Receiver<io::Result<()>>,
    clock: &Clock,
) -> bool {
    let path = path.display();
    match clock.within(LAST_MOMENT, written).await {
        Some(Ok(Ok(()))) => {}
        Some(Ok(Err(error))) => tracing::warn!(%error, %path, "the report was not written"),
        Some(Err(error)) => tracing::warn!(%error, %path, "the report was not written"),
        None => {
            tracing::warn!(%path, "the report was not written: its disk does not answer");
            return false;
        }
    }
    true
}
