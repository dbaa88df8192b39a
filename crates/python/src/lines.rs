//! Iterators over a job's output, while it runs and from its files.

use std::path::PathBuf;
use std::time::Duration;

use lastline_appender::{Archive, Extent};
use lastline_line::{
    Chunk, Offset, RankSet, ReadBack as _, ReadOutcome, Span, StreamId, Timestamp,
};
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;

use crate::LinesLeftOut;
use crate::batch::{Batch, Cutter, Line};
use crate::tap::{Feed, Next};
use crate::wait::{OfThisProcess, block_on, call_after};

/// How long a file is given that does not hold yet what it will.
const SOON: Duration = Duration::from_millis(2);

/// Where batches come from.
enum Source {
    Running(Box<OfThisProcess<Feed>>),
    Filed(Box<FiledOutput>),
}

impl Source {
    fn next(&mut self) -> PyResult<Next> {
        Ok(match self {
            Self::Running(feed) => feed.get_mut()?.next(),
            Self::Filed(filed) => filed.next(),
        })
    }

    /// Waits until there may be more.
    fn wait(&self, soon: bool) -> PyResult<impl Future<Output = ()> + Send + use<>> {
        let ready = match self {
            Self::Running(feed) => Some(feed.get()?.ready()),
            Self::Filed(_) => None,
        };
        Ok(async move {
            match ready {
                Some(ready) if !soon => ready.await,
                _ => tokio::time::sleep(SOON).await,
            }
        })
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

    /// The next batch that is there; `Nothing` and `Soon` are alike to who only looks.
    fn look(&mut self) -> PyResult<Next> {
        let next = self.source.next()?;
        self.soon = matches!(next, Next::Soon);
        Ok(next)
    }

    fn wait_for_next(&mut self, py: Python<'_>) -> PyResult<Option<Chunk>> {
        loop {
            // What is queued is had without letting the lock go.
            match self.look()? {
                Next::Batch(chunk) => return Ok(Some(chunk)),
                Next::End => return Ok(None),
                Next::Gap(stream, span, why) => return Err(left_out(stream, span, &why)),
                Next::Nothing | Next::Soon => block_on(py, self.source.wait(self.soon)?)?,
            }
        }
    }
}

#[pymethods]
impl Batches {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&mut self, py: Python<'_>) -> PyResult<Option<Batch>> {
        Ok(self.wait_for_next(py)?.map(|chunk| Batch { chunk }))
    }

    /// What is there: a batch, `False` when there is nothing yet, `None` at the end.
    fn take(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self.look()? {
            Next::Batch(chunk) => Ok(Py::new(py, Batch { chunk })?.into_any()),
            Next::End => Ok(py.None()),
            Next::Gap(stream, span, why) => Err(left_out(stream, span, &why)),
            Next::Nothing | Next::Soon => {
                Ok(false.into_pyobject(py)?.to_owned().into_any().unbind())
            }
        }
    }

    /// Calls `done` when `take` may have more.
    fn when_ready(&self, done: Py<PyAny>) -> PyResult<()> {
        call_after(self.source.wait(self.soon)?, done)
    }

    /// Wants nothing any more.
    fn close(&self) -> PyResult<()> {
        if let Source::Running(feed) = &self.source {
            feed.get()?.close();
        }
        Ok(())
    }
}

/// Lines of all ranks, in the order in which they were read.
#[pyclass(module = "lastline._native")]
pub(crate) struct Lines {
    batches: Batches,
    cutter: Cutter,
}

impl Lines {
    pub(crate) fn new(batches: Batches) -> Self {
        Self { batches, cutter: Cutter::default() }
    }

    pub(crate) fn filed(filed: FiledOutput) -> Self {
        Self::new(Batches { source: Source::Filed(Box::new(filed)), soon: false })
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
            match self.batches.wait_for_next(py)? {
                Some(chunk) => self.cutter.load(chunk),
                None => return Ok(self.cutter.end_any()),
            }
        }
    }

    /// The lines that are there, at most those of one batch; none when there is nothing yet, `None`
    /// at the end.
    fn take(&mut self) -> PyResult<Option<Vec<Line>>> {
        let rest: Vec<Line> = std::iter::from_fn(|| self.cutter.next()).collect();
        if !rest.is_empty() {
            return Ok(Some(rest));
        }
        match self.batches.look()? {
            Next::Batch(chunk) => {
                self.cutter.load(chunk);
                Ok(Some(std::iter::from_fn(|| self.cutter.next()).collect()))
            }
            Next::End => {
                let open: Vec<Line> = std::iter::from_fn(|| self.cutter.end_any()).collect();
                Ok(Some(open).filter(|open| !open.is_empty()))
            }
            Next::Gap(stream, span, why) => Err(left_out(stream, span, &why)),
            Next::Nothing | Next::Soon => Ok(Some(Vec::new())),
        }
    }

    fn when_ready(&self, done: Py<PyAny>) -> PyResult<()> {
        self.batches.when_ready(done)
    }

    fn close(&self) -> PyResult<()> {
        self.batches.close()
    }
}

/// How much is read from a file at once, in bytes.
const READ_BYTES: u64 = 256 << 10;

/// What the files of a job hold, in the order of arrival.
pub(crate) struct FiledOutput {
    archive: Archive,
    extents: std::vec::IntoIter<Extent>,
    current: Option<Extent>,
}

impl FiledOutput {
    /// Of the job in `dir`, these ranks and streams alone where that is said.
    pub(crate) fn open(
        dir: PathBuf,
        ranks: Option<&RankSet>,
        stream: Option<&str>,
    ) -> PyResult<Self> {
        let archive = Archive::open(dir).map_err(|error| PyOSError::new_err(error.to_string()))?;
        let mut extents = archive.extents();
        extents.retain(|extent| {
            ranks.is_none_or(|ranks| ranks.contains(extent.stream.rank))
                && stream.is_none_or(|name| extent.stream.stream.name() == name)
        });
        Ok(Self { archive, extents: extents.into_iter(), current: None })
    }

    fn next(&mut self) -> Next {
        let Some(extent) = self.current.take().or_else(|| self.extents.next()) else {
            return Next::End;
        };
        let (stream, span) = (extent.stream, extent.span);
        let most = usize::try_from(span.len().min(READ_BYTES)).unwrap_or_default();
        let mut buffer = vec![0; most];
        let (end, next) = match self.archive.read_back(stream, span.from, &mut buffer) {
            Ok(ReadOutcome::Read(bytes)) => {
                buffer.truncate(bytes);
                let time = extent.time.unwrap_or(Timestamp(0));
                let chunk = Chunk::new(stream, span.from, time, buffer.into());
                (chunk.end(), Next::Batch(chunk))
            }
            Ok(ReadOutcome::Gone { to, cause }) => gap(stream, span, to, cause),
            Ok(ReadOutcome::NotYet) => gap(stream, span, span.to, "no file holds them".into()),
            Err(error) => gap(stream, span, span.to, error.to_string()),
        };
        if end < span.to {
            self.current = Some(Extent { span: Span::new(end, span.to), ..extent });
        }
        next
    }
}

fn gap(stream: StreamId, span: Span, to: Offset, why: String) -> (Offset, Next) {
    let to = to.min(span.to);
    (to, Next::Gap(stream, Span::new(span.from, to), why))
}
