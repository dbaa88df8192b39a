//! What is checked before ranks start, and the thread that starts them.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use lastline_spawn::{
    Environment, FilesLimit, FilesLimitError, RankSpec, Spawner, TerminalSize, resolve,
};
use tokio::sync::mpsc::UnboundedSender;

use crate::SpawnError;
use crate::plan::Plan;
use crate::rank::{Event, tell};
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
        let mut environment = Environment::new(&plan.job, plan.procs);
        environment.buffered = plan.buffered;
        environment.extra = plan.env.clone();
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
        let mut spec = RankSpec::new(rank, self.command.clone());
        spec.program = Some(self.program.clone());
        spec.env = self.environment.of(rank, &self.inherited);
        spec.workdir = self.workdir.clone();
        spec.stdin = self.stdins.get_mut(rank as usize).and_then(Option::take);
        spec.pipe_bytes = self.pipe_bytes;
        spec.terminal = self.terminal;
        spec
    }
}

/// Tells the spawning thread that no more ranks are wanted, or, when dropped, that it may end.
pub(crate) struct Running {
    wanted: Arc<std::sync::atomic::AtomicBool>,
    alive: std::sync::mpsc::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Running {
    /// No rank is started any more.
    pub(crate) fn stop_starting(&self) {
        self.wanted.store(false, Ordering::Release);
    }

    /// The job is over. Returns when the spawner was dismissed.
    pub(crate) fn end(self) {
        drop(self.alive);
        if self.thread.join().is_err() {
            tracing::error!("the thread that starts ranks has panicked");
        }
    }
}

/// Starts every rank from one thread, which lives until the job is over: a parent-death signal that
/// a rank asks for is about the thread that started it.
pub(crate) fn start_spawning(
    mut specs: Specs,
    mut spawner: Box<dyn Spawner>,
    begun: Arc<AtomicU32>,
    events: UnboundedSender<Event>,
) -> Result<Running, SpawnError> {
    let (alive, over) = std::sync::mpsc::channel::<()>();
    let wanted = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let still_wanted = Arc::clone(&wanted);
    let procs = specs.environment.procs;
    let thread = std::thread::Builder::new().name("lastline-spawner".into()).spawn(move || {
        for rank in 0..procs {
            begun.store(rank + 1, Ordering::Release);
            let result = if still_wanted.load(Ordering::Acquire) {
                spawner.spawn(specs.of(rank))
            } else {
                Err(std::io::Error::other("the job was stopped before it was started"))
            };
            tell(&events, Event::Started(rank, result));
        }
        drop((specs, events));
        // Ends with the job, by an error: nobody sends.
        over.recv().unwrap_or_default();
        spawner.dismiss();
    });
    let thread = thread.map_err(|source| SpawnError::Thread { source })?;
    Ok(Running { wanted, alive, thread })
}

/// Whether the ranks can have the open files that they need.
pub(crate) fn check_files_limit(procs: u32) -> Result<(), SpawnError> {
    let needed = files_of(procs);
    lastline_spawn::check_files_limit(needed).map_err(|error| too_few(procs, error))
}

/// Raises the limit of open files to what the ranks need; gives the old one where it was raised.
pub(crate) fn raise_files_limit(procs: u32) -> Result<Option<FilesLimit>, SpawnError> {
    let needed = files_of(procs);
    lastline_spawn::raise_files_limit(needed).map_err(|error| too_few(procs, error))
}

fn files_of(procs: u32) -> u64 {
    u64::from(procs) * FILES_PER_RANK + OTHER_FILES
}

fn too_few(procs: u32, error: FilesLimitError) -> SpawnError {
    match error {
        FilesLimitError::TooFew { needed, limit } => {
            SpawnError::TooFewFiles { procs, needed, limit }
        }
        error => SpawnError::Thread { source: std::io::Error::other(error) },
    }
}
