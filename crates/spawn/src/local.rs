//! Processes of this host, each known by a pidfd.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lastline_line::Exit;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::guardian::Slot;
use crate::orphans;
use crate::process::{ExitFuture, Process};
use crate::processes::{group_exists, live_groups, signal_group, signal_one};

/// How often a process is looked at that the runtime cannot watch.
const LOOK: Duration = Duration::from_millis(20);

/// A process of this host.
#[derive(Debug)]
pub(crate) struct Local(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pid: Pid,
    pidfd: Arc<OwnedFd>,
    leads_group: bool,
    slot: Option<Slot>,
    /// Held while a signal is sent or the process is reaped, so that no signal follows reaping.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    exit: Option<Exit>,
    released: bool,
}

impl Local {
    /// One that was started here, leads its group, and has registered with the guardian.
    pub(crate) fn started(pid: Pid, pidfd: OwnedFd, slot: Option<Slot>) -> Self {
        Self::new(pid, pidfd, true, slot)
    }

    /// One that somebody else started.
    pub(crate) fn attach(pid: u32, pidfd: OwnedFd) -> Self {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let pid = pid.expect("a process id is positive");
        // The group of the first process cannot be named: what would name it means everybody.
        let leads_group = !pid.is_init() && rustix::process::getpgid(Some(pid)) == Ok(pid);
        Self::new(pid, pidfd, leads_group, None)
    }

    fn new(pid: Pid, pidfd: OwnedFd, leads_group: bool, slot: Option<Slot>) -> Self {
        let (pidfd, state) = (Arc::new(pidfd), Mutex::default());
        Self(Arc::new(Inner { pid, pidfd, leads_group, slot, state }))
    }
}

impl Process for Local {
    fn id(&self) -> Option<u32> {
        Some(self.0.id())
    }

    fn signal(&self, signal: i32) {
        self.0.signal(signal);
    }

    fn exit(&self) -> Option<Exit> {
        self.0.exit()
    }

    fn wait(&self) -> ExitFuture {
        Box::pin(wait(Arc::clone(&self.0)))
    }

    fn stopped_by(&self) -> Option<i32> {
        self.0.stopped_by()
    }

    fn has_members(&self) -> bool {
        match self.group() {
            Some(group) => live_groups(&[group].into()).contains(&group),
            None => !self.0.state().released && self.exit().is_none(),
        }
    }

    fn reap(&self) -> bool {
        self.0.reap()
    }

    fn release(&self) {
        self.0.release();
    }

    fn group(&self) -> Option<u32> {
        let state = self.0.state();
        let is_ours = !state.released && self.0.leads_group && self.0.number_is_its();
        is_ours.then(|| self.0.id())
    }
}

impl Inner {
    fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether its number is not somebody else's, as it may be when another part of this process
    /// has reaped it. While a group has members, no new process gets its number.
    fn number_is_its(&self) -> bool {
        // Signal 0 is sent to nobody: a zombie is still there.
        let is_there = signal_one(self.pidfd.as_fd(), 0) != Err(Errno::SRCH);
        is_there || rustix::process::test_kill_process(self.pid) == Err(Errno::SRCH)
    }

    fn signal(&self, signal: i32) {
        let state = self.state();
        if state.released {
            return;
        }
        let sent = if !self.leads_group {
            signal_one(self.pidfd.as_fd(), signal)
        } else if self.number_is_its() {
            signal_group(self.pid, signal)
        } else {
            return;
        };
        match sent {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => tracing::debug!(%error, pid = self.id(), "it was not signalled"),
        }
    }

    fn exit(&self) -> Option<Exit> {
        let mut state = self.state();
        if state.exit.is_none() {
            state.exit = match state.released {
                true => self.reap_now(),
                false => poll_exit(self.pidfd.as_fd(), false),
            };
        }
        state.exit
    }

    fn reap(&self) -> bool {
        let mut state = self.state();
        if state.released {
            return false;
        }
        let exit = self.reap_now();
        state.exit = state.exit.or(exit);
        state.exit.is_none() || self.leads_group && self.number_is_its() && group_exists(self.id())
    }

    fn release(&self) {
        let mut state = self.state();
        if std::mem::replace(&mut state.released, true) {
            return;
        }
        if let Some(slot) = &self.slot {
            slot.free();
        }
        let exit = self.reap_now();
        state.exit = state.exit.or(exit);
    }

    fn reap_now(&self) -> Option<Exit> {
        orphans::reap(self.pid, || poll_exit(self.pidfd.as_fd(), true))
    }

    fn stopped_by(&self) -> Option<i32> {
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), options);
        status.ok().flatten()?.stopping_signal()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // One that runs still is left to the guardian, and its number to it: nobody reaps it.
        if self.exit().is_some() {
            self.release();
        }
    }
}

/// How the process behind `pidfd` has ended; `None` while it runs. Unless it is to be reaped, it
/// stays a zombie, so that the id of its group cannot become somebody else's.
fn poll_exit(pidfd: BorrowedFd<'_>, reap: bool) -> Option<Exit> {
    let mut options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    options.set(WaitIdOptions::NOWAIT, !reap);
    match rustix::process::waitid(WaitId::PidFd(pidfd), options) {
        Ok(status) => status.map(|status| {
            let code = status.exit_status().map(Exit::Code);
            let signal = status.terminating_signal().map(Exit::Signal);
            code.or(signal).unwrap_or(Exit::Unknown)
        }),
        // It is nobody's child here, or nobody's any more: only that it is over can be seen.
        Err(_) => is_over(pidfd).then_some(Exit::Unknown),
    }
}

/// Whether the process behind a pidfd has ended, whosever child it is.
fn is_over(pidfd: BorrowedFd<'_>) -> bool {
    let mut watched = [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(rustix::event::poll(&mut watched, Some(&now)), Ok(ready) if ready > 0)
}

async fn wait(process: Arc<Inner>) -> Exit {
    let watched = match watch(&process.pidfd) {
        Ok(watched) => watched,
        Err(error) => {
            tracing::warn!(%error, "the end of a process cannot be waited for: it is looked for");
            return until_some(LOOK, || process.exit()).await;
        }
    };
    loop {
        if let Some(exit) = process.exit() {
            return exit;
        }
        match watched.readable().await {
            Ok(mut guard) if process.exit().is_none() => guard.clear_ready(),
            Ok(_) => {}
            // The runtime ends, and this with it.
            Err(_) => std::future::pending().await,
        }
    }
}

/// Watches a pidfd, or a copy of it when somebody else is watching it.
fn watch(pidfd: &Arc<OwnedFd>) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
    let register = |fd| {
        #[expect(unsafe_code, reason = "tokio cannot see that an `OwnedFd` stays what it is")]
        // SAFETY: an `OwnedFd` gives the same open descriptor until it is dropped, which happens
        // after the `AsyncFd` has dropped its share.
        let watched = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
        watched.map_err(|error| error.into_parts().1)
    };
    match register(Arc::clone(pidfd)) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            register(Arc::new(pidfd.try_clone()?))
        }
        result => result,
    }
}

/// Looks every `pause` until there is something.
async fn until_some<T>(pause: Duration, look: impl Fn() -> Option<T>) -> T {
    loop {
        match look() {
            Some(found) => return found,
            None => tokio::time::sleep(pause).await,
        }
    }
}
