//! The two outputs of a console behind one buffer, so that their order is kept.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lastline_line::Stream;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::Errno;
use rustix::termios::isatty;

use crate::printer::PrintError;

/// One of the two outputs of a console.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// File descriptor 1.
    Stdout,
    /// File descriptor 2.
    Stderr,
}

impl Output {
    /// Both, in the order of their descriptors.
    pub const ALL: [Self; 2] = [Self::Stdout, Self::Stderr];

    /// `stdout` or `stderr`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// Where lines of a stream go: those of stderr to stderr, all others to stdout.
impl From<Stream> for Output {
    fn from(stream: Stream) -> Self {
        if stream == Stream::Stderr { Self::Stderr } else { Self::Stdout }
    }
}

/// How much is written at once to an output that can only be waited for, in bytes: little enough to be
/// taken within seconds by one that is as slow as a serial line.
const PIECE_BYTES: usize = 1 << 10;

/// What this process's own outputs have taken of what was written through [`Inherited`].
static TAKEN: AtomicU64 = AtomicU64::new(0);

/// An inherited output of this process, written without changing its flags.
///
/// Whether it blocks is a property of the open file, which others share. So a pipe or a terminal is
/// opened once more, for this process alone and without blocking: that way it is known how much of a
/// block a slow one has taken ([`Inherited::taken_bytes`]). Where the system refuses that, it is written
/// in small pieces.
#[derive(Clone, Debug)]
pub struct Inherited {
    fd: BorrowedFd<'static>,
    way: Way,
}

/// How an output is written.
#[derive(Clone, Debug)]
enum Way {
    /// Through this file, which never blocks.
    Own(Arc<OwnedFd>),
    Pieces,
    /// A file, or a device that takes all at once.
    Whole,
}

impl Way {
    fn to(fd: BorrowedFd<'_>) -> Self {
        let found = fstat(fd).map(|found| FileType::from_raw_mode(found.st_mode));
        let slow = match found {
            Ok(FileType::Fifo | FileType::Socket) => true,
            Ok(FileType::CharacterDevice) => isatty(fd),
            _ => false,
        };
        if !slow {
            return Self::Whole;
        }
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let own = open(format!("/proc/self/fd/{}", fd.as_raw_fd()), flags, Mode::empty());
        own.map_or(Self::Pieces, |own| Self::Own(Arc::new(own)))
    }
}

impl Inherited {
    /// Standard output.
    pub fn stdout() -> Self {
        Self::new(rustix::stdio::stdout())
    }

    /// Standard error.
    pub fn stderr() -> Self {
        Self::new(rustix::stdio::stderr())
    }

    fn new(fd: BorrowedFd<'static>) -> Self {
        Self { fd, way: Way::to(fd) }
    }

    /// What both outputs of this process have taken so far, in bytes: it grows as long as somebody
    /// reads, however slowly, also in the middle of what a printer writes. Whoever prints through
    /// this, in whichever job, prints to the same two.
    pub fn taken_bytes() -> u64 {
        TAKEN.load(Ordering::Relaxed)
    }

    /// How many rows and columns it has; `None` where it is no terminal, or one that does not say.
    pub fn size(&self) -> Option<(u16, u16)> {
        let size = rustix::termios::tcgetwinsize(self.fd).ok()?;
        (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
    }
}

impl Write for Inherited {
    /// Writes as much as is taken at once; that may be a part, without an error.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (fd, most) = match &self.way {
            Way::Own(own) => (own.as_fd(), bytes.len()),
            Way::Pieces => (self.fd, bytes.len().min(PIECE_BYTES)),
            Way::Whole => (self.fd, bytes.len()),
        };
        loop {
            match rustix::io::write(fd, &bytes[..most]) {
                Err(Errno::AGAIN) => match poll(&mut [PollFd::new(&fd, PollFlags::OUT)], None) {
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                },
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok(written) => {
                    TAKEN.fetch_add(written as u64, Ordering::Relaxed);
                    return Ok(written);
                }
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
    target: Output,
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
        Self { buffer: Vec::new(), target: Output::Stdout, unflushed: false, stdout, stderr }
    }

    /// The buffer, from now on for `target`. When it held bytes for the other one they are written
    /// first; that may fail, and the buffer is `target`'s all the same.
    pub(crate) fn switch(&mut self, target: Output) -> (&mut Vec<u8>, Result<(), PrintError>) {
        let result = if target == self.target { Ok(()) } else { self.flush() };
        (self.target, self.unflushed) = (target, true);
        (&mut self.buffer, result)
    }

    /// Writes `bytes` as they are, without copying them when they are many.
    pub(crate) fn write(&mut self, target: Output, bytes: &[u8]) -> Result<(), PrintError> {
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
            Output::Stdout => &mut self.stdout,
            Output::Stderr => &mut self.stderr,
        }
    }
}
