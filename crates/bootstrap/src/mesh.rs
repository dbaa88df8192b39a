//! The handle of a running job.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use lastline_client::{Client, Label, Labels, Verdicts};
use lastline_line::{Fold, Message, Timestamp, Version};
use lastline_sender::{ChannelTransport, Sender, Transport};
use lastline_tee::Tee;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::barriers::Barriers;
use crate::guardian::Guardian;
use crate::memory_watch::MemoryWatch;
use crate::plan::{Console, Plan, StopCause};
use crate::rank::{Event, tell};
use crate::report::{BarrierReport, Report};
use crate::spawner::ProcessSpawner;
use crate::start::{Specs, check_files_limit, find_program, raise_files_limit, start_spawning};
use crate::supervisor::Supervisor;
use crate::wiring::wire;
use crate::{SpawnError, control, disk_watch, stdin};

/// A job that runs: its ranks, and all that carries their output.
pub struct LoggingMesh {
    inner: Arc<Inner>,
    supervisor: JoinHandle<Report>,
}

/// What the handle, the supervisor and the control socket share.
pub(crate) struct Inner {
    pub(crate) client: Client,
    sender: Mutex<Option<Sender>>,
    direct: Mutex<Option<ChannelTransport>>,
    tees: Mutex<Vec<Tee>>,
    versions: AtomicU64,
    barriers: Mutex<Barriers>,
    flush_timeout: Duration,
    pub(crate) labels: Labels,
    pub(crate) host: String,
    pub(crate) events: UnboundedSender<Event>,
    /// How many ranks' starts have begun.
    begun: Arc<AtomicU32>,
    /// Of how many ranks the supervisor knows whether they run; they start in order.
    known: watch::Sender<u32>,
    /// The control socket, while it is answered.
    control: Mutex<Option<std::path::PathBuf>>,
    /// The control socket is not answered any more.
    pub(crate) closed: tokio::sync::Notify,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LoggingMesh {
    /// Starts a job. Returns as soon as its ranks are being started; must be called on a tokio
    /// runtime with io and time.
    ///
    /// # Errors
    ///
    /// When the command cannot be found or run, or the system refuses what every rank needs.
    /// Nothing runs then. A rank that cannot be started later is told in the report.
    pub fn spawn(plan: Plan, console: Console) -> Result<Self, SpawnError> {
        let program = find_program(&plan.command, plan.workdir.as_deref(), &plan.env)?;
        let files_limit = raise_files_limit(plan.procs)?;
        let guardian = Guardian::start(plan.procs as usize, plan.grace);
        let guardian = Arc::new(guardian.map_err(|source| SpawnError::Guardian { source })?);
        let stdins = stdin::open(plan.stdin, plan.procs);
        let stdins = stdins.map_err(|source| SpawnError::Stdin { source })?;
        let labels = console.labels.clone();
        let (wiring, ends) = wire(&plan, console)?;
        let (events, heard) = unbounded_channel();
        let inner = Arc::new(Inner {
            client: ends.client,
            sender: Mutex::new(Some(ends.sender)),
            direct: Mutex::new(Some(ends.direct)),
            tees: Mutex::default(),
            versions: AtomicU64::new(0),
            barriers: Mutex::default(),
            flush_timeout: plan.flush_timeout,
            labels,
            host: host_name(),
            events,
            begun: Arc::default(),
            known: watch::Sender::new(0),
            control: Mutex::default(),
            closed: tokio::sync::Notify::new(),
        });
        disk_watch::start(wiring.appender.as_ref());
        let spawner = ProcessSpawner::new(Arc::clone(&guardian), files_limit);
        let specs = Specs::new(&plan, program, &wiring, stdins);
        let begun = Arc::clone(&inner.begun);
        let memory = MemoryWatch::start();
        // A rank may ask as soon as it runs.
        serve_control(&plan, &inner);
        let started = start_spawning(specs, Box::new(spawner), begun, inner.events.clone());
        let running = started.inspect_err(|_| inner.close_control())?;
        let supervisor =
            Supervisor::new(plan, Arc::clone(&inner), wiring, guardian, running, memory, heard);
        Ok(Self { inner, supervisor: tokio::spawn(supervisor.run()) })
    }

    /// Checks that a command can be run by so many ranks, as [`spawn`](Self::spawn) does first;
    /// starts nothing.
    ///
    /// # Errors
    ///
    /// When there is no such program, it may not be executed, or too few files may be open.
    pub fn check_command(
        command: &[OsString],
        procs: u32,
        workdir: Option<&Path>,
        env: &[(OsString, OsString)],
    ) -> Result<(), SpawnError> {
        find_program(command, workdir, env)?;
        check_files_limit(procs).map(drop)
    }

    /// Sends output to the client, or only files it. What is read while it is off is counted as
    /// withheld.
    pub fn set_mode(&self, stream_to_client: bool) {
        if let Some(sender) = &*lock(&self.inner.sender) {
            sender.set_mode(stream_to_client);
        }
    }

    /// Folds with `fold` from now on; what is held is printed first.
    pub fn set_fold(&self, fold: Box<dyn Fold>) {
        self.inner.client.set_fold(fold);
        self.inner.wake_client();
    }

    /// A barrier: when it returns, everything that the ranks wrote before the call has been
    /// printed, or its verdict says which stream's was not, and why. Never hangs. Any number may
    /// run at once.
    pub async fn flush(&self) -> Verdicts {
        self.inner.flush().await
    }

    /// Stops the job: the ranks' groups are signalled at once. Called again it ends the grace.
    pub fn stop(&self, cause: StopCause) {
        tell(&self.inner.events, Event::Stop(cause));
    }

    /// A handle that can stop the job while somebody waits for it.
    pub fn stopper(&self) -> Stopper {
        Stopper { events: self.inner.events.clone(), inner: Arc::downgrade(&self.inner) }
    }

    /// Waits for the end of the job and of its teardown.
    ///
    /// # Errors
    ///
    /// When the supervisor panicked.
    pub async fn wait(self) -> Result<Report, SpawnError> {
        self.supervisor.await.map_err(|source| SpawnError::Supervisor { source })
    }
}

/// Stops a job.
#[derive(Clone)]
pub struct Stopper {
    events: UnboundedSender<Event>,
    inner: Weak<Inner>,
}

impl Stopper {
    /// As [`LoggingMesh::stop`].
    pub fn stop(&self, cause: StopCause) {
        tell(&self.events, Event::Stop(cause));
    }

    /// Pauses the ranks' groups (SIGSTOP); returns when they have been told.
    pub async fn suspend(&self) {
        let (done, told) = tokio::sync::oneshot::channel();
        tell(&self.events, Event::Suspend(done));
        // A job that is over has nobody to pause.
        drop(told.await);
    }

    /// Lets them go on (SIGCONT). No deadline counts the time in between.
    pub fn resume(&self) {
        tell(&self.events, Event::Resume);
    }

    /// Takes away what only a running job has, its control socket: for a process that exits now
    /// and waits for nothing. The guardian ends the ranks.
    pub fn leave(&self) {
        if let Some(inner) = self.inner.upgrade() {
            inner.close_control();
        }
    }
}

impl std::fmt::Debug for Stopper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stopper").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for LoggingMesh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoggingMesh").field("client", &self.inner.client).finish_non_exhaustive()
    }
}

impl Inner {
    /// A barrier over every stream that has been started. A rank may print before it is known
    /// here that it runs: those whose start has begun are waited for.
    pub(crate) async fn flush(&self) -> Verdicts {
        let asked = Instant::now();
        let begun = self.begun.load(Ordering::Acquire);
        let mut known = self.known.subscribe();
        let all_known = known.wait_for(|known| *known >= begun);
        if tokio::time::timeout(self.flush_timeout, all_known).await.is_err() {
            tracing::warn!("a barrier does not cover a rank that is being started for too long");
        }
        self.flush_within(self.flush_timeout.saturating_sub(asked.elapsed())).await
    }

    pub(crate) async fn flush_within(&self, within: Duration) -> Verdicts {
        let started = Instant::now();
        let version = Version(self.versions.fetch_add(1, Ordering::Relaxed) + 1);
        let tees = lock(&self.tees).clone();
        let streams = tees.iter().map(Tee::stream).collect();
        let verdicts = self.client.barrier(version, streams, within);
        let mut any_ended = false;
        for tee in &tees {
            tee.barrier(version);
            any_ended |= tee.is_finished();
        }
        if any_ended {
            self.wake_client();
        }
        let verdicts = verdicts.await;
        let seconds = started.elapsed().as_secs_f64();
        lock(&self.barriers).push(BarrierReport::of(&verdicts, seconds));
        verdicts
    }

    /// One more rank runs, or could not be started.
    pub(crate) fn one_more_known(&self) {
        self.known.send_modify(|known| *known += 1);
    }

    pub(crate) fn add_tee(&self, tee: Tee) {
        lock(&self.tees).push(tee);
    }

    pub(crate) fn with_sender<T>(&self, with: impl FnOnce(&Sender) -> T) -> Option<T> {
        lock(&self.sender).as_ref().map(with)
    }

    pub(crate) fn label(&self, job: &str, rank: u32, pid: u32) {
        let (host, job) = (self.host.clone(), job.to_owned());
        self.labels.set(Label { rank, local_rank: rank, host, pid, job });
    }

    /// Gives the client something to hear, so that it looks at what it was told otherwise.
    pub(crate) fn wake_client(&self) {
        let time = Timestamp::from_system(SystemTime::now());
        if let Some(direct) = &mut *lock(&self.direct)
            && direct.try_send(Message::Heartbeat { node: 0, time }).is_err()
        {
            tracing::trace!("the client has enough to hear");
        }
    }

    /// Lets go of every way into the client's inbox but those of tees that still run.
    pub(crate) fn close_ways(&self) -> Option<Sender> {
        drop(lock(&self.direct).take());
        lock(&self.sender).take()
    }

    /// Answers no more requests from outside, and takes the socket away.
    pub(crate) fn close_control(&self) {
        self.closed.notify_one();
        if let Some(path) = lock(&self.control).take()
            && let Err(error) = std::fs::remove_file(&path)
        {
            tracing::debug!(%error, path = %path.display(), "the control socket is left");
        }
    }

    pub(crate) fn take_barriers(&self) -> (Vec<BarrierReport>, BTreeMap<String, u64>) {
        lock(&self.barriers).take()
    }
}

fn serve_control(plan: &Plan, inner: &Arc<Inner>) {
    let Some(path) = &plan.control else {
        return;
    };
    match control::listen(path) {
        Ok(listener) => {
            *lock(&inner.control) = Some(path.clone());
            tokio::spawn(control::serve(listener, Arc::clone(inner)));
        }
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "`lastline flush` will not reach this job");
        }
    }
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
