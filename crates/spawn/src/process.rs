//! Processes that were started.

use std::fmt::Debug;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;

use lastline_line::Exit;

use crate::local::Local;

/// What [`Process::wait`] gives.
pub type ExitFuture = Pin<Box<dyn Future<Output = Exit> + Send>>;

/// A process that was started, by whomever.
///
/// # Laws
///
/// 1. `exit` never blocks, and what it has said once it says from then on; every `wait` says the
///    same.
/// 2. A signal reaches the whole group of the process, those members too that outlive it.
/// 3. Until it is released, the id of its group is nobody else's as far as its starter can see to
///    that. After that, `signal` does nothing, and it has no members.
/// 4. `release` may be called any number of times.
/// 5. Every method may be called from any thread, and after the end.
pub trait Process: Send + Sync + Debug {
    /// Its id; `None` when it has none on this host.
    fn id(&self) -> Option<u32>;

    /// Sends a signal to its whole group; one that is gone is no error.
    fn signal(&self, signal: i32);

    /// How it ended; `None` while it runs. Never blocks. It stays a zombie until it is released.
    fn exit(&self) -> Option<Exit>;

    /// Waits until it has ended. Cancel-safe: dropping the future loses nothing.
    fn wait(&self) -> ExitFuture;

    /// The signal that it was stopped by, while it stands; a child of this process only. Default:
    /// `None`.
    fn stopped_by(&self) -> Option<i32> {
        None
    }

    /// Whether its group has members that live: zombies do not count. May read all of `/proc`.
    fn has_members(&self) -> bool;

    /// Reaps it if it has ended, and says whether its group may have members: cheap, and a zombie
    /// that nobody has reaped counts as one. Its group can still be signalled. Default:
    /// [`has_members`](Self::has_members).
    fn reap(&self) -> bool {
        self.has_members()
    }

    /// Reaps it if it has ended, and takes its group off the guardian's list.
    fn release(&self);

    /// The id of the group that it leads on this host; with it, one look at `/proc` serves many
    /// processes. Default: `None`, and [`has_members_of`](crate::has_members_of) asks each.
    fn group(&self) -> Option<u32> {
        None
    }
}

/// Makes SIGCHLD what it is by default: for a program that is all its own, before it starts
/// anything.
///
/// Where SIGCHLD is ignored, as a program may inherit it, the system forgets at once how children
/// end, and each [`Exit`] is [`Unknown`](Exit::Unknown). A library leaves that to its program,
/// which may have a handler.
pub fn own_sigchld() {
    #[expect(unsafe_code, reason = "neither std nor rustix has signal")]
    // SAFETY: no handler is installed, so none can run where it must not.
    let before = unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
    if before == libc::SIG_IGN {
        tracing::debug!("SIGCHLD was ignored");
    }
}

/// A process that somebody else started, by its id and a pidfd that was opened while it ran.
///
/// A signal goes to it alone, unless it leads a group of its own now. It is waited for by its
/// pidfd; how it ended is [`Exit::Unknown`] unless it is a child of this process.
///
/// # Panics
///
/// When `pid` is 0 or above what a process id can be.
pub fn attach(pid: u32, pidfd: OwnedFd) -> Arc<dyn Process> {
    Arc::new(Local::attach(pid, pidfd))
}
