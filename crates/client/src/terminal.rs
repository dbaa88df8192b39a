//! Lines on a terminal, and below them what is open, drawn again and again.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lastline_line::Entry;

use crate::area::{Area, fit};
use crate::output::{BoxWrite, Output};
use crate::printer::{Block, OpenLines, PrintError, Printer};
use crate::text::{Labels, TextOptions, TextPrinter};

/// More than this is not kept for the next flush, in bytes.
const PENDING_BYTES: usize = 64 << 10;
/// What a terminal is taken for that does not say how large it is, in rows and columns.
const USUAL_SIZE: (u16, u16) = (24, 80);

/// How large a terminal is, in rows and columns; `None` where it does not say.
pub type SizeOf = Box<dyn Fn() -> Option<(u16, u16)> + Send>;

/// Prints as [`TextPrinter`] does, to a terminal that several ranks share: the states of their progress
/// bars, and lines that are not ended, stand in an [`Area`] below the lines.
///
/// What is drawn goes where stdout does. Each flush is one write.
pub struct TerminalPrinter {
    lines: TextPrinter,
    /// Prints states into `drawn`.
    states: TextPrinter,
    drawn: Buffer,
    area: Area,
    out: AreaWriter,
    size: SizeOf,
}

impl std::fmt::Debug for TerminalPrinter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TerminalPrinter").field("lines", &self.lines).finish_non_exhaustive()
    }
}

impl TerminalPrinter {
    /// A printer on the terminal that `stdout` is, and `stderr` too where
    /// [`TextOptions::shared`] is set; whoever else writes to it shares `area`. `raw_partials` is not
    /// for a terminal that is shared.
    pub fn new(
        stdout: BoxWrite,
        stderr: BoxWrite,
        labels: Labels,
        options: TextOptions,
        area: Area,
        size: SizeOf,
    ) -> Self {
        let mut options = options;
        options.raw_partials = false;
        let out = AreaWriter::new(stdout, area.clone());
        let stderr = match options.shared {
            true => Box::new(AreaWriter::new(stderr, area.clone())),
            false => stderr,
        };
        let drawn = Buffer::default();
        let mut harmless = options.clone();
        harmless.sanitize = true;
        let (one, other) = (Box::new(drawn.clone()), Box::new(drawn.clone()));
        let states = TextPrinter::new(one, other, labels.clone(), harmless);
        let lines = TextPrinter::new(Box::new(out.clone()), stderr, labels, options);
        Self { lines, states, drawn, area, out, size }
    }

    /// The rows of states, as they fit.
    fn rows_of(&mut self, states: &[Entry<'_>]) -> Result<Vec<Vec<u8>>, PrintError> {
        for state in states {
            self.states.print(state)?;
        }
        self.states.flush()?;
        let text = std::mem::take(&mut *self.drawn.bytes());
        let rows =
            text.strip_suffix(b"\n").into_iter().flat_map(|text| text.split(|b| *b == b'\n'));
        let (height, width) = (self.size)().unwrap_or(USUAL_SIZE);
        Ok(fit(rows.map(<[u8]>::to_vec).collect(), height, width))
    }
}

impl Printer for TerminalPrinter {
    fn print(&mut self, entry: &Entry<'_>) -> Result<(), PrintError> {
        self.lines.print(entry)
    }

    fn flush(&mut self) -> Result<(), PrintError> {
        self.lines.flush()
    }

    fn print_block(&mut self, block: &Block<'_>) -> Result<(), PrintError> {
        self.lines.print_block(block)
    }

    fn note(&mut self, text: &str) -> Result<(), PrintError> {
        self.lines.note(text)
    }

    fn open_lines(&self) -> OpenLines {
        OpenLines::Drawn
    }

    fn draw(&mut self, states: &[Entry<'_>]) -> Result<(), PrintError> {
        let rows = self.rows_of(states)?;
        if !self.area.set(&rows) {
            return Ok(());
        }
        self.lines.flush()?;
        let drawn = self.out.write_out(true);
        drawn.map_err(|source| PrintError { output: Output::Stdout, source })
    }
}

impl Drop for TerminalPrinter {
    fn drop(&mut self) {
        self.area.close();
        if self.area.stands() {
            // Where the terminal is gone there is nothing left on it.
            self.out.write_out(true).unwrap_or_default();
        }
    }
}

/// Writes whole lines to a terminal: what it is given before a flush at once, above the area.
#[derive(Clone)]
struct AreaWriter {
    inner: Arc<Mutex<Pending>>,
    area: Area,
}

struct Pending {
    writer: BoxWrite,
    bytes: Vec<u8>,
}

impl AreaWriter {
    fn new(writer: BoxWrite, area: Area) -> Self {
        Self { inner: Arc::new(Mutex::new(Pending { writer, bytes: Vec::new() })), area }
    }

    /// Writes what is there, and the area where it is to stand below.
    fn write_out(&self, below: bool) -> io::Result<()> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = std::mem::take(&mut inner.bytes);
        let bytes = if below { self.area.around(&lines) } else { self.area.wiped(&lines) };
        inner.writer.write_all(&bytes)?;
        inner.writer.flush()
    }
}

impl Write for AreaWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let pending = {
            let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            inner.bytes.extend_from_slice(bytes);
            inner.bytes.len()
        };
        if pending >= PENDING_BYTES {
            self.write_out(false)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_out(true)
    }
}

/// Bytes in memory. Clones are handles to the same.
#[derive(Clone, Debug, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
