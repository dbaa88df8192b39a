//! The half of a job that shows it and accounts for it: hears hosts, prints what they send, answers
//! barriers, and writes the report.
//!
//! What hosts say is put on [`record`] by whoever receives it, at once; one loop ([`run`]) looks at
//! the record whenever that changes, and decides.

mod barriers;
mod failure;
mod record;
mod report;
mod run;
mod status;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use lastline_appender::AppenderError;
use lastline_client::{Client, EntryStream, Label, Labels, LineStream, SubscribeOptions, Verdicts};
use lastline_jobs::{BarrierReport, OpenDir, REPORT_FILE, Report};
use lastline_line::{
    Control, ControlSender, Fold, Heard, HostEvent, HostMessage, Inbox, RankSet, ReadBack,
    StopCause, Version,
};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::barriers::Barriers;
use self::record::{Consequence, Record};
use self::run::{DriverLoop, ReportWriters, Request, Settings};
pub(crate) use self::status::Seen;
pub use self::status::{RankChanges, RankState, RankStatus};
use crate::clock::Clock;
use crate::plan::{Console, Plan};
use crate::shutdown::Limits;
use crate::{SpawnError, lock, sizes};

/// How many hosts a job has.
const HOSTS: usize = 1;
/// How much later than its own deadline a host may say that it is done.
const HOST_SLACK: Duration = Duration::from_secs(2);

/// Makes a [`Driver`].
pub struct DriverBuilder {
    plan: Arc<Plan>,
    console: Console,
    read_back: Option<Arc<dyn ReadBack>>,
}

impl DriverBuilder {
    /// A driver of one host, which shows on `console` and keeps to the limits of `plan`.
    pub fn new(plan: impl Into<Arc<Plan>>, console: Console) -> Self {
        Self { plan: plan.into(), console, read_back: None }
    }

    /// Where long lines are read again that were filed in this process.
    pub fn read_back(mut self, read_back: Arc<dyn ReadBack>) -> Self {
        self.read_back = Some(read_back);
        self
    }

    /// Starts the driver. Must be called on a tokio runtime with time.
    ///
    /// # Errors
    ///
    /// When there is no runtime, or no thread to be had.
    pub fn start(self, inbox: impl Inbox + 'static) -> Result<Driver, SpawnError> {
        tokio::runtime::Handle::try_current().map_err(|_| SpawnError::NoRuntime)?;
        let Self { plan, console, read_back } = self;
        let settings = settings(&plan)?;
        let writers = ReportWriters::start(&settings)?;
        let (requests, requested) = unbounded_channel();
        let mut inbox = inbox;
        let shared = Arc::new(DriverState {
            client: OnceLock::new(),
            control: inbox.control_sender(),
            labels: console.labels,
            record: Mutex::new(Record::new(HOSTS)),
            changes: watch::Sender::new(0),
            versions: AtomicU64::new(0),
            barriers: Mutex::default(),
            flush_timeout: plan.flush_timeout,
            requests,
            clock: Clock::start(),
        });
        let listening = Arc::clone(&shared);
        inbox.listen(Box::new(move |heard| listening.handle_heard(heard)));
        let mut options = lastline_client::Options::default();
        options.show = plan.show.clone();
        options.raw_partials = console.raw_partials;
        options.held_line_bytes = sizes::held_line_bytes(plan.procs);
        options.read_back = read_back;
        options.silent_after = plan.silent_after;
        options.ranks = RankSet::first(plan.procs);
        let client = Client::start(inbox, console.fold, console.printer, options);
        let client = client.map_err(SpawnError::thread)?;
        // It is set once, here.
        drop(shared.client.set(client));
        let (finished, report) = watch::channel(None);
        let driver = DriverLoop::new(settings, writers, Arc::clone(&shared), requested, finished);
        let task = tokio::spawn(driver.run());
        Ok(Driver { handle: DriverHandle { shared, report }, task })
    }
}

fn settings(plan: &Plan) -> Result<Settings, SpawnError> {
    let dir = plan.files.as_ref().map(|files| {
        let refused = |source| AppenderError::Directory { path: files.dir.clone(), source };
        OpenDir::new(&files.dir).map(Arc::new).map_err(refused)
    });
    let dir = dir.transpose()?;
    let beside_files = dir.as_ref().map(|dir| dir.path().join(REPORT_FILE));
    let asked = plan.report.clone().filter(|path| Some(path) != beside_files.as_ref());
    Ok(Settings {
        on_failure: plan.on_failure,
        limits: Limits {
            grace: plan.grace,
            budget: plan.teardown_timeout,
            // Hosts keep to the same budget themselves; this is for those that cannot.
            slack: HOST_SLACK,
        },
        job: plan.job.clone(),
        show: plan.show.clone(),
        dir,
        asked,
    })
}

impl std::fmt::Debug for DriverBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DriverBuilder").field("plan", &self.plan).finish_non_exhaustive()
    }
}

/// What the loop, the handles and whoever receives share.
struct DriverState {
    client: OnceLock<Client>,
    control: ControlSender,
    labels: Labels,
    record: Mutex<Record>,
    /// Counts changes of the record.
    changes: watch::Sender<u64>,
    versions: AtomicU64,
    barriers: Mutex<Barriers>,
    flush_timeout: Duration,
    requests: UnboundedSender<Request>,
    clock: Clock,
}

impl DriverState {
    fn client(&self) -> &Client {
        self.client.get().expect("BUG: a driver has a client before anybody has it")
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        lock(&self.record)
    }

    /// Called by whoever receives, before anything that came later is received.
    fn handle_heard(&self, heard: Heard) {
        match heard {
            Heard::Host(message) => self.handle_message(message),
            Heard::Closed => {
                let present = self.record().close();
                for node in present {
                    let why = String::from("its connection ended without its last word");
                    let event = HostEvent::Lost { why };
                    self.handle_message(HostMessage { node, event });
                }
                self.changes.send_modify(|changes| *changes += 1);
            }
        }
    }

    fn handle_message(&self, message: HostMessage) {
        let consequence = self.record().apply(message);
        match consequence {
            Consequence::None => {}
            Consequence::Started { rank, pid, host, job } => {
                let pid = pid.unwrap_or_default();
                self.labels.set(Label { rank, local_rank: rank, host, pid, job });
            }
            Consequence::Barrier(version, streams) => {
                if let Some(client) = self.client.get() {
                    client.barrier_streams(version, streams);
                }
                // Nobody but the client waits for this.
                return;
            }
            Consequence::Gone(versions, gone) => {
                if let Some(client) = self.client.get() {
                    for version in versions {
                        client.barrier_streams(version, gone.streams.clone());
                    }
                    if let Some(why) = &gone.lost {
                        gone.streams.iter().for_each(|id| client.interrupt(*id, None, why));
                    }
                }
            }
        }
        self.changes.send_modify(|changes| *changes += 1);
    }

    async fn flush_within(&self, within: Duration) -> Verdicts {
        let started = Instant::now();
        let version = Version(self.versions.fetch_add(1, Ordering::Relaxed) + 1);
        let verdicts = {
            // A host that goes meanwhile is known to be gone, or finds the barrier open.
            let mut record = self.record();
            let (hosts, gone) = record.open_barrier(version);
            let verdicts = self.client().open_barrier(version, hosts, within);
            gone.into_iter().for_each(|streams| self.client().barrier_streams(version, streams));
            verdicts
        };
        self.control.send(Control::Flush { version });
        let closing = CloseBarrier(self, version);
        let verdicts = verdicts.await;
        drop(closing);
        let report = BarrierReport::new(version, started.elapsed(), verdicts.summary());
        lock(&self.barriers).push(report);
        verdicts
    }

    fn request(&self, request: Request) {
        if self.requests.send(request).is_err() {
            tracing::trace!("the driver has ended");
        }
    }
}

/// Forgets a barrier that has its verdicts, or that nobody waits for any more.
struct CloseBarrier<'a>(&'a DriverState, Version);

impl Drop for CloseBarrier<'_> {
    fn drop(&mut self) {
        self.0.record().close_barrier(self.1);
    }
}

/// A driver at work.
#[derive(Debug)]
pub struct Driver {
    handle: DriverHandle,
    task: JoinHandle<()>,
}

impl Driver {
    /// A handle to it.
    pub fn handle(&self) -> DriverHandle {
        self.handle.clone()
    }

    /// Waits for the end of the job.
    ///
    /// # Errors
    ///
    /// When its loop panicked, or its runtime ended before it.
    pub async fn wait(self) -> Result<Arc<Report>, SpawnError> {
        let report = self.handle.wait().await;
        match self.task.await {
            Ok(()) => report,
            Err(source) => Err(SpawnError::Supervisor { source }),
        }
    }
}

/// Asks a driver of its job, and steers it. Clones speak to the same one.
#[derive(Clone)]
pub struct DriverHandle {
    shared: Arc<DriverState>,
    report: watch::Receiver<Option<Arc<Report>>>,
}

impl DriverHandle {
    /// A barrier: when it returns, everything that the ranks wrote before the call has been
    /// printed, or its verdict says which stream's was not, and why. Never hangs. Any number may
    /// run at once.
    pub async fn flush(&self) -> Verdicts {
        self.shared.flush_within(self.shared.flush_timeout).await
    }

    /// As [`flush`](Self::flush), with a deadline of its own instead of the plan's.
    pub async fn flush_within(&self, within: Duration) -> Verdicts {
        self.shared.flush_within(within).await
    }

    /// Sends output to the client, or only files it. What is read while it is off is counted as
    /// withheld.
    pub fn set_mode(&self, stream_to_client: bool) {
        self.shared.control.send(Control::SetMode { stream_to_client });
    }

    /// Folds with `fold` from now on; what is held is printed first.
    pub fn set_fold(&self, fold: Box<dyn Fold>) {
        self.shared.client().set_fold(fold);
    }

    /// Stops the job on all hosts: the ranks' groups are signalled at once. Called again it ends
    /// the grace.
    pub fn stop(&self, cause: StopCause) {
        self.shared.request(Request::Stop(cause));
    }

    /// As [`stop`](Self::stop), unless there is a report already or the job is being stopped.
    pub(crate) fn stop_unless_over(&self, cause: StopCause) {
        if self.report.borrow().is_none() && self.shared.record().stopping.is_none() {
            self.stop(cause);
        }
    }

    /// Waits until there is a report, or will be none.
    pub(crate) async fn ended(&self) {
        drop(self.wait().await);
    }

    /// Ranks stand still: no deadline counts the time until [`resume`](Self::resume).
    pub(crate) fn suspend(&self) {
        self.shared.clock.pause();
    }

    /// They go on.
    pub(crate) fn resume(&self) {
        self.shared.clock.resume();
    }

    /// Sends a signal to the group of a rank, or of every rank.
    pub fn signal(&self, rank: Option<u32>, signal: i32) {
        self.shared.control.send(Control::Signal { rank, signal });
    }

    /// Every rank as it stands: its last start, and what came of it here.
    pub fn ranks(&self) -> Vec<RankStatus> {
        status::ranks(&self.shared)
    }

    /// The ranks again whenever something is heard of one.
    pub fn watch(&self) -> RankChanges {
        RankChanges::new(Arc::clone(&self.shared))
    }

    /// Every line from now on, as ranks write them, before the fold.
    pub fn subscribe(&self, options: SubscribeOptions) -> LineStream {
        self.shared.client().subscribe(options)
    }

    /// Every entry from now on, as the fold gives them.
    pub fn entries(&self, options: SubscribeOptions) -> EntryStream {
        self.shared.client().entries(options)
    }

    /// Waits for the end of the job and its report.
    ///
    /// # Errors
    ///
    /// When the driver ended without one: its loop panicked, or its runtime ended.
    pub async fn wait(&self) -> Result<Arc<Report>, SpawnError> {
        let mut report = self.report.clone();
        let found = report.wait_for(Option::is_some).await;
        found.ok().and_then(|report| report.clone()).ok_or(SpawnError::Interrupted)
    }
}

impl std::fmt::Debug for DriverHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DriverHandle").field("client", self.shared.client()).finish_non_exhaustive()
    }
}
