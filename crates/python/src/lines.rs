//! Iterators over a job's output, while it runs and from its files.

use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use lastline_line::{Span, StreamId};
use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use crate::batch::{Batch, Cutter, Line};
use crate::filed::Filed;
use crate::tap::{Feed, Next};
use crate::wait::{OfThisProcess, block_on, call_after};
use crate::{LastlineError, LinesLeftOut};

/// How long a file is given that does not hold yet what it will.
const SOON: Duration = Duration::from_millis(2);

/// Where batches come from.
enum Source {
    Running(Box<OfThisProcess<Feed>>),
    Filed(OfThisProcess<Filed>),
}

impl Source {
    fn next(&mut self) -> PyResult<Next> {
        Ok(match self {
            Self::Running(feed) => feed.get_mut()?.next(),
            Self::Filed(filed) => filed.get()?.next(),
        })
    }

    /// Waits until there may be more.
    fn wait(&self, soon: bool) -> PyResult<Pin<Box<dyn Future<Output = ()> + Send>>> {
        if soon {
            return Ok(Box::pin(async { tokio::time::sleep(SOON).await }));
        }
        Ok(match self {
            Self::Running(feed) => Box::pin(feed.get()?.ready()),
            Self::Filed(filed) => Box::pin(filed.get()?.ready()),
        })
    }

    fn closer(&self) -> PyResult<Closer> {
        Ok(match self {
            Self::Running(feed) => feed.get()?.closer(),
            Self::Filed(filed) => filed.get()?.closer(),
        })
    }
}

/// Ends an iterator, also while another thread waits in it.
pub(crate) type Closer = Box<dyn Fn() + Send + Sync>;

/// An iterator's own, for one thread at a time.
struct Given<T> {
    inner: Mutex<T>,
    close: OfThisProcess<Closer>,
    /// The mesh whose output it is: who has its output has it, and the job runs on.
    mesh: Option<Py<PyAny>>,
}

impl<T> Given<T> {
    fn get(&self) -> PyResult<MutexGuard<'_, T>> {
        match self.inner.try_lock() {
            Ok(inner) => Ok(inner),
            Err(TryLockError::Poisoned(inner)) => Ok(inner.into_inner()),
            Err(TryLockError::WouldBlock) => Err(PyRuntimeError::new_err(
                "another thread is waiting in this iterator: let each have its own",
            )),
        }
    }

    fn close(&self) -> PyResult<()> {
        self.close.get()?();
        Ok(())
    }
}

fn left_out(stream: StreamId, span: Span, why: &str) -> PyErr {
    let (rank, name) = (stream.rank, stream.stream);
    LinesLeftOut::new_err(format!(
        "{} bytes of rank {rank} {name} from byte {} on cannot be given: {why}",
        span.len(),
        span.from.0
    ))
}

/// Batches as they come.
struct Output {
    source: Source,
    soon: bool,
}

impl Output {
    /// What is there: never `Failed`.
    fn look(&mut self) -> PyResult<Next> {
        let next = self.source.next()?;
        self.soon = matches!(next, Next::Soon);
        if let Next::Failed(why) = next { Err(LastlineError::new_err(why)) } else { Ok(next) }
    }

    fn wait(&self, py: Python<'_>) -> PyResult<()> {
        block_on(py, self.source.wait(self.soon)?)
    }

    fn when_ready(&self, done: Py<PyAny>) -> PyResult<()> {
        call_after(self.source.wait(self.soon)?, done)
    }
}

/// Output of all ranks, in the order in which it was read; iterating waits for more until the job is
/// over.
#[pyclass(frozen, module = "lastline._native")]
pub(crate) struct Batches(Given<Output>);

impl Batches {
    pub(crate) fn running(feed: Feed, mesh: Py<PyAny>) -> PyResult<Self> {
        Self::of(Source::Running(Box::new(OfThisProcess::new(feed))), Some(mesh))
    }

    pub(crate) fn filed(filed: Filed) -> PyResult<Self> {
        Self::of(Source::Filed(OfThisProcess::new(filed)), None)
    }

    fn of(source: Source, mesh: Option<Py<PyAny>>) -> PyResult<Self> {
        let close = OfThisProcess::new(source.closer()?);
        Ok(Self(Given { inner: Mutex::new(Output { source, soon: false }), close, mesh }))
    }
}

#[pymethods]
impl Batches {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Batch>> {
        let mut output = self.0.get()?;
        loop {
            // What is queued is had without letting the lock go.
            match output.look()? {
                Next::Batch(chunk) => return Ok(Some(Batch { chunk })),
                Next::End => return Ok(None),
                Next::Gap(stream, span, why) => return Err(left_out(stream, span, &why)),
                _ => output.wait(py)?,
            }
        }
    }

    /// What is there: a batch, `False` when there is nothing yet, `None` at the end.
    fn take(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self.0.get()?.look()? {
            Next::Batch(chunk) => Ok(Py::new(py, Batch { chunk })?.into_any()),
            Next::End => Ok(py.None()),
            Next::Gap(stream, span, why) => Err(left_out(stream, span, &why)),
            _ => Ok(false.into_pyobject(py)?.to_owned().into_any().unbind()),
        }
    }

    /// Calls `done` when `take` may have more.
    fn when_ready(&self, done: Py<PyAny>) -> PyResult<()> {
        self.0.get()?.when_ready(done)
    }

    /// Wants nothing any more.
    fn close(&self) -> PyResult<()> {
        self.0.close()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.0.mesh)
    }
}

/// What looking for lines has come to.
enum Looked {
    Line(Line),
    /// There is a batch to be cut.
    Loaded,
    Nothing,
    End,
}

/// Lines as they come.
struct Cut {
    output: Output,
    cutter: Cutter,
    /// What is raised next: before it stands the start of a line whose end is missing.
    missed: Option<PyErr>,
}

impl Cut {
    /// Looks for more, when the last batch has been cut.
    fn look(&mut self) -> PyResult<Looked> {
        if let Some(missed) = self.missed.take() {
            return Err(missed);
        }
        Ok(match self.output.look()? {
            Next::Batch(chunk) => {
                self.cutter.load(chunk);
                Looked::Loaded
            }
            Next::Gap(stream, span, why) => {
                let missed = left_out(stream, span, &why);
                let Some(open) = self.cutter.end_of(stream) else {
                    return Err(missed);
                };
                self.missed = Some(missed);
                Looked::Line(open)
            }
            Next::End => self.cutter.end_any().map_or(Looked::End, Looked::Line),
            _ => Looked::Nothing,
        })
    }
}

/// Lines of all ranks, in the order in which they were read.
#[pyclass(frozen, module = "lastline._native")]
pub(crate) struct Lines(Given<Cut>);

impl Lines {
    pub(crate) fn new(Batches(Given { inner, close, mesh }): Batches) -> Self {
        let output = inner.into_inner().unwrap_or_else(PoisonError::into_inner);
        let cut = Cut { output, cutter: Cutter::default(), missed: None };
        Self(Given { inner: Mutex::new(cut), close, mesh })
    }
}

#[pymethods]
impl Lines {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Line>> {
        let mut cut = self.0.get()?;
        loop {
            if let Some(line) = cut.cutter.next() {
                return Ok(Some(line));
            }
            match cut.look()? {
                Looked::Line(line) => return Ok(Some(line)),
                Looked::Loaded => {}
                Looked::Nothing => cut.output.wait(py)?,
                Looked::End => return Ok(None),
            }
        }
    }

    /// The lines that are there, at most those of one batch; none when there is nothing yet, `None`
    /// at the end.
    fn take(&self) -> PyResult<Option<Vec<Line>>> {
        let mut cut = self.0.get()?;
        loop {
            let lines: Vec<Line> = std::iter::from_fn(|| cut.cutter.next()).collect();
            if !lines.is_empty() {
                return Ok(Some(lines));
            }
            match cut.look()? {
                Looked::Line(line) => return Ok(Some(vec![line])),
                Looked::Loaded => {}
                Looked::Nothing => return Ok(Some(Vec::new())),
                Looked::End => return Ok(None),
            }
        }
    }

    fn when_ready(&self, done: Py<PyAny>) -> PyResult<()> {
        self.0.get()?.output.when_ready(done)
    }

    fn close(&self) -> PyResult<()> {
        self.0.close()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.0.mesh)
    }
}
