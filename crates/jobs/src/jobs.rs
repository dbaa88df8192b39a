//! The jobs of a user, as they are found on the disk.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::clock::now;
use crate::job_dir::{
    JOB_FILE, JobDirError, JobInfo, LATEST, REPORT_FILE, check_job_id, failed, job_files,
};
use crate::job_lock::{Locked, is_locked};
use crate::report::Report;

/// How a job is doing.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum JobState {
    /// It runs.
    Running,
    /// It is over, and this is its report.
    Finished(Box<Report>),
    /// It was broken off: nobody runs it, and there is no report.
    Broken,
}

/// A job as it is found on the disk.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FoundJob {
    /// Its directory.
    pub dir: PathBuf,
    /// What `job.json` says.
    pub info: JobInfo,
    /// How it is doing.
    pub state: JobState,
    /// `dir` is a link to a directory elsewhere.
    pub linked: bool,
}

impl FoundJob {
    /// Reads the job in `dir`.
    ///
    /// # Errors
    ///
    /// When there is no readable `job.json`.
    pub fn open(dir: &Path) -> Result<Self, JobDirError> {
        let file = dir.join(JOB_FILE);
        let mut lock = File::open(&file).map_err(failed("read", &file))?;
        let running = is_locked(&lock).map_err(failed("look at", &file))?;
        let mut text = String::new();
        lock.read_to_string(&mut text).map_err(failed("read", &file))?;
        let info = serde_json::from_str(&text).map_err(io::Error::from);
        let info = info.map_err(failed("understand", &file))?;
        let state = if running {
            JobState::Running
        } else {
            let report = fs::read_to_string(dir.join(REPORT_FILE)).ok();
            let report = report.and_then(|text| serde_json::from_str(&text).ok());
            report.map_or(JobState::Broken, |report| JobState::Finished(Box::new(report)))
        };
        let linked = fs::symlink_metadata(dir).is_ok_and(|found| found.is_symlink());
        Ok(Self { dir: dir.to_owned(), info, state, linked })
    }
}

impl FoundJob {
    /// What its files take, in bytes.
    pub fn bytes(&self) -> u64 {
        let files = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        files.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
    }

    /// How long ago it started.
    fn age(&self) -> Duration {
        let started: Result<jiff::Timestamp, _> = self.info.started.parse();
        let micros = started.ok().and_then(|at| u64::try_from(at.as_microsecond()).ok());
        micros.map_or(Duration::ZERO, |at| now().since(lastline_line::Timestamp(at)))
    }
}

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

    /// The job that `name` means: an id, `latest` when `None`, or a directory.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn find(&self, name: Option<&str>) -> Result<FoundJob, JobDirError> {
        let name = name.unwrap_or(LATEST);
        let known = !name.contains('/') && self.0.join(name).join(JOB_FILE).exists();
        let dir = if known { self.0.join(name) } else { PathBuf::from(name) };
        if !dir.join(JOB_FILE).exists() {
            return Err(JobDirError::NoSuchJob { name: name.into(), place: self.0.clone() });
        }
        FoundJob::open(&fs::canonicalize(&dir).map_err(failed("find", &dir))?)
    }

    /// All jobs, oldest first. What cannot be read is left out.
    pub fn list(&self) -> Vec<FoundJob> {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        // Neither `latest` nor a link that is just being made is a job's id.
        let is_id =
            |name: &std::ffi::OsStr| name.to_str().is_some_and(|id| check_job_id(id).is_ok());
        let jobs = entries.filter(|entry| is_id(&entry.file_name()));
        let mut found: Vec<FoundJob> =
            jobs.filter_map(|entry| FoundJob::open(&entry.path()).ok()).collect();
        // As times, not as text: trailing zeros of a fraction are not written.
        let started = |job: &FoundJob| job.info.started.parse::<jiff::Timestamp>().ok();
        found.sort_by(|a, b| (started(a), &a.info.job).cmp(&(started(b), &b.info.job)));
        found
    }
}

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
    fn split(&self, jobs: &[(Duration, u64)]) -> usize {
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

impl JobsPlace {
    /// Removes finished and broken jobs, oldest first, until the rest is within `retention`; their
    /// ids. Of a job behind a link, which has its directory elsewhere, only the link goes. A job
    /// that runs stays, and so does a file that is no job's.
    pub fn prune(&self, retention: &Retention) -> Vec<String> {
        let mut over: Vec<FoundJob> = self.list();
        over.retain(|job| job.state != JobState::Running);
        over.reverse();
        let facts: Vec<(Duration, u64)> =
            over.iter().map(|job| (job.age(), if job.linked { 0 } else { job.bytes() })).collect();
        let gone = over.split_off(retention.split(&facts));
        let removed = gone.into_iter().filter(|job| match self.remove(job) {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!(%error, job = job.info.job, "not pruned");
                false
            }
        });
        removed.map(|job| job.info.job).collect()
    }

    fn remove(&self, job: &FoundJob) -> io::Result<()> {
        if job.linked {
            return fs::remove_file(&job.dir);
        }
        let lock = File::options().read(true).write(true).open(job.dir.join(JOB_FILE))?;
        // Somebody may have begun a job there meanwhile.
        let Some(_lock) = Locked::try_new(lock)? else {
            return Err(io::ErrorKind::ResourceBusy.into());
        };
        for file in job_files(&job.dir)? {
            fs::remove_file(file)?;
        }
        fs::remove_file(job.dir.join(JOB_FILE))?;
        fs::remove_dir(&job.dir)
    }
}

/// Makes `link` a link to `target`, whatever link was there before; a real folder stays.
fn point(link: &Path, target: &Path) -> io::Result<()> {
    if fs::symlink_metadata(link).is_ok_and(|found| !found.is_symlink()) {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let new = link.with_extension(format!("new-{}", std::process::id()));
    std::os::unix::fs::symlink(target, &new)?;
    fs::rename(&new, link)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::JobDir;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    #[test]
    fn the_newest_jobs_stay_within_every_bound() {
        let jobs: Vec<(Duration, u64)> = (0..200).map(|at| (DAY / 10 * at, 1 << 20)).collect();
        assert_eq!(Retention::DEFAULT.split(&jobs), 100);
        assert_eq!(Retention::default().split(&jobs), 200);
        let age = Retention { max_age: Some(DAY), ..Retention::default() };
        assert_eq!(age.split(&jobs), 11);
        let size = Retention { max_bytes: Some(10 << 20), ..Retention::default() };
        assert_eq!(size.split(&jobs), 10);
    }

    #[test]
    fn pruning_removes_jobs_and_links_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let place = JobsPlace::at(root.path().join("jobs"));
        let elsewhere = root.path().join("elsewhere");
        let start = |id: &str, dir: &Path| {
            let job = JobDir::create(dir, false, &JobInfo::new(id, vec![], 1)).unwrap();
            place.register(id, job.path()).unwrap();
            fs::write(dir.join("rank-0.stdout.log"), "text").unwrap();
            job
        };
        drop(start("a", &place.dir_of("a")));
        drop(start("b", &elsewhere));
        drop(start("c", &place.dir_of("c")));
        fs::write(place.dir_of("c").join("precious"), "mine").unwrap();
        let running = start("d", &place.dir_of("d"));
        let none = Retention { max_jobs: Some(0), ..Retention::default() };
        let mut removed = place.prune(&none);
        removed.sort();
        assert_eq!(removed, ["a", "b"]);
        assert!(elsewhere.join("rank-0.stdout.log").exists());
        assert!(place.dir_of("c").join("precious").exists());
        assert!(running.path().join("rank-0.stdout.log").exists());
        assert!(!place.dir_of("a").exists() && !place.dir_of("b").exists());
    }

    #[test]
    fn jobs_are_listed_once_by_time() {
        let place = tempfile::tempdir().unwrap();
        let jobs = JobsPlace::at(place.path().join("jobs"));
        let starts = ["2026-01-01T00:00:00.5Z", "2026-01-01T00:00:00.57Z", "2026-01-01T00:00:01Z"];
        for (at, started) in starts.into_iter().enumerate() {
            let job = format!("j{}", 9 - at);
            let mut info = JobInfo::new(&job, vec!["true".into()], 1);
            info.started = started.into();
            let dir = JobDir::create(&jobs.dir_of(&job), false, &info).unwrap();
            jobs.register(&job, dir.path()).unwrap();
        }
        // What `register` makes before it gives it its name.
        point(&jobs.dir_of("latest.new-7"), Path::new("j9")).unwrap();
        let found: Vec<String> = jobs.list().into_iter().map(|job| job.info.job).collect();
        assert_eq!(found, ["j9", "j8", "j7"]);
    }
}
