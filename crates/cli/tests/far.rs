//! A short part of the runs with random faults among several processes and their broker; more of them by
//! the variable that the long part is asked for with, or with this crate's example `soak --far`.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use lastline_testing::soak::{has_broker, programs_in, run_far_seed};

/// A run has a few processes, which wait more than they work.
const AT_ONCE: usize = 3;

/// How many runs.
fn runs() -> u64 {
    std::env::var("LASTLINE_TEST_FAR").ok().and_then(|runs| runs.parse().ok()).unwrap_or(15)
}

#[test]
fn processes_that_die_and_a_broker_that_does_lose_nothing_in_silence() {
    if !has_broker() {
        println!("not run: there is no nats-server for the runs that need one");
    }
    let directory = Path::new(env!("CARGO_BIN_EXE_lastline")).parent().expect("a directory");
    let programs = programs_in(directory);
    assert!(programs.rank.exists(), "{} is missing: build the examples", programs.rank.display());
    let (next, wrong) = (AtomicU64::new(1), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > runs() {
                        break;
                    }
                    let outcome = run_far_seed(seed, &programs).unwrap();
                    if !outcome.differences.is_empty() {
                        wrong.lock().unwrap().push(outcome);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
