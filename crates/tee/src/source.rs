//! Where a tee reads from: any `AsyncRead`, or, faster and with a stronger barrier, a pipe.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use lastline_line::{Budget, Lease};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, Interest, ReadBuf};

use crate::pipe_size::{Load, Resize};

/// Bytes to read, and how many wait.
pub(crate) trait Source: Send {
    /// Ready with the number of bytes that wait; with zero at the end of the stream. Cancel-safe.
    fn poll_waiting(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>>;

    /// How many bytes wait now, one or more of them; zero is the proof that none do, or the end.
    fn waiting_now(&mut self) -> io::Result<usize>;

    /// How many bytes wait now at most: once so many have been read, or once none wait, all of
    /// them have been.
    fn waiting_at_most(&mut self) -> io::Result<usize> {
        self.waiting_now()
    }

    /// Appends what waits, as far as `into` has spare capacity (at least one byte); zero only at
    /// the end. `WouldBlock` when it turns out that nothing waits.
    fn read(&mut self, into: &mut Vec<u8>) -> io::Result<usize>;
}

/// The read end of a pipe (or a socket): asks the kernel what waits.
pub(crate) struct PipeSource {
    fd: AsyncFd<OwnedFd>,
    load: Load,
    first_bytes: usize,
    capacity: usize,
    grown_bytes: usize,
    budget: Budget,
    lease: Option<Lease>,
}

impl PipeSource {
    pub(crate) fn new(fd: OwnedFd, grown_bytes: usize, budget: Budget) -> io::Result<Self> {
        let first_bytes = rustix::pipe::fcntl_getpipe_size(&fd).unwrap_or(0);
        let fd = watch(fd)?;
        let capacity = first_bytes;
        Ok(Self { fd, load: Load::new(), first_bytes, capacity, grown_bytes, budget, lease: None })
    }

    fn watch_load(&mut self, waiting: usize) {
        if self.first_bytes == 0 {
            return;
        }
        match self.load.observe(waiting, self.capacity) {
            Some(Resize::Grow) => self.grow(),
            Some(Resize::Shrink) => self.shrink(),
            None => {}
        }
    }

    fn grow(&mut self) {
        let more = self.grown_bytes.saturating_sub(self.first_bytes);
        let lease = if more == 0 { None } else { self.budget.try_acquire(more) };
        let Some(lease) = lease else {
            return self.load.refused();
        };
        match rustix::pipe::fcntl_setpipe_size(self.fd.get_ref(), self.grown_bytes) {
            Ok(bytes) => (self.capacity, self.lease) = (bytes, Some(lease)),
            // Above what the user may have: the pipe stays as it is.
            Err(_) => self.load.refused(),
        }
    }

    fn shrink(&mut self) {
        // Refused when more waits than the smaller pipe holds; then it stays large a while longer.
        match rustix::pipe::fcntl_setpipe_size(self.fd.get_ref(), self.first_bytes) {
            Ok(bytes) => (self.capacity, self.lease) = (bytes, None),
            Err(_) => tracing::trace!("pipe not shrunk"),
        }
    }
}

impl Source for PipeSource {
    fn poll_waiting(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let waiting = loop {
            let mut guard = ready!(self.fd.poll_read_ready(context))?;
            let waiting = to_usize(rustix::io::ioctl_fionread(guard.get_inner())?);
            if waiting > 0 || guard.ready().is_read_closed() {
                break waiting;
            }
            // The guard was taken before the question, so what comes after it is not cleared.
            guard.clear_ready();
        };
        // A closed pipe may have got its last bytes between the two.
        let waiting = if waiting == 0 { self.waiting_now()? } else { waiting };
        self.watch_load(waiting);
        Poll::Ready(Ok(waiting))
    }

    fn waiting_now(&mut self) -> io::Result<usize> {
        Ok(to_usize(rustix::io::ioctl_fionread(self.fd.get_ref())?))
    }

    fn read(&mut self, into: &mut Vec<u8>) -> io::Result<usize> {
        loop {
            match rustix::io::read(self.fd.get_ref(), rustix::buffer::spare_capacity(into)) {
                Err(rustix::io::Errno::INTR) => {}
                other => return Ok(other?),
            }
        }
    }
}

/// Sets `fd` non-blocking and registers it with the reactor.
pub(crate) fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    let flags = rustix::fs::fcntl_getfl(&fd)?;
    // The open file of a read end is the parent's alone, so its flags are nobody else's.
    rustix::fs::fcntl_setfl(&fd, flags | rustix::fs::OFlags::NONBLOCK)?;
    #[expect(unsafe_code, reason = "tokio cannot see that an `OwnedFd` stays what it is")]
    // SAFETY: an `OwnedFd` gives the same open descriptor until it is dropped, which the `AsyncFd`
    // does after it has deregistered it.
    let watched = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
    watched.map_err(|error| error.into_parts().1)
}

pub(crate) fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Any `AsyncRead`, through a small buffer: it cannot say what waits, so it is asked to read.
pub(crate) struct ReaderSource<R> {
    reader: R,
    ahead: Box<[u8]>,
    filled: usize,
    taken: usize,
    ended: bool,
}

impl<R: AsyncRead + Unpin + Send> ReaderSource<R> {
    pub(crate) fn new(reader: R, ahead_bytes: usize) -> Self {
        let ahead = vec![0; ahead_bytes].into_boxed_slice();
        Self { reader, ahead, filled: 0, taken: 0, ended: false }
    }

    fn waits(&self) -> usize {
        self.filled - self.taken
    }
}

impl<R: AsyncRead + Unpin + Send> Source for ReaderSource<R> {
    fn poll_waiting(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.waits() == 0 && !self.ended {
            let mut buffer = ReadBuf::new(&mut self.ahead);
            ready!(Pin::new(&mut self.reader).poll_read(context, &mut buffer))?;
            (self.filled, self.taken) = (buffer.filled().len(), 0);
            self.ended = self.filled == 0;
        }
        Poll::Ready(Ok(self.waits()))
    }

    fn waiting_now(&mut self) -> io::Result<usize> {
        // The waker is registered again by the next `poll_waiting`.
        let mut context = Context::from_waker(Waker::noop());
        match self.poll_waiting(&mut context) {
            Poll::Ready(waiting) => waiting,
            Poll::Pending => Ok(0),
        }
    }

    fn read(&mut self, into: &mut Vec<u8>) -> io::Result<usize> {
        let read = self.waits().min(into.capacity() - into.len());
        into.extend_from_slice(&self.ahead[self.taken..self.taken + read]);
        self.taken += read;
        Ok(read)
    }
}
