//! The seam for printing.

use std::fmt;
use std::io;

use lastline_line::{Entry, Line, Offset, Span, Stream, StreamId, Timestamp};

use crate::output::Output;

/// Whole lines of one stream, each with its newline and no carriage return among them.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    /// Whose lines.
    pub stream: StreamId,
    /// Where the first one starts.
    pub start: Offset,
    /// When they arrived.
    pub time: Timestamp,
    /// The lines.
    pub bytes: &'a [u8],
}

impl<'a> Block<'a> {
    /// The lines one by one.
    pub fn lines(&self) -> impl Iterator<Item = Line<'a>> + use<'a> {
        let Self { stream, start, time, bytes } = *self;
        let mut at = 0;
        memchr::memchr_iter(b'\n', bytes).map(move |end| {
            let text = &bytes[at..end];
            let start = start + at as u64;
            at = end + 1;
            let bytes = text.len() as u64 + 1;
            Line {
                stream,
                start,
                bytes,
                time,
                text,
                continuation: false,
                partial: false,
                redrawn: false,
            }
        })
    }
}

/// Bytes of a stream that were read once and are not to be had any more.
#[derive(Clone, Copy, Debug)]
pub struct Missing<'a> {
    /// Whose bytes.
    pub stream: StreamId,
    /// Which ones.
    pub span: Span,
    /// Why they are missing.
    pub cause: &'a str,
}

/// As in `rank 3 stdout: 20 bytes are missing here, from byte 100 on: the file was removed`.
impl fmt::Display for Missing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stream: StreamId { rank, stream, .. }, span, cause } = *self;
        let (bytes, verb) = if span.len() == 1 { ("byte", "is") } else { ("bytes", "are") };
        write!(f, "rank {rank} {stream}: {} {bytes} {verb} missing here, ", span.len())?;
        write!(f, "from byte {} on: {cause}", span.from)
    }
}

/// The console does not take what it was given.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to {}", .output.name())]
pub struct PrintError {
    /// Which output: its lines that were not flushed are not shown, and no more will be.
    pub output: Output,
    /// What the system says.
    pub source: io::Error,
}

impl PrintError {
    /// Whether the reader has gone away, as `head` does.
    pub fn is_closed(&self) -> bool {
        self.source.kind() == io::ErrorKind::BrokenPipe
    }
}

/// What a printer does with what is open: states of progress bars, and lines whose end has not come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OpenLines {
    /// A line is printed when it ends, and of a bar a state now and then. What has one address is
    /// printed once. The default.
    #[default]
    Held,
    /// The same, and a line that has stood open for two seconds is printed once as it is then, with
    /// `…` at its end, of no bytes; it is printed whole when it ends.
    Announced,
    /// All that is open is drawn, again and again, by [`Printer::draw`]; no state is printed.
    Drawn,
}

/// Writes entries to the console.
///
/// # Laws
///
/// 1. **Whole.** An entry's bytes are never mixed with another's.
/// 2. **Order.** What is printed on one output comes out in the order of the calls.
/// 3. **Flushed means shown.** After `flush` returned `Ok`, all that was printed is with the
///    system. Before that, nothing is promised.
/// 4. **An error is about an output.** What was printed to it since the last flush is not shown;
///    what was printed to the other one is not touched, and calls go on working for it.
/// 5. **Drawing prints nothing.** What is drawn takes the place of what was drawn before; lines and
///    notes are as they would be without it, and after nothing has been drawn nothing is left.
///
/// A printer may block for as long as the console does; it is called from one plain thread.
/// `lastline_testing::laws::printer` runs them against any implementation.
pub trait Printer: Send {
    /// Prints an entry; it may stay in a buffer until `flush`.
    fn print(&mut self, entry: &Entry<'_>) -> Result<(), PrintError>;

    /// Writes what is in the buffer.
    fn flush(&mut self) -> Result<(), PrintError>;

    /// Prints whole lines of one stream; the same as printing them one by one.
    fn print_block(&mut self, block: &Block<'_>) -> Result<(), PrintError> {
        block.lines().try_for_each(|line| self.print(&Entry::Line(line)))
    }

    /// Prints Lastline's own words, one line, never into a rank's line.
    fn note(&mut self, text: &str) -> Result<(), PrintError> {
        tracing::info!("{text}");
        Ok(())
    }

    /// Says that bytes are missing, where they would stand.
    fn missing(&mut self, missing: &Missing<'_>) -> Result<(), PrintError> {
        self.note(&missing.to_string())
    }

    /// What becomes of what is open. Asked once, before anything is printed.
    fn open_lines(&self) -> OpenLines {
        OpenLines::Held
    }

    /// Shows `states`, one each for what is open, in place of those before, at once. They count as
    /// nothing; when the same are drawn again, that may be because they have to be drawn for a console
    /// of another size. Called about ten times a second at most, and not unless
    /// [`open_lines`](Self::open_lines) says that it is drawn. Errors are of the output on which lines
    /// of stdout are printed.
    fn draw(&mut self, _states: &[Entry<'_>]) -> Result<(), PrintError> {
        Ok(())
    }

    /// The output on which lines of `stream` are printed.
    fn output_of(&self, stream: Stream) -> Output {
        stream.into()
    }

    /// Whether somebody could see all that was printed between the last two flushes. Otherwise it counts
    /// as withheld ([`Withheld::Show`](lastline_line::Withheld::Show)) and not as shown. Asked after each
    /// flush.
    fn shows(&self) -> bool {
        true
    }
}

/// Prints nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Printer for Silent {
    fn print(&mut self, _entry: &Entry<'_>) -> Result<(), PrintError> {
        Ok(())
    }

    fn flush(&mut self) -> Result<(), PrintError> {
        Ok(())
    }

    fn print_block(&mut self, _block: &Block<'_>) -> Result<(), PrintError> {
        Ok(())
    }

    fn shows(&self) -> bool {
        false
    }
}

impl<P: Printer + ?Sized> Printer for Box<P> {
    fn print(&mut self, entry: &Entry<'_>) -> Result<(), PrintError> {
        (**self).print(entry)
    }
    fn flush(&mut self) -> Result<(), PrintError> {
        (**self).flush()
    }
    fn print_block(&mut self, block: &Block<'_>) -> Result<(), PrintError> {
        (**self).print_block(block)
    }
    fn note(&mut self, text: &str) -> Result<(), PrintError> {
        (**self).note(text)
    }
    fn missing(&mut self, missing: &Missing<'_>) -> Result<(), PrintError> {
        (**self).missing(missing)
    }
    fn open_lines(&self) -> OpenLines {
        (**self).open_lines()
    }
    fn draw(&mut self, states: &[Entry<'_>]) -> Result<(), PrintError> {
        (**self).draw(states)
    }
    fn output_of(&self, stream: Stream) -> Output {
        (**self).output_of(stream)
    }
    fn shows(&self) -> bool {
        (**self).shows()
    }
}
