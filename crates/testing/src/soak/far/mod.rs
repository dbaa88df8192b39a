//! Runs in which hosts and their driver are processes of their own, and any of them, or the broker
//! between them, is killed or stands still.
//!
//! Two to four hosts with a few ranks each meet their driver at a Unix socket or at a broker with
//! its files, which outlive it. The driver that is killed is followed by another one, which goes on where that
//! one was or begins at the start; the broker that is killed comes back after a while; a host that is
//! killed stays away. After a run:
//!
//! 1. the last driver has ended in time with the right code, and no process is left;
//! 2. its report balances, names each host that was killed as lost, and no other;
//! 3. of each rank whose host lived it says what that says, and what was read is what was written;
//! 4. the hosts' files have that byte for byte, and their own reports balance;
//! 5. each driver's console has only bytes of the ranks, in order and once; all drivers' together
//!    have all that the report does not declare lost.

mod broker;
mod check;
mod console;
mod run;
mod scenario;

use std::io;

pub use broker::is_there as has_broker;
pub(super) use scenario::rank_plan;

use super::place::Place;
use super::run::Programs;
use super::{Outcome, keep};
use scenario::Scenario;

/// What happens in the run of `seed`, in words.
pub fn describe_far(seed: u64) -> String {
    format!("{:#?}", Scenario::of(seed))
}

/// Runs `seed` once. One that needs a broker is skipped where there is none ([`has_broker`]).
///
/// # Errors
///
/// When the run could not be made: a program is missing, the system has no room.
pub fn run_far_seed(seed: u64, programs: &Programs) -> io::Result<Outcome> {
    let scenario = Scenario::of(seed);
    let mut outcome = Outcome { seed, differences: Vec::new(), kept: None, skipped: false };
    if scenario.needs_broker() && !has_broker() {
        outcome.skipped = true;
        return Ok(outcome);
    }
    let mut place = Place::new()?;
    let seen = run::run(&scenario, programs, &mut place)?;
    outcome.differences = check::differences(&scenario, &seen);
    if !outcome.differences.is_empty() {
        outcome.kept = Some(keep(place, &format!("{scenario:#?}\n{seen:#?}"))?);
    }
    Ok(outcome)
}
