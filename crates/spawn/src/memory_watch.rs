//! Reads the counters of the ranks' memory cgroups, and what says where those are.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::memory_tally::{MemoryGroup, MemoryTally, kills};

/// Watches the memory cgroups of a job's ranks, from before the first one is started.
#[derive(Debug)]
pub struct MemoryWatch {
    /// The lines of `/proc/self/mountinfo` that are of cgroups.
    mounts: String,
    tally: MemoryTally,
    /// The counter of the cgroup that a rank was in when it was started. Version 1 does not say
    /// where a process was that has ended.
    at_start: HashMap<u32, PathBuf>,
}

impl MemoryWatch {
    /// Takes the counter of this process's own cgroup, which ranks are started in. Where the
    /// system has none, nothing will be found.
    pub fn start() -> Self {
        let all = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let lines = all.lines().filter(|line| line.contains(" - cgroup"));
        let mounts = lines.flat_map(|line| [line, "\n"]).collect();
        let mut watch = Self { mounts, tally: MemoryTally::default(), at_start: HashMap::new() };
        if let Some((_, file)) = watch.counter_of("self") {
            watch.look(&file);
        }
        watch
    }

    fn counter_of(&self, process: &str) -> Option<(MemoryGroup, PathBuf)> {
        let text = fs::read_to_string(format!("/proc/{process}/cgroup")).ok()?;
        let group = MemoryGroup::parse(&text)?;
        let file = group.counter_file(&self.mounts)?;
        Some((group, file))
    }

    fn look(&mut self, file: &Path) {
        if let Some(count) = read(file) {
            self.tally.saw(file, count);
        }
    }

    /// A rank runs. Its cgroup may be another one than ours: then its counter begins here.
    pub fn rank_started(&mut self, rank: u32, pid: u32) {
        if let Some((_, file)) = self.counter_of(&pid.to_string()) {
            self.look(&file);
            self.at_start.insert(rank, file);
        }
    }

    /// A SIGKILL that was not ours has ended this rank, which is a zombie still.
    pub fn rank_killed(&mut self, rank: u32, pid: u32) {
        let at_start = self.at_start.get(&rank).cloned();
        let at_end = self.counter_of(&pid.to_string());
        let file = at_end.filter(|(group, _)| group.is_unified).map(|(_, file)| file).or(at_start);
        if let Some((file, count)) = file.and_then(|file| read(&file).map(|count| (file, count))) {
            self.tally.killed(rank, &file, count);
        }
    }

    /// Takes every counter once more.
    pub fn look_again(&mut self) {
        self.tally.files().iter().for_each(|file| self.look(file));
    }

    /// What they have said.
    pub fn tally(&self) -> &MemoryTally {
        &self.tally
    }
}

fn read(file: &Path) -> Option<u64> {
    kills(&fs::read_to_string(file).ok()?)
}
