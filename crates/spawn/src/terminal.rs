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

    /// Makes a terminal as large; the kernel sends SIGWINCH to those in its foreground when that
    /// changes.
    ///
    /// # Errors
    ///
    /// When it is no terminal.
    pub fn give_to(self, terminal: &impl AsFd) -> io::Result<()> {
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

/// Who shows what is typed into a terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Echo {
    /// Nobody, or who types.
    #[default]
    Off,
    /// The terminal.
    On,
    /// Another terminal, where whole lines are typed and edited, and that hides what is typed while
    /// this one is set to: a rank finds a terminal that echoes, and may change that. Keys that make
    /// signals, or end the input, are the other's business.
    Elsewhere,
}

/// Whether who reads from the terminal of this master wants what is typed to be hidden, as for a
/// password. A program that edits lines by itself shows them.
pub(crate) fn hides_typed(master: &OwnedFd) -> bool {
    let modes = rustix::termios::tcgetattr(master).map(|modes| modes.local_modes);
    modes.is_ok_and(|modes| !modes.contains(LocalModes::ECHO) && modes.contains(LocalModes::ICANON))
}

/// Has a terminal whose lines are edited elsewhere take its keys for what they mean, in silence.
pub(crate) fn edit_itself(master: &OwnedFd) -> io::Result<()> {
    let mut modes = rustix::termios::tcgetattr(master)?;
    if modes.local_modes.contains(LocalModes::EXTPROC) {
        modes.local_modes.remove(LocalModes::EXTPROC | LocalModes::ECHO);
        rustix::termios::tcsetattr(master, OptionalActions::Now, &modes)?;
    }
    Ok(())
}

/// Opens a terminal that no other program inherits: its master, which is read, and the end that a
/// rank writes to. Bytes pass as they are, and what is sent to the rank is echoed on demand only.
pub(crate) fn open(size: TerminalSize, echo: Echo) -> io::Result<(OwnedFd, OwnedFd)> {
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
    modes.local_modes.set(LocalModes::ECHO, echo != Echo::Off);
    modes.local_modes.set(LocalModes::EXTPROC, echo == Echo::Elsewhere);
    rustix::termios::tcsetattr(&slave, OptionalActions::Now, &modes)?;
    size.give_to(&slave)?;
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
        let (master, slave) = open(size, Echo::Off).unwrap();
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
        let (_master, slave) = open(TerminalSize { rows: 0, columns: 0 }, Echo::Off).unwrap();
        assert_eq!(TerminalSize::of(slave.as_fd()), None);
    }
}
