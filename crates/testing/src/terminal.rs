//! A real pseudo terminal.

use std::fs::File;
use std::os::fd::OwnedFd;

use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{OptionalActions, OutputModes, tcgetattr, tcsetattr};

/// A terminal that leaves bytes alone: the master, and a file to write to.
///
/// # Panics
///
/// When the system has none left.
pub fn terminal() -> (OwnedFd, File) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags).expect("a terminal");
    unlockpt(&master).expect("its other end");
    let slave = ioctl_tiocgptpeer(&master, flags).expect("its other end");
    let mut modes = tcgetattr(&slave).expect("its modes");
    modes.output_modes.remove(OutputModes::OPOST);
    tcsetattr(&slave, OptionalActions::Now, &modes).expect("modes");
    (master, slave.into())
}
