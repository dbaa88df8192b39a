//! Doubles of what a client prints on.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lastline_client::{OpenLines, Output, PrintError, Printer};
use lastline_line::{Entry, Line, StreamId};

use crate::Gate;

/// A writer that keeps what it is given. Clones are handles to the same one.
///
/// What is written counts as out once it is flushed. It can be made to fail, and held up.
#[derive(Clone, Debug, Default)]
pub struct Screen {
    state: Arc<Mutex<ScreenState>>,
    /// Every write goes through it.
    pub gate: Gate,
}

#[derive(Debug, Default)]
struct ScreenState {
    written: Vec<u8>,
    flushed: usize,
    fails: Option<io::ErrorKind>,
}

impl Screen {
    /// An empty screen that takes everything.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, ScreenState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every write fails with `kind` from now on.
    pub fn fail(&self, kind: io::ErrorKind) {
        self.state().fails = Some(kind);
    }

    /// What was written, flushed or not.
    pub fn bytes(&self) -> Vec<u8> {
        self.state().written.clone()
    }

    /// What was written, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    /// How much of it was flushed, in bytes.
    pub fn flushed(&self) -> usize {
        self.state().flushed
    }
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.gate.pass();
        let mut state = self.state();
        if let Some(kind) = state.fails {
            return Err(kind.into());
        }
        state.written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut state = self.state();
        state.flushed = state.written.len();
        Ok(())
    }
}

/// A line as a [`PrintRecorder`] keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Printed {
    /// Whose line; of a folded entry, the first one's.
    pub stream: StreamId,
    /// How many bytes of streams it stands for.
    pub bytes: u64,
    /// Its visible text.
    pub text: Vec<u8>,
    /// It goes on with what was printed before.
    pub continuation: bool,
    /// It had no newline.
    pub partial: bool,
}

impl Printed {
    fn of(entry: &Entry<'_>) -> Self {
        match entry {
            Entry::Line(Line { stream, bytes, text, continuation, partial, .. }) => Self {
                stream: *stream,
                bytes: *bytes,
                text: text.to_vec(),
                continuation: *continuation,
                partial: *partial,
            },
            Entry::Folded(folded) => Self {
                stream: folded.first.stream,
                bytes: folded.members.iter().map(|member| member.bytes).sum(),
                text: folded.text.to_vec(),
                continuation: false,
                partial: false,
            },
        }
    }
}

/// A printer that keeps what it is given. Clones are handles to the same one.
#[derive(Clone, Debug, Default)]
pub struct PrintRecorder {
    state: Arc<Mutex<RecorderState>>,
    /// Every `print` and `flush` goes through it.
    pub gate: Gate,
}

#[derive(Debug, Default)]
struct RecorderState {
    waiting: Vec<Printed>,
    flushed: Vec<Printed>,
    notes: Vec<String>,
    open_lines: OpenLines,
    drawn: Vec<Vec<String>>,
    fails: [Option<io::ErrorKind>; 2],
}

impl RecorderState {
    /// What was printed to `output` and not flushed is gone, when that fails.
    fn failure(&mut self, output: Output) -> Result<(), PrintError> {
        let Some(kind) = self.fails[output as usize] else {
            return Ok(());
        };
        self.waiting.retain(|printed| Output::from(printed.stream.stream) != output);
        Err(PrintError { output, source: kind.into() })
    }
}

impl PrintRecorder {
    /// An empty recorder that takes everything.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, RecorderState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whatever is printed to `output` fails with `kind` from now on, and so does what was not
    /// flushed.
    pub fn fail(&self, output: Output, kind: io::ErrorKind) {
        self.state().fails[output as usize] = Some(kind);
    }

    /// What was printed and flushed, in order.
    pub fn flushed(&self) -> Vec<Printed> {
        self.state().flushed.clone()
    }

    /// What was printed and not flushed yet.
    pub fn waiting(&self) -> Vec<Printed> {
        self.state().waiting.clone()
    }

    /// The texts of what was flushed, marked `~` where partial and `…` where continued.
    pub fn lines(&self) -> Vec<String> {
        let line = |printed: Printed| {
            let text = String::from_utf8_lossy(&printed.text).into_owned();
            let before = if printed.continuation { "…" } else { "" };
            let after = if printed.partial { "~" } else { "" };
            format!("{}:{before}{text}{after}", printed.stream.rank)
        };
        self.flushed().into_iter().map(line).collect()
    }

    /// An empty recorder that says this of what is open.
    pub fn with_open_lines(open_lines: OpenLines) -> Self {
        let recorder = Self::new();
        recorder.state().open_lines = open_lines;
        recorder
    }

    /// What was drawn, one after the other: each time the texts of the states, with their ranks.
    pub fn drawn(&self) -> Vec<Vec<String>> {
        self.state().drawn.clone()
    }

    /// Lastline's own words.
    pub fn notes(&self) -> Vec<String> {
        self.state().notes.clone()
    }
}

impl Printer for PrintRecorder {
    fn print(&mut self, entry: &Entry<'_>) -> Result<(), PrintError> {
        self.gate.pass();
        let printed = Printed::of(entry);
        let mut state = self.state();
        state.failure(printed.stream.stream.into())?;
        state.waiting.push(printed);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), PrintError> {
        self.gate.pass();
        let mut state = self.state();
        for output in Output::ALL {
            if state.waiting.iter().any(|printed| Output::from(printed.stream.stream) == output) {
                state.failure(output)?;
            }
        }
        let mut waiting = std::mem::take(&mut state.waiting);
        state.flushed.append(&mut waiting);
        Ok(())
    }

    fn note(&mut self, text: &str) -> Result<(), PrintError> {
        self.state().notes.push(text.to_owned());
        Ok(())
    }

    fn open_lines(&self) -> OpenLines {
        self.state().open_lines
    }

    fn draw(&mut self, states: &[Entry<'_>]) -> Result<(), PrintError> {
        let state = |entry: &Entry<'_>| {
            let ranks = match entry {
                Entry::Line(line) => line.stream.rank.to_string(),
                Entry::Folded(folded) => folded.ranks.to_string(),
            };
            format!("{ranks}:{}", String::from_utf8_lossy(&Printed::of(entry).text))
        };
        let states = states.iter().map(state).collect();
        self.state().drawn.push(states);
        Ok(())
    }
}
