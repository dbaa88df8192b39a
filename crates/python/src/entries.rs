//! Folded entries for Python.

use std::sync::{Arc, Mutex};

use lastline_bootstrap::EntryStream;
use lastline_client::{OwnedEntry, OwnedFolded, SubscribedEntry};
use lastline_line::Field;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::LinesLeftOut;
use crate::wait::{OfThisProcess, block_on, call_after, lock};

/// What was had and nobody has taken yet.
enum Had {
    Nothing,
    Entry(Box<SubscribedEntry>),
    End,
}

struct Shared {
    stream: tokio::sync::Mutex<EntryStream>,
    had: Mutex<Had>,
}

impl Shared {
    /// Waits until something was had. Cancel-safe.
    async fn fill(&self) {
        let mut stream = self.stream.lock().await;
        if !matches!(&*lock(&self.had), Had::Nothing) {
            return;
        }
        let next = stream.next().await;
        *lock(&self.had) = next.map_or(Had::End, |entry| Had::Entry(Box::new(entry)));
    }
}

/// Lines and folded entries as the console prints them.
#[pyclass(frozen, module = "lastline._native")]
pub(crate) struct Entries {
    shared: OfThisProcess<Arc<Shared>>,
    /// The mesh whose entries they are: who has them has it, and the job runs on.
    mesh: Py<PyAny>,
}

impl Entries {
    pub(crate) fn new(stream: EntryStream, mesh: Py<PyAny>) -> Self {
        let stream = tokio::sync::Mutex::new(stream);
        let shared = Arc::new(Shared { stream, had: Mutex::new(Had::Nothing) });
        Self { shared: OfThisProcess::new(shared), mesh }
    }
}

#[pymethods]
impl Entries {
    /// Waits for the next one; a dict, `None` at the end.
    fn wait(&self, py: Python<'_>) -> PyResult<Option<Py<PyDict>>> {
        block_on(py, self.shared.get()?.fill())?;
        self.take(py)
    }

    /// The one that was had; `None` at the end.
    fn take(&self, py: Python<'_>) -> PyResult<Option<Py<PyDict>>> {
        let mut had = lock(&self.shared.get()?.had);
        match std::mem::replace(&mut *had, Had::Nothing) {
            Had::Entry(entry) => {
                drop(had);
                entry_of(py, *entry).map(Some)
            }
            Had::End => {
                *had = Had::End;
                Ok(None)
            }
            Had::Nothing => Ok(None),
        }
    }

    /// Calls `done` when there is something to take.
    fn when_ready(&self, done: Py<PyAny>) -> PyResult<()> {
        let shared = Arc::clone(self.shared.get()?);
        call_after(async move { shared.fill().await }, done)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.mesh)
    }
}

fn entry_of(py: Python<'_>, entry: SubscribedEntry) -> PyResult<Py<PyDict>> {
    match entry {
        SubscribedEntry::Entry(OwnedEntry::Line(line)) => {
            let entry = PyDict::new(py);
            entry.set_item("text", String::from_utf8_lossy(&line.text))?;
            entry.set_item("ranks", [line.stream.rank])?;
            entry.set_item("stream", line.stream.stream.name())?;
            entry.set_item("count", 1)?;
            entry.set_item("lines", 1)?;
            entry.set_item("micros", line.time.0)?;
            entry.set_item("fields", PyList::empty(py))?;
            entry.set_item("folded", false)?;
            Ok(entry.unbind())
        }
        SubscribedEntry::Entry(OwnedEntry::Folded(folded)) => folded_of(py, &folded),
        SubscribedEntry::LeftOut { stream, bytes, lines } => {
            let (rank, name) = (stream.rank, stream.stream);
            Err(LinesLeftOut::new_err(format!(
                "entries of {lines} lines ({bytes} bytes) of rank {rank} {name} were left out: they \
                 came faster than they were taken"
            )))
        }
        _ => Err(LinesLeftOut::new_err("what came is not known to this version")),
    }
}

fn folded_of(py: Python<'_>, folded: &OwnedFolded) -> PyResult<Py<PyDict>> {
    let entry = PyDict::new(py);
    entry.set_item("text", String::from_utf8_lossy(&folded.text))?;
    entry.set_item("ranks", folded.ranks.iter().collect::<Vec<u32>>())?;
    entry.set_item("stream", folded.stream.name())?;
    entry.set_item("count", folded.count)?;
    entry.set_item("lines", folded.lines)?;
    entry.set_item("micros", folded.time.0)?;
    let fields: PyResult<Vec<_>> = folded.fields.iter().map(|field| field_of(py, field)).collect();
    entry.set_item("fields", fields?)?;
    entry.set_item("folded", true)?;
    Ok(entry.unbind())
}

fn field_of<'py>(py: Python<'py>, field: &Field) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    let outliers = |outliers: &[lastline_line::Outlier]| {
        let pair =
            |o: &lastline_line::Outlier| (o.ranks.iter().collect::<Vec<_>>(), o.value.clone());
        outliers.iter().map(pair).collect::<Vec<_>>()
    };
    match field {
        Field::Same(value) => {
            dict.set_item("value", value)?;
            dict.set_item("distinct", 1)?;
        }
        Field::Common { value, distinct, outliers: others, .. } => {
            dict.set_item("value", value)?;
            dict.set_item("distinct", distinct)?;
            dict.set_item("outliers", outliers(others))?;
        }
        Field::Numbers { min, max, distinct, outliers: others, .. } => {
            dict.set_item("min", min)?;
            dict.set_item("max", max)?;
            dict.set_item("distinct", distinct)?;
            dict.set_item("outliers", outliers(others))?;
        }
        Field::Samples { samples, distinct, .. } => {
            dict.set_item("samples", samples)?;
            dict.set_item("distinct", distinct)?;
        }
    }
    Ok(dict)
}
