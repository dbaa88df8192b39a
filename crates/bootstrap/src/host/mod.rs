//! The half of a job that runs its ranks: starts them, reads them, files and sends what they say.
//!
//! One loop ([`run`]) hears of everything and decides; what it knows of ranks is in [`ranks`], how
//! long things may take in [`shutdown`](crate::shutdown). It needs no driver to go on: one that is
//! gone takes nothing from the files.

mod abort;
mod files;
mod handle;
mod intake;
mod link;
mod parts;
mod phases;
mod ranks;
mod recent;
mod requests;
mod run;
mod spawning;
mod still;
mod watch;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use lastline_appender::{Appender, Storage};
use lastline_jobs::random_u64;
use lastline_line::{HostId, ReadBack, StreamId};
use lastline_sender::Transport;
use lastline_spawn::{
    ProcessOptions, ProcessSpawner, RankSpec, Spawner, StdinMode, explain_process_limit,
    open_stdin, raise_files_limit,
};
use lastline_tee::BoxSink;
use lastline_watch::FiledTally;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

pub use self::handle::{Host, HostHandle};
use self::intake::Intake;
use self::link::Link;
use self::parts::{has_stdin, open_files, reading, sender, settings, sinks, specs, types, up};
use self::run::HostLoop;
use self::spawning::Spawning;
use self::watch::{Event, Events};
use crate::blocking::Blocking;
use crate::plan::Plan;
use crate::{SpawnError, sizes};

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
    id: HostId,
    heartbeat: Option<Duration>,
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
            id: HostId::HERE,
            heartbeat: None,
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

    /// Which host it is: one at a distance from its driver has a number of its own, as
    /// [`new_host_id`] draws it. Default: the one in the driver's process.
    pub fn id(mut self, id: HostId) -> Self {
        self.id = id;
        self
    }

    /// How often it tells that it is alive. Default: every 2 s at a distance, every second in the
    /// driver's process.
    pub fn heartbeat(mut self, every: Duration) -> Self {
        self.heartbeat = Some(every);
        self
    }

    /// Starts the host, which speaks to its driver over `transport`. Must be called on a tokio
    /// runtime with io and time.
    ///
    /// # Errors
    ///
    /// When there is no runtime, the command cannot be found or run, or the system refuses what
    /// every rank needs. Nothing runs then. A host at a distance from its driver starts with a command that
    /// cannot be run, too: its ranks are told as not started, so that nobody waits for them.
    pub fn start(self, transport: impl Transport + 'static) -> Result<Host, SpawnError> {
        Ok(self.prepare()?.start(transport))
    }

    /// Everything that can be refused before anybody is told of a job: the command, the limits, the
    /// guardian, stdin, files.
    pub(crate) fn prepare(self) -> Result<PreparedHost, SpawnError> {
        tokio::runtime::Handle::try_current().map_err(|_| SpawnError::NoRuntime)?;
        let Self { plan, storage, spawner, sink, change, guardian, id, heartbeat } = self;
        let found = (!plan.command.is_empty()).then(|| plan.find_program()).transpose();
        let program = match found {
            // Somebody waits for these ranks elsewhere, and is told of each why it was not started.
            Err(SpawnError::Command(_) | SpawnError::Workdir { .. }) if id != HostId::HERE => None,
            found => found?,
        };
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
        let mode = if types(&plan) || !has_stdin(&plan) { StdinMode::Null } else { plan.stdin };
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
        let heartbeat = heartbeat.or((id != HostId::HERE).then_some(HEARTBEAT));
        let way = Way { id, heartbeat };
        Ok(PreparedHost { plan, files, sink, events, heard, link, spawning, blocking, way })
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
    way: Way,
}

/// How a host speaks to its driver.
#[derive(Clone, Copy, Debug)]
struct Way {
    id: HostId,
    /// As the sender has it when `None`.
    heartbeat: Option<Duration>,
}

impl PreparedHost {
    /// Gives back what will be filed here.
    pub(crate) fn read_back(&self) -> Option<Arc<dyn ReadBack>> {
        self.files.as_ref().map(|files| files.read_back())
    }

    /// Tells what files have by now, of each stream; none where there are no files. Keeps no file open.
    pub(crate) fn look_at_files(
        &self,
    ) -> Option<impl Fn() -> HashMap<StreamId, FiledTally> + Send + Sync + use<>> {
        let files = Arc::downgrade(self.files.as_ref()?);
        Some(move || files.upgrade().map(|files| files::tally(&files)).unwrap_or_default())
    }

    /// Everything that it needs of the system it has: nothing is refused any more.
    pub(crate) fn start(self, transport: impl Transport + 'static) -> Host {
        let read_back = self.read_back();
        let Self { plan, files, sink, events, heard, link, spawning, blocking, way } = self;
        let placement = plan.effective_placement();
        link.open(sender(&plan, way, transport, read_back, &link, &events));
        link.send(up(&plan, &placement));
        let reading = reading(&plan, sinks(&link, files.clone(), sink));
        // Counters are taken before the first rank runs.
        let (told, beside) = (events.clone(), blocking.clone());
        let ranks = placement.first_rank..placement.first_rank + plan.procs;
        let intake = Intake::new(ranks.clone(), reading, Arc::clone(&link), told, beside);
        let attached = plan.command.is_empty();
        if !attached {
            ranks.enumerate().for_each(|(run, rank)| spawning.request(run, rank));
        }
        let settings = settings(&plan, way.id, attached);
        if let Some(files) = &files {
            files::watch_disk(files);
        }
        let host =
            HostLoop::new(settings, Arc::clone(&link), files, spawning, intake, heard, blocking);
        let task = tokio::spawn(host.run());
        Host::new(HostHandle::new(events, link), task)
    }
}

/// A number for a host at a distance from its driver: no other host has it, nor an earlier one.
pub fn new_host_id() -> HostId {
    HostId(random_u64().max(1))
}

/// How often a host at a distance tells that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// The threads of a host for what blocks: one may be reading a long `/proc`.
const HOST_THREADS: usize = 2;
/// How many more starts than ranks the guardian has room for.
const RESTARTS: usize = 64;

impl std::fmt::Debug for HostBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostBuilder").field("plan", &self.plan).finish_non_exhaustive()
    }
}
