//! Who is told of a job beside the console and the files.

use std::path::Path;
use std::time::Duration;

use lastline_bootstrap::LoggingMesh;
use lastline_jobs::Report;

use crate::args::RunOptions;
#[cfg(feature = "export")]
use crate::export::Exports;
#[cfg(feature = "metrics")]
use crate::metrics::Metrics;

/// Who is told.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    #[cfg(feature = "metrics")]
    metrics: Option<Metrics>,
    #[cfg(feature = "export")]
    exports: Exports,
}

#[cfg_attr(
    not(all(feature = "metrics", feature = "export")),
    expect(unused_variables, clippy::unused_self, reason = "not everybody can be told")
)]
impl Beside {
    /// What can be refused is, before anything is there of the job.
    pub(crate) fn prepare(options: &RunOptions) -> anyhow::Result<Self> {
        #[cfg(feature = "export")]
        crate::export::check(options)?;
        Ok(Self {
            #[cfg(feature = "metrics")]
            metrics: options.metrics.map(Metrics::listen).transpose()?,
            #[cfg(feature = "export")]
            exports: Exports::default(),
        })
    }

    /// There is a directory, and the job will run.
    pub(crate) fn export(
        &mut self,
        options: &RunOptions,
        job: &str,
        dir: &Path,
    ) -> anyhow::Result<()> {
        #[cfg(feature = "export")]
        self.exports.start(&options.export, job, dir)?;
        Ok(())
    }

    /// The job runs.
    pub(crate) fn watch(&self, mesh: &LoggingMesh) {
        #[cfg(feature = "metrics")]
        self.metrics.iter().for_each(|metrics| metrics.watch(mesh.driver()));
    }

    /// The job is over, and had so long for its way out; whether everybody was told everything.
    pub(crate) fn finish(self, report: &Report, way_out: Duration) -> bool {
        #[cfg(feature = "export")]
        return self.exports.finish(report, way_out);
        #[cfg(not(feature = "export"))]
        true
    }
}
