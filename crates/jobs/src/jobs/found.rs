//! One job on the disk.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lastline_line::Timestamp;

use crate::clock::now;
use crate::job_dir::{JOB_FILE, JobDirError, JobInfo, REPORT_FILE, failed};
use crate::job_lock::is_locked;
use crate::parts;
use crate::report::Report;

/// How a job is doing.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum JobState {
    /// It runs.
    Running,
    /// It is over, and this is its report.
    Finished(Box<Report>),
    /// It was interrupted: nobody runs it, and there is no report.
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
    /// Where its files are, in the order of ranks, when several processes started those; none when they
    /// are in `dir` itself.
    pub parts: Vec<PathBuf>,
}

impl FoundJob {
    /// Reads the job in `dir`, whole or in parts.
    ///
    /// # Errors
    ///
    /// When there is no readable `job.json`, nor a report.
    pub fn open(dir: &Path) -> Result<Self, JobDirError> {
        if dir.join(JOB_FILE).exists() { Self::open_whole(dir) } else { parts::open(dir) }
    }

    /// Reads the job, or the part of one, whose files are in `dir` itself.
    pub(crate) fn open_whole(dir: &Path) -> Result<Self, JobDirError> {
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
        Ok(Self { dir: dir.to_owned(), info, state, linked, parts: Vec::new() })
    }
}

impl FoundJob {
    /// What its files take, in bytes.
    pub fn bytes(&self) -> u64 {
        let dirs = self.parts.iter().chain([&self.dir]);
        let files = dirs.flat_map(|dir| fs::read_dir(dir).into_iter().flatten().flatten());
        let files = files.filter(|file| file.file_type().is_ok_and(|kind| kind.is_file()));
        files.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
    }

    /// The directories that hold its ranks' files.
    pub fn file_dirs(&self) -> &[PathBuf] {
        if self.parts.is_empty() { std::slice::from_ref(&self.dir) } else { &self.parts }
    }

    /// How long ago it started.
    pub(super) fn age(&self) -> Duration {
        let started: Result<jiff::Timestamp, _> = self.info.started.parse();
        let micros = started.ok().and_then(|at| u64::try_from(at.as_microsecond()).ok());
        micros.map_or(Duration::ZERO, |at| now().since(Timestamp(at)))
    }
}
