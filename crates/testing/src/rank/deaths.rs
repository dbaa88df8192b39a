//! How ranks end, and refuse to.

use std::io::{self, Write};

use rustix::process::{Signal, getpid, kill_process};

use super::floods::{Hashed, write_lines};
use super::{say, wait_for_ever};

fn kill_self() -> io::Result<()> {
    kill_process(getpid(), Signal::KILL)?;
    wait_for_ever()
}

/// Writes so many bytes, the last line without its newline, and kills itself.
pub(super) fn kill_after(seed: u64, bytes: u64) -> io::Result<()> {
    let mut out = Hashed::stdout()?;
    write_lines(&mut out, seed, bytes)?;
    out.write_all(b"the last words")?;
    out.finish()?;
    kill_self()
}

pub(super) fn kill_mid_line() -> io::Result<()> {
    let mut out = Hashed::stdout()?;
    out.write_all(b"a whole line\nhalf of a li")?;
    out.finish()?;
    kill_self()
}

/// Takes memory until something ends this, or it has so many MiB.
pub(super) fn eat_memory(most: u64) -> io::Result<()> {
    say("hungry")?;
    let mut eaten = Vec::new();
    while (eaten.len() as u64) < most {
        // Filled: memory that nobody touches is not taken.
        eaten.push(vec![1_u8; 1 << 20]);
    }
    Err(io::Error::other(format!("had {} MiB and was not stopped", eaten.len())))
}

/// Says which signal it gets, SIGINT, SIGTERM or SIGHUP, and ends with 0.
pub(super) fn hear_signal() -> io::Result<()> {
    #[expect(unsafe_code, reason = "std cannot wait for a signal")]
    // SAFETY: the set is made by `sigemptyset` before anything reads it.
    let signal = unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
            libc::sigaddset(&raw mut set, signal);
        }
        libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        say("ready")?;
        let mut signal = 0;
        libc::sigwait(&raw const set, &raw mut signal);
        signal
    };
    say(&format!("heard {signal}"))
}

/// Ignores what can be ignored.
pub(crate) fn ignore_signals() {
    #[expect(unsafe_code, reason = "std cannot ignore a signal")]
    // SAFETY: no handler is installed.
    unsafe {
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
            libc::signal(signal, libc::SIG_IGN);
        }
    }
}

pub(super) fn stubborn() -> io::Result<()> {
    ignore_signals();
    say("ready")?;
    wait_for_ever()
}
