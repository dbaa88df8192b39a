//! Starting ranks.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rustix::process::{Pid, PidfdFlags, Resource, Rlimit};

use crate::guardian::Guardian;
use crate::terminal::{self, TerminalSize};

/// What a rank is started from.
#[derive(Debug)]
#[non_exhaustive]
pub struct RankSpec {
    /// The program's file.
    pub program: OsString,
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
    /// It gets a terminal of this size for its outputs; two pipes when `None`.
    pub terminal: Option<TerminalSize>,
}

/// A rank that runs.
#[derive(Debug)]
#[non_exhaustive]
pub struct Spawned {
    /// Its process, which leads a group of its own.
    pub pid: u32,
    /// Becomes readable when it exits.
    pub pidfd: OwnedFd,
    /// Where what it writes is read.
    pub output: Output,
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
/// 1. The rank leads a process group whose id is its pid.
/// 2. When it returns, this process has no copy of a write end of the rank's pipes, and one of its
///    terminal's: the one that is returned.
/// 3. An error means that nothing runs.
/// 4. It is called on one thread, which lives as long as the process does.
pub trait Spawner: Send {
    /// Starts a rank. Blocks until its program has been executed, or could not be.
    fn spawn(&mut self, spec: RankSpec) -> io::Result<Spawned>;
}

/// Starts real processes, each of which tells the guardian of itself.
pub(crate) struct ProcessSpawner {
    guardian: Arc<Guardian>,
    /// How many ranks it was asked for: each has a slot of the guardian's.
    asked: u32,
    /// The limit of open files that ranks are given back, where ours was raised.
    files_limit: Option<Rlimit>,
}

impl ProcessSpawner {
    pub(crate) fn new(guardian: Arc<Guardian>, files_limit: Option<Rlimit>) -> Self {
        Self { guardian, asked: 0, files_limit }
    }
}

impl Spawner for ProcessSpawner {
    fn spawn(&mut self, spec: RankSpec) -> io::Result<Spawned> {
        let (mut command, output) = command_of(spec)?;
        let slot = self.asked;
        self.asked += 1;
        let introduction = self.guardian.introduction(slot);
        #[expect(unsafe_code, reason = "the guardian must know of a rank before it runs")]
        // SAFETY: it only makes system calls, and `self` keeps what they use.
        unsafe {
            command.pre_exec(introduction);
        }
        #[expect(clippy::disallowed_methods, reason = "this is the one place that spawns")]
        let child = command.spawn().inspect_err(|_| self.guardian.forget(slot))?;
        // The command holds the write ends.
        drop(command);
        if let Some(limit) = &self.files_limit {
            let pid = Some(Pid::from_child(&child));
            // Best effort: a rank that has ended meanwhile needs no limit.
            let _old = rustix::process::prlimit(pid, Resource::Nofile, *limit);
        }
        let pid = child.id();
        let pidfd = watch(child).inspect_err(|_| self.guardian.forget(slot))?;
        Ok(Spawned { pid, pidfd, output })
    }
}

/// The command of a rank, with its outputs.
fn command_of(spec: RankSpec) -> io::Result<(Command, Output)> {
    let (name, args) = spec.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(&spec.program);
    command.arg0(name).args(args);
    command.stdin(spec.stdin.map_or_else(Stdio::null, Stdio::from));
    let output = match spec.terminal {
        None => with_pipes(&mut command, spec.pipe_bytes)?,
        Some(size) => with_terminal(&mut command, size)?,
    };
    for (name, value) in &spec.env {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    if let Some(workdir) = &spec.workdir {
        command.current_dir(workdir);
    }
    Ok((command, output))
}

/// What becomes readable when the child exits. A child of whose end nobody would hear must not run.
fn watch(mut child: Child) -> io::Result<OwnedFd> {
    let pidfd = rustix::process::pidfd_open(Pid::from_child(&child), PidfdFlags::empty());
    if pidfd.is_err() {
        child.kill().and_then(|()| child.wait())?;
    }
    Ok(pidfd?)
}

/// Gives the rank a pipe for each of its outputs, and a group of its own.
fn with_pipes(command: &mut Command, bytes: Option<usize>) -> io::Result<Output> {
    let (stdout, stdout_end) = pipe(bytes)?;
    let (stderr, stderr_end) = pipe(bytes)?;
    command.stdout(stdout_end).stderr(stderr_end).process_group(0);
    Ok(Output::Pipes { stdout, stderr })
}

/// Gives the rank a terminal for both of its outputs, and a session of its own, which is a group
/// of its own, too.
fn with_terminal(command: &mut Command, size: TerminalSize) -> io::Result<Output> {
    let (master, slave) = terminal::open(size)?;
    command.stdout(slave.try_clone()?).stderr(slave.try_clone()?);
    #[expect(unsafe_code, reason = "a session is made between fork and exec")]
    // SAFETY: it only makes system calls.
    unsafe {
        command.pre_exec(terminal::lead_session);
    }
    Ok(Output::Terminal { master, slave })
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
