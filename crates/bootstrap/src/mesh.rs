//! The handle of a running job.

use std::ffi::OsString;
use std::path::Path;
use std::sync::{Arc, Weak};

use lastline_client::Verdicts;
use lastline_line::Fold;
use lastline_spawn::{MemoryWatch, ProcessOptions, ProcessSpawner, open_stdin};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use crate::inner::Inner;
use crate::plan::{Console, Plan, StopCause};
use crate::rank::{Event, tell};
use crate::report::Report;
use crate::start::{Specs, check_files_limit, find_program, raise_files_limit, start_spawning};
use crate::supervisor::Supervisor;
use crate::teardown::take_down;
use crate::wiring::wire;
use crate::{SpawnError, control, disk_watch};

/// A job that runs: its ranks, and all that carries their output.
pub struct LoggingMesh {
    inner: Arc<Inner>,
    supervisor: JoinHandle<Report>,
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
        let mut options = ProcessOptions::default();
        options.capacity = plan.procs as usize;
        options.grace = plan.grace;
        options.files_limit = files_limit;
        let spawner = ProcessSpawner::new(options);
        let spawner = spawner.map_err(|source| SpawnError::Guardian { source })?;
        let stdins = open_stdin(plan.stdin, plan.procs);
        let stdins = stdins.map_err(|source| SpawnError::Stdin { source })?;
        let labels = console.labels.clone();
        let (wiring, ends) = wire(&plan, console)?;
        let (events, heard) = unbounded_channel();
        let inner = Arc::new(Inner::new(plan.flush_timeout, labels, ends, events));
        disk_watch::start(wiring.appender.as_ref());
        let specs = Specs::new(&plan, program, &wiring, stdins);
        let begun = inner.begun();
        let memory = MemoryWatch::start();
        // A rank may ask as soon as it runs.
        serve_control(&plan, &inner);
        let started = start_spawning(specs, Box::new(spawner), begun, inner.events.clone());
        let running = started.inspect_err(|_| inner.close_control())?;
        let supervisor = Supervisor::new(plan, Arc::clone(&inner), wiring, running, memory, heard);
        let job = async { take_down(supervisor.run().await).await };
        Ok(Self { inner, supervisor: tokio::spawn(job) })
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
        self.inner.with_sender(|sender| sender.set_mode(stream_to_client));
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

fn serve_control(plan: &Plan, inner: &Arc<Inner>) {
    let Some(path) = &plan.control else {
        return;
    };
    match control::listen(path) {
        Ok(listener) => {
            inner.answers_on(path);
            tokio::spawn(control::serve(listener, Arc::clone(inner)));
        }
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "`lastline flush` will not reach this job");
        }
    }
}
