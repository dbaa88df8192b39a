//! The terminals that ranks get.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, OptionalActions, OutputModes, Winsize};

/// How many characters a terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

impl Default for TerminalSize {
    /// What a terminal has had since the VT100: 24 rows of 80 columns.
    fn default() -> Self {
        Self { rows: 24, columns: 80 }
    }
}

impl TerminalSize {
    /// That of the terminal that this process prints to, or was started from; the default when
    /// there is none, or when it does not know.
    pub fn of_driver() -> Self {
        let own = [rustix::stdio::stdout(), rustix::stdio::stderr(), rustix::stdio::stdin()];
        own.into_iter().find_map(Self::of).unwrap_or_default()
    }

    /// Gives a terminal this size, by either end; whoever is in the foreground there gets SIGWINCH when
    /// it was another.
    ///
    /// # Errors
    ///
    /// When it is no terminal.
    pub fn set(self, terminal: impl AsFd) -> io::Result<()> {
        let (ws_row, ws_col) = (self.rows, self.columns);
        let size = Winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 };
        Ok(rustix::termios::tcsetwinsize(terminal, size)?)
    }

    fn of(terminal: BorrowedFd<'_>) -> Option<Self> {
        let size = rustix::termios::tcgetwinsize(terminal).ok()?;
        let known = size.ws_row > 0 && size.ws_col > 0;
        known.then_some(Self { rows: size.ws_row, columns: size.ws_col })
    }
}

/// Opens a terminal that no other program inherits: its master, which is read, and the end that a
/// rank writes to. Bytes pass as they are, and what is sent to the rank is not echoed.
pub(crate) fn open(size: TerminalSize) -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags).map_err(|error| match error {
        // What `posix_openpt` makes of the kernel's ENOSPC.
        Errno::AGAIN => io::Error::other("the system has no terminal left (kernel.pty.max)"),
        error => error.into(),
    })?;
    unlockpt(&master)?;
    // By the master and not by a name: a name is looked up, and may be another terminal's.
    let slave = ioctl_tiocgptpeer(&master, flags)?;
    let mut modes = rustix::termios::tcgetattr(&slave)?;
    modes.output_modes.remove(OutputModes::OPOST);
    modes.local_modes.remove(LocalModes::ECHO);
    rustix::termios::tcsetattr(&slave, OptionalActions::Now, &modes)?;
    size.set(&slave)?;
    Ok((master, slave))
}

/// Makes the calling process the leader of a session, and of a group, whose terminal is its stdout.
/// System calls only.
pub(crate) fn lead_session() -> io::Result<()> {
    rustix::process::setsid()?;
    rustix::process::ioctl_tiocsctty(rustix::stdio::stdout().as_fd())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_has_the_size_that_it_was_given_and_leaves_bytes_alone() {
        use std::io::{Read, Write};
        let size = TerminalSize { rows: 50, columns: 132 };
        let (master, slave) = open(size).unwrap();
        assert_eq!(TerminalSize::of(slave.as_fd()), Some(size));
        let (mut master, mut slave) = (std::fs::File::from(master), std::fs::File::from(slave));
        slave.write_all(b"a\n\tb\r\n\x00\xff").unwrap();
        let mut read = [0; 8];
        master.read_exact(&mut read).unwrap();
        assert_eq!(read, *b"a\n\tb\r\n\x00\xff");
    }

    #[test]
    fn what_is_no_terminal_and_what_does_not_know_its_size_has_none() {
        let (read, _write) = io::pipe().unwrap();
        assert_eq!(TerminalSize::of(read.as_fd()), None);
        let (_master, slave) = open(TerminalSize { rows: 0, columns: 0 }).unwrap();
        assert_eq!(TerminalSize::of(slave.as_fd()), None);
    }
}
