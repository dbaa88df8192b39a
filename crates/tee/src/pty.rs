//! The master of a pseudo terminal.
//!
//! What is written to a terminal passes through two buffers on its way to the master: the *flip
//! buffer*, and the line discipline's own. A work queue moves it from the first to the second, some
//! time later. `FIONREAD` knows of the second one only: right after a write it often says zero.
//! `poll` and `read`, when they find the second empty, wait for that work before they say that
//! nothing waits (`tty_buffer_flush_work` in `n_tty_poll` and `n_tty_read`, since Linux 4.5). So
//! `poll` is asked here, and its "no" is a proof.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll, ready};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;

use crate::source::{Source, to_usize, watch};

/// More bytes than wait in a terminal at any time. Linux bounds the flip buffer of a pseudo
/// terminal at 8 KiB (`pty_common_install`), in which twice as many bytes fit, since none is marked
/// as an error, and one piece of half a page; the line discipline holds 4 KiB (`N_TTY_BUF_SIZE`).
/// Found on Linux 6.18: 20 KiB.
const HELD_BYTES: usize = 64 << 10;
/// From so many bytes on there is more behind them, and it is read at once. A read gives 4,095
/// bytes at most, and sets the work queue to move on.
const LOAD_BYTES: usize = 2 << 10;
/// For how much a buffer is then taken, in bytes.
const LOAD_BUFFER_BYTES: usize = 16 << 10;

/// The master of a pseudo terminal: asks the kernel whether anything waits, and reads on until it
/// says no.
pub(crate) struct PtySource {
    fd: AsyncFd<OwnedFd>,
    /// The other end was closed by the last who had it open, and all of it has been read.
    ended: bool,
}

impl PtySource {
    pub(crate) fn new(master: OwnedFd) -> io::Result<Self> {
        Ok(Self { fd: watch(master)?, ended: false })
    }
}

impl Source for PtySource {
    fn poll_waiting(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        while !self.ended {
            let mut guard = ready!(self.fd.poll_read_ready(context))?;
            // Known before the question, so that its answer includes the last bytes.
            let closed = guard.ready().is_read_closed();
            let waiting = waiting(guard.get_inner().as_fd())?;
            if waiting > 0 {
                return Poll::Ready(Ok(waiting));
            }
            // The guard was taken before the question, so what comes after it is not cleared.
            guard.clear_ready();
            self.ended = closed;
        }
        Poll::Ready(Ok(0))
    }

    fn waiting_now(&mut self) -> io::Result<usize> {
        waiting(self.fd.get_ref().as_fd())
    }

    fn waiting_at_most(&mut self) -> io::Result<usize> {
        Ok(HELD_BYTES)
    }

    fn read(&mut self, into: &mut Vec<u8>) -> io::Result<usize> {
        let before = into.len();
        while into.len() < into.capacity() {
            match rustix::io::read(self.fd.get_ref(), rustix::buffer::spare_capacity(into)) {
                Err(Errno::INTR) => {}
                // EIO: nobody has the other end open. Only the reactor's word, asked for before
                // the question, says that nothing was written in between.
                Ok(0) | Err(Errno::AGAIN | Errno::IO) => break,
                Ok(_) => {}
                // What was read comes first; the error is still there afterwards.
                Err(_) if into.len() > before => break,
                Err(error) => return Err(error.into()),
            }
        }
        match into.len() - before {
            0 if !self.ended => Err(io::ErrorKind::WouldBlock.into()),
            read => Ok(read),
        }
    }
}

/// How much to make room for; zero when nothing waits.
fn waiting(master: BorrowedFd<'_>) -> io::Result<usize> {
    let mut waiting = to_usize(rustix::io::ioctl_fionread(master)?);
    if waiting == 0 {
        if !has_input(master)? {
            return Ok(0);
        }
        waiting = to_usize(rustix::io::ioctl_fionread(master)?).max(1);
    }
    Ok(if waiting >= LOAD_BYTES { LOAD_BUFFER_BYTES } else { waiting })
}

fn has_input(master: BorrowedFd<'_>) -> io::Result<bool> {
    let mut fds = [PollFd::from_borrowed_fd(master, PollFlags::IN)];
    loop {
        match rustix::event::poll(&mut fds, Some(&Timespec::default())) {
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => return Ok(fds[0].revents().contains(PollFlags::IN)),
        }
    }
}
