//! A small process that ends the ranks when this one dies.
//!
//! It holds the read end of a pipe whose only write end is ours. Each process group is registered with it
//! as it starts and when it is over. When the pipe closes without a farewell, this process was
//! killed: the guardian sends SIGTERM to every group, and SIGKILL after the grace.
//!
//! It shares no memory with this process, not even such as is copied when it is written to:
//! [`executed`] says how. Where that is not possible it is forked, by [`forked`].

#[cfg(target_arch = "x86_64")]
mod executed;
mod forked;

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::Pid;

use crate::launch::reap;

/// What a message's first word says; a slot and a group follow, as far as it needs them.
const SET: u32 = 1;
/// All is well: nothing is to be ended.
const FAREWELL: u32 = 2;
const MESSAGE_BYTES: usize = 12;
/// How often the guardian looks whether the groups are gone, in milliseconds.
const LOOK_MILLIS: i32 = 20;
/// How long its end is waited for after the farewell.
const PARTING: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// What starts one that reads messages from this pipe, for so many slots, with this grace in
/// milliseconds.
type Start = fn(BorrowedFd<'_>, usize, i32) -> io::Result<(Pid, OwnedFd)>;

/// The handle of the guardian. Dropping it without a farewell is what dying does.
#[derive(Debug)]
pub(crate) struct Guardian {
    state: Mutex<State>,
    pid: Pid,
    /// Becomes readable at its end.
    pidfd: OwnedFd,
    /// Its end was told.
    is_missed: AtomicBool,
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
        #[cfg(target_arch = "x86_64")]
        match Self::start_as(executed::start, capacity, grace) {
            Ok(guardian) => return Ok(guardian),
            Err(error) => tracing::debug!(%error, "the guardian cannot be executed: it is forked"),
        }
        Self::start_as(forked::start, capacity, grace)
    }

    fn start_as(start: Start, capacity: usize, grace: Duration) -> io::Result<Self> {
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let grace_millis = i32::try_from(grace.as_millis()).unwrap_or(i32::MAX);
        let guardian = start(read.as_fd(), capacity, grace_millis)?;
        Ok(Self::of(guardian, write, capacity))
    }

    fn of((pid, pidfd): (Pid, OwnedFd), pipe: OwnedFd, capacity: usize) -> Self {
        let free = (0..u32::try_from(capacity).unwrap_or(u32::MAX)).rev().collect();
        let state = Mutex::new(State { pipe: Some(Arc::new(pipe)), free, capacity });
        Self { state, pid, pidfd, is_missed: AtomicBool::new(false) }
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
        self.send(&pipe, message(FAREWELL, 0, 0));
        drop(pipe);
        // One that somebody has stopped is not waited for.
        let mut ended = [PollFd::new(&self.pidfd, PollFlags::IN)];
        if rustix::event::poll(&mut ended, Some(&PARTING)).is_ok_and(|ended| ended > 0) {
            reap(self.pid, &self.pidfd);
        }
    }

    /// Below PIPE_BUF a write is whole or fails. That nobody hears it is told once.
    fn send(&self, pipe: &OwnedFd, message: [u8; MESSAGE_BYTES]) {
        if let Err(error) = rustix::io::write(pipe, &message)
            && !self.is_missed.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(%error, "the guardian is gone; ranks will outlive a SIGKILL");
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
    /// What the leader of a new group does before it executes its program: it registers with the
    /// guardian, so that there is no moment in which it runs and nobody would end it. Makes system
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
            self.guardian.send(&self.pipe, message(SET, self.number, 0));
        }
        state.free.push(self.number);
    }
}

fn message(word: u32, slot: u32, group: i32) -> [u8; MESSAGE_BYTES] {
    let mut message = [0; MESSAGE_BYTES];
    message[..4].copy_from_slice(&word.to_ne_bytes());
    message[4..8].copy_from_slice(&slot.to_ne_bytes());
    message[8..].copy_from_slice(&group.to_ne_bytes());
    message
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command, Stdio};

    use super::*;
    use crate::spawner::{ProcessSpawner, RankSpec, Spawner};
    use lastline_testing::wait_until;

    /// A process that leads its group, and ends when this is dropped.
    struct Stranger(Child);

    impl Stranger {
        #[expect(clippy::disallowed_methods, reason = "nobody may guard it")]
        fn start() -> Self {
            let started = Command::new("sleep").arg("600").process_group(0).spawn();
            Self(started.expect("a process"))
        }

        /// One that SIGTERM does not end.
        #[expect(clippy::disallowed_methods, reason = "nobody may guard it")]
        fn stubborn() -> Self {
            let mut command = Command::new("sh");
            command.args(["-c", "trap '' TERM; echo ready; exec sleep 600"]);
            let started = command.process_group(0).stdout(Stdio::piped()).spawn();
            let mut child = started.expect("a process");
            let mut stdout = child.stdout.take().expect("BUG: it is piped");
            stdout.read_exact(&mut [0; 6]).expect("it is ready");
            Self(child)
        }
    }

    impl Drop for Stranger {
        fn drop(&mut self) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }

    /// How guardians are started here.
    fn starts() -> Vec<Start> {
        #[cfg(target_arch = "x86_64")]
        return vec![executed::start, forked::start];
        #[cfg(not(target_arch = "x86_64"))]
        return vec![forked::start];
    }

    fn introduce(slot: &Slot, stranger: &Stranger) {
        let group = Pid::from_child(&stranger.0).as_raw_nonzero().get();
        slot.guardian.send(&slot.pipe, message(SET, slot.number, group));
    }

    #[test]
    fn a_group_that_was_freed_is_not_ended_although_its_id_is_taken_again() {
        for start in starts() {
            let guardian = Guardian::start_as(start, 2, Duration::from_millis(50)).unwrap();
            let guardian = Arc::new(guardian);
            let (mut kept, mut freed) = (Stranger::start(), Stranger::start());
            let slots = [&kept, &freed].map(|group| {
                let slot = guardian.slot().unwrap();
                introduce(&slot, group);
                slot
            });
            assert!(guardian.slot().is_err());
            slots[1].free();
            assert!(guardian.slot().is_ok());
            let (pid, pidfd) = (guardian.pid, guardian.pidfd.try_clone().unwrap());
            drop((slots, guardian));
            reap(pid, &pidfd);
            assert_eq!(freed.0.try_wait().unwrap(), None, "it was ended");
            assert!(kept.0.wait().is_ok_and(|status| !status.success()));
        }
    }

    #[test]
    fn after_the_grace_comes_sigkill_and_after_a_farewell_nothing() {
        for start in starts() {
            let guardian = Guardian::start_as(start, 9, Duration::from_millis(100)).unwrap();
            let (mut stubborn, mut spared) = (Stranger::stubborn(), Stranger::start());
            let begun = std::time::Instant::now();
            let slot = Arc::new(guardian).slot().unwrap();
            introduce(&slot, &stubborn);
            drop(slot);
            let status = stubborn.0.wait().unwrap();
            assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(libc::SIGKILL));
            assert!(begun.elapsed() >= Duration::from_millis(100));

            let guardian = Guardian::start_as(start, 1, Duration::ZERO).unwrap();
            let guardian = Arc::new(guardian);
            let slot = guardian.slot().unwrap();
            introduce(&slot, &spared);
            guardian.farewell();
            assert_eq!(spared.0.try_wait().unwrap(), None, "it was ended");
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn an_executed_guardian_has_next_to_no_memory_and_no_descriptor_but_its_pipe() {
        // Not marked to be closed by who executes a program: it is closed all the same.
        let (_read, write) = rustix::pipe::pipe().unwrap();
        let guardian = Guardian::start_as(executed::start, 4000, Duration::ZERO).unwrap();
        let info =
            std::fs::read_to_string(format!("/proc/self/fdinfo/{}", guardian.pidfd.as_raw_fd()));
        let info = info.unwrap();
        let pid = info.lines().find_map(|line| line.strip_prefix("Pid:")).unwrap().trim();
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}"));
        wait_until(|| read("comm").is_ok_and(|name| name == "lastline-guard\n"));
        let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
        let fds: Vec<_> = fds.map(|fd| fd.file_name()).collect();
        assert_eq!(fds, ["0"]);
        let of = |what: &str| {
            let status = read("status").unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap();
            line.split_whitespace().next().unwrap().parse::<u64>().unwrap()
        };
        assert!(of("RssAnon:") <= 64, "{} KiB", of("RssAnon:"));
        let session = of("NSsid:");
        assert_eq!(session.to_string(), pid);
        drop(write);
    }

    #[test]
    fn a_rank_that_cannot_be_executed_leaves_nothing_to_guard() {
        // What the guardian would hear is heard here.
        let flags = rustix::pipe::PipeFlags::CLOEXEC;
        let (read, pipe) = rustix::pipe::pipe_with(flags).unwrap();
        let (ended, _) = rustix::pipe::pipe_with(flags).unwrap();
        let own = rustix::process::getpid();
        let guardian = Arc::new(Guardian::of((own, ended), pipe, 2));
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
            assert!(forked::hear(&mut groups, message));
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
