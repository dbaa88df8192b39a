//! A child program for tests: the first word says how it behaves, the others are numbers or paths.
//!
//! `lastline` and `lastline-bootstrap` build it as an example, so that their tests find it beside
//! their own executables.

mod deaths;
mod floods;
mod holders;
mod talks;

use std::io::{self, Write};
use std::path::Path;

pub(crate) use deaths::ignore_signals;
pub use floods::{Hashed, hash};

use crate::soak::child;

/// Where a rank leaves the hash of what it wrote to its stdout, in the directory that this
/// variable names: `<rank>.hash`.
pub const HASH_DIR: &str = "RANK_HASH_DIR";

/// The program. Gives the exit code.
///
/// # Panics
///
/// When a word is missing or cannot be understood: then a test is wrong.
pub fn main() -> u8 {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let Some((behaviour, args)) = words.split_first() else {
        return 2;
    };
    let done = match *behaviour {
        "flood" => floods::flood(number(args, 0), number(args, 1)),
        "bytes" => floods::bytes(number(args, 0), number(args, 1)),
        "partial" => floods::partial(),
        "long-line" => floods::long_line(number(args, 0)),
        "no-newline" => floods::no_newline(number(args, 0)),
        "bar" => floods::bar(number(args, 0)),
        "kill-after" => deaths::kill_after(number(args, 0), number(args, 1)),
        "kill-mid-line" => deaths::kill_mid_line(),
        "eat-memory" => deaths::eat_memory(number(args, 0)),
        "hear-signal" => deaths::hear_signal(),
        "stubborn" => deaths::stubborn(),
        "hold-quiet" => holders::hold(false),
        "hold-talking" => holders::hold(true),
        "hold-stubborn" => holders::hold_stubborn(),
        "double-fork" => holders::double_fork(),
        "own-session" => holders::own_session(),
        "close-stdout" => holders::close_stdout(args[0]),
        "talk" => talks::for_ever(),
        "wait" => talks::wait(),
        "gate" => talks::gate(args[0]),
        "terminals" => talks::terminals(),
        "both" => talks::both(number(args, 0)),
        "prompt" => talks::prompt(),
        "on-command" => talks::on_command(Path::new(args[0])),
        "soak" | "soak-far" | "soak-hold" | "soak-copy" => return soak(behaviour, args),
        other => panic!("no behaviour `{other}`"),
    };
    match done {
        Ok(()) => 0,
        Err(error) => {
            drop(writeln!(io::stderr(), "rank: {error}"));
            1
        }
    }
}

/// The children of the runner of faults.
fn soak(behaviour: &str, args: &[&str]) -> u8 {
    let rank = u32::try_from(own_rank()).expect("a rank");
    let place = |at: usize| Path::new(args[at]);
    let done = match behaviour {
        "soak" => child::rank(number(args, 0), place(1), rank),
        "soak-far" => child::far_rank(number(args, 0), place(1), rank),
        "soak-hold" => child::holder(number(args, 0), place(1), rank),
        _ => child::copy(),
    };
    // A rank whose outputs nobody takes any more has nobody to tell.
    done.unwrap_or(1)
}

fn number(args: &[&str], at: usize) -> u64 {
    args[at].parse().expect("a number")
}

/// The number that lastline has given this rank.
fn own_rank() -> u64 {
    std::env::var("LASTLINE_RANK").ok().and_then(|rank| rank.parse().ok()).unwrap_or(0)
}

/// Says one line on stdout, at once.
fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout();
    out.write_all(format!("{line}\n").as_bytes())?;
    out.flush()
}

/// Waits for a signal that ends this process.
pub(crate) fn wait_for_ever() -> ! {
    loop {
        std::thread::park();
    }
}
