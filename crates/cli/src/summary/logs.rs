//! Where the files of a job are.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use lastline_appender::FamilyId;
use lastline_jobs::{FoundJob, Report};
use lastline_line::{RankSet, Stream};

/// How many hosts are named, at most.
const MAX_NAMED: usize = 4;

/// Where the files of a job are that has some.
#[derive(Debug)]
pub(crate) struct Logs {
    dir: PathBuf,
    /// The directories of hosts in it that have files here; none where the files are in `dir` itself.
    parts: Vec<PathBuf>,
    /// Ranks that have theirs on other machines.
    elsewhere: RankSet,
    /// Whether all ranks have.
    all_elsewhere: bool,
}

impl Logs {
    /// All of them in this directory.
    pub(crate) fn here(dir: PathBuf) -> Self {
        Self { dir, parts: Vec::new(), elsewhere: RankSet::new(), all_elsewhere: false }
    }

    /// As they are found, of a job whose ranks several processes may have started.
    pub(crate) fn of(job: &FoundJob) -> Self {
        let (dir, parts, elsewhere) = (job.dir.clone(), job.parts.clone(), job.elsewhere.clone());
        let all_elsewhere = parts.is_empty() && !elsewhere.is_empty();
        Self { dir, parts, elsewhere, all_elsewhere }
    }

    /// The directory, where it has any of them.
    pub(super) fn dir(&self) -> Option<&Path> {
        (!self.all_elsewhere).then_some(&*self.dir)
    }

    /// In words, for the end of the summary.
    pub(super) fn in_words(&self, report: &Report) -> String {
        let dir = self.dir.display();
        match (self.elsewhere.is_empty(), self.all_elsewhere) {
            (true, _) => format!("logs in {dir}"),
            (false, true) => format!("logs on {}", hosts_of(report, &self.elsewhere)),
            (false, false) => {
                format!("logs in {dir}, others on {}", hosts_of(report, &self.elsewhere))
            }
        }
    }

    /// The file of a rank's stream; none where it is not here.
    pub(super) fn file(&self, rank: u32, stream: Stream) -> Option<PathBuf> {
        let name = FamilyId { rank, stream }.newest_name();
        if self.parts.is_empty() {
            return self.dir().map(|dir| dir.join(name));
        }
        self.parts.iter().map(|part| part.join(&name)).find(|file| file.exists())
    }
}

/// Where these ranks ran, by name: `its hosts node1, node2`.
pub(crate) fn hosts_of(report: &Report, ranks: &RankSet) -> String {
    let ran = report.ranks.iter().filter(|rank| ranks.contains(rank.rank) && !rank.host.is_empty());
    let hosts: BTreeSet<&str> = ran.map(|rank| &*rank.host).collect();
    let named: Vec<&str> = hosts.iter().copied().take(MAX_NAMED).collect();
    match (named.as_slice(), hosts.len() - named.len()) {
        ([], _) => String::from("its hosts"),
        ([one], _) => format!("its host {one}"),
        (_, 0) => format!("its hosts {}", named.join(", ")),
        (_, more) => format!("its hosts {} and {more} more", named.join(", ")),
    }
}
