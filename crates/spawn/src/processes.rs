//! What `/proc` and the process table say of groups: their members, and who holds a pipe or a
//! terminal.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lastline_line::Holder;
use rustix::event::Timespec;
use rustix::io::Errno;
use rustix::process::Pid;

use crate::process::Process;

/// How long what was sent SIGKILL may take to end.
const KILLING: Duration = Duration::from_millis(500);
/// The pause between two times that it is sent.
const KILL_EVERY: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };

/// Sends a signal to a whole group.
pub(crate) fn signal_group(group: Pid, signal: i32) -> Result<(), Errno> {
    #[expect(unsafe_code, reason = "rustix does not know the real-time signals")]
    // SAFETY: a plain system call on numbers.
    let sent = unsafe { libc::kill(-group.as_raw_nonzero().get(), signal) };
    if sent == 0 { Ok(()) } else { Err(last_errno()) }
}

/// Sends a signal to the process behind a pidfd alone; 0 only looks whether it is there.
pub(crate) fn signal_one(pidfd: BorrowedFd<'_>, signal: i32) -> Result<(), Errno> {
    let (info, flags) = (std::ptr::null::<libc::siginfo_t>(), 0);
    #[expect(unsafe_code, reason = "rustix does not know the real-time signals, nor 0")]
    // SAFETY: a plain system call on numbers, and on no memory.
    let sent = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, info, flags)
    };
    if sent == 0 { Ok(()) } else { Err(last_errno()) }
}

fn last_errno() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}

/// What a stream is read from, as others that hold the other end are known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Held {
    /// The number by which `/proc` names a pipe.
    Pipe(u64),
    /// The file of a terminal, in one of the file systems that have terminals.
    Terminal {
        /// The file system.
        device: u64,
        /// The file in it.
        inode: u64,
    },
}

impl Held {
    /// By either end of the pipe.
    ///
    /// # Errors
    ///
    /// When the system does not know the descriptor.
    pub fn pipe(pipe: &impl AsFd) -> io::Result<Self> {
        Ok(Self::Pipe(rustix::fs::fstat(pipe)?.st_ino))
    }

    /// By the end that is written to.
    ///
    /// # Errors
    ///
    /// When the system does not know the descriptor.
    pub fn terminal(slave: &impl AsFd) -> io::Result<Self> {
        let stat = rustix::fs::fstat(slave)?;
        Ok(Self::Terminal { device: stat.st_dev, inode: stat.st_ino })
    }
}

/// Who else holds these, as far as `/proc` may be read; it is read once. Blocks for as long.
pub fn holders(wanted: &HashSet<Held>) -> HashMap<Held, Vec<Holder>> {
    let mut found: HashMap<Held, Vec<Holder>> = HashMap::new();
    for pid in pids().filter(|&pid| pid != std::process::id()) {
        for held in held_by(pid).intersection(wanted) {
            found.entry(*held).or_default().push(Holder { pid, command: command_of(pid) });
        }
    }
    found
}

/// Which of these groups have a member that lives; zombies do not count. Reads `/proc` once, and
/// blocks for as long. Where `/proc` does not show this process, zombies do count.
pub fn live_groups(groups: &HashSet<u32>) -> HashSet<u32> {
    if group_of(std::process::id()).is_none() || !shows_this_namespace() {
        return groups.iter().copied().filter(|&group| group_exists(group)).collect();
    }
    if groups.is_empty() {
        return HashSet::new();
    }
    pids().filter_map(group_of).filter(|group| groups.contains(group)).collect()
}

/// Whether each of these processes' groups has a member that lives, with one look at `/proc` for
/// all of them. Blocks for as long.
pub fn has_members_of(processes: &[Arc<dyn Process>]) -> Vec<bool> {
    let groups: Vec<Option<u32>> = processes.iter().map(|process| process.group()).collect();
    let live = live_groups(&groups.iter().copied().flatten().collect());
    let has_members = |(process, group): (&Arc<dyn Process>, Option<u32>)| match group {
        Some(group) => live.contains(&group),
        None => process.has_members(),
    };
    processes.iter().zip(groups).map(has_members).collect()
}

/// Sends SIGKILL to these processes' groups, again and again until no member of them lives; false
/// when some still do after half a second. Whoever is started while its group is being ended is
/// ended too. Blocks for as long.
pub fn kill_until_empty(processes: &[Arc<dyn Process>]) -> bool {
    let deadline = Instant::now() + KILLING;
    let mut left = processes.to_vec();
    loop {
        left.iter().for_each(|process| process.signal(libc::SIGKILL));
        let has_members = has_members_of(&left);
        let mut has_members = has_members.into_iter();
        left.retain(|_| has_members.next().is_some_and(|has_members| has_members));
        if left.is_empty() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        // Nothing is watched: the ends of processes that are nobody's child here cannot be.
        let _interrupted = rustix::event::poll(&mut [], Some(&KILL_EVERY));
    }
}

/// Whether the numbers in `/proc` are those that this process knows others by.
fn shows_this_namespace() -> bool {
    let own = fs::read_link("/proc/self");
    own.is_ok_and(|own| own.as_os_str() == std::process::id().to_string().as_str())
}

/// Whether a group has any member. A zombie counts.
pub(crate) fn group_exists(group: u32) -> bool {
    let group = i32::try_from(group).ok().and_then(Pid::from_raw);
    group.is_some_and(|group| rustix::process::test_kill_process_group(group) != Err(Errno::SRCH))
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn held_by(pid: u32) -> HashSet<Held> {
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    fds.filter_map(|fd| held_through(&fd.path())).collect()
}

fn held_through(fd: &Path) -> Option<Held> {
    let target = fs::read_link(fd).ok()?;
    let target = target.to_str()?;
    if let Some(pipe) = target.strip_prefix("pipe:[") {
        return pipe.strip_suffix(']')?.parse().ok().map(Held::Pipe);
    }
    // A container may have a terminal of the same name. Only what is named like one is looked at:
    // a file of a network file system might keep who asks waiting.
    target.strip_prefix("/dev/pts/")?;
    let file = fs::metadata(fd).ok()?;
    Some(Held::Terminal { device: file.dev(), inode: file.ino() })
}

fn command_of(pid: u32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&line).trim_end_matches('\0').replace('\0', " ");
    if !text.is_empty() {
        return text;
    }
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    format!("[{}]", name.trim())
}

/// The group of a process that is no zombie.
fn group_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold anything, brackets too.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?;
    let group = fields.nth(1)?.parse().ok()?;
    (state != "Z" && state != "X").then_some(group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_in_its_group_and_holds_its_pipes_and_terminals() {
        let group = rustix::process::getpgrp().as_raw_nonzero().get().unsigned_abs();
        assert_eq!(group_of(std::process::id()), Some(group));
        let (read, _write) = std::io::pipe().unwrap();
        let (_master, slave) =
            crate::terminal::open(Default::default(), Default::default()).unwrap();
        let held = [Held::pipe(&read).unwrap(), Held::terminal(&slave).unwrap()];
        assert!(HashSet::from(held).is_subset(&held_by(std::process::id())));
        // A child that another test starts has them until it executes its program.
        let named = holders(&HashSet::from(held)).into_values().flatten();
        assert!(named.into_iter().all(|holder| holder.pid != std::process::id()));
    }
}
