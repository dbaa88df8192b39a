//! A job of this process.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lastline_bootstrap::{
    EntryStream, LoggingMesh, RankChanges, RankState, RankStatus, Report, StopCause,
    SubscribeOptions,
};
use lastline_client::{Verdict, Verdicts};
use lastline_jobs::{JobDir, JobInfo, JobsPlace, Retention, check_job_id, new_job_id};
use lastline_line::{Exit, RankSet};
use lastline_sender::WhenFull;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::sync::watch;

use crate::console::console;
use crate::entries::Entries;
use crate::lines::{Batches, Lines};
use crate::options::{SpawnOptions, duration, fold};
use crate::tap::Tap;
use crate::wait::{OfThisProcess, block_on, call_after, handle, lock};
use crate::{LastlineError, SpawnError, failed};

/// How long the directory for the files is waited for.
const DIR_PATIENCE: Duration = Duration::from_secs(10);

/// The report of a job, or why there is none.
type Outcome = Option<Result<Arc<Report>, String>>;
/// The streams of a barrier: rank, stream, verdict, and what there is to say of it.
type FlushedStreams = Vec<(u32, &'static str, &'static str, String)>;

/// A job that runs. Stopped and drained in the background when nobody has it any more.
#[pyclass(frozen, module = "lastline._native")]
pub(crate) struct Mesh {
    parts: OfThisProcess<Parts>,
    #[pyo3(get)]
    job: String,
    #[pyo3(get)]
    dir: Option<PathBuf>,
}

struct Parts {
    mesh: LoggingMesh,
    tap: Arc<Tap>,
    outcome: watch::Receiver<Outcome>,
    stopping: AtomicBool,
    /// Entries since the start, until somebody wants them.
    entries: Mutex<Option<EntryStream>>,
    changes: tokio::sync::Mutex<RankChanges>,
    flush_timeout: Duration,
    procs: u32,
}

/// Starts a job.
#[pyfunction]
pub(crate) fn spawn(py: Python<'_>, options: SpawnOptions) -> PyResult<Mesh> {
    let job = options.job.clone().unwrap_or_else(new_job_id);
    check_job_id(&job).map_err(|error| LastlineError::new_err(error.to_string()))?;
    let (command, workdir) = (&options.command, options.workdir.as_deref());
    LoggingMesh::check_command(command, options.procs, workdir, &options.env)
        .map_err(|error| failed::<SpawnError>(&error))?;
    let runtime = handle()?;
    let fold_of = fold(&options.fold, options.shown()?, options.fold_window)?;
    let folds = options.fold != "off";
    let console = console(py, &options, fold_of)?;
    // All that may be wrong is known before anything is made.
    options.plan(py, &job, None)?;
    let dir = job_dir(&options, &job)?;
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
    let (outcome, changes) = (await_end(&runtime, &mesh, &tap, dir), mesh.watch());
    let parts = Parts {
        mesh,
        tap,
        outcome,
        stopping: AtomicBool::new(false),
        entries: Mutex::new(entries),
        changes: tokio::sync::Mutex::new(changes),
        flush_timeout,
        procs: options.procs,
    };
    Ok(Mesh { parts: OfThisProcess::new(parts), job, dir: path })
}

/// How much waits for each consumer of lines, in bytes.
const FEED_BYTES: usize = 1 << 20;

fn job_dir(options: &SpawnOptions, job: &str) -> PyResult<Option<JobDir>> {
    if options.no_files {
        return Ok(None);
    }
    let words = options.command.iter().map(|word| word.to_string_lossy().into_owned());
    let mut info = JobInfo::new(job, words.collect(), options.procs);
    info.strict = options.strict;
    let dir_error = |error: lastline_jobs::JobDirError| failed::<LastlineError>(&error);
    let (path, own) = match &options.log_dir {
        Some(dir) => (std::path::absolute(dir)?, false),
        None => (JobsPlace::of_user().map_err(dir_error)?.dir_of(job), true),
    };
    let dir = JobDir::create_within(DIR_PATIENCE, &path, options.overwrite, &info);
    let dir = dir.map_err(dir_error)?;
    register(job.to_owned(), dir.path().to_owned(), own);
    Ok(Some(dir))
}

/// Puts the job on the list of jobs, and tidies the place that it is in, beside the job.
fn register(job: String, dir: PathBuf, tidy: bool) {
    let Ok(place) = JobsPlace::of_user() else {
        return;
    };
    let thread = std::thread::Builder::new().name("lastline-list".into());
    let registering = thread.spawn(move || {
        if let Err(error) = place.register(&job, &dir) {
            tracing::debug!(%error, "the job is not in the list of jobs");
        }
        if tidy {
            let removed = place.prune(&Retention::DEFAULT);
            tracing::debug!(?removed, "old jobs are gone");
        }
    });
    if let Err(error) = registering {
        tracing::debug!(%error, "the job is not in the list of jobs");
    }
}

/// Keeps the job's directory locked until its report is there.
fn await_end(
    runtime: &tokio::runtime::Handle,
    mesh: &LoggingMesh,
    tap: &Arc<Tap>,
    dir: Option<JobDir>,
) -> watch::Receiver<Outcome> {
    let (told, outcome) = watch::channel(None);
    let (mesh, tap) = (mesh.clone(), Arc::clone(tap));
    runtime.spawn(async move {
        let report = mesh.wait().await.map_err(|error| error.to_string());
        tap.end();
        drop(dir);
        told.send_replace(Some(report));
    });
    outcome
}

impl Parts {
    fn is_over(&self) -> bool {
        self.outcome.borrow().is_some()
    }

    fn within(&self, timeout: Option<f64>) -> PyResult<Duration> {
        timeout.map_or(Ok(self.flush_timeout), |timeout| duration("timeout", timeout))
    }
}

#[pymethods]
impl Mesh {
    /// A barrier; its number, its streams, and how many hosts did not answer.
    fn flush(
        &self,
        py: Python<'_>,
        timeout: Option<f64>,
    ) -> PyResult<(u64, FlushedStreams, usize)> {
        let parts = self.parts.get()?;
        let within = parts.within(timeout)?;
        block_on(py, parts.mesh.flush_within(within)).map(|verdicts| flushed(&verdicts))
    }

    /// Begins a barrier; `done` is called when it has its verdicts.
    fn begin_flush(&self, timeout: Option<f64>, done: Py<PyAny>) -> PyResult<Flushing> {
        let parts = self.parts.get()?;
        let (within, mesh) = (parts.within(timeout)?, parts.mesh.clone());
        let verdicts = Arc::new(Mutex::new(None));
        let into = Arc::clone(&verdicts);
        let flush = async move {
            let verdicts = mesh.flush_within(within).await;
            *lock(&into) = Some(verdicts);
        };
        call_after(flush, done)?;
        Ok(Flushing(verdicts))
    }

    /// Stops the job: by this signal, or as its owner. Again: ends the grace.
    fn stop(&self, signal: Option<i32>) -> PyResult<()> {
        let parts = self.parts.get()?;
        parts.tap.unblock();
        parts.stopping.store(true, Ordering::Release);
        if !parts.is_over() {
            parts.mesh.stop(signal.map_or(StopCause::Owner, StopCause::Signal));
        }
        Ok(())
    }

    /// Whether it was told to stop from here.
    #[getter]
    fn stopping(&self) -> PyResult<bool> {
        Ok(self.parts.get()?.stopping.load(Ordering::Acquire))
    }

    /// Signals a rank, or all.
    fn signal(&self, rank: Option<u32>, signal: i32) -> PyResult<()> {
        let parts = self.parts.get()?;
        parts.mesh.signal(rank, signal);
        Ok(())
    }

    /// Waits for the report, as JSON; `None` when it is not there in time.
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Option<String>> {
        let parts = self.parts.get()?;
        parts.tap.unblock();
        let timeout = timeout.map(|timeout| duration("timeout", timeout)).transpose()?;
        let mut outcome = parts.outcome.clone();
        let over = async move {
            let over = async { outcome.wait_for(Option::is_some).await.is_ok() };
            match timeout {
                Some(timeout) => tokio::time::timeout(timeout, over).await.is_ok(),
                None => over.await,
            }
        };
        if !block_on(py, over)? {
            return Ok(None);
        }
        self.report()
    }

    /// Calls `done` when the job is over.
    fn when_over(&self, done: Py<PyAny>) -> PyResult<()> {
        let parts = self.parts.get()?;
        parts.tap.unblock();
        let mut outcome = parts.outcome.clone();
        call_after(async move { drop(outcome.wait_for(Option::is_some).await) }, done)
    }

    /// The report as JSON, when the job is over.
    fn report(&self) -> PyResult<Option<String>> {
        match &*self.parts.get()?.outcome.borrow() {
            None => Ok(None),
            Some(Err(why)) => Err(LastlineError::new_err(why.clone())),
            Some(Ok(report)) => report_json(report).map(Some),
        }
    }

    /// Whether output is shown, or filed alone.
    fn set_streaming(&self, on: bool) -> PyResult<()> {
        let parts = self.parts.get()?;
        parts.mesh.set_mode(on);
        Ok(())
    }

    /// Folds otherwise from now on.
    fn set_fold(&self, mode: &str, window: Option<f64>) -> PyResult<()> {
        let parts = self.parts.get()?;
        parts.mesh.set_fold(fold(mode, RankSet::first(parts.procs), window)?);
        Ok(())
    }

    /// Every rank as it stands.
    fn ranks(&self) -> PyResult<Vec<RankTuple>> {
        Ok(self.parts.get()?.mesh.ranks().into_iter().map(rank_tuple).collect())
    }

    /// Waits until something is heard of a rank; false when the job is over.
    fn wait_for_change(&self, py: Python<'_>) -> PyResult<bool> {
        let parts = self.parts.get()?;
        let mut outcome = parts.outcome.clone();
        let changed = async {
            let mut changes = parts.changes.lock().await;
            tokio::select! {
                changed = changes.next() => changed.is_some(),
                _ = outcome.wait_for(Option::is_some) => false,
            }
        };
        block_on(py, changed)
    }

    /// A rank that is over is started again.
    fn restart(&self, py: Python<'_>, rank: u32) -> PyResult<()> {
        let parts = self.parts.get()?;
        let restarted = block_on(py, parts.mesh.restart(rank))?;
        restarted.map(drop).map_err(|error| failed::<LastlineError>(&error))
    }

    /// Its output in batches.
    fn batches(&self, from_start: bool) -> PyResult<Batches> {
        Ok(Batches::running(self.parts.get()?.tap.feed(from_start)))
    }

    /// Its lines.
    fn lines(&self, from_start: bool) -> PyResult<Lines> {
        self.batches(from_start).map(Lines::new)
    }

    /// Its entries: since the start where it folds and nobody had them, otherwise from now on.
    fn entries(&self) -> PyResult<Entries> {
        let parts = self.parts.get()?;
        let since_start = lock(&parts.entries).take();
        let stream = since_start.unwrap_or_else(|| parts.mesh.entries(SubscribeOptions::default()));
        Ok(Entries::new(stream))
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        self.tap.unblock();
        if !self.is_over() && !self.stopping.load(Ordering::Acquire) {
            self.mesh.stop(StopCause::Owner);
        }
    }
}

/// A barrier that was begun.
#[pyclass(frozen, module = "lastline._native")]
pub(crate) struct Flushing(Arc<Mutex<Option<Verdicts>>>);

#[pymethods]
impl Flushing {
    /// What it came to.
    fn result(&self) -> Option<(u64, FlushedStreams, usize)> {
        lock(&self.0).as_ref().map(flushed)
    }
}

fn flushed(verdicts: &Verdicts) -> (u64, FlushedStreams, usize) {
    let streams = verdicts.streams.iter().map(|(id, verdict)| {
        let why = match verdict {
            Verdict::Lost { span, cause } => format!("bytes {span} were lost: {cause}"),
            Verdict::TimedOut { shown, wanted: Some(wanted) } => {
                format!("shown up to byte {shown} of {wanted}")
            }
            Verdict::TimedOut { shown, .. } => format!("shown up to byte {shown}"),
            _ => String::new(),
        };
        (id.rank, id.stream.name(), verdict.name(), why)
    });
    (verdicts.version.0, streams.collect(), verdicts.missing_hosts)
}

/// Rank, host, state, why, pid, code, signal, bytes, lines, shown bytes, last lines.
type RankTuple = (
    u32,
    String,
    &'static str,
    Option<String>,
    Option<u32>,
    (Option<i32>, Option<i32>),
    (u64, u64, u64),
    Vec<String>,
);

fn rank_tuple(rank: RankStatus) -> RankTuple {
    let (state, why, exit) = match rank.state {
        RankState::Waiting => ("waiting", None, (None, None)),
        RankState::Running => ("running", None, (None, None)),
        RankState::Exited(Exit::Code(code)) => ("exited", None, (Some(code), None)),
        RankState::Exited(Exit::Signal(signal)) => ("exited", None, (None, Some(signal))),
        RankState::Exited(Exit::Unknown) => ("exited", None, (None, None)),
        RankState::NotStarted(why) => ("not started", Some(why), (None, None)),
        RankState::Lost(why) => ("lost", Some(why), (None, None)),
        _ => ("unknown", None, (None, None)),
    };
    let sizes = (rank.bytes, rank.lines, rank.shown_bytes);
    (rank.rank, rank.host, state, why, rank.pid, exit, sizes, rank.last_lines)
}

/// A report as `report.json` has it.
pub(crate) fn report_json(report: &Report) -> PyResult<String> {
    serde_json::to_string(report).map_err(|error| PyRuntimeError::new_err(error.to_string()))
}
