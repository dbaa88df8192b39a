//! Runs of `lastline` in which things go wrong at random, and a check of each against what its
//! ranks say that they wrote.
//!
//! Everything about a run is made from its seed, but for the machine's own timing: ranks, what
//! they write and how they end, who reads the console and how, the disk, the options, the signals,
//! the barriers, what lastline finds where it starts (the first process of a container, SIGCHLD
//! ignored, few descriptors left), and that it is stopped or the time of day jumps. A rank writes bytes that its seed gives, and says in a file of its own how many
//! it has written, so that the check can make every byte again however it ended. After a run:
//!
//! 1. lastline has ended in time with the right code, and has left no process and no socket;
//! 2. the report balances, and its ranges ascend and have causes;
//! 3. what was read is what was written; a file is the stream without the ranges not filed;
//! 4. the console has every line whole, in order, once, but for the ranges declared;
//! 5. whoever was told that a barrier was reached finds on the console what was written before.
//!
//! Where lastline itself is killed only the files and the processes are checked.

mod callers;
mod check;
pub(crate) mod child;
mod content;
mod diary;
mod far;
mod place;
mod reader;
mod run;
mod scenario;
mod surroundings;

use std::io;
use std::path::{Path, PathBuf};

pub use far::{describe_far, has_broker, run_far_seed};
pub use run::Programs;

use place::Place;
use scenario::Scenario;

/// What became of a run.
#[derive(Debug)]
pub struct Outcome {
    /// The seed that makes it again.
    pub seed: u64,
    /// What was not as it should be; nothing when all was well.
    pub differences: Vec<String>,
    /// Where everything of a run with differences is left.
    pub kept: Option<PathBuf>,
    /// It needs a small disk or a namespace, which this user may not make: it was not run.
    pub skipped: bool,
}

/// What happens in the run of `seed`, in words.
pub fn describe(seed: u64) -> String {
    format!("{:#?}", Scenario::of(seed))
}

/// Runs `seed` once.
///
/// # Errors
///
/// When the run could not be made: a program is missing, the system has no room.
pub fn run_seed(seed: u64, programs: &Programs) -> io::Result<Outcome> {
    let scenario = Scenario::of(seed);
    let mut outcome = Outcome { seed, differences: Vec::new(), kept: None, skipped: false };
    if scenario.takes_root() && !rustix::process::geteuid().is_root() {
        outcome.skipped = true;
        return Ok(outcome);
    }
    let mut place = Place::new()?;
    place.prepare(scenario.files)?;
    let seen = run::run(&scenario, programs, &mut place)?;
    outcome.differences = check::differences(&scenario, &seen);
    if !outcome.differences.is_empty() {
        for (name, bytes) in ["stdout", "stderr"].iter().zip(&seen.printed) {
            std::fs::write(place.path().join(name), bytes)?;
        }
        let took =
            format!("took {:?}\nsent {:?}\nanswers {:#?}", seen.took, seen.sent, seen.answers);
        outcome.kept = Some(keep(place, &took)?);
    }
    Ok(outcome)
}

/// Leaves everything of a run to be looked at, with `notes` beside it.
fn keep(place: Place, notes: &str) -> io::Result<PathBuf> {
    std::fs::write(place.path().join("seen"), notes)?;
    place.keep()
}

/// The programs in the directory where cargo puts them.
pub fn programs_in(directory: &Path) -> Programs {
    run::beside(directory)
}
