//! Starting ranks.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustix::process::{Pid, PidfdFlags, Resource, Rlimit};

use crate::guardian::Guardian;

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
}

/// A rank that runs.
#[derive(Debug)]
#[non_exhaustive]
pub struct Spawned {
    /// Its process, which leads a group of its own.
    pub pid: u32,
    /// Becomes readable when it exits.
    pub pidfd: OwnedFd,
    /// The read end of its stdout.
    pub stdout: OwnedFd,
    /// The read end of its stderr.
    pub stderr: OwnedFd,
}

/// Starts ranks, one at a time.
///
/// # Laws
///
/// 1. The rank leads a process group whose id is its pid.
/// 2. When it returns, this process has no copy of a write end of the rank's pipes.
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
        let (stdout, stdout_end) = pipe(spec.pipe_bytes)?;
        let (stderr, stderr_end) = pipe(spec.pipe_bytes)?;
        let (name, args) = spec.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(&spec.program);
        command.arg0(name).args(args).process_group(0);
        command.stdin(spec.stdin.map_or_else(Stdio::null, Stdio::from));
        command.stdout(stdout_end).stderr(stderr_end);
        for (name, value) in &spec.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(workdir) = &spec.workdir {
            command.current_dir(workdir);
        }
        let slot = self.asked;
        self.asked += 1;
        let introduction = self.guardian.introduction(slot);
        #[expect(unsafe_code, reason = "the guardian must know of a rank before it runs")]
        // SAFETY: it only makes system calls, and `self` keeps what they use.
        unsafe {
            command.pre_exec(introduction);
        }
        #[expect(clippy::disallowed_methods, reason = "this is the one place that spawns")]
        let mut child = command.spawn().inspect_err(|_| self.guardian.forget(slot))?;
        // The command holds the write ends.
        drop(command);
        let pid = Pid::from_child(&child);
        if let Some(limit) = &self.files_limit {
            // Best effort: a rank that has ended meanwhile needs no limit.
            let _old = rustix::process::prlimit(Some(pid), Resource::Nofile, *limit);
        }
        let pidfd = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            Err(error) => {
                // Nobody would hear of its end: it must not run.
                child.kill().and_then(|()| child.wait())?;
                self.guardian.forget(slot);
                return Err(error.into());
            }
        };
        Ok(Spawned { pid: child.id(), pidfd, stdout, stderr })
    }
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
