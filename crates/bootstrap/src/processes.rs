//! What `/proc` and the process table say of ranks: exits, holders of a pipe or a terminal,
//! members of a group.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};
use serde::{Deserialize, Serialize};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Code(i32),
    Signal(i32),
}

impl Exit {
    pub(crate) fn is_success(self) -> bool {
        self == Self::Code(0)
    }
}

/// How the process behind `pidfd` has ended; `None` while it runs. It stays a zombie, so that the
/// id of its group cannot become somebody else's.
pub(crate) fn poll_exit(pidfd: BorrowedFd<'_>) -> io::Result<Option<Exit>> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let status = rustix::process::waitid(WaitId::PidFd(pidfd), options)?;
    Ok(status.map(|status| match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Code(255),
    }))
}

/// Lets a process that has ended go.
pub(crate) fn reap(pidfd: BorrowedFd<'_>) {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    if let Err(error) = rustix::process::waitid(WaitId::PidFd(pidfd), options) {
        tracing::debug!(%error, "a rank was reaped by somebody else");
    }
}

/// Sends a signal to a whole group; one that is gone is no error.
pub(crate) fn signal_group(group: Pid, signal: Signal) {
    match rustix::process::kill_process_group(group, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(error) => tracing::debug!(%error, ?group, "the group was not signalled"),
    }
}

/// Whether a group has any member. A zombie counts.
pub(crate) fn group_exists(group: Pid) -> bool {
    rustix::process::test_kill_process_group(group) != Err(rustix::io::Errno::SRCH)
}

/// A process that holds a pipe or a terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its id.
    pub pid: u32,
    /// Its command line, as far as it may be read.
    pub command: String,
}

/// What a stream is read from, as others that hold the other end are known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Held {
    /// The number by which `/proc` names a pipe.
    Pipe(u64),
    /// The file of a terminal, in one of the file systems that have terminals.
    Terminal { device: u64, inode: u64 },
}

impl Held {
    pub(crate) fn pipe(pipe: &impl AsFd) -> io::Result<Self> {
        Ok(Self::Pipe(rustix::fs::fstat(pipe)?.st_ino))
    }

    /// By the end that is written to.
    pub(crate) fn terminal(slave: &impl AsFd) -> io::Result<Self> {
        let stat = rustix::fs::fstat(slave)?;
        Ok(Self::Terminal { device: stat.st_dev, inode: stat.st_ino })
    }
}

/// Who else holds these, as far as `/proc` may be read.
pub(crate) fn holders(wanted: &HashSet<Held>) -> HashMap<Held, Vec<Holder>> {
    let mut found: HashMap<Held, Vec<Holder>> = HashMap::new();
    for pid in pids().filter(|&pid| pid != std::process::id()) {
        for held in held_by(pid).intersection(wanted) {
            found.entry(*held).or_default().push(Holder { pid, command: command_of(pid) });
        }
    }
    found
}

/// Descriptors of the processes in these groups, zombies left out.
pub(crate) fn members(groups: &HashSet<u32>) -> Vec<OwnedFd> {
    let in_groups = |&pid: &u32| group_of(pid).is_some_and(|group| groups.contains(&group));
    let open = |pid| {
        let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
        rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()
    };
    pids().filter(in_groups).filter_map(open).collect()
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
        let (_master, slave) = crate::terminal::open(Default::default()).unwrap();
        let held = [Held::pipe(&read).unwrap(), Held::terminal(&slave).unwrap()];
        assert!(HashSet::from(held).is_subset(&held_by(std::process::id())));
        // A child that another test starts has them until it executes its program.
        let named = holders(&HashSet::from(held)).into_values().flatten();
        assert!(named.into_iter().all(|holder| holder.pid != std::process::id()));
    }
}
