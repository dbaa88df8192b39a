//! Which ranks the kernel killed for want of memory, by the counters of their cgroups.
//!
//! A memory cgroup counts the processes in it that the kernel killed for that (`oom_kill`), before
//! it signals them: `memory.events` of version 2, where a cgroup counts those below it too, and
//! `memory.oom_control` of version 1. Pure: who reads the files passes their texts in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lastline_line::MemoryKills;

/// The memory cgroup of a process, as `/proc/<pid>/cgroup` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MemoryGroup {
    path: String,
    /// Of version 2.
    pub(crate) is_unified: bool,
}

impl MemoryGroup {
    /// From the text of `/proc/<pid>/cgroup`. Version 2 counts where version 1 does not have the
    /// memory controller.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let fields = |line| {
            let mut fields = str::splitn(line, 3, ':');
            Some((fields.next()?, fields.next()?, fields.next()?))
        };
        let groups: Vec<_> = text.lines().filter_map(fields).collect();
        let first = |wanted: &dyn Fn(&str, &str) -> bool, is_unified| {
            let found = groups.iter().find(|(id, controllers, _)| wanted(id, controllers));
            found.map(|(_, _, path)| Self { path: (*path).to_owned(), is_unified })
        };
        first(&|_, controllers| controllers.split(',').any(|name| name == "memory"), false)
            .or_else(|| first(&|id, controllers| id == "0" && controllers.is_empty(), true))
    }

    /// The file with its counter, by the text of `/proc/self/mountinfo`; `None` when no mount
    /// shows this cgroup, as in a namespace that it is outside of.
    pub(crate) fn counter_file(&self, mountinfo: &str) -> Option<PathBuf> {
        let name = if self.is_unified { "memory.events" } else { "memory.oom_control" };
        let dir = mountinfo.lines().find_map(|line| self.dir_in(&Mount::parse(line)?))?;
        Some(dir.join(name))
    }

    fn dir_in(&self, mount: &Mount<'_>) -> Option<PathBuf> {
        let is_ours = if self.is_unified {
            mount.kind == "cgroup2"
        } else {
            mount.kind == "cgroup" && mount.options.split(',').any(|option| option == "memory")
        };
        let below = Path::new(&self.path).strip_prefix(unescape(mount.root)).ok()?;
        let is_inside = below.iter().all(|part| part != "..");
        (is_ours && is_inside).then(|| Path::new(&unescape(mount.point)).join(below))
    }
}

/// A line of mountinfo, as far as it is needed.
struct Mount<'a> {
    /// Which directory of the file system is mounted.
    root: &'a str,
    point: &'a str,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (place, what) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(3);
        let mut what = what.split(' ');
        let (root, point, kind) = (place.next()?, place.next()?, what.next()?);
        Some(Self { root, point, kind, options: what.nth(1)? })
    }
}

/// Mountinfo writes spaces and the like as three octal digits behind a backslash.
fn unescape(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) => plain.extend([char::from(code)].into_iter().chain(part[3..].chars())),
            None => plain.extend(['\\'].into_iter().chain(part.chars())),
        }
    }
    plain
}

/// The counter in the text of `memory.events` or `memory.oom_control`.
pub(crate) fn kills(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

/// What the counters said when, and who was killed then.
#[derive(Debug, Default)]
pub struct MemoryTally {
    /// By the counter's file.
    groups: BTreeMap<PathBuf, Group>,
}

#[derive(Debug)]
struct Group {
    /// The counter when it was seen first: what is above happened during the job.
    before: u64,
    now: u64,
    /// The ranks that a SIGKILL ended which was not ours, after the counter had risen: each with
    /// how far it had.
    killed: Vec<(u32, u64)>,
}

impl Group {
    /// Each of them is among those that were counted when it ended.
    fn explains_all(&self) -> bool {
        let counts = 1..;
        self.killed.iter().zip(counts).all(|((_, risen), count)| *risen >= count)
    }
}

impl MemoryTally {
    /// What a counter says now. The first time counts as its start.
    pub fn saw(&mut self, file: &Path, count: u64) {
        let new = Group { before: count, now: count, killed: Vec::new() };
        let group = self.groups.entry(file.to_owned()).or_insert(new);
        group.now = group.now.max(count);
    }

    /// A SIGKILL that was not ours ended `rank`, and then its counter says this.
    pub fn killed(&mut self, rank: u32, file: &Path, count: u64) {
        self.saw(file, count);
        if let Some(group) = self.groups.get_mut(file).filter(|group| group.now > group.before) {
            group.killed.push((rank, group.now - group.before));
        }
    }

    /// Whether the kernel killed this rank for want of memory, as far as that can be known: no more
    /// ranks of its cgroup were killed than its counter says.
    pub fn has(&self, rank: u32) -> bool {
        let of = |group: &&Group| group.killed.iter().any(|(killed, _)| *killed == rank);
        self.groups.values().find(of).is_some_and(Group::explains_all)
    }

    /// The counters that have risen.
    pub fn reports(&self) -> Vec<MemoryKills> {
        let risen = self.groups.iter().filter(|(_, group)| group.now > group.before);
        let report = |(file, group): (&PathBuf, &Group)| {
            let cgroup = file.parent().unwrap_or(file).display().to_string();
            let ranks = group.killed.iter().map(|(rank, _)| *rank).collect();
            MemoryKills::new(cgroup, group.now - group.before, ranks)
        };
        risen.map(report).collect()
    }

    /// Every counter that was seen.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        self.groups.keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "9:name=systemd:/\n4:hugetlb,memory:/docker/c1/job: a\n0::/\n";
    const V2: &str = "0::/user.slice/job.scope\n";

    fn file(cgroup: &str, mountinfo: &str) -> Option<PathBuf> {
        MemoryGroup::parse(cgroup)?.counter_file(mountinfo)
    }

    #[test]
    fn a_counter_is_found_in_the_mount_that_shows_the_cgroup() {
        let v1 = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
            32 31 0:29 / /sys/fs/cgroup/cpu rw shared:4 - cgroup cgroup rw,cpu\n\
            33 31 0:30 /docker/c1 /a\\040b ro,relatime master:3 - cgroup cgroup rw,memory\n\
            34 31 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let v2 = "30 23 0:26 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
        let table = [
            (V1, v1, Some("/a b/job: a/memory.oom_control")),
            (V2, v2, Some("/sys/fs/cgroup/user.slice/job.scope/memory.events")),
            ("0::/\n", v2, Some("/sys/fs/cgroup/memory.events")),
            // A mount of another cgroup, a cgroup outside of the namespace, no mount, no cgroup.
            ("4:memory:/docker/c12\n", v1, None),
            ("0::/../other\n", v2, None),
            (V1, v2, None),
            ("4:cpu:/x\n", v1, None),
        ];
        for (cgroup, mountinfo, expected) in table {
            assert_eq!(file(cgroup, mountinfo).as_deref(), expected.map(Path::new), "{cgroup}");
        }
    }

    #[test]
    fn a_counter_is_read_from_either_version() {
        assert_eq!(kills("low 0\noom 7\noom_kill 3\noom_group_kill 1\n"), Some(3));
        assert_eq!(kills("oom_kill_disable 0\nunder_oom 0\noom_kill 12\n"), Some(12));
        assert_eq!(kills("oom_kill_disable 0\nunder_oom 0\n"), None);
    }

    #[test]
    fn only_what_the_counter_explains_is_blamed_on_memory() {
        let at = Path::new("/job/memory.events");
        let mut tally = MemoryTally::default();
        tally.saw(at, 4);
        // Somebody killed it while the counter stood still.
        tally.killed(0, at, 4);
        assert!(!tally.has(0) && tally.reports().is_empty());
        tally.killed(1, at, 5);
        assert!(tally.has(1) && !tally.has(0));
        tally.killed(2, at, 7);
        tally.killed(3, at, 7);
        assert!((1..4).all(|rank| tally.has(rank)));
        // One more than was counted: nobody knows which of them it was not.
        tally.killed(4, at, 7);
        assert!(!(0..5).any(|rank| tally.has(rank)));
        tally.saw(at, 8);
        let [MemoryKills { cgroup, processes: 4, ranks, .. }] = &tally.reports()[..] else {
            panic!("{:?}", tally.reports());
        };
        assert_eq!((cgroup.as_str(), &ranks[..]), ("/job", &[1, 2, 3, 4][..]));
    }

    #[test]
    fn what_was_counted_before_a_cgroup_was_seen_explains_nothing() {
        let mut tally = MemoryTally::default();
        tally.saw(Path::new("/job/memory.events"), 0);
        tally.killed(0, Path::new("/elsewhere/memory.events"), 9);
        assert!(!tally.has(0) && tally.reports().is_empty());
    }
}
