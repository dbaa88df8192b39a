//! The two outputs of a console behind one buffer, so that their order is kept.

use std::io::{self, Write};

use lastline_line::Stream;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::BorrowedFd;

use crate::printer::PrintError;

/// An inherited output of this process, written without changing its flags.
///
/// Whether it blocks is a property of the open file, which others share: when somebody has made it
/// non-blocking, this waits until it takes more.
#[derive(Clone, Copy, Debug)]
pub struct Inherited(BorrowedFd<'static>);

impl Inherited {
    /// Standard output.
    pub fn stdout() -> Self {
        Self(rustix::stdio::stdout())
    }

    /// Standard error.
    pub fn stderr() -> Self {
        Self(rustix::stdio::stderr())
    }

    /// How many rows and columns it has; `None` where it is no terminal, or one that does not say.
    pub fn size(&self) -> Option<(u16, u16)> {
        let size = rustix::termios::tcgetwinsize(self.0).ok()?;
        (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
    }
}

impl Write for Inherited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match rustix::io::write(self.0, bytes) {
                Err(rustix::io::Errno::AGAIN) => {
                    poll(&mut [PollFd::new(&self.0, PollFlags::OUT)], None)?;
                }
                Err(rustix::io::Errno::INTR) => {}
                other => return Ok(other?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A writer that a printer can own.
pub type BoxWrite = Box<dyn Write + Send>;

/// Two writers and one buffer, which holds bytes for one of them at a time.
pub(crate) struct Outputs {
    buffer: Vec<u8>,
    target: Stream,
    /// Something was printed for `target` since it was flushed.
    unflushed: bool,
    stdout: BoxWrite,
    stderr: BoxWrite,
}

/// A block of at least this many bytes is written without going through the buffer.
const WRITE_THROUGH_BYTES: usize = 16 << 10;
/// A buffer that grew beyond this is released when it is empty again, in bytes.
const KEEP_BYTES: usize = 1 << 20;

impl Outputs {
    pub(crate) fn new(stdout: BoxWrite, stderr: BoxWrite) -> Self {
        Self { buffer: Vec::new(), target: Stream::Stdout, unflushed: false, stdout, stderr }
    }

    /// The buffer, from now on for `target`. When it held bytes for the other one they are written
    /// first; that may fail, and the buffer is `target`'s all the same.
    pub(crate) fn switch(&mut self, target: Stream) -> (&mut Vec<u8>, Result<(), PrintError>) {
        let result = if target == self.target { Ok(()) } else { self.flush() };
        (self.target, self.unflushed) = (target, true);
        (&mut self.buffer, result)
    }

    /// Writes `bytes` as they are, without copying them when they are many.
    pub(crate) fn write(&mut self, target: Stream, bytes: &[u8]) -> Result<(), PrintError> {
        let (buffer, switched) = self.switch(target);
        // When the other output has failed, the caller gets that error, not this one.
        if bytes.len() < WRITE_THROUGH_BYTES || switched.is_err() {
            buffer.extend_from_slice(bytes);
            return switched;
        }
        self.write_out()?;
        let written = self.writer().write_all(bytes);
        written.map_err(|source| PrintError { output: target, source })
    }

    pub(crate) fn flush(&mut self) -> Result<(), PrintError> {
        if !std::mem::take(&mut self.unflushed) {
            return Ok(());
        }
        self.write_out()?;
        let flushed = self.writer().flush();
        flushed.map_err(|source| PrintError { output: self.target, source })
    }

    /// Hands the buffer to the writer, which may have one of its own.
    fn write_out(&mut self) -> Result<(), PrintError> {
        let buffer = std::mem::take(&mut self.buffer);
        let written = self.writer().write_all(&buffer);
        if buffer.capacity() <= KEEP_BYTES {
            self.buffer = buffer;
            self.buffer.clear();
        }
        written.map_err(|source| PrintError { output: self.target, source })
    }

    fn writer(&mut self) -> &mut BoxWrite {
        match self.target {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }
}
