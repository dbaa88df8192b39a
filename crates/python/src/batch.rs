//! Bytes of a stream as Python sees them: batches, and the lines in them.

use std::collections::BTreeMap;

use bytes::Bytes;
use lastline_line::{Chunk, StreamId};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// An open line is given in pieces of this size, in bytes.
const PIECE_BYTES: usize = 1 << 20;

/// Seconds since the epoch.
fn seconds(micros: u64) -> f64 {
    std::time::Duration::from_micros(micros).as_secs_f64()
}

/// What was read of one stream at once, as it was written: whole lines as a rule.
#[pyclass(frozen, module = "lastline")]
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) chunk: Chunk,
}

#[pymethods]
impl Batch {
    /// Which rank wrote it.
    #[getter]
    fn rank(&self) -> u32 {
        self.chunk.stream.rank
    }

    /// `stdout`, `stderr` or `merged`.
    #[getter]
    fn stream(&self) -> &'static str {
        self.chunk.stream.stream.name()
    }

    /// Which byte of its stream is the first one.
    #[getter]
    fn offset(&self) -> u64 {
        self.chunk.start.0
    }

    /// When it was read, in seconds since the epoch.
    #[getter]
    fn time(&self) -> f64 {
        seconds(self.chunk.time.0)
    }

    /// The bytes.
    #[getter]
    fn data<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.chunk.bytes)
    }

    /// How many newlines are in it.
    #[getter]
    fn newlines(&self) -> usize {
        memchr::memchr_iter(b'\n', &self.chunk.bytes).count()
    }

    /// How many bytes.
    fn __len__(&self) -> usize {
        self.chunk.bytes.len()
    }

    fn __repr__(&self) -> String {
        let Chunk { stream, start, .. } = self.chunk;
        let (rank, name, bytes) = (stream.rank, stream.stream, self.chunk.bytes.len());
        format!("<Batch of {bytes} bytes: rank {rank} {name} from byte {}>", start.0)
    }
}

/// A line as its rank wrote it.
#[pyclass(frozen, module = "lastline")]
#[derive(Debug)]
pub(crate) struct Line {
    stream: StreamId,
    start: u64,
    micros: u64,
    bytes: Bytes,
}

impl Line {
    /// Without its line ending.
    fn visible(&self) -> &[u8] {
        let bytes = self.bytes.strip_suffix(b"\n").unwrap_or(&self.bytes);
        bytes.strip_suffix(b"\r").unwrap_or(bytes)
    }
}

#[pymethods]
impl Line {
    /// Which rank wrote it.
    #[getter]
    fn rank(&self) -> u32 {
        self.stream.rank
    }

    /// `stdout`, `stderr` or `merged`.
    #[getter]
    fn stream(&self) -> &'static str {
        self.stream.stream.name()
    }

    /// Which byte of its stream is the first one.
    #[getter]
    fn offset(&self) -> u64 {
        self.start
    }

    /// When its end was read, in seconds since the epoch.
    #[getter]
    fn time(&self) -> f64 {
        seconds(self.micros)
    }

    /// Without its line ending; what is not UTF-8 is replaced.
    #[getter]
    fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.visible())
    }

    /// Its bytes as they were written, the newline included.
    #[getter]
    fn raw<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.bytes)
    }

    /// It has no newline: its stream ended there, or it goes on in the next line.
    #[getter]
    fn partial(&self) -> bool {
        self.bytes.last() != Some(&b'\n')
    }

    fn __str__(&self) -> std::borrow::Cow<'_, str> {
        self.text()
    }

    fn __repr__(&self) -> String {
        let (rank, stream, text) = (self.stream.rank, self.stream.stream, self.text());
        format!("<Line of rank {rank} {stream} at byte {}: {text:?}>", self.start)
    }
}

/// Cuts batches into lines; what is open waits for its end.
#[derive(Debug, Default)]
pub(crate) struct Cutter {
    chunk: Option<Chunk>,
    at: usize,
    open: BTreeMap<StreamId, (u64, u64, Vec<u8>)>,
}

impl Cutter {
    /// Takes the next batch; all lines of the one before have been taken.
    pub(crate) fn load(&mut self, chunk: Chunk) {
        (self.chunk, self.at) = (Some(chunk), 0);
    }

    /// The next whole line of what was loaded, or a piece of an overlong one.
    pub(crate) fn next(&mut self) -> Option<Line> {
        let chunk = self.chunk.as_ref()?;
        let (stream, rest) = (chunk.stream, &chunk.bytes[self.at..]);
        let (start, micros) = (chunk.start.0 + self.at as u64, chunk.time.0);
        let Some(end) = memchr::memchr(b'\n', rest) else {
            return self.keep_rest();
        };
        let (from, to) = (self.at, self.at + end + 1);
        self.at = to;
        if let Some((start, _, mut text)) = self.open.remove(&stream) {
            text.extend_from_slice(&chunk.bytes[from..to]);
            return Some(Line { stream, start, micros, bytes: text.into() });
        }
        Some(Line { stream, start, micros, bytes: chunk.bytes.slice(from..to) })
    }

    fn keep_rest(&mut self) -> Option<Line> {
        let chunk = self.chunk.take()?;
        let rest = &chunk.bytes[self.at..];
        if rest.is_empty() {
            return None;
        }
        let start = chunk.start.0 + self.at as u64;
        let open = self.open.entry(chunk.stream).or_insert((start, 0, Vec::new()));
        open.1 = chunk.time.0;
        open.2.extend_from_slice(rest);
        let long = open.2.len() >= PIECE_BYTES;
        long.then(|| self.end_of(chunk.stream)).flatten()
    }

    /// What is open of a stream that goes on elsewhere or nowhere.
    pub(crate) fn end_of(&mut self, stream: StreamId) -> Option<Line> {
        let (start, micros, text) = self.open.remove(&stream)?;
        Some(Line { stream, start, micros, bytes: text.into() })
    }

    /// What is open of some stream, when nothing more comes.
    pub(crate) fn end_any(&mut self) -> Option<Line> {
        let stream = *self.open.keys().next()?;
        self.end_of(stream)
    }
}
