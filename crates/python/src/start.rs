//! Starting a job: its directory, its console, its place on the list of jobs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lastline_bootstrap::{
    DriverHandle, LoggingMesh, SpawnError as BootstrapError, SubscribeOptions, control_path,
};
use lastline_jobs::{JobDir, JobDirError, JobInfo, JobsPlace, Retention, check_job_id, new_job_id};
use lastline_sender::WhenFull;
use pyo3::prelude::*;
use tokio::sync::watch;

use crate::console::console;
use crate::mesh::{Mesh, NoReport, Outcome, Parts, Ranks};
use crate::options::{SpawnOptions, fold, template};
use crate::tap::Tap;
use crate::wait::handle;
use crate::{LastlineError, SpawnError, failed};

/// How long the directory for the files is waited for.
const DIR_PATIENCE: Duration = Duration::from_secs(10);

/// Starts a job.
#[pyfunction]
pub(crate) fn spawn(py: Python<'_>, options: SpawnOptions) -> PyResult<Mesh> {
    let job = options.job.clone().unwrap_or_else(new_job_id);
    check_job_id(&job).map_err(|error| LastlineError::new_err(error.to_string()))?;
    let (command, workdir) = (&options.command, options.workdir.as_deref());
    LoggingMesh::check_command(command, options.procs, workdir, &options.env)
        .map_err(|error| failed::<SpawnError>(&error))?;
    let runtime = handle()?;
    let fold_of = fold(&options.fold, Some(options.shown()?), options.fold_window)?;
    let folds = options.fold != "off";
    let look = (template(&options.prefix, options.procs > 1)?, &*options.color);
    let console = console(py, &options.console, look, fold_of)?;
    // All that may be wrong is known before anything is made.
    options.plan(py, &job, None)?;
    // A disk may keep it waiting.
    let dir = py.detach(|| job_dir(&options, &job))?;
    let path = dir.as_ref().map(|dir| dir.path().to_owned());
    let plan = options.plan(py, &job, path.clone())?;
    let flush_timeout = plan.flush_timeout;
    let blocks = options.no_files && options.when_full()? == WhenFull::Block;
    let tap = Tap::new(path.clone(), blocks, FEED_BYTES);
    let spawned = py.detach(|| {
        let _on_runtime = runtime.enter();
        let tap = Arc::clone(&tap);
        let builder = LoggingMesh::builder(plan).console(console);
        builder.sink(move |_| Some(Box::new(tap.sink()))).spawn()
    });
    let mesh = match spawned {
        Ok(mesh) => mesh,
        Err(error) => {
            dir.into_iter().for_each(JobDir::discard);
            return Err(failed::<SpawnError>(&error));
        }
    };
    let entries = folds.then(|| mesh.entries(SubscribeOptions::default()));
    let driver = mesh.driver();
    let outcome = await_end(&runtime, &driver, &tap, async move { drop(dir) });
    let parts = Parts::new(driver, Ranks::Own(mesh), tap, outcome, entries, flush_timeout);
    Ok(Mesh::new(parts, job, path))
}

/// How much waits for each consumer of lines, in bytes.
pub(crate) const FEED_BYTES: usize = 1 << 20;

fn job_dir(options: &SpawnOptions, job: &str) -> PyResult<Option<JobDir>> {
    if options.no_files {
        return Ok(None);
    }
    let words = options.command.iter().map(|word| word.to_string_lossy().into_owned());
    let mut info = JobInfo::new(job, words.collect(), options.procs);
    info.strict = options.strict;
    info.control = Some(control_path(job));
    let place = JobsPlace::of_user();
    let path = match &options.log_dir {
        Some(dir) => std::path::absolute(dir)?,
        None => place.as_ref().map_err(|error| failed::<LastlineError>(error))?.dir_of(job),
    };
    let place = place.ok();
    let dir = JobDir::create_within(DIR_PATIENCE, place.as_ref(), &path, options.overwrite, &info);
    let dir = dir.map_err(|error| match error {
        JobDirError::Finished { dir } => LastlineError::new_err(format!(
            "{} holds a finished job; choose another directory or id, or say overwrite=True",
            dir.display()
        )),
        error => failed::<LastlineError>(&error),
    })?;
    // Without a place of the user's, a job with a directory of its own is on no list.
    if let Some(place) = place {
        register(place, job.to_owned(), dir.path().to_owned(), options.log_dir.is_none());
    }
    Ok(Some(dir))
}

/// Puts the job on the list of jobs, and tidies the place that it is in, beside the job.
fn register(place: JobsPlace, job: String, dir: PathBuf, tidy: bool) {
    let thread = std::thread::Builder::new().name("lastline-list".into());
    let registering = thread.spawn(move || {
        if let Err(error) = place.register(&job, &dir) {
            tracing::debug!(%error, "the job is not in the list of jobs");
        }
        if tidy {
            let pruned = place.prune(&Retention::DEFAULT);
            tracing::debug!(?pruned, "old jobs are gone");
        }
    });
    if let Err(error) = registering {
        tracing::debug!(%error, "the job is not in the list of jobs");
    }
}

/// Waits for the report beside everything else; what is to be done at the job's end is done before
/// anybody hears of it.
pub(crate) fn await_end(
    runtime: &tokio::runtime::Handle,
    driver: &DriverHandle,
    tap: &Arc<Tap>,
    at_end: impl Future<Output = ()> + Send + 'static,
) -> watch::Receiver<Outcome> {
    let (told, outcome) = watch::channel(None);
    let (driver, tap) = (driver.clone(), Arc::clone(tap));
    runtime.spawn(async move {
        let report = driver.wait().await.map_err(|error| match error {
            BootstrapError::Detached => NoReport::Detached,
            error => NoReport::Failed(error.to_string()),
        });
        tap.end();
        at_end.await;
        told.send_replace(Some(report));
    });
    outcome
}
