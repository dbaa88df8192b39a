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
use crate::jobs::Asked;
use crate::{exit, runtime};

/// How long after a barrier that was not reached the end of the job may be the reason.
const END: Duration = Duration::from_secs(1);

/// Asks a running job to end; at a broker, waits until it has.
pub(crate) fn stop(options: &StopOptions) -> anyhow::Result<u8> {
    if let (None, Some(Url::Nats(_))) = (&options.job, &options.via) {
        anyhow::bail!("which job of the broker is to be stopped?");
    }
    let job = Asked::new(options.job.as_deref())?;
    match &options.via {
        Some(url @ Url::Nats(_)) => {
            let runtime = runtime::start().context("cannot start the runtime")?;
            let stopped = runtime.block_on(async {
                let driver = silent::driver(url, &job.id).await?;
                driver.stop(StopCause::Signal(options.signal));
                driver.wait().await.map_err(anyhow::Error::from)
            });
            runtime.shutdown_background();
            stopped.map(|_| exit::SUCCESS)
        }
        via => {
            let stopped = job.ask(via.as_ref(), |socket| request_stop(socket, options.signal));
            stopped.map(|()| exit::SUCCESS)
        }
    }
}

/// What a barrier says that is asked for from here.
pub(crate) fn flush(job: &Asked, via: Option<&Url>) -> anyhow::Result<FlushAnswer> {
    match via {
        Some(url @ Url::Nats(_)) => {
            let runtime = runtime::start().context("cannot start the runtime")?;
            let verdicts = runtime.block_on(async {
                let driver = silent::driver(url, &job.id).await?;
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
                        "the job `{0}` is over, and nothing more comes of it; `lastline logs --via {url} \
                         --job {0}` has what it printed",
                        job.id
                    ),
                }
            });
            runtime.shutdown_background();
            Ok(FlushAnswer::of(&verdicts?))
        }
        via => job.ask(via, request_flush),
    }
}
