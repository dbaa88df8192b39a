//! Which jobs go, and what is removed of them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lastline_line::Timestamp;

use super::{FoundJob, JobState, JobsPlace};
use crate::clock::now;
use crate::job_dir::{JOB_FILE, LATEST, job_files};
use crate::job_lock::Locked;
use crate::open_dir::OpenDir;
use crate::parts;

/// How long what may become a job is left alone.
const REMAINS_STAY: Duration = Duration::from_secs(24 * 3600);

/// How many finished jobs stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retention {
    /// At most so many.
    pub max_jobs: Option<usize>,
    /// None that started longer ago.
    pub max_age: Option<Duration>,
    /// At most so many bytes together.
    pub max_bytes: Option<u64>,
}

impl Retention {
    /// What the default place keeps: 100 jobs, 30 days, 10 GiB.
    pub const DEFAULT: Self = Self {
        max_jobs: Some(100),
        max_age: Some(Duration::from_secs(30 * 24 * 3600)),
        max_bytes: Some(10 << 30),
    };

    /// Which jobs go, of these, given newest first by their age and size: all from the first one
    /// on that is too many.
    pub(super) fn split(&self, jobs: &[(Duration, u64)]) -> usize {
        let mut bytes = 0;
        let over = |(at, &(age, size)): (usize, &(Duration, u64))| {
            bytes += size;
            self.max_jobs.is_some_and(|most| at >= most)
                || self.max_age.is_some_and(|most| age > most)
                || self.max_bytes.is_some_and(|most| bytes > most)
        };
        jobs.iter().enumerate().position(over).unwrap_or(jobs.len())
    }
}

/// What became of jobs that were to go.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Pruned {
    /// The ids of those that are gone.
    pub removed: Vec<String>,
    /// The ids of those that are off the list alone, and where their files stay.
    pub unlisted: Vec<(String, PathBuf)>,
    /// The ids of those that are there still, and why.
    pub kept: Vec<(String, io::Error)>,
}

impl JobsPlace {
    /// Removes finished and broken jobs, oldest first, until the rest is within `retention`. Of a job behind a
    /// link, which has its directory elsewhere, only the link goes, and so do links to what is gone, which were
    /// no jobs any more. A job that runs stays, and so does one with a file among its own that is no job's. What was left of a job that had not begun, or was being
    /// removed, when its program ended goes after a day.
    pub fn prune(&self, retention: &Retention) -> Pruned {
        let mut over: Vec<FoundJob> = self.list();
        over.retain(|job| job.state != JobState::Running);
        over.reverse();
        let facts: Vec<(Duration, u64)> =
            over.iter().map(|job| (job.age(), if job.linked { 0 } else { job.bytes() })).collect();
        let gone = over.split_off(retention.split(&facts));
        let mut pruned = Pruned::default();
        for job in gone {
            match remove(&job) {
                Ok(Some(dir)) => pruned.unlisted.push((job.info.job, dir)),
                Ok(None) => pruned.removed.push(job.info.job),
                // Somebody else was faster.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => pruned.kept.push((job.info.job, error)),
            }
        }
        for entry in self.entries().filter(|entry| may_be_remains(entry)) {
            if remove_remains(&entry).is_ok() {
                tracing::debug!(dir = %entry.display(), "what was left of a job is gone");
            }
        }
        for link in self.entries().chain([self.0.join(LATEST)]).filter(|link| is_stale(link)) {
            is_done(fs::remove_file(&link), &link);
        }
        pruned
    }
}

pub(super) fn is_done(removed: io::Result<()>, what: &Path) -> bool {
    if let Err(error) = &removed {
        tracing::debug!(%error, what = %what.display(), "not pruned");
    }
    removed.is_ok()
}

/// Whether no job is there, at first glance where one has begun: to read each takes time.
fn may_be_remains(dir: &Path) -> bool {
    let has_begun = fs::metadata(dir.join(JOB_FILE)).is_ok_and(|file| file.len() > 0);
    !has_begun && FoundJob::open(dir).is_err()
}

/// Whether a link leads to no job any more, or to another one than it is named after.
fn is_stale(link: &Path) -> bool {
    let is_link = fs::symlink_metadata(link).is_ok_and(|found| found.is_symlink());
    let is_gone = |file: &Path| {
        let none = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
        fs::metadata(file).is_err_and(|error| none.contains(&error.kind()))
    };
    let is_another = || {
        let name = link.file_name().filter(|name| *name != LATEST);
        let found = FoundJob::open(link).ok();
        name.zip(found).is_some_and(|(name, found)| name != found.info.job.as_str())
    };
    is_link && (is_gone(&link.join(JOB_FILE)) && !parts::holds_job(link) || is_another())
}

/// Removes a job; gives where its files stay when they are elsewhere.
fn remove(job: &FoundJob) -> io::Result<Option<PathBuf>> {
    if job.linked {
        let dir = fs::canonicalize(&job.dir)?;
        return fs::remove_file(&job.dir).map(|()| Some(dir));
    }
    remove_with_files(job).map(|()| None)
}

fn remove_with_files(job: &FoundJob) -> io::Result<()> {
    if job.parts.is_empty() && job.dir.join(JOB_FILE).exists() {
        return remove_whole(job);
    }
    for part in &job.parts {
        let part = FoundJob::open_whole(part).map_err(io::Error::other)?;
        remove_whole(&part)?;
    }
    let dir = OpenDir::no_link(&job.dir)?;
    remove_files(&dir)?;
    dir.remove_itself()
}

/// Removes a job, or the part of one, whose files are in its directory itself.
fn remove_whole(job: &FoundJob) -> io::Result<()> {
    let dir = OpenDir::no_link(&job.dir)?;
    let lock = dir.open_file(JOB_FILE, false)?;
    // Somebody may have begun a job there meanwhile, or be through with it.
    let lock = Locked::try_new(lock)?.ok_or(io::ErrorKind::ResourceBusy)?;
    if !FoundJob::open(&job.dir).is_ok_and(|found| found.info == job.info) {
        return Err(io::ErrorKind::ResourceBusy.into());
    }
    remove_files(&dir)?;
    drop(lock);
    dir.remove_itself()
}

/// Removes a job's files, `job.json` last: one that is removed in part is on the list still. Where
/// something else is among them all stay, for the directory would, and be on no list.
fn remove_files(dir: &OpenDir) -> io::Result<()> {
    let files = job_files(dir)?;
    let mut others = dir.names()?;
    others.retain(|name| name != JOB_FILE && !files.contains(name));
    if let Some(other) = others.iter().min() {
        let why = format!("{other} is not lastline's");
        return Err(io::Error::new(io::ErrorKind::DirectoryNotEmpty, why));
    }
    files.iter().try_for_each(|name| dir.remove(name))?;
    match dir.remove(JOB_FILE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Removes what is left of a directory whose job had not begun, or was being removed, when its program
/// ended: there is no `job.json`, or an empty one. It is left alone for a day, in which it may become one.
fn remove_remains(path: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    let age = now().since(Timestamp::from_system(found.modified()?));
    if !found.is_dir() || age < REMAINS_STAY {
        return Err(io::ErrorKind::ResourceBusy.into());
    }
    let dir = OpenDir::no_link(path)?;
    let lock = match dir.open_file(JOB_FILE, false) {
        Ok(file) if file.metadata()?.len() == 0 => Locked::try_new(file)?,
        Ok(_) => None,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return remove_files(&dir).and_then(|()| dir.remove_itself());
        }
        Err(error) => return Err(error),
    };
    let lock = lock.ok_or(io::ErrorKind::ResourceBusy)?;
    remove_files(&dir)?;
    drop(lock);
    dir.remove_itself()
}
