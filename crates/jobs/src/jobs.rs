//! The jobs of a user, as they are found on the disk.

mod found;
mod prune;

use std::collections::HashSet;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

pub use self::found::{FoundJob, JobState};
pub(crate) use self::found::{in_words, read_report};
use self::prune::is_done;
pub use self::prune::{Pruned, Retention};
use crate::job_dir::{FileAction, JOB_FILE, JobDirError, LATEST, check_job_id, failed};
use crate::job_lock::is_locked;
use crate::open_dir::open_regular;
use crate::parts;
use crate::random::random_text;

/// The place where jobs are, each in a folder of its own or behind a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobsPlace(PathBuf);

impl JobsPlace {
    /// `$XDG_STATE_HOME/lastline/jobs`, or `~/.local/state/lastline/jobs`.
    ///
    /// # Errors
    ///
    /// When neither variable is set.
    pub fn of_user() -> Result<Self, JobDirError> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let state = set("XDG_STATE_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".local/state")));
        Ok(Self(state.ok_or(JobDirError::NoHome)?.join("lastline/jobs")))
    }

    /// Jobs in `dir`.
    pub fn at(dir: PathBuf) -> Self {
        Self(dir)
    }

    /// Where a job of this id has its folder.
    pub fn dir_of(&self, job: &str) -> PathBuf {
        self.0.join(job)
    }

    /// Points `latest` at a job, and, when its directory is elsewhere, its id too.
    ///
    /// # Errors
    ///
    /// When the place cannot be written.
    pub fn register(&self, job: &str, dir: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        let own = self.dir_of(job);
        if own != dir {
            point(&own, dir)?;
        }
        point(&self.0.join(LATEST), Path::new(job))
    }

    /// Checks that no job of this id runs in another directory than `dir`: its id is what it is asked
    /// and ended by. Hosts of one job may have several.
    ///
    /// # Errors
    ///
    /// When one does.
    pub fn check_free(&self, job: &str, dir: &Path) -> Result<(), JobDirError> {
        match self.known(job) {
            Ok(found)
                if found.state == JobState::Running && identity(&found.dir) != identity(dir) =>
            {
                Err(JobDirError::IdRunning { id: job.into(), dir: found.dir })
            }
            _ => Ok(()),
        }
    }

    /// The job that `name` means: an id, a directory, or when `None` the latest one.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn find(&self, name: Option<&str>) -> Result<FoundJob, JobDirError> {
        let Some(name) = name.filter(|name| *name != LATEST) else {
            return self.latest();
        };
        let is_id = check_job_id(name).is_ok();
        if is_id && fs::symlink_metadata(self.0.join(name)).is_ok() {
            return self.known(name);
        }
        let dir = PathBuf::from(name);
        if parts::holds_job(&dir) {
            return FoundJob::open(
                &fs::canonicalize(&dir).map_err(failed(FileAction::Find, &dir))?,
            );
        }
        if is_id {
            self.check_readable()?;
        }
        // A folder may have been given another name.
        let listed = self.list().into_iter().find(|job| job.info.job == name);
        let place = self.0.clone();
        listed.ok_or_else(|| match is_id {
            false if dir.is_dir() => JobDirError::NoJobIn { dir },
            _ => JobDirError::NoSuchJob { name: name.into(), place },
        })
    }

    /// The job that `latest` leads to; the newest one where it leads to none, as when the directory of
    /// that job was removed.
    fn latest(&self) -> Result<FoundJob, JobDirError> {
        self.check_readable()?;
        let found = match fs::symlink_metadata(self.0.join(LATEST)) {
            Ok(_) => self.known(LATEST),
            Err(_) => Err(JobDirError::NoJobs { place: self.0.clone() }),
        };
        found.or_else(|error| match error {
            JobDirError::NoJobs { .. } | JobDirError::Gone { .. } => self.list().pop().ok_or(error),
            other => Err(other),
        })
    }

    /// The job of an entry that there is.
    fn known(&self, name: &str) -> Result<FoundJob, JobDirError> {
        let mut entry = self.0.join(name);
        let mut id = name.to_owned();
        if name == LATEST
            && let Ok(target) = fs::read_link(&entry)
            && let Some(newest) = target.to_str().filter(|id| check_job_id(id).is_ok())
        {
            (entry, id) = (self.0.join(newest), newest.to_owned());
        }
        let gone = |by| {
            let dir = fs::read_link(&entry).map_or_else(|_| entry.clone(), |dir| self.0.join(dir));
            JobDirError::Gone { id: id.clone(), dir, by }
        };
        if !parts::holds_job(&entry) {
            return Err(gone(None));
        }
        let found =
            FoundJob::open(&fs::canonicalize(&entry).map_err(failed(FileAction::Find, &entry))?)?;
        let is_another = found.info.job != id && id != LATEST;
        if is_another { Err(gone(Some(found.info.job))) } else { Ok(found) }
    }

    /// Checks that it can be told which jobs there are: one that cannot be read looks as if there was none.
    ///
    /// # Errors
    ///
    /// When the place is there and cannot be read.
    pub fn check_readable(&self) -> Result<(), JobDirError> {
        match fs::read_dir(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed(FileAction::Read, &self.0)(error))
            }
            _ => Ok(()),
        }
    }

    /// All jobs, oldest first, but those that [cannot be read](Self::unreadable). A directory is one job,
    /// that which was there last, however many links lead to it.
    pub fn list(&self) -> Vec<FoundJob> {
        let mut found: Vec<FoundJob> =
            self.entries().filter_map(|dir| FoundJob::open(&dir).ok()).collect();
        // A folder comes before the links to it.
        found.sort_by_key(|job| job.linked);
        let mut seen = HashSet::new();
        found.retain(|job| {
            let is_named = job.dir.file_name().is_some_and(|name| name == job.info.job.as_str());
            (!job.linked || is_named) && identity(&job.dir).is_some_and(|dir| seen.insert(dir))
        });
        // As times, not as text: trailing zeros of a fraction are not written.
        let started = |job: &FoundJob| job.info.started.parse::<jiff::Timestamp>().ok();
        found.sort_by(|a, b| (started(a), &a.info.job).cmp(&(started(b), &b.info.job)));
        found
    }

    /// Whether there may be more jobs than this: how many entries there are, of which none is opened.
    pub fn may_hold_more_than(&self, jobs: usize) -> bool {
        self.entries().nth(jobs).is_some()
    }

    /// Why jobs that there are are not on the list.
    pub fn unreadable(&self) -> Vec<JobDirError> {
        // Whoever begins a job has its file locked before it says anything.
        let begins =
            |dir: &Path| open_regular(&dir.join(JOB_FILE)).and_then(|file| is_locked(&file));
        let there = self.entries().filter(|dir| parts::holds_job(dir));
        let there = there.filter(|dir| !begins(dir).unwrap_or(false));
        there.filter_map(|dir| FoundJob::open(&dir).err()).collect()
    }

    /// What may be a job: neither `latest` nor a link that is just being made has a job's id.
    fn entries(&self) -> impl Iterator<Item = PathBuf> + use<> {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        let is_id =
            |name: &std::ffi::OsStr| name.to_str().is_some_and(|id| check_job_id(id).is_ok());
        entries.filter(move |entry| is_id(&entry.file_name())).map(|entry| entry.path())
    }
}

/// By what a directory is known, whatever its name.
fn identity(dir: &Path) -> Option<(u64, u64)> {
    let found = fs::metadata(dir).ok()?;
    Some((found.dev(), found.ino()))
}

/// Makes `link` a link to `target`, whatever link was there before; a real folder stays.
fn point(link: &Path, target: &Path) -> io::Result<()> {
    if fs::symlink_metadata(link).is_ok_and(|found| !found.is_symlink()) {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let random = random_text(12, fastrand::Rng::alphanumeric);
    let new = link.with_extension(format!("new-{random}"));
    std::os::unix::fs::symlink(target, &new)?;
    fs::rename(&new, link).inspect_err(|_| {
        // Nobody else can know of it.
        is_done(fs::remove_file(&new), &new);
    })
}

#[cfg(test)]
mod tests;
