//! A job of this process.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lastline_bootstrap::{
    DriverHandle, EntryStream, LoggingMesh, RankChanges, Report, StopCause, SubscribeOptions,
};
use lastline_client::Verdicts;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::sync::watch;

use crate::attach::Meeting;
use crate::entries::Entries;
use crate::lines::{Batches, Lines};
use crate::options::{duration, fold};
use crate::status::{FlushedStreams, RankTuple, flushed, rank_tuple};
use crate::tap::Tap;
use crate::wait::{OfThisProcess, block_on, call_after, lock};
use crate::{LastlineError, failed};

/// The report of a job, or why there is none.
pub(crate) type Outcome = Option<Result<Arc<Report>, NoReport>>;

/// Why there is no report.
#[derive(Clone, Debug)]
pub(crate) enum NoReport {
    /// The job runs on, driven by somebody else or nobody.
    Detached,
    Failed(String),
}

/// Who runs the ranks.
pub(crate) enum Ranks {
    /// This process.
    Own(LoggingMesh),
    /// Hosts that are met there.
    Elsewhere(Arc<Meeting>),
}

/// A job that runs. Stopped and drained in the background when nobody has it any more.
#[pyclass(frozen, module = "lastline._native")]
pub(crate) struct Mesh {
    parts: OfThisProcess<Parts>,
    #[pyo3(get)]
    job: String,
    #[pyo3(get)]
    dir: Option<PathBuf>,
}

/// What belongs to the process that started it.
pub(crate) struct Parts {
    driver: DriverHandle,
    ranks: Ranks,
    tap: Arc<Tap>,
    outcome: watch::Receiver<Outcome>,
    stopping: AtomicBool,
    /// Entries since the start, until somebody wants them.
    entries: Mutex<Option<EntryStream>>,
    changes: tokio::sync::Mutex<RankChanges>,
    flush_timeout: Duration,
}

impl Parts {
    pub(crate) fn new(
        driver: DriverHandle,
        ranks: Ranks,
        tap: Arc<Tap>,
        outcome: watch::Receiver<Outcome>,
        entries: Option<EntryStream>,
        flush_timeout: Duration,
    ) -> Self {
        let changes = tokio::sync::Mutex::new(driver.watch());
        let (stopping, entries) = (AtomicBool::new(false), Mutex::new(entries));
        Self { driver, ranks, tap, outcome, stopping, entries, changes, flush_timeout }
    }

    /// A barrier, and for how long. Nobody waits for consumers that there are not.
    fn barrier(&self, timeout: Option<f64>) -> PyResult<Duration> {
        if self.is_detached() {
            return Err(detached());
        }
        self.tap.let_go();
        self.within(timeout)
    }

    /// Leaves the ranks of others to them; everybody knows of it then.
    fn leave(&self) -> impl Future<Output = ()> + Send + use<> {
        self.tap.unblock();
        let meeting = match &self.ranks {
            Ranks::Own(_) => None,
            Ranks::Elsewhere(meeting) => Some(Arc::clone(meeting)),
        };
        let (driver, mut outcome) = (self.driver.clone(), self.outcome.clone());
        async move {
            if let Some(meeting) = meeting {
                meeting.leave(&driver).await;
                drop(outcome.wait_for(Option::is_some).await);
            }
        }
    }

    fn is_detached(&self) -> bool {
        matches!(&*self.outcome.borrow(), Some(Err(NoReport::Detached)))
    }

    fn is_over(&self) -> bool {
        self.outcome.borrow().is_some()
    }

    fn within(&self, timeout: Option<f64>) -> PyResult<Duration> {
        timeout.map_or(Ok(self.flush_timeout), |timeout| duration("timeout", timeout))
    }
}

impl Mesh {
    pub(crate) fn new(parts: Parts, job: String, dir: Option<PathBuf>) -> Self {
        Self { parts: OfThisProcess::new(parts), job, dir }
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
        let within = parts.barrier(timeout)?;
        block_on(py, parts.driver.flush_within(within)).map(|verdicts| flushed(&verdicts))
    }

    /// Begins a barrier; `done` is called when it has its verdicts.
    fn begin_flush(&self, timeout: Option<f64>, done: Py<PyAny>) -> PyResult<Flushing> {
        let parts = self.parts.get()?;
        let (within, driver) = (parts.barrier(timeout)?, parts.driver.clone());
        let verdicts = Arc::new(Mutex::new(None));
        let into = Arc::clone(&verdicts);
        let flush = async move {
            let verdicts = driver.flush_within(within).await;
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
            parts.driver.stop(signal.map_or(StopCause::Owner, StopCause::Signal));
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
        parts.driver.signal(rank, signal);
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
        if parts.is_detached() {
            return Err(detached());
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

    /// As `when_over`, for what is no wait: nothing that keeps ranks waiting lets them go for it.
    fn at_end(&self, done: Py<PyAny>) -> PyResult<()> {
        let mut outcome = self.parts.get()?.outcome.clone();
        call_after(async move { drop(outcome.wait_for(Option::is_some).await) }, done)
    }

    /// The report as JSON, when the job is over.
    fn report(&self) -> PyResult<Option<String>> {
        match &*self.parts.get()?.outcome.borrow() {
            None => Ok(None),
            Some(Err(NoReport::Detached)) => Ok(None),
            Some(Err(NoReport::Failed(why))) => Err(LastlineError::new_err(why.clone())),
            Some(Ok(report)) => report_json(report).map(Some),
        }
    }

    /// Where the report could not be written, and why.
    fn not_written(&self) -> PyResult<Vec<(PathBuf, String)>> {
        let outcome = self.parts.get()?.outcome.borrow();
        let not_written = match &*outcome {
            Some(Ok(report)) => &report.not_written[..],
            _ => &[],
        };
        Ok(not_written.iter().map(|at| (at.path.clone(), at.cause.clone())).collect())
    }

    /// Whether output is shown, or filed alone.
    fn set_streaming(&self, on: bool) -> PyResult<()> {
        let parts = self.parts.get()?;
        parts.driver.set_mode(on);
        Ok(())
    }

    /// Folds otherwise from now on.
    fn set_fold(&self, mode: &str, window: Option<f64>) -> PyResult<()> {
        let parts = self.parts.get()?;
        parts.driver.set_fold(fold(mode, parts.driver.shown(), window)?);
        Ok(())
    }

    /// Every rank as it stands.
    fn ranks(&self) -> PyResult<Vec<RankTuple>> {
        let parts = self.parts.get()?;
        let ranks = match &parts.ranks {
            Ranks::Own(mesh) => mesh.ranks(),
            Ranks::Elsewhere(_) => parts.driver.ranks(),
        };
        Ok(ranks.into_iter().map(rank_tuple).collect())
    }

    /// How many ranks the whole job has, once that is known.
    fn world_size(&self) -> PyResult<Option<u32>> {
        Ok(self.parts.get()?.driver.world_size())
    }

    /// Leaves the ranks of others to them, when what was received is shown.
    fn detach(&self, py: Python<'_>) -> PyResult<()> {
        block_on(py, self.parts.get()?.leave())
    }

    /// As `detach`; `done` is called when it has left.
    fn begin_detach(&self, done: Py<PyAny>) -> PyResult<()> {
        call_after(self.parts.get()?.leave(), done)
    }

    /// Whether it was left.
    #[getter]
    fn detached(&self) -> PyResult<bool> {
        Ok(self.parts.get()?.is_detached())
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
        let Ranks::Own(mesh) = &parts.ranks else {
            return Err(LastlineError::new_err(
                "the ranks of this job are others': only who started them starts them again",
            ));
        };
        let restarted = block_on(py, mesh.restart(rank))?;
        restarted.map(drop).map_err(|error| failed::<LastlineError>(&error))
    }

    /// Its output in batches, for an iterator of `mesh`.
    fn batches(&self, from_start: bool, mesh: Py<PyAny>) -> PyResult<Batches> {
        Batches::running(self.parts.get()?.tap.feed(from_start), mesh)
    }

    /// Its lines.
    fn lines(&self, from_start: bool, mesh: Py<PyAny>) -> PyResult<Lines> {
        self.batches(from_start, mesh).map(Lines::new)
    }

    /// Its entries: since the start where it folds and nobody had them, otherwise from now on.
    fn entries(&self, mesh: Py<PyAny>) -> PyResult<Entries> {
        let parts = self.parts.get()?;
        parts.tap.let_go();
        let since_start = lock(&parts.entries).take();
        let stream =
            since_start.unwrap_or_else(|| parts.driver.entries(SubscribeOptions::default()));
        Ok(Entries::new(stream, mesh))
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        self.tap.unblock();
        let goes_on = !self.is_over() && !self.stopping.load(Ordering::Acquire);
        match &self.ranks {
            Ranks::Own(_) if goes_on => self.driver.stop(StopCause::Owner),
            Ranks::Elsewhere(meeting) if goes_on => meeting.leave_behind(&self.driver),
            _ => {}
        }
    }
}

fn detached() -> PyErr {
    LastlineError::new_err("this process has left the job, which runs on without it")
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

/// A report as `report.json` has it.
pub(crate) fn report_json(report: &Report) -> PyResult<String> {
    serde_json::to_string(report).map_err(|error| PyRuntimeError::new_err(error.to_string()))
}
