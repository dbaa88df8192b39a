//! The half of a job that shows it and accounts for it: hears hosts, prints what they send, answers
//! barriers, and writes the report.
//!
//! What hosts say is put on [`record`] by whoever receives it, at once; one loop ([`run`]) looks at
//! the record whenever that changes, and decides.

mod admitted;
mod barriers;
mod failure;
mod handle;
mod heard;
mod hosts;
mod record;
mod report;
mod run;
mod runs;
mod seen;
mod status;
mod streams;
mod tally;
mod teardown;
mod trips;
mod view;
mod writers;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use lastline_appender::AppenderError;
use lastline_client::{Client, Labels, Starts, Verdicts};
use lastline_jobs::{BarrierReport, OpenDir, REPORT_FILE, random_u64};
use lastline_line::{Control, ControlSender, Inbox, RankSet, ReadBack, Version};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::watch;

use self::admitted::{Admitted, Gate};
use self::barriers::Barriers;
pub use self::handle::{Driver, DriverHandle};
use self::record::{Expected, Record};
use self::run::{DriverLoop, Request, Settings};
pub(crate) use self::seen::{Look, Seen, Wanted};
pub use self::status::{RankChanges, RankState, RankStatus};
use self::tally::LookAtFiles;
use self::teardown::Teardown;
use self::trips::Trips;
use self::view::About;
use self::writers::ReportWriters;
use crate::clock::Clock;
use crate::plan::{Console, OnFailure, Plan};
use crate::shutdown::Limits;
use crate::{SpawnError, lock, sizes};

/// After how much silence a host is no better than one that is lost to a barrier: two of its heartbeats
/// were missed.
const SILENT: Duration = Duration::from_secs(6);
/// How much later than its own deadline a host may say that it is done.
const HOST_SLACK: Duration = Duration::from_secs(2);

/// Makes a [`Driver`].
pub struct DriverBuilder {
    plan: Arc<Plan>,
    console: Console,
    read_back: Option<Arc<dyn ReadBack>>,
    lost_after: Option<Duration>,
    on_failure: Option<OnFailure>,
    host_slack: Duration,
}

impl DriverBuilder {
    /// A driver of one host, which shows on `console` and keeps to the limits of `plan`.
    pub fn new(plan: impl Into<Arc<Plan>>, console: Console) -> Self {
        let (read_back, lost_after, on_failure) = (None, None, None);
        let (plan, host_slack) = (plan.into(), HOST_SLACK);
        Self { plan, console, read_back, lost_after, on_failure, host_slack }
    }

    /// A driver of hosts at a distance, as many as it takes to have every rank of the job. One of
    /// which nothing is heard for so long is lost; hosts send a heartbeat every 2 s.
    ///
    /// The first host says how many ranks there are. One that says otherwise, or claims a rank that
    /// another one runs, is refused, and nothing of it is shown or counted. Ranks whose host is gone
    /// may be claimed by another one.
    pub fn lost_after(mut self, lost_after: Duration) -> Self {
        self.lost_after = Some(lost_after);
        self
    }

    /// Whether the ranks of all hosts are stopped when one fails, or a host is lost, whatever that one was told.
    /// Hosts at a broker that were told to stop all do so by themselves. Default: as each host was told
    /// ([`Plan::on_failure`]).
    pub fn on_failure(mut self, on_failure: OnFailure) -> Self {
        self.on_failure = Some(on_failure);
        self
    }

    /// Where long lines are read again that were filed in this process.
    pub fn read_back(mut self, read_back: Arc<dyn ReadBack>) -> Self {
        self.read_back = Some(read_back);
        self
    }

    /// How much later than its own deadline a host may say that it is done. Default: 2 s.
    pub(crate) fn host_slack(mut self, slack: Duration) -> Self {
        self.host_slack = slack;
        self
    }

    /// Starts the driver. Must be called on a tokio runtime with time.
    ///
    /// # Errors
    ///
    /// When there is no runtime, or no thread to be had.
    pub fn start(self, inbox: impl Inbox + 'static) -> Result<Driver, SpawnError> {
        tokio::runtime::Handle::try_current().map_err(|_| SpawnError::NoRuntime)?;
        let Self { plan, console, read_back, lost_after, on_failure, host_slack } = self;
        let settings = settings(&plan, lost_after, on_failure, host_slack)?;
        let writers = ReportWriters::start(&settings)?;
        let (requests, requested) = unbounded_channel();
        let control = inbox.control_sender();
        let state = DriverState::new(&plan, &console, lost_after.is_some(), control, requests);
        let shared = Arc::new(state);
        let mut inbox: Box<dyn Inbox> = if shared.distant {
            Box::new(Admitted::new(inbox, Arc::clone(&shared.gate)))
        } else {
            Box::new(inbox)
        };
        let listening = Arc::clone(&shared);
        inbox.listen(Box::new(move |heard| listening.handle_heard(heard)));
        let mut options = client_options(&plan, lost_after);
        (options.raw_partials, options.read_back) = (console.raw_partials, read_back);
        options.starts = shared.starts.clone();
        let client = Client::start(inbox, console.fold, console.printer, options);
        let client = client.map_err(SpawnError::thread)?;
        // It is set once, here.
        drop(shared.client.set(client));
        let (finished, report) = watch::channel(None);
        let driver = DriverLoop::new(settings, writers, Arc::clone(&shared), requested, finished);
        let task = tokio::spawn(driver.run());
        Ok(Driver::new(DriverHandle::new(shared, report), task))
    }
}

/// How the client of such a driver works.
fn client_options(plan: &Plan, lost_after: Option<Duration>) -> lastline_client::Options {
    let mut options = lastline_client::Options::default();
    options.show = plan.show.clone();
    options.held_line_bytes = sizes::held_line_bytes(plan.procs);
    options.kept_back_bytes = sizes::kept_back_bytes(plan.buffer_bytes);
    options.silent_after = plan.silent_after;
    options.ranks = known_ranks(plan, lost_after);
    // Hosts elsewhere say how many there were when a stream has ended, if they are still there.
    options.count_lines = lost_after.is_some();
    options
}

/// The ranks that are known before hosts come.
fn known_ranks(plan: &Plan, lost_after: Option<Duration>) -> RankSet {
    match (&plan.placement, lost_after) {
        (Some(placement), Some(_)) => RankSet::first(placement.world_size),
        (None, Some(_)) => RankSet::new(),
        (placement, None) => {
            let first_rank = placement.as_ref().map_or(0, |placement| placement.first_rank);
            (first_rank..first_rank + plan.procs).collect()
        }
    }
}

fn record(plan: &Plan, distant: bool) -> Record {
    if !distant {
        return Record::new(Expected::Hosts(1));
    }
    // It is said before who may come.
    let mut record = Record::new(Expected::EveryRank);
    record.job.clone_from(&plan.job);
    record
}

fn settings(
    plan: &Plan,
    lost_after: Option<Duration>,
    on_failure: Option<OnFailure>,
    slack: Duration,
) -> Result<Settings, SpawnError> {
    let dir = plan.files.as_ref().map(|files| {
        let refused = |source| AppenderError::Directory { path: files.dir.clone(), source };
        OpenDir::new(&files.dir).map(Arc::new).map_err(refused)
    });
    let dir = dir.transpose()?;
    let beside_files = dir.as_ref().map(|dir| dir.path().join(REPORT_FILE));
    let asked = plan.report.clone().filter(|path| Some(path) != beside_files.as_ref());
    Ok(Settings {
        on_failure,
        lost_after,
        timeout: plan.timeout,
        // Hosts keep to the same budget themselves; the slack is for those that cannot.
        limits: Limits { grace: plan.grace, budget: plan.teardown_timeout, slack },
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
    starts: Starts,
    record: Mutex<Record>,
    /// Counts changes of the record.
    changes: watch::Sender<u64>,
    /// Numbers of barriers begin above it; zero where nobody else asks the same hosts.
    first_version: u64,
    versions: AtomicU64,
    /// Hosts are in other processes, and there may be any number.
    distant: bool,
    gate: Arc<Gate>,
    trips: Mutex<Trips>,
    /// Hosts have been told to stop; those that come are told, too.
    stopping: AtomicBool,
    /// This driver was told to leave the job.
    left: AtomicBool,
    barriers: Mutex<Barriers>,
    /// What does not change of the job.
    about: About,
    /// What the fold is called that is used now.
    fold: Mutex<&'static str>,
    /// What the process that reads the streams sees of them, where that is this one.
    look: OnceLock<Look>,
    /// What files have, where those are this process's.
    look_at_files: OnceLock<LookAtFiles>,
    /// How far this half's teardown has come.
    teardown: Mutex<Teardown>,
    flush_timeout: Duration,
    requests: UnboundedSender<Request>,
    clock: Clock,
    /// What trips are measured from.
    started: Instant,
}

impl DriverState {
    /// Nothing has been heard yet, and there is no client.
    fn new(
        plan: &Plan,
        console: &Console,
        distant: bool,
        control: ControlSender,
        requests: UnboundedSender<Request>,
    ) -> Self {
        Self {
            client: OnceLock::new(),
            control,
            labels: console.labels.clone(),
            starts: Starts::default(),
            record: Mutex::new(record(plan, distant)),
            changes: watch::Sender::new(0),
            // Others may ask the same hosts.
            first_version: if distant { (random_u64() | (1 << 24)) & !0xff_ffff } else { 0 },
            versions: AtomicU64::new(0),
            distant,
            gate: Arc::default(),
            trips: Mutex::default(),
            stopping: AtomicBool::new(false),
            left: AtomicBool::new(false),
            barriers: Mutex::default(),
            about: About::of(plan),
            fold: Mutex::new(console.fold.name()),
            look: OnceLock::new(),
            look_at_files: OnceLock::new(),
            teardown: Mutex::default(),
            flush_timeout: plan.flush_timeout,
            requests,
            clock: Clock::start(),
            started: Instant::now(),
        }
    }

    fn client(&self) -> &Client {
        self.client.get().expect("BUG: a driver has a client before anybody has it")
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        lock(&self.record)
    }

    async fn flush_within(&self, within: Duration) -> Verdicts {
        self.barrier(within, false).await
    }

    /// A barrier; `is_last` when every stream has been read to its end.
    async fn barrier(&self, within: Duration, is_last: bool) -> Verdicts {
        let started = Instant::now();
        let number = self.versions.fetch_add(1, Ordering::Relaxed) + 1;
        let version = Version(self.first_version.wrapping_add(number));
        let verdicts = {
            // A host that goes meanwhile is known to be gone, or finds the barrier open.
            let mut record = self.record();
            let (hosts, gone) = record.open_barrier(version);
            let deadline = self.clock.clone().sleep(within);
            let verdicts = self.client().open_barrier(version, hosts, deadline);
            if is_last {
                self.client().gather_all(version);
            }
            gone.into_iter().for_each(|streams| self.client().barrier_streams(version, streams));
            verdicts
        };
        self.control.send(Control::Flush { version });
        let closing = CloseBarrier(self, version);
        let mut verdicts = verdicts.await;
        drop(closing);
        // As whoever asks counts them.
        verdicts.version = Version(number);
        verdicts.unreachable = self.record().unreachable(self.clock.now(), SILENT);
        let report = BarrierReport::new(Version(number), started.elapsed(), verdicts.summary());
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
