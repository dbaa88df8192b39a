//! Where a job's lines are printed: on this process's own outputs, through Python, or nowhere.

use std::io::{self, IsTerminal as _, Write};

use lastline_bootstrap::Console;
use lastline_client::{BoxWrite, Inherited, Labels, Silent, Template, TextOptions, TextPrinter};
use lastline_line::Fold;
use pyo3::prelude::*;

use crate::options::wrong;
use crate::wait::Inside;

/// Gives text to a Python function of the output's name and the text.
struct PythonWriter {
    write: Py<PyAny>,
    output: &'static str,
    /// The start of a character whose end has not come.
    open: Vec<u8>,
}

impl Write for PythonWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.open.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&self.open) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => self.open.len(),
        };
        let text = String::from_utf8_lossy(&self.open[..whole]).into_owned();
        let inside = Inside::enter().ok_or(io::ErrorKind::BrokenPipe)?;
        let written = Python::try_attach(|py| self.write.call1(py, (self.output, text)).map(drop));
        drop(inside);
        self.open.drain(..whole);
        match written {
            Some(Ok(())) => Ok(bytes.len()),
            Some(Err(error)) => Err(io::Error::other(error)),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn wants_color(color: &str) -> PyResult<bool> {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
    Ok(match color {
        "always" => true,
        "never" => false,
        "auto" if set("NO_COLOR") => false,
        "auto" => set("CLICOLOR_FORCE") || io::stdout().is_terminal(),
        other => return Err(wrong("color", other, "'auto', 'always' or 'never'")),
    })
}

/// The console of a job: `console` is a function to print through, or `inherit` or `none`.
pub(crate) fn console(
    py: Python<'_>,
    console: &Py<PyAny>,
    (prefix, color): (Template, &str),
    fold: Box<dyn Fold>,
) -> PyResult<Console> {
    let labels = Labels::default();
    let mut text = TextOptions::default();
    text.prefix = prefix;
    let (out, err): (BoxWrite, BoxWrite) = if console.bind(py).is_callable() {
        text.color = color == "always";
        let writer = |output| {
            let write = console.clone_ref(py);
            Box::new(PythonWriter { write, output, open: Vec::new() })
        };
        (writer("stdout"), writer("stderr"))
    } else {
        match console.extract::<String>(py)?.as_str() {
            "inherit" => {
                text.color = wants_color(color)?;
                (Box::new(Inherited::stdout()), Box::new(Inherited::stderr()))
            }
            "none" => {
                let printer = Box::new(Silent);
                return Ok(Console { fold, printer, labels, raw_partials: false });
            }
            other => return Err(wrong("console", other, "'inherit', 'python' or 'none'")),
        }
    };
    let printer = Box::new(TextPrinter::new(out, err, labels.clone(), text));
    Ok(Console { fold, printer, labels, raw_partials: false })
}
