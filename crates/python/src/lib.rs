//! What the Python package `lastline` has of Rust: its module `lastline._native`.
//!
//! It is private to the package, whose own modules give it the shape that is documented and typed
//! (`python/lastline`). Here is what must not be done by Python: the job and its threads, waiting
//! without the interpreter's lock, and cutting output into lines.
//!
//! `wait` says how Python waits; `tap` how output gets to it; `start` and `mesh` are the job.

use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;

mod attach;
mod batch;
mod console;
mod entries;
mod filed;
mod jobs;
mod lines;
mod mesh;
mod options;
mod start;
mod status;
mod tap;
mod wait;

create_exception!(lastline, LastlineError, PyException, "What lastline cannot do, and why.");
create_exception!(lastline, SpawnError, LastlineError, "The job could not be started.");
create_exception!(
    lastline,
    LinesLeftOut,
    LastlineError,
    "Output that a consumer cannot be given any more. Iterating may go on behind it."
);

/// An exception with the error's own words and those of its causes.
trait Raise {
    fn raise(words: String) -> PyErr;
}

impl Raise for LastlineError {
    fn raise(words: String) -> PyErr {
        Self::new_err(words)
    }
}

impl Raise for SpawnError {
    fn raise(words: String) -> PyErr {
        Self::new_err(words)
    }
}

/// The error's own words and those of its causes.
fn words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    words
}

fn failed<E: Raise>(error: &dyn std::error::Error) -> PyErr {
    E::raise(words(error))
}

/// For the end of the interpreter: nobody waits any more.
#[pyfunction]
fn close(py: Python<'_>) {
    wait::close(py);
}

/// For a forked child.
#[pyfunction]
fn after_fork() {
    wait::after_fork();
}

/// A size in bytes: `64KiB`, `8MiB`, `10MB`.
#[pyfunction]
fn size(text: &str) -> PyResult<u64> {
    let parsed: Result<bytesize::ByteSize, _> = text.parse();
    parsed.map(|size| size.as_u64()).map_err(|_| {
        pyo3::exceptions::PyValueError::new_err(format!(
            "{text:?} is no size: write '64KiB', '8MiB', '10MB' or a number of bytes"
        ))
    })
}

/// `signal 9 (SIGKILL)`.
#[pyfunction]
fn signal_text(signal: i32) -> String {
    lastline_line::signal_text(signal)
}

/// See `lastline`.
#[pymodule]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::attach::attach;
    #[pymodule_export]
    use super::batch::{Batch, Line};
    #[pymodule_export]
    use super::entries::Entries;
    #[pymodule_export]
    use super::jobs::{jobs, logs, prune, report, timeline};
    #[pymodule_export]
    use super::lines::{Batches, Lines};
    #[pymodule_export]
    use super::mesh::{Flushing, Mesh};
    #[pymodule_export]
    use super::start::spawn;
    #[pymodule_export]
    use super::{LastlineError, LinesLeftOut, SpawnError, after_fork, close, signal_text, size};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
