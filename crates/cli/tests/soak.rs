//! A short part of the runs with random faults; the long one is this crate's example `soak`.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use lastline_testing::soak::{programs_in, run_seed};

/// Seeds whose runs take a second at most, and together do most of what there is.
const SEEDS: std::ops::Range<u64> = 1..101;
/// Runs wait more than they work.
const AT_ONCE: usize = 4;

#[test]
fn a_hundred_runs_with_faults_lose_nothing_in_silence() {
    let directory = Path::new(env!("CARGO_BIN_EXE_lastline")).parent().expect("a directory");
    let programs = programs_in(directory);
    assert!(programs.rank.exists(), "{} is missing: build the examples", programs.rank.display());
    let (next, wrong) = (AtomicU64::new(SEEDS.start), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(seed) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| SEEDS.contains(seed))
                {
                    let outcome = run_seed(seed, &programs).unwrap();
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
