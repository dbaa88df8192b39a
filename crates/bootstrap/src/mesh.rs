//! A host and a driver in one process, over the channel: a job.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lastline_appender::Storage;
use lastline_client::{EntryStream, LineStream, SubscribeOptions, Verdicts};
use lastline_jobs::Report;
use lastline_line::{Fold, HostId, Inbox, Launch, ReadBack, StopCause, StreamId};
use lastline_sender::{Transport, channel};
use lastline_spawn::{RankSpec, Spawned, Spawner, TerminalSize, check_files_limit};
use lastline_tee::BoxSink;

use crate::control::ControlSocket;
use crate::driver::{DriverBuilder, DriverHandle, RankChanges, RankStatus};
use crate::host::{HostBuilder, HostHandle};
use crate::plan::{Console, Plan, find_program};
use crate::sizes::files_needed;
use crate::{RankError, SpawnError, sizes};

/// How much later than the driver here a host may come to its end whose output goes elsewhere. It goes on as long
/// as something is taken there, ends by itself, and its last words say what is filed.
const FAR_SLACK: Duration = Duration::from_secs(24 * 3600);

/// Makes a [`LoggingMesh`] of other parts than it has by default.
pub struct MeshBuilder {
    plan: Arc<Plan>,
    host: HostBuilder,
    console: Option<Console>,
    link: Option<MakeLink>,
}

/// Makes the two ends, given where what is filed can be read again.
type MakeLink =
    Box<dyn FnOnce(Option<Arc<dyn ReadBack>>) -> (Box<dyn Transport>, Box<dyn Inbox>) + Send>;

impl MeshBuilder {
    /// Files go there, whether or not the plan has a directory. Default: the plan's directory.
    pub fn storage(mut self, storage: Arc<dyn Storage>) -> Self {
        self.host = self.host.storage(storage);
        self
    }

    /// Starts ranks with this. Default: real processes, and a guardian.
    pub fn spawner(mut self, spawner: Box<dyn Spawner>) -> Self {
        self.host = self.host.spawner(spawner);
        self
    }

    /// Output goes through this. Default: a channel, bounded by the plan's memory.
    pub fn link(self, transport: impl Transport + 'static, inbox: impl Inbox + 'static) -> Self {
        self.link_with(move |_| (Box::new(transport), Box::new(inbox)))
    }

    /// As [`link`](Self::link); `make` is told where what is filed can be read again, when there are
    /// files.
    pub fn link_with(
        mut self,
        make: impl FnOnce(Option<Arc<dyn ReadBack>>) -> (Box<dyn Transport>, Box<dyn Inbox>)
        + Send
        + 'static,
    ) -> Self {
        self.link = Some(Box::new(make));
        self
    }

    /// Which host this is, for a driver that is elsewhere. Default: the one in the driver's process.
    pub fn id(mut self, id: HostId) -> Self {
        self.host = self.host.id(id);
        self
    }

    /// Gives each stream one more sink, where `make` has one for it. A sink that is full makes the
    /// rank wait.
    pub fn sink(mut self, make: impl Fn(StreamId) -> Option<BoxSink> + Send + 'static) -> Self {
        self.host = self.host.sink(make);
        self
    }

    /// Changes what a rank is started from: its command, its variables. Called on the thread that
    /// starts ranks, for each start.
    pub fn rank(mut self, change: impl FnMut(u32, &mut RankSpec) + Send + 'static) -> Self {
        self.host = self.host.rank(change);
        self
    }

    /// Whether a small process ends the ranks when this one is killed. Default: it does.
    pub fn guardian(mut self, guardian: bool) -> Self {
        self.host = self.host.guardian(guardian);
        self
    }

    /// How output is shown. Default: every line on this process's own outputs, with its rank before
    /// it where there are several.
    pub fn console(mut self, console: Console) -> Self {
        self.console = Some(console);
        self
    }

    /// Starts the job. Returns as soon as its ranks are being started; must be called on a tokio
    /// runtime with io and time.
    ///
    /// # Errors
    ///
    /// When there is no runtime, the command cannot be found or run, or the system refuses what
    /// every rank needs. Nothing runs then. A rank that cannot be started later is told in the
    /// report.
    pub fn spawn(self) -> Result<LoggingMesh, SpawnError> {
        let Self { plan, host, console, link } = self;
        let console = console.unwrap_or_else(|| Console::inherited(plan.procs));
        let host = host.prepare()?;
        let is_far = link.is_some();
        let (transport, inbox) = match link {
            Some(make) => make(host.read_back()),
            None => {
                let (transport, inbox) = channel(sizes::transport_bytes(plan.buffer_bytes));
                (Box::new(transport) as _, Box::new(inbox) as _)
            }
        };
        let mut driver = DriverBuilder::new(Arc::clone(&plan), console);
        if is_far {
            driver = driver.host_slack(FAR_SLACK);
        }
        if let Some(files) = host.read_back() {
            driver = driver.read_back(files);
        }
        let driver = driver.start(inbox)?.handle();
        if let Some(look) = host.look_at_files() {
            driver.look_at_files_with(Box::new(look));
        }
        // A rank may ask as soon as it runs.
        let control = plan.control.as_deref();
        let control = control.and_then(|path| ControlSocket::open(path, driver.clone()));
        let host = host.start(transport).handle();
        driver.look_with(Box::new(host.look()));
        let owner = Arc::new(Owner { driver: driver.clone(), control });
        Ok(LoggingMesh { host, driver, owner })
    }
}

impl std::fmt::Debug for MeshBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MeshBuilder").field("plan", &self.plan).finish_non_exhaustive()
    }
}

/// A job that runs: its ranks, and all that carries their output. Clones are handles to the same
/// one.
///
/// When the last handle is dropped, the job is stopped ([`StopCause::Owner`]) and drained in the
/// background, as long as its runtime lives. When the runtime goes first, the ranks' groups are
/// killed and reaped before it is gone.
#[derive(Clone, Debug)]
pub struct LoggingMesh {
    host: HostHandle,
    driver: DriverHandle,
    owner: Arc<Owner>,
}

/// Stops the job when nobody has a handle to it.
#[derive(Debug)]
struct Owner {
    driver: DriverHandle,
    control: Option<ControlSocket>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.driver.stop_unless_over(StopCause::Owner);
    }
}

impl LoggingMesh {
    /// A job as `plan` has it, of parts that may be exchanged. A plan without a command starts
    /// nothing: its ranks are [attached](Self::attach).
    pub fn builder(plan: Plan) -> MeshBuilder {
        let plan = Arc::new(plan);
        MeshBuilder { host: HostBuilder::new(Arc::clone(&plan)), plan, console: None, link: None }
    }

    /// Starts a job as `plan` has it, shown on `console`.
    ///
    /// # Errors
    ///
    /// As [`MeshBuilder::spawn`].
    pub fn spawn(plan: Plan, console: Console) -> Result<Self, SpawnError> {
        Self::builder(plan).console(console).spawn()
    }

    /// Checks that a command can be run by so many ranks, as [`spawn`](Self::spawn) does first;
    /// starts nothing. Gives the program's file.
    ///
    /// # Errors
    ///
    /// When there is no such program, it may not be executed, or too few files may be open.
    pub fn check_command(
        command: &[OsString],
        procs: u32,
        workdir: Option<&Path>,
        env: &[(OsString, OsString)],
    ) -> Result<OsString, SpawnError> {
        let program = find_program(command, workdir, env)?;
        check_files_limit(files_needed(procs))
            .map_err(|error| SpawnError::files_limit(procs, error))?;
        Ok(program)
    }

    /// What drives the job: as for one whose ranks are elsewhere.
    pub fn driver(&self) -> DriverHandle {
        self.driver.clone()
    }

    /// A barrier: when it returns, everything that the ranks wrote before the call has been
    /// printed, or its verdict says which stream's was not, and why. Never hangs. Any number may
    /// run at once.
    pub async fn flush(&self) -> Verdicts {
        self.driver.flush().await
    }

    /// As [`flush`](Self::flush), with a deadline of its own.
    pub async fn flush_within(&self, within: Duration) -> Verdicts {
        self.driver.flush_within(within).await
    }

    /// Sends output to the client, or only files it. What is read while it is off is counted as
    /// withheld.
    pub fn set_mode(&self, stream_to_client: bool) {
        self.driver.set_mode(stream_to_client);
    }

    /// Folds with `fold` from now on; what is held is printed first.
    pub fn set_fold(&self, fold: Box<dyn Fold>) {
        self.driver.set_fold(fold);
    }

    /// Stops the job: the ranks' groups are signalled at once. Called again it ends the grace.
    pub fn stop(&self, cause: StopCause) {
        self.driver.stop(cause);
    }

    /// Sends a signal to the group of a rank, or of every rank.
    pub fn signal(&self, rank: Option<u32>, signal: i32) {
        self.driver.signal(rank, signal);
    }

    /// Pauses the ranks' groups (SIGSTOP); returns when they have been signalled.
    pub async fn suspend(&self) {
        self.driver.suspend();
        self.host.suspend().await;
    }

    /// Lets them go on (SIGCONT). No deadline counts the time in between.
    pub fn resume(&self) {
        self.host.resume();
        self.driver.resume();
    }

    /// Looks whether a rank stands still, and says once of each which signal has stopped it: to be
    /// called when this process got SIGCHLD. Not of those that [`suspend`](Self::suspend) has stopped.
    pub fn look_for_stopped(&self) {
        self.host.look_for_stopped();
    }

    /// Gives the terminal of every rank that runs this size, where ranks have terminals. Those in its
    /// foreground get SIGWINCH when that changes something.
    pub fn resize(&self, size: TerminalSize) {
        self.host.resize(size);
    }

    /// Starts a rank again that is over, as it was started first, while others run. Gives the
    /// number of the new start, which its streams bear; the report has an entry for each start.
    ///
    /// # Errors
    ///
    /// When there is no such rank, it runs, or the job is ending.
    pub async fn restart(&self, rank: u32) -> Result<Launch, RankError> {
        self.host.restart(rank).await
    }

    /// Reads a process that somebody else started as this rank. The mesh signals it and waits for
    /// it as for its own; how it ended is known of children of this process only.
    ///
    /// # Errors
    ///
    /// When that rank runs, or the job is ending.
    pub async fn attach(&self, rank: u32, spawned: Spawned) -> Result<Launch, RankError> {
        self.host.attach(rank, spawned).await
    }

    /// Every rank as it stands: its last start, and what came of it.
    pub fn ranks(&self) -> Vec<RankStatus> {
        self.driver.ranks()
    }

    /// The ranks again whenever something is heard of one.
    pub fn watch(&self) -> RankChanges {
        self.driver.watch()
    }

    /// Every line from now on, as ranks write them, before the fold.
    pub fn subscribe(&self, options: SubscribeOptions) -> LineStream {
        self.driver.subscribe(options)
    }

    /// Every entry from now on, as the fold gives them.
    pub fn entries(&self, options: SubscribeOptions) -> EntryStream {
        self.driver.entries(options)
    }

    /// Waits for the end of the job and of its teardown. May be called by anybody, any number of
    /// times.
    ///
    /// # Errors
    ///
    /// When the job ended without a report: a loop of its own panicked, or its runtime ended.
    pub async fn wait(&self) -> Result<Arc<Report>, SpawnError> {
        let report = self.driver.wait().await;
        // Nobody asks a job that is over.
        self.close_control();
        report
    }

    /// Kills the ranks' groups and removes what only a running job has, its control socket: for a
    /// process that exits now without waiting. The guardian ends what is being started meanwhile.
    pub fn abandon(&self) {
        self.host.kill_all();
        self.close_control();
    }

    fn close_control(&self) {
        if let Some(control) = &self.owner.control {
            control.close();
        }
    }
}

#[cfg(test)]
mod tests;
