//! Who is told of a job beside the console and the files.

use lastline_bootstrap::LoggingMesh;

use crate::args::RunOptions;
#[cfg(feature = "metrics")]
use crate::metrics::Metrics;

/// Who is told.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    #[cfg(feature = "metrics")]
    metrics: Option<Metrics>,
}

impl Beside {
    /// What can be refused is, before anything is there of the job.
    #[cfg_attr(not(feature = "metrics"), expect(unused_variables, reason = "nobody can be told"))]
    pub(crate) fn prepare(options: &RunOptions) -> anyhow::Result<Self> {
        Ok(Self {
            #[cfg(feature = "metrics")]
            metrics: options.metrics.map(Metrics::listen).transpose()?,
        })
    }

    /// The job runs.
    #[cfg_attr(not(feature = "metrics"), expect(unused_variables, reason = "nobody can be told"))]
    pub(crate) fn watch(&self, mesh: &LoggingMesh) {
        #[cfg(feature = "metrics")]
        self.metrics.iter().for_each(|metrics| metrics.watch(mesh.driver()));
    }
}
