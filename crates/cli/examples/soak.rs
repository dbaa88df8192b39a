//! Runs `lastline` again and again with random faults, and checks each run.
//!
//! ```text
//! cargo build -p lastline --bins --examples
//! target/debug/examples/soak --runs 2000          # the long part, some minutes
//! target/debug/examples/soak --seed 4711          # one run again
//! target/debug/examples/soak --seed 4711 --tell   # what happens in it
//! target/debug/examples/soak --far --runs 200     # hosts, drivers and a broker that die
//! ```
//!
//! A short part with fixed seeds is among this crate's tests.

#![expect(clippy::print_stdout, reason = "it prints what it found")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::Context as _;
use clap::Parser;
use lastline_testing::soak::{
    Outcome, Programs, describe, describe_far, programs_in, run_far_seed, run_seed,
};

/// Run lastline with random faults and check what it did against what its ranks wrote
///
/// Each run is made from a seed. A run with a difference prints its seed, what differs, and where
/// its files were left. Runs with a small disk or a container need root and are skipped otherwise.
/// Build the programs first: cargo build -p lastline --bins --examples
#[derive(Debug, Parser)]
struct Options {
    /// Only this seed
    #[arg(long)]
    seed: Option<u64>,
    /// How many runs
    #[arg(long, default_value = "2000")]
    runs: u64,
    /// The first seed; the others follow
    #[arg(long, default_value = "1")]
    from: u64,
    /// How many runs at a time
    #[arg(long, default_value = "6")]
    at_once: usize,
    /// Runs of several processes, and a broker where there is a nats-server
    #[arg(long)]
    far: bool,
    /// Say what happens in the run, and do not run it
    #[arg(long, requires = "seed")]
    tell: bool,
    /// Stop after so many runs with differences
    #[arg(long, default_value = "20")]
    most_failures: usize,
    /// The directory with `lastline` and `examples/rank` [default: where this program is]
    #[arg(long)]
    programs: Option<PathBuf>,
}

fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    if let (true, Some(seed)) = (options.tell, options.seed) {
        println!("{}", if options.far { describe_far(seed) } else { describe(seed) });
        return Ok(ExitCode::SUCCESS);
    }
    let programs = match &options.programs {
        Some(directory) => programs_in(directory),
        None => {
            let own = std::env::current_exe().context("where is this program?")?;
            let directory = own.parent().and_then(|examples| examples.parent());
            programs_in(directory.context("where is this program?")?)
        }
    };
    for program in [&programs.lastline, &programs.rank] {
        anyhow::ensure!(program.exists(), "{} is missing: build it first", program.display());
    }
    let seeds = match options.seed {
        Some(seed) => seed..seed + 1,
        None => options.from..options.from + options.runs,
    };
    let failed = run(&options, &programs, seeds)?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs all seeds; how many had differences.
fn run(
    options: &Options,
    programs: &Programs,
    seeds: std::ops::Range<u64>,
) -> anyhow::Result<usize> {
    let (next, started) = (AtomicU64::new(seeds.start), Instant::now());
    let found = Mutex::new((Vec::new(), 0_u64, 0_u64));
    let work = || -> anyhow::Result<()> {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let mut state = found.lock().expect("a worker panicked");
            if seed >= seeds.end || state.0.len() >= options.most_failures {
                return Ok(());
            }
            drop(state);
            let outcome =
                if options.far { run_far_seed(seed, programs) } else { run_seed(seed, programs) };
            let outcome = outcome.with_context(|| format!("seed {seed}"))?;
            tell(&outcome);
            state = found.lock().expect("a worker panicked");
            state.1 += 1;
            state.2 += u64::from(outcome.skipped);
            if !outcome.differences.is_empty() {
                state.0.push(seed);
            }
            if state.1.is_multiple_of(100) {
                let (took, failed) = (started.elapsed().as_secs(), state.0.len());
                println!("{} runs in {took} s, {failed} with differences", state.1);
            }
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..options.at_once).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("a worker panicked"))
    })?;
    let (failed, runs, skipped) = found.into_inner().expect("a worker panicked");
    let took = started.elapsed().as_secs();
    println!(
        "{runs} runs of {seeds:?} in {took} s, {skipped} skipped for want of root or a broker"
    );
    println!("{} with differences: {failed:?}", failed.len());
    Ok(failed.len())
}

fn tell(outcome: &Outcome) {
    if outcome.differences.is_empty() {
        return;
    }
    println!("seed {}:", outcome.seed);
    for difference in outcome.differences.iter().take(8) {
        println!("  {}", difference.chars().take(400).collect::<String>());
    }
    if let Some(kept) = &outcome.kept {
        println!("  left in {}", kept.display());
    }
}
