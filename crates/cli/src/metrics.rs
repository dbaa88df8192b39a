//! `lastline run --metrics`.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use lastline_bootstrap::DriverHandle;
use lastline_metrics::{Server, render};
use lastline_watch::now;

use crate::notices;

/// Those who ask for a job's counters, and the job once it runs.
#[derive(Debug)]
pub(crate) struct Metrics(Arc<OnceLock<DriverHandle>>);

impl Metrics {
    /// Listens, and answers from then on.
    pub(crate) fn listen(address: SocketAddr) -> anyhow::Result<Self> {
        let server = Server::bind(address)
            .with_context(|| format!("--metrics: cannot listen on {address}"))?;
        let chosen = server.address();
        let job = Arc::<OnceLock<DriverHandle>>::default();
        let asked = Arc::clone(&job);
        let text = move || asked.get().map(|job| render(&job.snapshot(), &job.tally(), now()));
        server.start(text).context("--metrics: the system refuses a thread")?;
        if address.port() == 0 {
            notices::say(&format!("metrics: http://{chosen}/metrics"));
        }
        Ok(Self(job))
    }

    /// It is this job.
    pub(crate) fn watch(&self, job: DriverHandle) {
        // It is set once, here.
        drop(self.0.set(job));
    }
}
