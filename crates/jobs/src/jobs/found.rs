//! One job on the disk.

use std::error::Error as _;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lastline_line::{RankSet, Timestamp};
use serde::de::DeserializeOwned;

use crate::clock::now;
use crate::job_dir::{FileAction, JOB_FILE, JobDirError, JobInfo, REPORT_FILE, failed};
use crate::job_lock::is_locked;
use crate::open_dir::open_regular;
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
    /// Nobody runs it, and there is no report that can be read: it was interrupted, or could not write
    /// one, or the one that there is is [damaged](FoundJob::damage).
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
    /// Ranks that have no files here: others started them.
    pub elsewhere: RankSet,
    /// Which of `job.json` and `report.json` is there and cannot be understood, and why, in words; what
    /// is known of the job is told by the other one, or by its files.
    pub damage: Option<String>,
}

impl FoundJob {
    /// Reads the job in `dir`, whole or in parts. One whose `job.json` is damaged is told by its report.
    ///
    /// # Errors
    ///
    /// When there is no readable `job.json`, nor a report.
    pub fn open(dir: &Path) -> Result<Self, JobDirError> {
        if !parts::may_exist(&dir.join(JOB_FILE)) {
            return parts::open(dir);
        }
        Self::open_whole(dir).or_else(|error| match error {
            JobDirError::Damaged { .. } => match parts::open(dir) {
                Ok(found) => Ok(Self { damage: Some(in_words(&error)), ..found }),
                Err(_) => Err(error),
            },
            other => Err(other),
        })
    }

    /// Reads the job, or the part of one, whose files are in `dir` itself.
    pub(crate) fn open_whole(dir: &Path) -> Result<Self, JobDirError> {
        let file = dir.join(JOB_FILE);
        let mut lock = open_regular(&file).map_err(failed(FileAction::Read, &file))?;
        let running = is_locked(&lock).map_err(failed(FileAction::LookAt, &file))?;
        let mut text = String::new();
        lock.read_to_string(&mut text).map_err(failed(FileAction::Read, &file))?;
        let info = understood(&file, &text)?;
        // Of a job that runs nobody needs it, and who follows one looks often.
        let report = if running { Ok(None) } else { read_report(dir) };
        let (state, damage) = match report {
            Ok(None) if running => (JobState::Running, None),
            Ok(Some(report)) => (JobState::Finished(Box::new(report)), None),
            Ok(None) => (JobState::Broken, None),
            Err(error) => (JobState::Broken, Some(in_words(&error))),
        };
        let linked = fs::symlink_metadata(dir).is_ok_and(|found| found.is_symlink());
        let (dir, parts, elsewhere) = (dir.to_owned(), Vec::new(), RankSet::new());
        Ok(Self { dir, info, state, linked, parts, elsewhere, damage })
    }
}

/// The report in `dir`, when there is one.
pub(crate) fn read_report(dir: &Path) -> Result<Option<Report>, JobDirError> {
    let file = dir.join(REPORT_FILE);
    let mut text = String::new();
    match open_regular(&file).and_then(|mut report| report.read_to_string(&mut text)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        read => read
            .map_err(failed(FileAction::Read, &file))
            .and_then(|_| understood(&file, &text))
            .map(Some),
    }
}

fn understood<T: DeserializeOwned>(file: &Path, text: &str) -> Result<T, JobDirError> {
    let found = serde_json::from_str(text);
    found.map_err(|source| JobDirError::Damaged { file: file.to_owned(), source })
}

/// What is wrong with one of a job's own files, and why.
pub(crate) fn in_words(error: &JobDirError) -> String {
    let why = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    format!("{error}{why}")
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
