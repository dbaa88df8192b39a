//! Children that others left: a process that is the first of its container, or a subreaper, is given
//! those whose parents have ended, and nobody else reaps them.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, WaitId, WaitIdOptions};

/// The children of one process that were started here and are not reaped yet. Held while one is started or
/// reaped, so that no child of ours is ever taken for somebody else's.
struct Ours {
    pid: u32,
    children: Mutex<BTreeSet<u32>>,
}

/// Those of this process, once it has asked; of the one that it was forked from until then. Not a lock: in a
/// forked child nobody would ever give back what another thread held at the fork.
static OURS: AtomicPtr<Ours> = AtomicPtr::new(ptr::null_mut());

fn ours() -> MutexGuard<'static, BTreeSet<u32>> {
    let pid = std::process::id();
    let mut found = OURS.load(Ordering::Acquire);
    let ours = loop {
        match known(found) {
            Some(ours) if ours.pid == pid => break ours,
            // What its parent knew is left alone: a process has no children of ours as it begins.
            _ => found = begin(pid, found),
        }
    };
    ours.children.lock().unwrap_or_else(PoisonError::into_inner)
}

fn known(found: *mut Ours) -> Option<&'static Ours> {
    #[expect(unsafe_code, reason = "a reference to what is never freed")]
    // SAFETY: it is null, or was published by `begin`, which nobody takes back.
    unsafe {
        found.as_ref()
    }
}

/// Puts a set of this process's in the place of `before`, unless another thread was first; what is there now.
fn begin(pid: u32, before: *mut Ours) -> *mut Ours {
    let new = Box::into_raw(Box::new(Ours { pid, children: Mutex::default() }));
    match OURS.compare_exchange(before, new, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => new,
        Err(found) => {
            #[expect(unsafe_code, reason = "another thread was first")]
            // SAFETY: it is of `Box`, and nobody else has seen it.
            drop(unsafe { Box::from_raw(new) });
            found
        }
    }
}

/// Starts a child that is ours until it is [`reap`]ed.
pub(crate) fn start(
    start: impl FnOnce() -> io::Result<(Pid, OwnedFd)>,
) -> io::Result<(Pid, OwnedFd)> {
    let mut ours = ours();
    let started = start()?;
    ours.insert(number(started.0));
    Ok(started)
}

/// Does what reaps `pid`, and says by `Some` whether it did; its number is not ours after that.
pub(crate) fn reap<T>(pid: Pid, reap: impl FnOnce() -> Option<T>) -> Option<T> {
    let mut ours = ours();
    let reaped = reap()?;
    ours.remove(&number(pid));
    Some(reaped)
}

fn number(pid: Pid) -> u32 {
    pid.as_raw_nonzero().get().unsigned_abs()
}

/// Whether this process is given the children of others when those end: it is the first of its
/// container or of the machine, or has made itself a subreaper.
pub fn inherits_orphans() -> bool {
    std::process::id() == 1 || is_subreaper()
}

fn is_subreaper() -> bool {
    let mut is_one: libc::c_int = 0;
    #[expect(unsafe_code, reason = "a plain system call")]
    // SAFETY: it writes to a number of this function.
    let asked = unsafe { libc::prctl(libc::PR_GET_CHILD_SUBREAPER, &raw mut is_one) };
    asked == 0 && is_one != 0
}

/// A child of somebody else that had ended, and was reaped here.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Orphan {
    /// Its id.
    pub pid: u32,
    /// Its name, as in `/proc/PID/comm`.
    pub name: String,
    /// The group that it was in: that of a rank tells whose it was.
    pub group: u32,
}

/// Reaps every child of this process that has ended and was not started by this crate.
///
/// For a program that is all its own, where it [inherits orphans](inherits_orphans): it would take from
/// another part of a program what that waits for. Does nothing where `/proc` is not to be read.
pub fn reap_orphans() -> Vec<Orphan> {
    children().into_iter().filter_map(reap_orphan).collect()
}

/// The children of every thread of this process; children that are given to it are among them.
fn children() -> Vec<u32> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let lists = tasks.map(|task| fs::read_to_string(task.path().join("children")));
    let lists: Vec<String> = lists.map(Result::unwrap_or_default).collect();
    lists.iter().flat_map(|list| list.split_whitespace()).flat_map(str::parse).collect()
}

fn reap_orphan(pid: u32) -> Option<Orphan> {
    let ours = ours();
    let child = i32::try_from(pid).ok().and_then(Pid::from_raw)?;
    if ours.contains(&pid) {
        return None;
    }
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (name, group) = name_and_group(&stat)?;
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    rustix::process::waitid(WaitId::Pid(child), options).ok()??;
    Some(Orphan { pid, name, group })
}

/// Of a zombie that is all there is.
fn name_and_group(stat: &str) -> Option<(String, u32)> {
    let (before, rest) = stat.rsplit_once(") ")?;
    let (_, name) = before.split_once('(')?;
    let group = rest.split(' ').nth(2)?.parse().ok()?;
    Some((name.to_owned(), group))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let stat = "12 (a (b) c) Z 1 34 34 0";
        assert_eq!(name_and_group(stat), Some(("a (b) c".into(), 34)));
    }
}
