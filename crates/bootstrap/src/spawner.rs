//! Starting ranks.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use rustix::process::Rlimit;

use crate::guardian::Guardian;
use crate::launch::{Program, launch};
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
        let slot = self.asked;
        self.asked += 1;
        let stdin = spec.stdin.map_or_else(|| File::open("/dev/null").map(OwnedFd::from), Ok)?;
        // The rank's own ends; gone from here when this returns, but for a terminal's.
        let (output, [stdout, stderr]) = match spec.terminal {
            None => pipes(spec.pipe_bytes)?,
            Some(size) => terminal_of(size)?,
        };
        let leads_session = spec.terminal.is_some();
        let program = Program {
            file: &spec.program,
            command: &spec.command,
            env: &spec.env,
            workdir: spec.workdir.as_deref(),
            stdio: [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()],
            files_limit: self.files_limit,
        };
        let mut prepare = || {
            if leads_session {
                terminal::lead_session()?;
            } else {
                rustix::process::setpgid(None, None)?;
            }
            self.guardian.introduce(slot);
            Ok(())
        };
        let launched = launch(&program, &mut prepare);
        let (pid, pidfd) = launched.inspect_err(|_| self.guardian.forget(slot))?;
        Ok(Spawned { pid: pid.as_raw_nonzero().get().unsigned_abs(), pidfd, output })
    }
}

/// A pipe for each output: where they are read, and the rank's ends.
fn pipes(bytes: Option<usize>) -> io::Result<(Output, [OwnedFd; 2])> {
    let (stdout, stdout_end) = pipe(bytes)?;
    let (stderr, stderr_end) = pipe(bytes)?;
    Ok((Output::Pipes { stdout, stderr }, [stdout_end, stderr_end]))
}

/// A terminal for both outputs. Who takes it leads a session, which is a group of its own, too.
fn terminal_of(size: TerminalSize) -> io::Result<(Output, [OwnedFd; 2])> {
    let (master, slave) = terminal::open(size)?;
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
