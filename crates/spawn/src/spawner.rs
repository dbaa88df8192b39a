//! Starting ranks.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::command::find_program;
use crate::files_limit::FilesLimit;
use crate::guardian::{Guardian, Slot};
use crate::launch::{Program, launch};
use crate::local::Local;
use crate::process::Process;
use crate::terminal::{self, Echo, TerminalSize};

/// What a rank is started from.
#[derive(Debug)]
#[non_exhaustive]
pub struct RankSpec {
    /// Which rank it is.
    pub rank: u32,
    /// The program's file; when `None`, what `command[0]` means by `workdir` and the `PATH` of
    /// `env`.
    pub program: Option<OsString>,
    /// The name that it is called by, and its arguments.
    pub command: Vec<OsString>,
    /// Variables to set, or to take away.
    pub env: Vec<(OsString, Option<OsString>)>,
    /// Where it starts; here when `None`.
    pub workdir: Option<PathBuf>,
    /// What it reads; `/dev/null` when `None`.
    pub stdin: Option<OwnedFd>,
    /// The size of its pipes in bytes; the system's own when `None`.
    pub pipe_bytes: Option<usize>,
    /// Its stdout and its stderr are one pipe, unless it gets a terminal; two when not.
    pub merge: bool,
    /// It gets a terminal of this size for its outputs; pipes when `None`.
    pub terminal: Option<TerminalSize>,
    /// That terminal is its stdin too.
    pub stdin_is_terminal: bool,
    /// Who shows what is typed into that terminal.
    pub echo: Echo,
}

impl RankSpec {
    /// `command` as it would run here: with these variables, in this directory, reading nothing,
    /// writing to two pipes.
    pub fn new(rank: u32, command: Vec<OsString>) -> Self {
        Self {
            rank,
            program: None,
            command,
            env: Vec::new(),
            workdir: None,
            stdin: None,
            pipe_bytes: None,
            merge: false,
            terminal: None,
            stdin_is_terminal: false,
            echo: Echo::Off,
        }
    }
}

/// A rank that was started.
#[derive(Debug)]
#[non_exhaustive]
pub struct Spawned {
    /// Its process.
    pub process: Arc<dyn Process>,
    /// Where what it writes is read.
    pub output: Output,
}

impl Spawned {
    /// A process and where its output is read.
    pub fn new(process: Arc<dyn Process>, output: Output) -> Self {
        Self { process, output }
    }
}

/// Where what a rank writes is read.
#[derive(Debug)]
pub enum Output {
    /// The read ends of two pipes.
    Pipes {
        /// That of its stdout.
        stdout: OwnedFd,
        /// That of its stderr.
        stderr: OwnedFd,
    },
    /// The read end of one pipe, which is stdout and stderr of the rank.
    Merged(OwnedFd),
    /// One terminal.
    Terminal {
        /// The end that is read.
        master: OwnedFd,
        /// The end that is stdout and stderr of the rank. While it is held here, the rank may
        /// close its own and open `/dev/tty` again without ending the stream.
        slave: OwnedFd,
    },
}

/// Starts ranks, one at a time.
///
/// # Laws
///
/// 1. The process leads a group, and nobody else is in it but what comes of it.
/// 2. When `spawn` returns, this process has no copy of a write end of the rank's pipes, and one of
///    its terminal's: the one that is returned.
/// 3. An error means that nothing runs, and that there is nothing to reap.
/// 4. It is called on one thread, which lives as long as the ranks do: a signal that a rank asks
///    for at its parent's death is about the thread that started it.
/// 5. What `dismiss` ends is what watches over the ranks; it ends no rank.
pub trait Spawner: Send {
    /// Starts a rank. Blocks until its program has been executed, or could not be.
    ///
    /// # Errors
    ///
    /// When the program cannot be executed, with the system's own error, or the system refuses what
    /// a rank needs.
    fn spawn(&mut self, spec: RankSpec) -> io::Result<Spawned>;

    /// All is over: whatever watches over the ranks may go. What is started after that is watched
    /// over by nobody, or refused. Default: nothing.
    fn dismiss(&mut self) {}
}

impl<S: Spawner + ?Sized> Spawner for &mut S {
    fn spawn(&mut self, spec: RankSpec) -> io::Result<Spawned> {
        (**self).spawn(spec)
    }

    fn dismiss(&mut self) {
        (**self).dismiss();
    }
}

impl<S: Spawner + ?Sized> Spawner for Box<S> {
    fn spawn(&mut self, spec: RankSpec) -> io::Result<Spawned> {
        (**self).spawn(spec)
    }

    fn dismiss(&mut self) {
        (**self).dismiss();
    }
}

/// How a [`ProcessSpawner`] works.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProcessOptions {
    /// How many processes the guardian has room for, from their start to their release. Default:
    /// 1024.
    pub capacity: usize,
    /// What the guardian leaves the processes between SIGTERM and SIGKILL. Default: 10 s.
    pub grace: Duration,
    /// A small process ends what was started and not released when this process dies. Default:
    /// true.
    pub guardian: bool,
    /// The limit of open files that processes are given; ours when `None`, the default.
    pub files_limit: Option<FilesLimit>,
}

impl Default for ProcessOptions {
    fn default() -> Self {
        let grace = Duration::from_secs(10);
        Self { capacity: 1024, grace, guardian: true, files_limit: None }
    }
}

/// Starts real processes, each of which is registered with the guardian before it runs its program.
///
/// Dropped without [`dismiss`](Spawner::dismiss), it stays as long as a process that it has started
/// is held; the guardian then ends those that were not released.
#[derive(Debug)]
pub struct ProcessSpawner {
    guardian: Option<Arc<Guardian>>,
    files_limit: Option<FilesLimit>,
}

impl ProcessSpawner {
    /// Starts the guardian, if there is to be one.
    ///
    /// # Errors
    ///
    /// When the system refuses a pipe or a process.
    pub fn new(options: ProcessOptions) -> io::Result<Self> {
        let guardian = options.guardian.then(|| Guardian::start(options.capacity, options.grace));
        Ok(Self::with_guardian(guardian.transpose()?.map(Arc::new), options.files_limit))
    }

    pub(crate) fn with_guardian(
        guardian: Option<Arc<Guardian>>,
        files_limit: Option<FilesLimit>,
    ) -> Self {
        Self { guardian, files_limit }
    }
}

impl Spawner for ProcessSpawner {
    fn spawn(&mut self, spec: RankSpec) -> io::Result<Spawned> {
        let file = match spec.program {
            Some(file) => file,
            None => find_program(&spec.command, spec.workdir.as_deref(), &spec.env)
                .map_err(|error| io::Error::new(error.kind(), error))?,
        };
        let stdin = spec.stdin.map_or_else(|| File::open("/dev/null").map(OwnedFd::from), Ok)?;
        // The rank's own ends; gone from here when this returns, but for a terminal's.
        let (output, [stdout, stderr]) = match spec.terminal {
            None if spec.merge => one_pipe(spec.pipe_bytes)?,
            None => pipes(spec.pipe_bytes)?,
            Some(size) => terminal_of(size, spec.echo)?,
        };
        let stdin = match &output {
            Output::Terminal { slave, .. } if spec.stdin_is_terminal => slave.try_clone()?,
            _ => stdin,
        };
        let leads_session = spec.terminal.is_some();
        let program = Program {
            file: &file,
            command: &spec.command,
            env: &spec.env,
            workdir: spec.workdir.as_deref(),
            stdio: [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()],
            files_limit: self.files_limit,
        };
        let slot = self.guardian.as_ref().map(Guardian::slot).transpose()?;
        let mut prepare = || {
            if leads_session {
                terminal::lead_session()?;
            } else {
                rustix::process::setpgid(None, None)?;
            }
            if let Some(slot) = &slot {
                slot.introduce();
            }
            Ok(())
        };
        match launch(&program, &mut prepare) {
            Ok((pid, pidfd)) => {
                Ok(Spawned::new(Arc::new(Local::started(pid, pidfd, slot)), output))
            }
            Err(error) => {
                // It may have introduced itself, and its id may be a stranger's.
                slot.iter().for_each(Slot::free);
                Err(error)
            }
        }
    }

    fn dismiss(&mut self) {
        if let Some(guardian) = &self.guardian {
            guardian.farewell();
        }
    }
}

/// A pipe for each output: where they are read, and the rank's ends.
fn pipes(bytes: Option<usize>) -> io::Result<(Output, [OwnedFd; 2])> {
    let (stdout, stdout_end) = pipe(bytes)?;
    let (stderr, stderr_end) = pipe(bytes)?;
    Ok((Output::Pipes { stdout, stderr }, [stdout_end, stderr_end]))
}

/// One pipe for both outputs, whose order it keeps.
fn one_pipe(bytes: Option<usize>) -> io::Result<(Output, [OwnedFd; 2])> {
    let (output, end) = pipe(bytes)?;
    Ok((Output::Merged(output), [end.try_clone()?, end]))
}

/// A terminal for both outputs. Who takes it leads a session, which is a group of its own, too.
fn terminal_of(size: TerminalSize, echo: Echo) -> io::Result<(Output, [OwnedFd; 2])> {
    let (master, slave) = terminal::open(size, echo)?;
    let ends = [slave.try_clone()?, slave.try_clone()?];
    Ok((Output::Terminal { master, slave }, ends))
}

/// A pipe that no other program inherits: its read end and its write end.
fn pipe(bytes: Option<usize>) -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    if let Some(bytes) = bytes {
        // A pipe that keeps the system's size works as well.
        let _size = rustix::pipe::fcntl_setpipe_size(&write, bytes);
    }
    Ok((read, write))
}
