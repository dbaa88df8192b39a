//! `lastline stop`.

use anyhow::Context as _;
use lastline_bootstrap::request_stop;
use lastline_jobs::check_job_id;

use super::args::StopOptions;
use crate::{exit, jobs};

/// Asks a running job to end.
pub(crate) fn stop(options: &StopOptions) -> anyhow::Result<u8> {
    let job = match &options.job {
        Some(job) => job.clone(),
        None => jobs::find(None)?.info.job,
    };
    check_job_id(&job)?;
    match request_stop(&job, options.signal) {
        Ok(()) => Ok(exit::SUCCESS),
        Err(error) => match &options.via {
            Some(url) => Err(error).with_context(|| unmet(url, &job)),
            None => Err(jobs::no_answer(&job, error)),
        },
    }
}

/// Why nobody speaks for a job that runs without a driver.
pub(crate) fn unmet(url: &super::Url, job: &str) -> String {
    format!("no driver speaks for job `{job}`: `lastline attach --via {url} --job {job}` is one")
}
