//! Iterators over a job's output, while it runs and from its files.

use std::pin::Pin;
use std::time::Duration;

use lastline_line::{Span, StreamId};
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

    /// Nothing is wanted any more.
    fn close(&self) -> PyResult<()> {
        match self {
            Self::Running(feed) => feed.get()?.close(),
            Self::Filed(filed) => filed.get()?.close(),
        }
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

/// Output of all ranks, in the order in which it was read; iterating waits for more until the job is
/// over.
#[pyclass(module = "lastline._native")]
pub(crate) struct Batches {
    source: Source,
    soon: bool,
}

impl Batches {
    pub(crate) fn running(feed: Feed) -> Self {
        Self { source: Source::Running(Box::new(OfThisProcess::new(feed))), soon: false }
    }

    /// What is there: never `Failed`.
    fn look(&mut self) -> PyResult<Next> {
        let next = self.source.next()?;
        self.soon = matches!(next, Next::Soon);
        if let Next::Failed(why) = next { Err(LastlineError::new_err(why)) } else { Ok(next) }
    }

    fn wait(&self, py: Python<'_>) -> PyResult<()> {
        block_on(py, self.source.wait(self.soon)?)
    }
}

#[pymethods]
impl Batches {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&mut self, py: Python<'_>) -> PyResult<Option<Batch>> {
        loop {
            // What is queued is had without letting the lock go.
            match self.look()? {
                Next::Batch(chunk) => return Ok(Some(Batch { chunk })),
                Next::End => return Ok(None),
                Next::Gap(stream, span, why) => return Err(left_out(stream, span, &why)),
                _ => self.wait(py)?,
            }
        }
    }

    /// What is there: a batch, `False` when there is nothing yet, `None` at the end.
    fn take(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self.look()? {
            Next::Batch(chunk) => Ok(Py::new(py, Batch { chunk })?.into_any()),
            Next::End => Ok(py.None()),
            Next::Gap(stream, span, why) => Err(left_out(stream, span, &why)),
            _ => Ok(false.into_pyobject(py)?.to_owned().into_any().unbind()),
        }
    }

    /// Calls `done` when `take` may have more.
    fn when_ready(&self, done: Py<PyAny>) -> PyResult<()> {
        call_after(self.source.wait(self.soon)?, done)
    }

    /// Wants nothing any more.
    fn close(&self) -> PyResult<()> {
        self.source.close()
    }
}

/// Lines of all ranks, in the order in which they were read.
#[pyclass(module = "lastline._native")]
pub(crate) struct Lines {
    batches: Batches,
    cutter: Cutter,
    /// What is raised next: before it stands the start of a line whose end is missing.
    missed: Option<PyErr>,
}

/// What looking for lines has come to.
enum Looked {
    Line(Line),
    /// There is a batch to be cut.
    Loaded,
    Nothing,
    End,
}

impl Lines {
    pub(crate) fn new(batches: Batches) -> Self {
        Self { batches, cutter: Cutter::default(), missed: None }
    }

    pub(crate) fn filed(filed: Filed) -> Self {
        Self::new(Batches { source: Source::Filed(OfThisProcess::new(filed)), soon: false })
    }

    /// Looks for more, when the last batch has been cut.
    fn look(&mut self) -> PyResult<Looked> {
        if let Some(missed) = self.missed.take() {
            return Err(missed);
        }
        Ok(match self.batches.look()? {
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

#[pymethods]
impl Lines {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&mut self, py: Python<'_>) -> PyResult<Option<Line>> {
        loop {
            if let Some(line) = self.cutter.next() {
                return Ok(Some(line));
            }
            match self.look()? {
                Looked::Line(line) => return Ok(Some(line)),
                Looked::Loaded => {}
                Looked::Nothing => self.batches.wait(py)?,
                Looked::End => return Ok(None),
            }
        }
    }

    /// The lines that are there, at most those of one batch; none when there is nothing yet, `None`
    /// at the end.
    fn take(&mut self) -> PyResult<Option<Vec<Line>>> {
        loop {
            let lines: Vec<Line> = std::iter::from_fn(|| self.cutter.next()).collect();
            if !lines.is_empty() {
                return Ok(Some(lines));
            }
            match self.look()? {
                Looked::Line(line) => return Ok(Some(vec![line])),
                Looked::Loaded => {}
                Looked::Nothing => return Ok(Some(Vec::new())),
                Looked::End => return Ok(None),
            }
        }
    }

    fn when_ready(&self, done: Py<PyAny>) -> PyResult<()> {
        self.batches.when_ready(done)
    }

    fn close(&self) -> PyResult<()> {
        self.batches.close()
    }
}
