//! A job of this process.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lastline_bootstrap::{
    EntryStream, LoggingMesh, RankChanges, Report, StopCause, SubscribeOptions,
};
use lastline_client::Verdicts;
use lastline_line::RankSet;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::sync::watch;

use crate::entries::Entries;
use crate::lines::{Batches, Lines};
use crate::options::{duration, fold};
use crate::status::{FlushedStreams, RankTuple, flushed, rank_tuple};
use crate::tap::Tap;
use crate::wait::{OfThisProcess, block_on, call_after, lock};
use crate::{LastlineError, failed};

/// The report of a job, or why there is none.
pub(crate) type Outcome = Option<Result<Arc<Report>, String>>;

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

impl Parts {
    pub(crate) fn new(
        mesh: LoggingMesh,
        tap: Arc<Tap>,
        outcome: watch::Receiver<Outcome>,
        entries: Option<EntryStream>,
        flush_timeout: Duration,
        procs: u32,
    ) -> Self {
        let changes = tokio::sync::Mutex::new(mesh.watch());
        let (stopping, entries) = (AtomicBool::new(false), Mutex::new(entries));
        Self { mesh, tap, outcome, stopping, entries, changes, flush_timeout, procs }
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
        Batches::running(self.parts.get()?.tap.feed(from_start))
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

/// A report as `report.json` has it.
pub(crate) fn report_json(report: &Report) -> PyResult<String> {
    serde_json::to_string(report).map_err(|error| PyRuntimeError::new_err(error.to_string()))
}
