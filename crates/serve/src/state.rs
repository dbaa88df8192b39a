//! What the server has, and what its handlers share.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use lastline_jobs::{FoundJob, JobState, JobsPlace, check_job_id};
use tokio::sync::Semaphore;

use crate::files::JobFiles;
use crate::{Control, Options};

/// How many jobs' files stay open.
const OPEN_JOBS: usize = 3;
/// How many requests read files at once; others wait.
const READERS: usize = 2;
/// How many viewers are told the past at once.
const PASTS: usize = 3;
/// How many searches there may be at once.
const SEARCHES: usize = 2;
/// How many viewers are told what happens.
const VIEWERS: usize = 64;

/// What all handlers share.
pub(crate) struct Shared {
    place: JobsPlace,
    /// The job that was asked for, which may be anywhere.
    pub(crate) chosen: Option<FoundJob>,
    pub(crate) control: Option<Box<dyn Control>>,
    pub(crate) exit_code: fn(&FoundJob) -> Option<u8>,
    /// Those used last, the latest at the end.
    open: Mutex<Vec<(PathBuf, String, Arc<JobFiles>)>>,
    pub(crate) readers: Arc<Semaphore>,
    pub(crate) searches: Arc<Semaphore>,
    pub(crate) viewers: Arc<Semaphore>,
    pub(crate) pasts: Semaphore,
}

impl Shared {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            place: options.place,
            chosen: options.job,
            control: options.control,
            exit_code: options.exit_code,
            open: Mutex::default(),
            readers: Arc::new(Semaphore::new(READERS)),
            searches: Arc::new(Semaphore::new(SEARCHES)),
            viewers: Arc::new(Semaphore::new(VIEWERS)),
            pasts: Semaphore::new(PASTS),
        }
    }

    /// All jobs that there are, oldest first. Blocks for the disk.
    pub(crate) fn jobs(&self) -> Vec<FoundJob> {
        let mut jobs = self.place.list();
        if let Some(chosen) = &self.chosen
            && !jobs.iter().any(|job| job.info.job == chosen.info.job)
        {
            jobs.extend(FoundJob::open(&chosen.dir));
        }
        jobs
    }

    /// A job by its id. Blocks for the disk.
    pub(crate) fn job(&self, id: &str) -> Result<FoundJob, Refusal> {
        let none = || Refusal(StatusCode::NOT_FOUND, format!("there is no job `{id}`"));
        if let Some(chosen) = self.chosen.as_ref().filter(|chosen| chosen.info.job == id) {
            return FoundJob::open(&chosen.dir).map_err(|error| Refusal::of(&error));
        }
        check_job_id(id).map_err(|_| none())?;
        let found = FoundJob::open(&self.place.dir_of(id)).map_err(|_| none())?;
        // A directory is one job, that which was there last.
        if found.info.job == id { Ok(found) } else { Err(none()) }
    }

    /// The files of a job, as they are now. Blocks for the disk.
    pub(crate) fn files(&self, id: &str) -> Result<(FoundJob, Arc<JobFiles>), Refusal> {
        let job = self.job(id)?;
        let key = |started: &str| format!("{id} {started}");
        let known = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            let at = open
                .iter()
                .position(|(dir, known, _)| *dir == job.dir && *known == key(&job.info.started));
            at.map(|at| {
                let found = open.remove(at);
                open.push(found.clone());
                found.2
            })
        };
        if let Some(files) = known {
            files.refresh(&job).map_err(|error| Refusal::of(&error))?;
            return Ok((job, files));
        }
        let files = Arc::new(JobFiles::open(&job).map_err(|error| Refusal::of(&error))?);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let surplus = (open.len() + 1).saturating_sub(OPEN_JOBS);
        open.drain(..surplus);
        open.push((job.dir.clone(), key(&job.info.started), Arc::clone(&files)));
        Ok((job, files))
    }
}

/// Whether a job runs.
pub(crate) fn is_running(job: &FoundJob) -> bool {
    job.state == JobState::Running
}

/// Why a request is not answered, in words.
#[derive(Debug)]
pub(crate) struct Refusal(pub(crate) StatusCode, pub(crate) String);

impl Refusal {
    /// Something failed.
    pub(crate) fn of(error: &dyn std::error::Error) -> Self {
        let mut words = error.to_string();
        let mut cause = error.source();
        while let Some(source) = cause {
            words.push_str(&format!(": {source}"));
            cause = source.source();
        }
        Self(StatusCode::INTERNAL_SERVER_ERROR, words)
    }

    /// What was asked for makes no sense.
    pub(crate) fn bad(words: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, words.into())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, self.1 + "\n").into_response()
    }
}

/// Does what blocks, beside the requests of others: of those that read files a few at once.
pub(crate) async fn blocking<T: Send + 'static>(
    shared: &Arc<Shared>,
    work: impl FnOnce(&Shared) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let permit = Arc::clone(&shared.readers).acquire_owned().await;
    let shared = Arc::clone(shared);
    let done = tokio::task::spawn_blocking(move || {
        let done = work(&shared);
        drop(permit);
        done
    });
    done.await.unwrap_or_else(|error| Err(Refusal::of(&error)))
}
