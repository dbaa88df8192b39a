//! The barrier starts at the pipe: what was written before it was asked for has been printed when
//! it returns. A line is written, then the barrier is asked for at once.

use std::time::Duration;

use lastline_bootstrap::{Plan, StopCause};
use lastline_testing::PATIENCE;
use tokio::runtime::Builder;

use crate::support::{Commander, Counter, spawn};

/// Each of the four ways. A barrier that trusted the reactor fails every time on one thread, one
/// that is merely late fails once in some thousands.
const TIMES: u64 = 25_000;
/// Ranks that print without end beside the one that is watched.
const FLOODS: u32 = 2;

fn run(runtime: Builder, floods: u32) {
    run_with(runtime, floods, TIMES, |_| {});
}

/// The same over terminals, of which the kernel does not say how much waits in them.
fn run_on_terminals(runtime: Builder, floods: u32) {
    run_with(runtime, floods, TIMES / 5, |plan| plan.pty = true);
}

fn run_with(mut runtime: Builder, floods: u32, times: u64, change: fn(&mut Plan)) {
    runtime.enable_all().build().unwrap().block_on(async {
        let (commander, mut plan) = Commander::new();
        plan.procs = 1 + floods;
        change(&mut plan);
        let printer = Counter::default();
        let mesh = spawn(plan, printer.clone());
        let mut commands = commander.connect();
        // The scheduler of a busy machine may let one wait for longer than all barriers take.
        let all_flow = async {
            while (1..=floods).any(|rank| printer.shown(rank) == 0) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, all_flow).await.expect("every flood flows");
        for time in 1..=times {
            commands.print();
            let verdicts = mesh.flush().await;
            assert!(verdicts.all_reached(), "{time}: {verdicts:?}");
            assert_eq!(verdicts.version.0, time, "a version is used once");
            assert_eq!(printer.shown(0), time, "the line was not printed");
        }
        mesh.stop(StopCause::Owner);
        drop(commands);
        let report = mesh.wait().await.unwrap();
        assert!(report.balanced, "{:?}", report.imbalances);
    });
}

#[test]
fn idle_on_one_thread() {
    run(Builder::new_current_thread(), 0);
}

#[test]
fn idle_on_many_threads() {
    run(Builder::new_multi_thread(), 0);
}

#[test]
fn under_a_flood_on_one_thread() {
    run(Builder::new_current_thread(), FLOODS);
}

#[test]
fn under_a_flood_on_many_threads() {
    run(Builder::new_multi_thread(), FLOODS);
}

#[test]
fn idle_terminals_on_one_thread() {
    run_on_terminals(Builder::new_current_thread(), 0);
}

#[test]
fn idle_terminals_on_many_threads() {
    run_on_terminals(Builder::new_multi_thread(), 0);
}

#[test]
fn terminals_under_a_flood_on_one_thread() {
    run_on_terminals(Builder::new_current_thread(), FLOODS);
}

#[test]
fn terminals_under_a_flood_on_many_threads() {
    run_on_terminals(Builder::new_multi_thread(), FLOODS);
}

#[test]
fn a_rank_that_has_printed_before_it_is_known_to_run_is_covered() {
    for _ in 0..50 {
        Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let (commander, plan) = Commander::new();
            let printer = Counter::default();
            let mesh = spawn(plan, printer.clone());
            // The runtime's only thread waits here: nobody has heard of the rank yet.
            let mut commands = commander.connect();
            commands.print();
            let verdicts = mesh.flush().await;
            assert_eq!(printer.shown(0), 1, "{verdicts:?}");
            drop(commands);
            mesh.wait().await.unwrap();
        });
    }
}
