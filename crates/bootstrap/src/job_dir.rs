//! The directory of a job: who made it, whether it still runs, and where all jobs are.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use lastline_line::Timestamp;
use rustix::fs::{FlockOperation, OFlags, flock};
use serde::{Deserialize, Serialize};

use crate::report::{Report, rfc3339};

/// The file that says what the job is, locked while it runs.
const JOB_FILE: &str = "job.json";
/// The file that says what became of it.
pub(crate) const REPORT_FILE: &str = "report.json";
/// The name of the link to the newest job.
pub const LATEST: &str = "latest";
/// The longest id of a job.
const MAX_ID_CHARS: usize = 64;

/// Why a job has no directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobDirError {
    /// The id cannot name a folder.
    #[error(
        "`{id}` is no job id: letters, digits, `_` and `-`, at most {MAX_ID_CHARS} of them, and not `latest`"
    )]
    BadId {
        /// The id.
        id: String,
    },
    /// Another job is running there.
    #[error("a job is running in {}; choose another directory", dir.display())]
    Running {
        /// The directory.
        dir: PathBuf,
    },
    /// A finished job is there.
    #[error("{} holds a finished job; choose another directory, or say --overwrite", dir.display())]
    Finished {
        /// The directory.
        dir: PathBuf,
    },
    /// There is no place for jobs.
    #[error("no place for log files: neither XDG_STATE_HOME nor HOME is set; say --log-dir DIR")]
    NoHome,
    /// There is no such job.
    #[error("there is no job `{name}` in {}", place.display())]
    NoSuchJob {
        /// The name.
        name: String,
        /// Where jobs are.
        place: PathBuf,
    },
    /// The system says no.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
}

fn failed<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> JobDirError + use<'a> {
    move |source| JobDirError::Io { action, path: path.to_owned(), source }
}

/// What `job.json` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct JobInfo {
    /// The version of Lastline.
    pub lastline: String,
    /// The job's id.
    pub job: String,
    /// The command as it was given.
    pub command: Vec<String>,
    /// How many ranks.
    pub world_size: u32,
    /// When it started, RFC 3339.
    pub started: String,
    /// Lastline's own process.
    pub pid: u32,
}

impl JobInfo {
    /// A job that starts now, in this process.
    pub fn new(job: &str, command: Vec<String>, world_size: u32) -> Self {
        Self {
            lastline: env!("CARGO_PKG_VERSION").into(),
            job: job.into(),
            command,
            world_size,
            started: rfc3339(Timestamp::from_system(std::time::SystemTime::now())),
            pid: std::process::id(),
        }
    }
}

/// Checks that `id` can name a job.
///
/// # Errors
///
/// When it could leave its folder, or stand for another.
pub fn check_job_id(id: &str) -> Result<(), JobDirError> {
    let fine = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let good = !id.is_empty() && id.len() <= MAX_ID_CHARS && id.chars().all(fine) && id != LATEST;
    if good { Ok(()) } else { Err(JobDirError::BadId { id: id.into() }) }
}

/// An id from the local time and four random characters: `20261123-141503-k3f9`.
pub fn new_job_id() -> String {
    let now = jiff::Zoned::now().strftime("%Y%m%d-%H%M%S");
    let random: String = std::iter::repeat_with(fastrand::lowercase).take(4).collect();
    format!("{now}-{random}")
}

/// The directory of a job that runs in this process, locked until this is dropped.
#[derive(Debug)]
pub struct JobDir {
    path: PathBuf,
    _lock: File,
}

impl JobDir {
    /// Makes `dir` the directory of a new job: makes it if need be (mode 0700), refuses it when a
    /// job is running there, or a finished one unless `overwrite`, which removes that job's files.
    ///
    /// # Errors
    ///
    /// As said, or when the system refuses.
    pub fn create(dir: &Path, overwrite: bool, info: &JobInfo) -> Result<Self, JobDirError> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(dir).map_err(failed("make", dir))?;
        let path = std::path::absolute(dir).map_err(failed("find", dir))?;
        let file = path.join(JOB_FILE);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).mode(0o600);
        options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
        let mut lock = options.open(&file).map_err(failed("write", &file))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(JobDirError::Running { dir: path });
        }
        let was_here = lock.metadata().is_ok_and(|file| file.len() > 0);
        let old = job_files(&path).map_err(failed("read", &path))?;
        if (was_here || !old.is_empty()) && !overwrite {
            return Err(JobDirError::Finished { dir: path });
        }
        for file in old {
            fs::remove_file(&file).map_err(failed("remove", &file))?;
        }
        let text = serde_json::to_vec_pretty(info).expect("BUG: a job's facts become JSON");
        let write = lock.set_len(0).and_then(|()| lock.write_all(&text));
        write.map_err(failed("write", &file))?;
        Ok(Self { path, _lock: lock })
    }

    /// The job could not be started: takes away what it has made, and the directory when nothing
    /// else is in it.
    pub fn discard(self) {
        let files = job_files(&self.path).unwrap_or_default();
        let removed = files.iter().chain([&self.path.join(JOB_FILE)]).try_for_each(fs::remove_file);
        match removed.and_then(|()| fs::remove_dir(&self.path)) {
            Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => {
                tracing::debug!(%error, dir = %self.path.display(), "the directory is left");
            }
            _ => {}
        }
    }

    /// The directory, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// What a former job left in `dir`, but for `job.json`.
fn job_files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            continue;
        };
        let log = name.starts_with("rank-") && name.ends_with(".log");
        let report = name.starts_with("report.") && name.ends_with("json");
        if name == "index" || log || report {
            files.push(entry.path());
        }
    }
    Ok(files)
}

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
        let running = flock(&lock, FlockOperation::NonBlockingLockShared).is_err();
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
        Ok(Self { dir: dir.to_owned(), info, state })
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

/// Makes `link` a link to `target`, whatever link was there before; a real folder stays.
fn point(link: &Path, target: &Path) -> io::Result<()> {
    if fs::symlink_metadata(link).is_ok_and(|found| !found.is_symlink()) {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let new = link.with_extension(format!("new-{}", std::process::id()));
    std::os::unix::fs::symlink(target, &new)?;
    fs::rename(&new, link)
}

/// Writes `report` to `path`, whole or not at all, mode 0600.
pub(crate) fn write_report(report: &Report, path: &Path) -> io::Result<()> {
    let text = serde_json::to_vec_pretty(report)?;
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    let mut file = options.open(&new)?;
    file.write_all(&text)?;
    file.write_all(b"\n")?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

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
