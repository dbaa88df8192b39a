//! The half of a job that runs its ranks: starts them, reads them, files and sends what they say.
//!
//! One loop ([`run`]) hears of everything and decides; what it knows of ranks is in [`ranks`], how
//! long things may take in [`shutdown`](crate::shutdown). It needs no driver to go on: one that is
//! gone takes nothing from the files.

mod abort;
mod files;
mod intake;
mod link;
mod ranks;
mod run;
mod spawning;
mod still;
mod watch;

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use lastline_appender::{Appender, AppenderError, DirStorage, Storage};
use lastline_line::{Budget, Control, HostEvent, Launch, ReadBack, StopCause, StreamId};
use lastline_sender::{Sender, Transport, WhenFull};
use lastline_spawn::{
    Environment, ProcessOptions, ProcessSpawner, RankSpec, Spawned, Spawner, StdinMode,
    TerminalSize, Typist, explain_process_limit, open_stdin, raise_files_limit,
};
use lastline_tee::{BoxSink, Pool, Tee};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use self::intake::{Intake, MakeSinks, ReadSettings};
use self::link::Link;
use self::run::{HostLoop, Settings};
use self::spawning::Spawning;
use self::watch::{Event, Events};
use crate::blocking::Blocking;
use crate::clock::now;
use crate::driver::Seen;
use crate::plan::Plan;
use crate::shutdown::Limits;
use crate::sizes::{self, PIPE_GROWTH_BYTES};
use crate::{RankError, SpawnError};

/// Makes one more sink for a stream, beside the files and the driver.
pub(crate) type MakeSink = Box<dyn Fn(StreamId) -> Option<BoxSink> + Send>;
/// Changes what a rank is started from.
pub(crate) type ChangeSpec = Box<dyn FnMut(u32, &mut RankSpec) + Send>;

/// Makes a [`Host`].
pub struct HostBuilder {
    plan: Arc<Plan>,
    storage: Option<Arc<dyn Storage>>,
    spawner: Option<Box<dyn Spawner>>,
    sink: Option<MakeSink>,
    change: Option<ChangeSpec>,
    guardian: bool,
}

impl HostBuilder {
    /// A host of the ranks of `plan`, with the parts that it has by default: files in the plan's
    /// directory, real processes, a guardian.
    pub fn new(plan: impl Into<Arc<Plan>>) -> Self {
        Self {
            plan: plan.into(),
            storage: None,
            spawner: None,
            sink: None,
            change: None,
            guardian: true,
        }
    }

    /// Files go there, whether or not the plan has a directory.
    pub fn storage(mut self, storage: Arc<dyn Storage>) -> Self {
        self.storage = Some(storage);
        self
    }

    /// Starts ranks with this, and with no guardian but what it brings.
    pub fn spawner(mut self, spawner: Box<dyn Spawner>) -> Self {
        self.spawner = Some(spawner);
        self
    }

    /// Gives each stream one more sink, where `make` has one for it. A sink that is full makes the
    /// rank wait.
    pub fn sink(mut self, make: impl Fn(StreamId) -> Option<BoxSink> + Send + 'static) -> Self {
        self.sink = Some(Box::new(make));
        self
    }

    /// Changes what a rank is started from: its command, its variables. Called on the thread that
    /// starts ranks, for each start.
    pub fn rank(mut self, change: impl FnMut(u32, &mut RankSpec) + Send + 'static) -> Self {
        self.change = Some(Box::new(change));
        self
    }

    /// Whether a small process ends the ranks when this one is killed. Default: it does.
    pub fn guardian(mut self, guardian: bool) -> Self {
        self.guardian = guardian;
        self
    }

    /// Starts the host, which speaks to its driver over `transport`. Must be called on a tokio
    /// runtime with io and time.
    ///
    /// # Errors
    ///
    /// When there is no runtime, the command cannot be found or run, or the system refuses what
    /// every rank needs. Nothing runs then.
    pub fn start(self, transport: impl Transport + 'static) -> Result<Host, SpawnError> {
        Ok(self.prepare()?.start(transport))
    }

    /// Everything that can be refused before anybody is told of a job: the command, the limits, the
    /// guardian, stdin, files.
    pub(crate) fn prepare(self) -> Result<PreparedHost, SpawnError> {
        tokio::runtime::Handle::try_current().map_err(|_| SpawnError::NoRuntime)?;
        let Self { plan, storage, spawner, sink, change, guardian } = self;
        let program = (!plan.command.is_empty()).then(|| plan.find_program()).transpose()?;
        let files_limit = raise_files_limit(sizes::files_needed(plan.procs))
            .map_err(|error| SpawnError::files_limit(plan.procs, error))?;
        let spawner = match spawner {
            Some(spawner) => spawner,
            None => {
                let mut options = ProcessOptions::default();
                options.capacity = plan.procs as usize + RESTARTS;
                options.grace = plan.effective_grace();
                options.guardian = guardian;
                options.files_limit = files_limit;
                let spawner = ProcessSpawner::new(options);
                Box::new(spawner.map_err(|error| SpawnError::Guardian {
                    source: explain_process_limit(error),
                })?)
            }
        };
        let mode = if types(&plan) { StdinMode::Null } else { plan.stdin };
        let stdins = open_stdin(mode, plan.procs);
        let stdins =
            stdins.map_err(|error| SpawnError::Stdin { source: explain_process_limit(error) })?;
        let files = open_files(&plan, storage)?;
        let (events, heard) = unbounded_channel();
        let (events, link) = (Events(events), Arc::new(Link::default()));
        let specs = specs(&plan, program, stdins, change);
        let spawning = Spawning::start(spawner, specs, Arc::clone(&link), events.clone())
            .map_err(SpawnError::thread)?;
        let blocking = Blocking::start("lastline-host", HOST_THREADS)?;
        Ok(PreparedHost { plan, files, sink, events, heard, link, spawning, blocking })
    }
}

/// A host that can be started.
pub(crate) struct PreparedHost {
    plan: Arc<Plan>,
    files: Option<Arc<Appender>>,
    sink: Option<MakeSink>,
    events: Events,
    heard: UnboundedReceiver<Event>,
    link: Arc<Link>,
    spawning: Spawning,
    blocking: Blocking,
}

impl PreparedHost {
    /// Gives back what will be filed here.
    pub(crate) fn read_back(&self) -> Option<Arc<dyn ReadBack>> {
        self.files.as_ref().map(|files| files.read_back())
    }

    /// Everything that it needs of the system it has: nothing is refused any more.
    pub(crate) fn start(self, transport: impl Transport + 'static) -> Host {
        let read_back = self.read_back();
        let Self { plan, files, sink, events, heard, link, spawning, blocking } = self;
        link.open(sender(&plan, transport, read_back, &link, &events));
        link.send(up(&plan));
        let reading = reading(&plan, sinks(&link, files.clone(), sink));
        // Counters are taken before the first rank runs.
        let (told, beside) = (events.clone(), blocking.clone());
        let intake = Intake::new(plan.procs, reading, Arc::clone(&link), told, beside);
        let attached = plan.command.is_empty();
        if !attached {
            (0..plan.procs).for_each(|rank| spawning.request(rank as usize, rank));
        }
        let settings = settings(&plan, attached);
        if let Some(files) = &files {
            files::watch_disk(files);
        }
        let host =
            HostLoop::new(settings, Arc::clone(&link), files, spawning, intake, heard, blocking);
        let task = tokio::spawn(host.run());
        Host { handle: HostHandle { events, link }, task }
    }
}

/// The threads of a host for what blocks: one may be reading a long `/proc`.
const HOST_THREADS: usize = 2;
/// How many more starts than ranks the guardian has room for.
const RESTARTS: usize = 64;

fn open_files(
    plan: &Plan,
    storage: Option<Arc<dyn Storage>>,
) -> Result<Option<Arc<Appender>>, SpawnError> {
    let storage: Arc<dyn Storage> = match (storage, &plan.files) {
        (Some(storage), _) => storage,
        (None, Some(files)) => Arc::new(DirStorage::existing(&files.dir)?),
        (None, None) => return Ok(None),
    };
    let options = plan.files.as_ref().map(|files| files.appender.clone()).unwrap_or_default();
    match Appender::start(storage, options) {
        Ok(files) => Ok(Some(Arc::new(files))),
        Err(AppenderError::Thread { source }) => Err(SpawnError::thread(source)),
        Err(error) => Err(error.into()),
    }
}

fn sender(
    plan: &Plan,
    transport: impl Transport + 'static,
    read_back: Option<Arc<dyn ReadBack>>,
    link: &Arc<Link>,
    events: &Events,
) -> Sender {
    let mut options = lastline_sender::Options::default();
    options.held_bytes = sizes::held_bytes(plan.buffer_bytes);
    options.when_full = match plan.when_full {
        WhenFull::Spool if read_back.is_none() => WhenFull::Block,
        policy => policy,
    };
    options.read_back = read_back;
    let (link, events) = (Arc::downgrade(link), events.clone());
    options.on_control = Some(Arc::new(move |said| match (said, Weak::upgrade(&link)) {
        // Nothing is being started: a barrier waits for nobody.
        (Ok(Control::Flush { version }), Some(link)) if link.knows(link.begun()) => {
            link.take_marks(version);
        }
        (said, _) => events.send(Event::Control(said)),
    }));
    Sender::start(transport, options)
}

fn up(plan: &Plan) -> HostEvent {
    let command = plan.command.iter().map(|word| word.to_string_lossy().into_owned());
    HostEvent::Up {
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        pid: std::process::id(),
        job: plan.job.clone(),
        command: command.collect(),
        world_size: plan.procs,
        first_rank: 0,
        procs: plan.procs,
        node_rank: 0,
        local_first: 0,
        local_world_size: plan.procs,
        time: now(),
    }
}

/// What each rank is started from.
fn specs(
    plan: &Plan,
    program: Option<OsString>,
    mut stdins: Vec<Option<OwnedFd>>,
    mut change: Option<ChangeSpec>,
) -> spawning::MakeSpec {
    let mut environment = Environment::new(plan.job.clone(), plan.procs);
    environment.buffered = plan.buffered;
    environment.extra = plan.env.clone();
    let inherited: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let (command, workdir): (_, Option<PathBuf>) = (plan.command.clone(), plan.workdir.clone());
    let pipe_bytes = sizes::pipe_bytes(plan.procs);
    let (fixed, pty) = (plan.terminal_size, plan.pty);
    let (typed, echo) = (types(plan), plan.echo);
    Box::new(move |rank| {
        let mut spec = RankSpec::new(rank, command.clone());
        spec.env = environment.of(rank, &inherited);
        spec.workdir = workdir.clone();
        spec.stdin = stdins.get_mut(rank as usize).and_then(Option::take);
        spec.pipe_bytes = pipe_bytes;
        // As large as the driver's is now, unless it is told.
        spec.terminal = pty.then(|| fixed.unwrap_or_else(TerminalSize::of_driver));
        spec.stdin_is_terminal = typed && rank == 0;
        spec.echo = echo && spec.stdin_is_terminal;
        match &mut change {
            // It is looked for again: another command, another PATH.
            Some(change) => change(rank, &mut spec),
            None => spec.program = program.clone(),
        }
        spec
    })
}

fn sinks(link: &Arc<Link>, files: Option<Arc<Appender>>, more: Option<MakeSink>) -> MakeSinks {
    let link = Arc::clone(link);
    Box::new(move |stream| {
        let mut sinks: Vec<BoxSink> = Vec::with_capacity(3);
        if let Some(files) = &files {
            sinks.push(Box::new(files.sink(stream)));
        }
        if let Some(sink) = link.sink() {
            sinks.push(Box::new(sink));
        }
        sinks.extend(more.as_ref().and_then(|make| make(stream)));
        sinks
    })
}

/// Whether somebody types into rank 0's terminal.
fn types(plan: &Plan) -> bool {
    plan.pty && plan.stdin == StdinMode::Rank0 && Typist::is_wanted()
}

/// How the ranks' streams are read.
fn reading(plan: &Plan, sinks: MakeSinks) -> ReadSettings {
    let memory = sizes::memory(plan.buffer_bytes);
    let mut tee = lastline_tee::Options::default();
    tee.pool = Pool::new(Budget::new(memory));
    tee.chunk_bytes = (memory / 32).clamp(4 << 10, 256 << 10);
    tee.pipe_budget = Budget::new(PIPE_GROWTH_BYTES);
    let typist = types(plan).then(Typist::default);
    ReadSettings { drain: plan.drain, tee, sinks, typist }
}

fn settings(plan: &Plan, attached: bool) -> Settings {
    let slack = std::time::Duration::ZERO;
    Settings {
        attached,
        on_failure: plan.on_failure,
        leave_background: plan.leave_background,
        limits: Limits { grace: plan.grace, budget: plan.teardown_timeout, slack },
        flush_timeout: plan.flush_timeout,
    }
}

/// A host at work. Dropping it stops nothing: it ends with its ranks, or when it is stopped.
#[derive(Debug)]
pub struct Host {
    handle: HostHandle,
    task: JoinHandle<()>,
}

impl Host {
    /// A handle to it.
    pub fn handle(&self) -> HostHandle {
        self.handle.clone()
    }

    /// Waits until it has ended: all ranks and what they left, files closed, the driver told.
    ///
    /// # Errors
    ///
    /// When its loop panicked, or its runtime ended before it.
    pub async fn wait(self) -> Result<(), SpawnError> {
        self.task.await.map_err(|source| SpawnError::Supervisor { source })
    }
}

/// Steers a host from the process that it is in.
#[derive(Clone, Debug)]
pub struct HostHandle {
    events: Events,
    link: Arc<Link>,
}

impl HostHandle {
    /// Stops the ranks: their groups are signalled at once. Called again it ends the grace.
    pub fn stop(&self, cause: StopCause) {
        self.events.send(Event::Control(Ok(Control::Stop { cause })));
    }

    /// Pauses the ranks' groups (SIGSTOP); returns when they have been signalled.
    pub async fn suspend(&self) {
        let (done, signalled) = oneshot::channel();
        self.events.send(Event::Suspend(done));
        // A host that is over has nobody to pause.
        signalled.await.unwrap_or_default();
    }

    /// Lets them go on (SIGCONT). No deadline counts the time in between.
    pub fn resume(&self) {
        self.events.send(Event::Resume);
    }

    /// Looks whether a rank stands still, and says once of each which signal has stopped it: to be
    /// called when this process got SIGCHLD. Not of those that [`suspend`](Self::suspend) has stopped.
    pub fn look_for_stopped(&self) {
        self.events.send(Event::LookForStopped);
    }

    /// Gives every rank's terminal this size.
    pub fn resize(&self, size: TerminalSize) {
        self.events.send(Event::Resize(size));
    }

    /// Starts a rank again that is over, as it was started first. Gives the number of the new
    /// start, which its streams bear.
    ///
    /// # Errors
    ///
    /// When there is no such rank, it runs, or the job is ending.
    pub async fn restart(&self, rank: u32) -> Result<Launch, RankError> {
        let (reply, launch) = oneshot::channel();
        self.events.send(Event::Restart { rank, reply });
        launch.await.unwrap_or(Err(RankError::Ending))
    }

    /// Reads a process that somebody else started as this rank.
    ///
    /// # Errors
    ///
    /// When that rank runs, or the job is ending.
    pub async fn attach(&self, rank: u32, spawned: Spawned) -> Result<Launch, RankError> {
        let (reply, launch) = oneshot::channel();
        self.events.send(Event::Attach { rank, spawned, reply });
        launch.await.unwrap_or(Err(RankError::Ending))
    }

    /// Sends SIGKILL to every rank's group, here and now: for a process that exits without waiting.
    pub fn kill_all(&self) {
        self.link.kill_all();
    }

    /// What has been read of every stream, of those that have ended too.
    pub(crate) fn seen(&self) -> HashMap<StreamId, Seen> {
        let seen = |tee: &Tee| {
            let (read_bytes, read_lines) = tee.counts();
            (tee.stream(), Seen { read_bytes, read_lines, last_lines: ranks::recent_text(tee) })
        };
        self.link.tees().iter().map(seen).collect()
    }
}

impl std::fmt::Debug for HostBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostBuilder").field("plan", &self.plan).finish_non_exhaustive()
    }
}
