//! Ranks that leave processes behind.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use super::{deaths, say, talks, wait_for_ever};

/// This program again, behaving otherwise, with everything that this one holds.
fn again(behaviour: &str) -> Command {
    let own = std::env::current_exe().expect("this program");
    let mut command = Command::new(own);
    command.arg(behaviour).stdin(Stdio::null());
    command
}

#[expect(clippy::disallowed_methods, reason = "a rank may start what it likes")]
fn start(mut command: Command) -> io::Result<()> {
    let child = command.spawn()?;
    say(&format!("left {}", child.id()))
}

/// Leaves a child behind that holds its outputs, and says nothing or goes on talking.
pub(super) fn hold(talking: bool) -> io::Result<()> {
    start(again(if talking { "talk" } else { "wait" }))
}

/// Leaves a child behind that SIGTERM does not end, and waits beside it.
pub(super) fn hold_stubborn() -> io::Result<()> {
    deaths::ignore_signals();
    start(again("wait"))?;
    wait_for_ever()
}

/// A daemon: the child of a child, in a session of its own, with the rank's outputs.
pub(super) fn double_fork() -> io::Result<()> {
    let mut command = again("own-session");
    command.process_group(0);
    start(command)
}

/// Makes its own session, where it is allowed to, and waits.
pub(super) fn own_session() -> io::Result<()> {
    let made = rustix::process::setsid().is_ok();
    say(if made { "in a session of its own" } else { "leads its group" })?;
    wait_for_ever()
}

/// Closes stdout and lives on, until the gate opens.
pub(super) fn close_stdout(gate: &str) -> io::Result<()> {
    say("my last line on stdout")?;
    #[expect(unsafe_code, reason = "std does not close stdout")]
    // SAFETY: nothing of this process uses stdout any more.
    unsafe {
        libc::close(1);
    }
    talks::wait_at(gate)?;
    io::Write::write_all(&mut io::stderr(), b"still here\n")
}
