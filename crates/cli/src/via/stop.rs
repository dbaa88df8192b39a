//! `lastline stop`, and `lastline flush` of a job that others run.
//!
//! On one machine the driver answers, on the control socket of its job. At a broker whoever asks is a
//! driver itself, for as long as that takes.

use std::time::Duration;

use anyhow::Context as _;
use lastline_bootstrap::{FlushAnswer, StopCause, request_flush, request_stop};

use super::Url;
use super::args::StopOptions;
use super::silent;
use crate::{exit, jobs, runtime};

/// How long after a barrier that was not reached the end of the job may be the reason.
const END: Duration = Duration::from_secs(1);

/// Asks a running job to end; at a broker, waits until it has.
pub(crate) fn stop(options: &StopOptions) -> anyhow::Result<u8> {
    let job = match (&options.job, &options.via) {
        (Some(job), _) => jobs::id_of(job)?,
        (None, Some(Url::Nats(_))) => anyhow::bail!("which job of the broker is to be stopped?"),
        (None, _) => jobs::find(None)?.info.job,
    };
    match &options.via {
        Some(url @ Url::Nats(_)) => {
            let runtime = runtime::start().context("cannot start the runtime")?;
            let stopped = runtime.block_on(async {
                let driver = silent::driver(url, &job).await?;
                driver.stop(StopCause::Signal(options.signal));
                driver.wait().await.map_err(anyhow::Error::from)
            });
            runtime.shutdown_background();
            stopped.map(|_| exit::SUCCESS)
        }
        via => match (request_stop(&job, options.signal), via) {
            (Ok(()), _) => Ok(exit::SUCCESS),
            (Err(error), Some(url)) => Err(error).with_context(|| unmet(url, &job)),
            (Err(error), None) => Err(jobs::no_answer(&job, error)),
        },
    }
}

/// What a barrier says that is asked for from here.
pub(crate) fn flush(job: &str, via: Option<&Url>) -> anyhow::Result<FlushAnswer> {
    match via {
        Some(url @ Url::Nats(_)) => {
            let runtime = runtime::start().context("cannot start the runtime")?;
            let verdicts = runtime.block_on(async {
                let driver = silent::driver(url, job).await?;
                let verdicts = tokio::select! {
                    biased;
                    _ = driver.wait() => None,
                    verdicts = driver.flush() => Some(verdicts),
                };
                match verdicts {
                    Some(verdicts) if verdicts.all_reached() => Ok(verdicts),
                    // The end of the job ends barriers, too.
                    Some(verdicts) if tokio::time::timeout(END, driver.wait()).await.is_err() => Ok(verdicts),
                    _ => anyhow::bail!(
                        "the job `{job}` is over, and nothing more comes of it; `lastline logs --via {url} \
                         --job {job}` has what it printed"
                    ),
                }
            });
            runtime.shutdown_background();
            Ok(FlushAnswer::of(&verdicts?))
        }
        Some(url) => request_flush(job).with_context(|| unmet(url, job)),
        None => request_flush(job).map_err(|error| jobs::no_answer(job, error)),
    }
}

/// Why nobody speaks for a job that runs without a driver.
fn unmet(url: &Url, job: &str) -> String {
    format!("no driver speaks for job `{job}`: `lastline attach --via {url} --job {job}` is one")
}
