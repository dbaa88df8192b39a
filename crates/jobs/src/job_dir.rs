//! The directory of a job: who made it, whether it still runs, and where all jobs are.

use std::fs::{DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{SendError, sync_channel};
use std::time::Duration;

use lastline_appender::is_of_a_run;
use serde::{Deserialize, Serialize};

use crate::clock::now;
use crate::driver_file::{DRIVER_FILE, Driven};
use crate::job_lock::Locked;
use crate::jobs::{FoundJob, JobsPlace};
use crate::open_dir::{OpenDir, is_unfinished};
use crate::random::random_text;
use crate::report::rfc3339;

/// The file that says what the job is, locked while it runs.
pub(crate) const JOB_FILE: &str = "job.json";
/// Up to where a driver elsewhere has shown a job whose ranks several processes run.
pub const SEEN_FILE: &str = "seen";
/// The file that says what became of it.
pub const REPORT_FILE: &str = "report.json";
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
    #[error("a job is running in {}; choose another directory, or another id where that names it", dir.display())]
    Running {
        /// The directory.
        dir: PathBuf,
    },
    /// The job of this id is running elsewhere.
    #[error("the job `{id}` is running in {}; choose another id", dir.display())]
    IdRunning {
        /// The id.
        id: String,
        /// Where.
        dir: PathBuf,
    },
    /// The disk hangs.
    #[error("{} does not answer: gave up after {} s, and nothing was started", dir.display(), waited.as_secs())]
    NoAnswer {
        /// The directory.
        dir: PathBuf,
        /// How long it was waited for.
        waited: Duration,
    },
    /// A finished job is there.
    #[error("{} holds a finished job; choose another directory, or another id where that names it, or say --overwrite", dir.display())]
    Finished {
        /// The directory.
        dir: PathBuf,
    },
    /// Files are there by the names of a job's, and neither `job.json` nor `report.json` is lastline's.
    #[error("{} has files that are not lastline's: {file}; choose another directory", dir.display())]
    NotOurs {
        /// The directory.
        dir: PathBuf,
        /// One of them.
        file: String,
    },
    /// There is no place for jobs.
    #[error(
        "no place for jobs: neither XDG_STATE_HOME nor HOME is set (`run` can do with --log-dir DIR)"
    )]
    NoHome,
    /// Its directory is another job's now, or is not there any more.
    #[error("the job `{id}` is gone: {} {}", dir.display(), Became(by.as_deref()))]
    Gone {
        /// The id.
        id: String,
        /// Where it was.
        dir: PathBuf,
        /// The job that is there now; none when no job is.
        by: Option<String>,
    },
    /// There is a directory, and no job in it.
    #[error("{} holds no job: neither job.json nor report.json is there", dir.display())]
    NoJobIn {
        /// The directory.
        dir: PathBuf,
    },
    /// There is none at all.
    #[error("there is no job yet in {}", place.display())]
    NoJobs {
        /// Where jobs are.
        place: PathBuf,
    },
    /// There is no such job.
    #[error("there is no job `{name}` in {}", place.display())]
    NoSuchJob {
        /// The name.
        name: String,
        /// Where jobs are.
        place: PathBuf,
    },
    /// There is a job, and what says of it is damaged.
    #[error("{} cannot be understood", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where it is wrong.
        source: serde_json::Error,
    },
    /// The system says no.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: FileAction,
        /// With which file.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
}

/// What is tried with a file or a directory of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileAction {
    /// To find where it really is.
    Find,
    /// To see whether it is locked.
    LookAt,
    /// To read it.
    Read,
    /// To make it.
    Make,
    /// To open a directory for a new job.
    Open,
    /// To lock it for a new job.
    Lock,
    /// To write it.
    Write,
    /// To remove it.
    Remove,
}

impl std::fmt::Display for FileAction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Find => "find",
            Self::LookAt => "look at",
            Self::Read => "read",
            Self::Make => "make",
            Self::Open => "open",
            Self::Lock => "lock",
            Self::Write => "write",
            Self::Remove => "remove",
        })
    }
}

/// What a directory of a job that is gone is now.
struct Became<'a>(Option<&'a str>);

impl std::fmt::Display for Became<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(job) => write!(f, "is the directory of job `{job}` now"),
            None => f.write_str("holds no job any more"),
        }
    }
}

pub(crate) fn failed<'a>(
    action: FileAction,
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
    /// Which of them have their files here, the first one and how many, where it is not all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<(u32, u32)>,
    /// When it started, RFC 3339.
    pub started: String,
    /// Lastline's own process.
    pub pid: u32,
    /// Output that is lost makes the exit code, where nothing else does.
    #[serde(default)]
    pub strict: bool,
    /// The socket on which it is asked while it runs; none where it has none of its own, as hosts of a job
    /// whose driver is elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<PathBuf>,
    /// The URL at which its hosts and drivers meet, without who they are there; none where it has no others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
}

impl JobInfo {
    /// A job that starts now, in this process.
    pub fn new(job: &str, command: Vec<String>, world_size: u32) -> Self {
        Self {
            lastline: env!("CARGO_PKG_VERSION").into(),
            job: job.into(),
            command,
            world_size,
            part: None,
            started: rfc3339(now()),
            pid: std::process::id(),
            strict: false,
            control: None,
            via: None,
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
    format!("{now}-{}", random_text(4, fastrand::Rng::lowercase))
}

/// The directory of a job that runs in this process, locked until this is dropped.
#[derive(Debug)]
pub struct JobDir {
    dir: OpenDir,
    lock: Arc<Locked>,
}

/// Makes the directory of a job whose files others write, with mode 0700, where there is none. Gives
/// its real path.
///
/// # Errors
///
/// When it cannot be made.
pub fn make_dir(dir: &Path) -> Result<PathBuf, JobDirError> {
    ensure(dir)?;
    std::fs::canonicalize(dir).map_err(failed(FileAction::Find, dir))
}

/// Makes a directory of the owner's alone where there is none.
fn ensure(dir: &Path) -> Result<(), JobDirError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => io::Error::new(error.kind(), "it is no directory"),
        _ => error,
    })
    .map_err(failed(FileAction::Make, dir))
}

impl JobDir {
    /// Makes `dir` the directory of a new job: makes it if need be (mode 0700), refuses it when a
    /// job is running there, or a finished one unless `overwrite`, which removes that job's files.
    /// What has the names of a job's files and is no job's is refused always.
    ///
    /// # Errors
    ///
    /// As said, or when the system refuses.
    pub fn create(dir: &Path, overwrite: bool, info: &JobInfo) -> Result<Self, JobDirError> {
        ensure(dir)?;
        let dir = OpenDir::new(dir).map_err(failed(FileAction::Open, dir))?;
        let path = dir.path();
        let file = path.join(JOB_FILE);
        let lock = dir.open_file(JOB_FILE, true).map_err(failed(FileAction::Write, &file))?;
        let Some(mut lock) = Locked::try_new(lock).map_err(failed(FileAction::Lock, &file))? else {
            return Err(JobDirError::Running { dir: path.to_owned() });
        };
        // Its ranks may be anywhere.
        if Driven::is_in(path) {
            return Err(JobDirError::Running { dir: path.to_owned() });
        }
        // Somebody who was refused here may have taken it away meanwhile.
        if !dir.has(JOB_FILE, &lock.0) {
            return Err(JobDirError::Running { dir: path.to_owned() });
        }
        let was_here = lock.0.metadata().is_ok_and(|file| file.len() > 0);
        let begun = begin(&dir, &mut lock.0, was_here, overwrite, info);
        if begun.is_err() && !was_here {
            // An empty `job.json` says of no job.
            drop(dir.remove(JOB_FILE).inspect_err(|error| {
                tracing::debug!(%error, file = %file.display(), "it is left");
            }));
        }
        begun.map(|()| Self { dir, lock: Arc::new(lock) })
    }

    /// As [`create`](Self::create), where [no other job of this id runs](JobsPlace::check_free) in
    /// `place`, for `timeout` at most: a disk may hang for ever. What is made after that is taken away
    /// again. Where the system gives no thread for it, without a time-out.
    ///
    /// # Errors
    ///
    /// As said, or when nothing answers.
    pub fn create_within(
        timeout: Duration,
        place: Option<&JobsPlace>,
        dir: &Path,
        overwrite: bool,
        info: &JobInfo,
    ) -> Result<Self, JobDirError> {
        let place = place.cloned();
        let create = move |dir: &Path, info: &JobInfo| {
            place.map_or(Ok(()), |place| place.check_free(&info.job, dir))?;
            Self::create(dir, overwrite, info)
        };
        let (made, answer) = sync_channel(0);
        let (at, job, create_there) = (dir.to_owned(), info.clone(), create.clone());
        let thread = std::thread::Builder::new().name("lastline-dir".into());
        let started = thread.spawn(move || {
            if let Err(SendError(Ok(late))) = made.send(create_there(&at, &job)) {
                late.discard();
            }
        });
        if let Err(error) = started {
            // Who cannot have a thread can have a directory; what needs more will say so.
            tracing::debug!(%error, "no thread makes the directory: it is waited for here");
            return create(dir, info);
        }
        answer
            .recv_timeout(timeout)
            .unwrap_or_else(|_| Err(JobDirError::NoAnswer { dir: dir.to_owned(), waited: timeout }))
    }

    /// The job could not be started: takes away what it has made, and the directory when nothing
    /// else is in it.
    pub fn discard(self) {
        let files = job_files(&self.dir).unwrap_or_default();
        let mut names = files.iter().map(String::as_str).chain([JOB_FILE]);
        let removed = names.try_for_each(|name| self.dir.remove(name));
        match removed.and_then(|()| self.dir.remove_itself()) {
            Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => {
                tracing::debug!(%error, dir = %self.path().display(), "the directory is left");
            }
            _ => {}
        }
    }

    /// The directory, absolute.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Lets go of the lock, as when this is dropped, while the directory stays open: the job is over, and
    /// its report is written. On a thread of its own, since even that may have to wait for a disk.
    pub fn leave(&self) {
        let lock = Arc::clone(&self.lock);
        let thread = std::thread::Builder::new().name("lastline-lock".into());
        if let Err(error) = thread.spawn(move || lock.let_go()) {
            tracing::debug!(%error, "the job has its lock for as long as this process runs");
        }
    }

    /// Writes the file `name`, whole or not at all, as [`OpenDir::replace`] does, wherever the
    /// directory is now.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.dir.replace(name, bytes)
    }

    /// Where the directory is now: its [`path`](Self::path), unless it was moved since. Asks no
    /// disk.
    pub fn current_path(&self) -> PathBuf {
        self.dir.current_path()
    }
}

/// Makes `file`, which is its `job.json`, that of a new job in `dir`.
fn begin(
    dir: &OpenDir,
    file: &mut File,
    was_here: bool,
    overwrite: bool,
    info: &JobInfo,
) -> Result<(), JobDirError> {
    let path = dir.path();
    let mut old = job_files(dir).map_err(failed(FileAction::Read, path))?;
    // What says whose they are goes last, should this process end meanwhile.
    old.sort_by(|a, b| (a == REPORT_FILE, a).cmp(&(b == REPORT_FILE, b)));
    if let Some(file) = was_here.then_some(JOB_FILE).or(old.first().map(String::as_str)) {
        let dir = path.to_owned();
        if FoundJob::open(path).is_err() && Driven::open(path).is_none() {
            return Err(JobDirError::NotOurs { dir, file: file.into() });
        }
        if !overwrite {
            return Err(JobDirError::Finished { dir });
        }
    }
    for name in old {
        dir.remove(&name).map_err(failed(FileAction::Remove, &path.join(&name)))?;
    }
    let text = serde_json::to_vec_pretty(info).expect("BUG: a job's facts become JSON");
    let write = file.set_len(0).and_then(|()| file.write_all(&text));
    write.map_err(failed(FileAction::Write, &path.join(JOB_FILE)))
}

/// What a former job left in `dir`, but for `job.json`.
pub(crate) fn job_files(dir: &OpenDir) -> io::Result<Vec<String>> {
    let mut names = dir.names()?;
    names.retain(|name| is_job_file(name));
    Ok(names)
}

/// Whether only a job has files of this name: nothing else is ever removed.
fn is_job_file(name: &str) -> bool {
    is_of_a_run(name)
        || name == SEEN_FILE
        || name == DRIVER_FILE
        || is_report(name)
        || is_unfinished(name, REPORT_FILE)
}

/// The report of one host of several, by its first rank: `report.node-3.json`.
pub fn host_report_name(first_rank: u32) -> String {
    format!("report.node-{first_rank}.json")
}

fn is_report(name: &str) -> bool {
    let host = name.strip_prefix("report.node-").and_then(|rest| rest.strip_suffix(".json"));
    let is_one_of_several =
        |rank: &str| rank.parse().is_ok_and(|rank| host_report_name(rank) == name);
    name == REPORT_FILE || host.is_some_and(is_one_of_several)
}

#[cfg(test)]
mod tests;
