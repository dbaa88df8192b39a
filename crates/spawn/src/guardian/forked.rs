//! The guardian as a copy of this process, for machines that [`super::executed`] has no program for
//! and systems that do not let it be executed.
//!
//! Its drawback is the copy: the tables of all memory, and then each page that this process writes
//! to. A fork of a process with threads may only make system calls, so it does nothing else: its
//! memory is made before the fork, and its loop neither allocates nor locks.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::orphans;
use crate::process_limit::explain_process_limit;

use super::{LOOK_MILLIS, MESSAGE_BYTES, SET};

/// Starts the guardian; gives its id and its pidfd.
pub(super) fn start(
    pipe: BorrowedFd<'_>,
    capacity: usize,
    grace_millis: i32,
) -> io::Result<(Pid, OwnedFd)> {
    let mut groups: Vec<i32> = vec![0; capacity];
    #[expect(unsafe_code, reason = "std has no fork")]
    // SAFETY: the child only makes system calls on memory that exists already, and leaves with
    // `_exit`.
    orphans::start(|| match unsafe { libc::fork() } {
        -1 => Err(explain_process_limit(io::Error::last_os_error())),
        0 => guard(pipe.as_raw_fd(), &mut groups, grace_millis),
        child => {
            let pid = Pid::from_raw(child).expect("BUG: a child's id is above zero");
            Ok((pid, rustix::process::pidfd_open(pid, PidfdFlags::empty())?))
        }
    })
}

/// Does what a message says to the groups; false when it is none of this kind.
pub(super) fn hear(groups: &mut [i32], message: [u8; MESSAGE_BYTES]) -> bool {
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
    // What stands hears nothing else.
    signal_groups(groups, Signal::CONT);
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
