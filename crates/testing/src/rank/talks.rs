//! Ranks that wait for somebody, or never stop.

use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::{own_rank, say, wait_for_ever};

/// Never stops.
pub(super) fn for_ever() -> io::Result<()> {
    loop {
        say("and another line")?;
    }
}

pub(super) fn wait() -> io::Result<()> {
    wait_for_ever()
}

/// A gate is a file that a test holds a lock of: who asks for a shared one waits until it is let
/// go.
pub(super) fn wait_at(gate: &str) -> io::Result<()> {
    File::open(gate)?.lock_shared()
}

/// Says `ready`, waits at the gate, says `passed`.
pub(super) fn gate(gate: &str) -> io::Result<()> {
    say("ready")?;
    wait_at(gate)?;
    say("passed")
}

/// Says which of its three are terminals, how large its stdout is, and whether it leads a session
/// whose terminal that is.
pub(super) fn terminals() -> io::Result<()> {
    use rustix::stdio::{stderr, stdin, stdout};
    use rustix::termios::{isatty, tcgetpgrp, tcgetsid, tcgetwinsize};
    let own = rustix::process::getpid();
    let leads = tcgetsid(stdout()) == Ok(own) && tcgetpgrp(stdout()) == Ok(own);
    let size = tcgetwinsize(stdout()).map(|size| format!("{}x{}", size.ws_row, size.ws_col));
    let size = size.unwrap_or_default();
    say(&format!("{:?} {size} {leads}", [stdin(), stdout(), stderr()].map(isatty)))
}

/// Writes numbered lines to stdout and stderr in turn.
pub(super) fn both(lines: u64) -> io::Result<()> {
    for number in 0..lines {
        let line = format!("{number}\n");
        match number % 2 {
            0 => io::stdout().write_all(line.as_bytes())?,
            _ => io::stderr().write_all(line.as_bytes())?,
        }
    }
    Ok(())
}

/// Asks for a name and greets it.
pub(super) fn prompt() -> io::Result<()> {
    let mut out = io::stdout();
    out.write_all(b"name? ")?;
    out.flush()?;
    let mut name = String::new();
    io::stdin().lock().read_line(&mut name)?;
    say(&format!("hello {}", name.trim()))
}

/// For every byte on the socket, prints a numbered line and answers with the byte. All ranks but
/// the first only talk.
pub(super) fn on_command(socket: &Path) -> io::Result<()> {
    if own_rank() > 0 {
        return for_ever();
    }
    let mut socket = UnixStream::connect(socket)?;
    let (mut byte, mut number, rank) = ([0], 0_u64, own_rank());
    while socket.read(&mut byte)? == 1 {
        // One write, as `printf` makes it.
        say(&format!("{rank} {number}"))?;
        number += 1;
        socket.write_all(&byte)?;
    }
    Ok(())
}
