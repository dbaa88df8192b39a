//! What is checked before ranks start, and the thread that starts them.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::mpsc::UnboundedSender;

use crate::SpawnError;
use crate::command::resolve;
use crate::environment::{Environment, free_port};
use crate::plan::Plan;
use crate::rank::{Event, tell};
use crate::spawner::{RankSpec, Spawner};
use crate::terminal::TerminalSize;
use crate::wiring::Wiring;

/// Descriptors that a rank takes here: two pipes or the two ends of a terminal, two files, one for
/// its exit.
const FILES_PER_RANK: u64 = 5;
/// Descriptors for everything else.
const OTHER_FILES: u64 = 64;

pub(crate) fn find_program(
    command: &[OsString],
    workdir: Option<&Path>,
    env: &[(OsString, OsString)],
) -> Result<OsString, SpawnError> {
    if let Some(dir) = workdir.filter(|dir| !dir.is_dir()) {
        return Err(SpawnError::Workdir { dir: dir.to_owned() });
    }
    let name = command.first().map_or(OsStr::new(""), OsString::as_os_str);
    let asked = env.iter().rev().find(|(key, _)| key == "PATH").map(|(_, path)| path);
    let search = asked.cloned().or_else(|| std::env::var_os("PATH"));
    Ok(resolve(name, workdir, search.as_deref())?)
}

/// Makes the specification of each rank.
pub(crate) struct Specs {
    program: OsString,
    command: Vec<OsString>,
    environment: Environment,
    inherited: Vec<(OsString, OsString)>,
    workdir: Option<std::path::PathBuf>,
    pipe_bytes: Option<usize>,
    terminal: Option<TerminalSize>,
    stdins: Vec<Option<std::os::fd::OwnedFd>>,
}

impl Specs {
    pub(crate) fn new(
        plan: &Plan,
        program: OsString,
        wiring: &Wiring,
        stdins: Vec<Option<std::os::fd::OwnedFd>>,
    ) -> Self {
        let environment = Environment {
            job: plan.job.clone(),
            procs: plan.procs,
            master_port: free_port(),
            buffered: plan.buffered,
            extra: plan.env.clone(),
        };
        Self {
            program,
            command: plan.command.clone(),
            environment,
            inherited: std::env::vars_os().collect(),
            workdir: plan.workdir.clone(),
            pipe_bytes: wiring.pipe_bytes,
            terminal: plan.pty.then(TerminalSize::of_driver),
            stdins,
        }
    }

    fn of(&mut self, rank: u32) -> RankSpec {
        RankSpec {
            program: self.program.clone(),
            command: self.command.clone(),
            env: self.environment.of(rank, &self.inherited),
            workdir: self.workdir.clone(),
            stdin: self.stdins.get_mut(rank as usize).and_then(Option::take),
            pipe_bytes: self.pipe_bytes,
            terminal: self.terminal,
        }
    }
}

/// Tells the spawning thread that no more ranks are wanted, or, when dropped, that it may end.
#[derive(Clone)]
pub(crate) struct Running {
    wanted: Arc<std::sync::atomic::AtomicBool>,
    _alive: Arc<std::sync::mpsc::Sender<()>>,
}

impl Running {
    /// No rank is started any more.
    pub(crate) fn stop_starting(&self) {
        self.wanted.store(false, Ordering::Release);
    }
}

/// Starts every rank from one thread, which lives until the job is over: a parent-death signal that
/// a rank asks for is about the thread that started it.
pub(crate) fn start_spawning(
    mut specs: Specs,
    spawner: Box<dyn Spawner>,
    begun: Arc<AtomicU32>,
    events: UnboundedSender<Event>,
) -> Result<Running, SpawnError> {
    let (alive, over) = std::sync::mpsc::channel::<()>();
    let wanted = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let running = Running { wanted: Arc::clone(&wanted), _alive: Arc::new(alive) };
    let procs = specs.environment.procs;
    let thread = std::thread::Builder::new().name("lastline-spawner".into()).spawn(move || {
        let mut spawner = Some(spawner);
        for rank in 0..procs {
            begun.store(rank + 1, Ordering::Release);
            let result = match &mut spawner {
                Some(spawner) if wanted.load(Ordering::Acquire) => spawner.spawn(specs.of(rank)),
                _ => Err(std::io::Error::other("the job was stopped before it was started")),
            };
            if rank + 1 == procs {
                // The job may be over as soon as this is heard, and then says farewell to the
                // guardian, which nobody else may hold.
                spawner = None;
            }
            tell(&events, Event::Started(rank, result));
        }
        drop((specs, events));
        // Ends with the job, by an error: nobody sends.
        over.recv().unwrap_or_default();
    });
    thread.map(|_| running).map_err(|source| SpawnError::Thread { source })
}

/// How many open files the ranks need; an error when that is more than there can be.
pub(crate) fn check_files_limit(procs: u32) -> Result<u64, SpawnError> {
    let needed = u64::from(procs) * FILES_PER_RANK + OTHER_FILES;
    match getrlimit(Resource::Nofile).maximum.filter(|&maximum| maximum < needed) {
        Some(limit) => Err(SpawnError::TooFewFiles { procs, needed, limit }),
        None => Ok(needed),
    }
}

/// Raises the limit of open files to what the ranks need; gives the old one where it was raised.
pub(crate) fn raise_files_limit(procs: u32) -> Result<Option<Rlimit>, SpawnError> {
    let needed = check_files_limit(procs)?;
    let old = getrlimit(Resource::Nofile);
    if old.current.is_none_or(|current| current >= needed) {
        return Ok(None);
    }
    let new = Rlimit { current: Some(needed), maximum: old.maximum };
    setrlimit(Resource::Nofile, new)
        .map_err(|error| SpawnError::Thread { source: error.into() })?;
    Ok(Some(old))
}
