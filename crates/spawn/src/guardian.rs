//! A small process that ends the ranks when this one dies.
//!
//! It holds the read end of a pipe whose only write end is ours. It is told of each process group
//! as it starts and when it is over. When the pipe closes without a farewell, this process was
//! killed: the guardian sends SIGTERM to every group, and SIGKILL after the grace.
//!
//! It is forked, not executed, so that it costs a fraction of a millisecond and needs no program
//! to be found. A fork of a process with threads may only make system calls, so it does nothing
//! else: its memory is made before the fork, and its loop neither allocates nor locks.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal};

/// What a message's first word says; a slot and a group follow, as far as it needs them.
const SET: u32 = 1;
/// All is well: nothing is to be ended.
const FAREWELL: u32 = 2;
const MESSAGE_BYTES: usize = 12;
/// How often the guardian looks whether the groups are gone, in milliseconds.
const LOOK_MILLIS: i32 = 20;

/// The handle of the guardian. Dropping it without a farewell is what dying does.
#[derive(Debug)]
pub(crate) struct Guardian {
    state: Mutex<State>,
    pid: Pid,
}

#[derive(Debug)]
struct State {
    /// `None` after the farewell.
    pipe: Option<Arc<OwnedFd>>,
    /// The slots that no group has.
    free: Vec<u32>,
    capacity: usize,
}

impl Guardian {
    /// Starts a guardian for at most so many groups at once.
    pub(crate) fn start(capacity: usize, grace: Duration) -> io::Result<Self> {
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let mut groups: Vec<i32> = vec![0; capacity];
        let grace_millis = i32::try_from(grace.as_millis()).unwrap_or(i32::MAX);
        #[expect(unsafe_code, reason = "std has no fork")]
        // SAFETY: the child only makes system calls on memory that exists already, and leaves
        // with `_exit`.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => guard(read.as_raw_fd(), &mut groups, grace_millis),
            child => {
                let pid = Pid::from_raw(child).expect("BUG: a child's id is above zero");
                Ok(Self::of(pid, write, capacity))
            }
        }
    }

    fn of(pid: Pid, pipe: OwnedFd, capacity: usize) -> Self {
        let free = (0..u32::try_from(capacity).unwrap_or(u32::MAX)).rev().collect();
        Self { state: Mutex::new(State { pipe: Some(Arc::new(pipe)), free, capacity }), pid }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more group; an error when all are taken.
    pub(crate) fn slot(self: &Arc<Self>) -> io::Result<Slot> {
        let mut state = self.state();
        let pipe =
            state.pipe.clone().ok_or_else(|| io::Error::other("the guardian was dismissed"))?;
        let number = state.free.pop().ok_or_else(|| {
            let capacity = state.capacity;
            io::Error::other(format!("the guardian has places for {capacity} groups, all taken"))
        })?;
        Ok(Slot { guardian: Arc::clone(self), pipe, number })
    }

    /// Ends the guardian; it ends no group. Does nothing the second time.
    pub(crate) fn farewell(&self) {
        let Some(pipe) = self.state().pipe.take() else {
            return;
        };
        tell(&pipe, message(FAREWELL, 0, 0));
        drop(pipe);
        self.reap();
    }

    fn reap(&self) {
        let reaped =
            rustix::process::waitpid(Some(self.pid), rustix::process::WaitOptions::empty());
        if let Err(error) = reaped {
            tracing::debug!(%error, "the guardian was reaped by somebody else");
        }
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        // With groups left it does now what it is there for.
        let state = self.state();
        let is_idle = state.free.len() == state.capacity;
        drop(state);
        if is_idle {
            self.farewell();
        }
    }
}

/// A place in the guardian's table, for one group.
#[derive(Debug)]
pub(crate) struct Slot {
    guardian: Arc<Guardian>,
    pipe: Arc<OwnedFd>,
    number: u32,
}

impl Slot {
    /// What the leader of a new group does before it executes its program: it tells the guardian
    /// of itself, so that there is no moment in which it runs and nobody would end it. Makes system
    /// calls only.
    pub(crate) fn introduce(&self) {
        let group = rustix::process::getpid().as_raw_nonzero().get();
        let message = message(SET, self.number, group);
        #[expect(unsafe_code, reason = "between clone and exec there are only system calls")]
        // SAFETY: plain calls on memory that is valid; the table of handlers is the child's own. A
        // guardian that is gone must not end the rank with SIGPIPE.
        unsafe {
            libc::signal(libc::SIGPIPE, libc::SIG_IGN);
            libc::write(self.pipe.as_raw_fd(), message.as_ptr().cast(), message.len());
            libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        }
    }

    /// Its group, if it has one, is over, or to be left alone: its id may soon be somebody else's.
    /// To be called once.
    pub(crate) fn free(&self) {
        let mut state = self.guardian.state();
        if state.pipe.is_some() {
            tell(&self.pipe, message(SET, self.number, 0));
        }
        state.free.push(self.number);
    }
}

fn tell(pipe: &OwnedFd, message: [u8; MESSAGE_BYTES]) {
    // Below PIPE_BUF a write is whole or fails.
    if let Err(error) = rustix::io::write(pipe, &message) {
        tracing::warn!(%error, "the guardian is gone; ranks will outlive a SIGKILL");
    }
}

fn message(word: u32, slot: u32, group: i32) -> [u8; MESSAGE_BYTES] {
    let mut message = [0; MESSAGE_BYTES];
    message[..4].copy_from_slice(&word.to_ne_bytes());
    message[4..8].copy_from_slice(&slot.to_ne_bytes());
    message[8..].copy_from_slice(&group.to_ne_bytes());
    message
}

/// Does what a message says to the groups; false when it is none of this kind.
fn hear(groups: &mut [i32], message: [u8; MESSAGE_BYTES]) -> bool {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = message;
    let (slot, group) = (u32::from_ne_bytes([e, f, g, h]), i32::from_ne_bytes([i, j, k, l]));
    if u32::from_ne_bytes([a, b, c, d]) != SET {
        return false;
    }
    if let Some(slot) = groups.get_mut(slot as usize) {
        *slot = group;
    }
    true
}

/// The guardian's whole life. System calls only.
fn guard(pipe: i32, groups: &mut [i32], grace_millis: i32) -> ! {
    detach(pipe);
    let mut message = [0; MESSAGE_BYTES];
    loop {
        match rustix::io::read(rustix::stdio::stdin(), &mut message) {
            Err(Errno::INTR) => continue,
            Ok(MESSAGE_BYTES) => {
                if !hear(groups, message) {
                    leave();
                }
            }
            _ => break,
        }
    }
    end_groups(groups, grace_millis);
    leave()
}

/// Gives up everything that is shared with the parent: its descriptors (an output that stays
/// open here would keep its reader waiting), its session, its signals' handlers.
fn detach(pipe: i32) {
    #[expect(unsafe_code, reason = "between fork and exit there are only system calls")]
    // SAFETY: each is a plain system call on values that are valid here.
    unsafe {
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGTSTP] {
            libc::signal(signal, libc::SIG_IGN);
        }
        libc::setsid();
        libc::prctl(libc::PR_SET_NAME, c"lastline-guard".as_ptr());
        libc::chdir(c"/".as_ptr());
        libc::dup2(pipe, 0);
        libc::close_range(1, u32::MAX, 0);
    }
}

fn end_groups(groups: &mut [i32], grace_millis: i32) {
    signal_groups(groups, Signal::TERM);
    let mut waited = 0;
    while signal_groups(groups, None) && waited < grace_millis {
        // Nothing is watched: this is a wait that allocates nothing.
        let pause =
            rustix::event::Timespec { tv_sec: 0, tv_nsec: i64::from(LOOK_MILLIS) * 1_000_000 };
        let _interrupted = rustix::event::poll(&mut [], Some(&pause));
        waited += LOOK_MILLIS;
    }
    signal_groups(groups, Signal::KILL);
}

/// Signals every group that is still there, or only looks; whether any was.
fn signal_groups(groups: &mut [i32], signal: impl Into<Option<Signal>>) -> bool {
    let signal = signal.into();
    let mut any = false;
    for slot in groups {
        let Some(group) = Pid::from_raw(*slot) else {
            continue;
        };
        let sent = match signal {
            Some(signal) => rustix::process::kill_process_group(group, signal),
            None => rustix::process::test_kill_process_group(group),
        };
        match sent {
            Err(Errno::SRCH) => *slot = 0,
            _ => any = true,
        }
    }
    any
}

fn leave() -> ! {
    #[expect(unsafe_code, reason = "the parent's exit handlers must not run here")]
    // SAFETY: it ends the process.
    unsafe {
        libc::_exit(0)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command};

    use lastline_testing::wait_until;

    use super::*;
    use crate::spawner::{ProcessSpawner, RankSpec, Spawner};

    /// A process that leads its group, and ends when it is told to or this is dropped.
    struct Stranger(Child);

    impl Stranger {
        #[expect(clippy::disallowed_methods, reason = "nobody may guard it")]
        fn start() -> Self {
            let started = Command::new("sleep").arg("600").process_group(0).spawn();
            Self(started.expect("a process"))
        }
    }

    impl Drop for Stranger {
        fn drop(&mut self) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }

    #[test]
    fn a_group_that_was_freed_is_not_ended_although_its_id_is_taken_again() {
        let guardian = Arc::new(Guardian::start(2, Duration::from_millis(50)).unwrap());
        let (mut kept, mut freed) = (Stranger::start(), Stranger::start());
        let slots = [&kept, &freed].map(|group| {
            let slot = guardian.slot().unwrap();
            let group = Pid::from_child(&group.0).as_raw_nonzero().get();
            tell(&slot.pipe, message(SET, slot.number, group));
            slot
        });
        slots[1].free();
        assert!(guardian.slot().is_ok());
        let pid = guardian.pid;
        drop((slots, guardian));
        rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()).unwrap();
        assert_eq!(freed.0.try_wait().unwrap(), None, "it was ended");
        assert!(kept.0.wait().is_ok_and(|status| !status.success()));
    }

    #[test]
    fn a_rank_that_cannot_be_executed_leaves_nothing_to_guard() {
        // What the guardian would hear is heard here.
        let flags = rustix::pipe::PipeFlags::CLOEXEC;
        let (read, pipe) = rustix::pipe::pipe_with(flags).unwrap();
        let guardian = Arc::new(Guardian::of(rustix::process::getpid(), pipe, 2));
        let mut spawner = ProcessSpawner::with_guardian(Some(Arc::clone(&guardian)), None);
        let mut spawn = |program: &str| {
            let mut spec = RankSpec::new(0, vec![program.into()]);
            spec.program = Some(program.into());
            spawner.spawn(spec)
        };
        let good = spawn("/bin/true").unwrap().process;
        assert!(spawn("/no/such/program").is_err());
        let other = spawn("/bin/true").unwrap().process;
        let mut groups = [0; 2];
        let mut hear_one = || {
            let mut message = [0; MESSAGE_BYTES];
            assert_eq!(rustix::io::read(&read, &mut message), Ok(MESSAGE_BYTES));
            assert!(hear(&mut groups, message));
            groups.map(|group| Some(group.unsigned_abs()).filter(|group| *group > 0))
        };
        assert_eq!(hear_one(), [good.id(), None]);
        assert!(hear_one()[1].is_some());
        assert_eq!(hear_one(), [good.id(), None]);
        assert_eq!(hear_one(), [good.id(), other.id()]);
        wait_until(|| good.exit().is_some() && other.exit().is_some());
        good.release();
        assert_eq!(hear_one(), [None, other.id()]);
        other.release();
    }
}
