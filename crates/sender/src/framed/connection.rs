//! Frames over a connection, in both directions at once.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use lastline_line::wire::{Frame, decode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

/// Frames are gathered for one write up to so many bytes.
pub(super) const WRITE_BYTES: usize = 64 << 10;
/// Room that is made for one read, in bytes.
const READ_BYTES: usize = 64 << 10;
/// How long a side that has closed its direction, or cannot write any more, still reads what the
/// other one has sent. A connection that is closed before may take with it what is on the way.
const LINGER: Duration = Duration::from_secs(1);

/// Below so much room the next read gets a buffer of its own. What was read before may keep the old
/// one, so that each should be used up.
const LEAST_READ_BYTES: usize = 4 << 10;

fn make_room(input: &mut BytesMut) {
    if input.capacity() - input.len() < LEAST_READ_BYTES {
        input.reserve(READ_BYTES);
    }
}

/// What has happened on a connection.
#[derive(Debug)]
pub(super) enum Progress {
    /// Bytes were read: frames may have come.
    Read,
    /// Something was written.
    Wrote,
    /// Nothing can be written any more. What the other side has sent can still be read.
    Unwritable(io::Error),
    /// The other side has closed its direction.
    Ended,
}

/// A connection, what was read from it, and what is to be written.
#[derive(Debug)]
pub(super) struct Connection<C> {
    read: ReadHalf<C>,
    write: WriteHalf<C>,
    input: BytesMut,
    pub(super) out: BytesMut,
    unflushed: bool,
    unwritable: bool,
}

impl<C: AsyncRead + AsyncWrite> Connection<C> {
    pub(super) fn new(io: C) -> Self {
        let (read, write) = tokio::io::split(io);
        let (input, out) = (BytesMut::new(), BytesMut::new());
        Self { read, write, input, out, unflushed: false, unwritable: false }
    }

    /// Waits until something is read or written. Cancel-safe.
    pub(super) async fn progress(&mut self) -> io::Result<Progress> {
        let Self { read, write, input, out, unflushed, unwritable } = self;
        if *unwritable {
            out.clear();
        }
        make_room(input);
        tokio::select! {
            read = read.read_buf(input) => match read? {
                0 if input.is_empty() => Ok(Progress::Ended),
                0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ended inside a frame")),
                _ => Ok(Progress::Read),
            },
            written = write_some(write, out, unflushed) => match written {
                Ok(()) => Ok(Progress::Wrote),
                Err(error) => {
                    (*unflushed, *unwritable) = (false, true);
                    Ok(Progress::Unwritable(error))
                }
            },
        }
    }

    /// The next frame of what was read; `None` when it is not all there yet.
    pub(super) fn frame(&mut self) -> io::Result<Option<Frame>> {
        decode(&mut self.input).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Whether all is written that can be.
    pub(super) fn is_written(&self) -> bool {
        self.unwritable || self.out.is_empty() && !self.unflushed
    }

    /// Writes what is left, closes this direction, and waits for the other side to close its own; no
    /// longer than lingering takes.
    pub(super) async fn close(mut self) {
        let rest = async {
            self.write.write_all_buf(&mut self.out).await?;
            self.write.shutdown().await
        };
        match tokio::time::timeout(LINGER, rest).await {
            Ok(Ok(())) => self.linger(drop).await,
            ended => tracing::debug!(?ended, "the other side does not take the rest"),
        }
    }

    /// Reads what the other side has still sent, for a while; `frame` is given each.
    pub(super) async fn linger(mut self, mut frame: impl FnMut(Frame)) {
        let rest = async {
            loop {
                while let Ok(Some(next)) = self.frame() {
                    frame(next);
                }
                make_room(&mut self.input);
                match self.read.read_buf(&mut self.input).await {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {}
                }
            }
        };
        if tokio::time::timeout(LINGER, rest).await.is_err() {
            tracing::debug!("the other side keeps its direction open");
        }
    }
}

/// Writes some of `out`, or flushes what was written; never ready when nothing is to be done.
/// Cancel-safe.
async fn write_some<C: AsyncRead + AsyncWrite>(
    write: &mut WriteHalf<C>,
    out: &mut BytesMut,
    unflushed: &mut bool,
) -> io::Result<()> {
    if !out.is_empty() {
        let written = write.write_buf(out).await?;
        *unflushed = true;
        return if written == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(()) };
    }
    if *unflushed {
        write.flush().await?;
        *unflushed = false;
        return Ok(());
    }
    std::future::pending().await
}
