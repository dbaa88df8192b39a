//! The handle: barriers at any time, streaming on and off, stopping, and a console that is stuck.

use std::time::{Duration, Instant};

use lastline_bootstrap::{OnFailure, SpawnError, StopCause};
use lastline_client::Verdict;
use lastline_testing::{PrintRecorder, until};

use crate::support::{Commander, Counter, console, plan, spawn};

#[tokio::test(flavor = "multi_thread")]
async fn several_callers_at_once_each_get_their_own_answer() {
    let (commander, mut plan) = Commander::new();
    plan.procs = 2;
    let printer = Counter::default();
    let mesh = std::sync::Arc::new(spawn(plan, printer.clone()));
    let mut commands = commander.connect();
    for time in 1..=200 {
        commands.print();
        let callers: Vec<_> = (0..8)
            .map(|_| {
                let (mesh, printer) = (std::sync::Arc::clone(&mesh), printer.clone());
                tokio::spawn(async move {
                    let verdicts = mesh.flush().await;
                    assert!(verdicts.all_reached(), "{verdicts:?}");
                    (verdicts.version, printer.shown(0))
                })
            })
            .collect();
        let mut versions = std::collections::HashSet::new();
        for caller in callers {
            let (version, shown) = caller.await.unwrap();
            assert_eq!(shown, time);
            assert!(versions.insert(version), "{version:?} was given twice");
        }
    }
    mesh.stop(StopCause::Owner);
    drop(commands);
    let mesh = std::sync::Arc::into_inner(mesh).expect("no caller is left");
    let report = mesh.wait().await.unwrap();
    let left_out: u64 = report.barriers_left_out.values().sum();
    let all = report.barriers.len() as u64 + left_out;
    assert_eq!(all, 1602, "each, the stop's and the last one");
    assert_eq!(report.barriers.len(), 200, "the others are only counted");
}

#[tokio::test]
async fn what_is_read_while_streaming_is_off_is_withheld_and_counted() {
    let (commander, plan) = Commander::new();
    let printer = PrintRecorder::new();
    let mesh = spawn(plan, printer.clone());
    let mut commands = commander.connect();
    commands.print();
    assert!(mesh.flush().await.all_reached());
    mesh.set_mode(false);
    commands.print();
    assert!(mesh.flush().await.all_reached());
    mesh.set_mode(true);
    commands.print();
    assert!(mesh.flush().await.all_reached());
    assert_eq!(printer.lines(), ["0:0 0", "0:0 2"]);
    drop(commands);
    let report = mesh.wait().await.unwrap();
    let ledger = &report.ranks[0].streams[&lastline_line::Stream::Stdout].ledger;
    assert_eq!((ledger.shown_bytes, ledger.withheld.streaming_off), (8, 4));
    assert!(report.balanced);
}

#[tokio::test]
async fn a_barrier_after_the_end_of_a_stream_says_so_at_once() {
    let printer = PrintRecorder::new();
    let mesh = spawn(plan(&["partial"]), printer.clone());
    until(|| printer.flushed().len() == 2).await;
    // During the end and after it: whatever is asked is answered.
    for _ in 0..100 {
        let verdicts = mesh.flush().await;
        assert!(verdicts.all_reached(), "{verdicts:?}");
    }
    let verdicts = mesh.flush().await;
    assert!(verdicts.streams.iter().all(|(_, verdict)| *verdict == Verdict::Ended), "{verdicts:?}");
    assert!(mesh.wait().await.unwrap().balanced);
    assert_eq!(printer.lines(), ["0:whole", "0:the last, without its end~"]);
}

#[tokio::test]
async fn barriers_in_flight_are_answered_when_ranks_die() {
    let (commander, mut plan) = Commander::new();
    plan.procs = 2;
    plan.on_failure = OnFailure::Continue;
    let mesh = std::sync::Arc::new(spawn(plan, Counter::default()));
    let commands = commander.connect();
    let asked = Instant::now();
    let callers: Vec<_> = (0..50)
        .map(|_| {
            let mesh = std::sync::Arc::clone(&mesh);
            tokio::spawn(async move { mesh.flush().await })
        })
        .collect();
    mesh.stop(StopCause::Owner);
    for caller in callers {
        let verdicts = caller.await.unwrap();
        assert!(verdicts.all_reached(), "{verdicts:?}");
    }
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
    drop(commands);
    let mesh = std::sync::Arc::into_inner(mesh).expect("no caller is left");
    assert!(mesh.wait().await.unwrap().balanced);
}

#[tokio::test]
async fn the_owner_can_stop_the_job() {
    let printer = PrintRecorder::new();
    let mut plan = plan(&["hear-signal"]);
    plan.procs = 2;
    let mesh = spawn(plan, printer.clone());
    until(|| printer.flushed().len() == 2).await;
    mesh.stop(StopCause::Owner);
    let report = mesh.wait().await.unwrap();
    assert_eq!(report.stopped_by, Some(StopCause::Owner));
    assert!(report.ranks.iter().all(|rank| rank.stopped_by_lastline && rank.code == Some(0)));
    assert!(printer.lines().contains(&"1:heard 15".to_owned()), "{:?}", printer.lines());
}

#[tokio::test]
async fn a_stop_that_comes_first_of_all_is_not_missed() {
    for _ in 0..20 {
        let mut plan = plan(&["stubborn"]);
        plan.procs = 20;
        plan.grace = Duration::from_millis(100);
        let mesh = spawn(plan, Counter::default());
        mesh.stop(StopCause::Owner);
        let report = mesh.wait().await.unwrap();
        assert!(report.balanced);
        assert!(report.first_failure.is_none(), "{:?}", report.first_failure);
        assert!(report.ranks.iter().all(|rank| rank.stopped_by_lastline), "{report:?}");
    }
}

#[tokio::test]
async fn a_printer_that_blocks_for_ever_is_given_up_and_the_report_says_what_was_not_shown() {
    let printer = PrintRecorder::new();
    printer.gate.shut();
    let mut plan = plan(&["flood", "1", "100000"]);
    plan.procs = 2;
    plan.teardown_timeout = Duration::from_secs(1);
    plan.flush_timeout = Duration::from_millis(100);
    let mesh = spawn(plan, printer.clone());
    until(|| printer.gate.waiting() > 0).await;
    let verdicts = mesh.flush().await;
    assert_eq!(verdicts.summary(), lastline_line::BarrierOutcome::TimedOut, "{verdicts:?}");
    let asked = Instant::now();
    let report = mesh.wait().await.unwrap();
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    assert!(report.balanced, "{:?}", report.imbalances);
    for rank in &report.ranks {
        let ledger = &rank.streams[&lastline_line::Stream::Stdout].ledger;
        assert_eq!((ledger.shown_bytes, ledger.lost.bytes()), (0, ledger.read_bytes));
        assert!(ledger.read_bytes > 0);
    }
    let late: Vec<_> = report.teardown.iter().filter(|s| s.timed_out).map(|s| s.stage).collect();
    assert!(late.contains(&lastline_line::Stage::Flush), "{:?}", report.teardown);
    assert_eq!(report.barriers[0].verdict, lastline_line::BarrierOutcome::TimedOut);
    printer.gate.open();
}

#[tokio::test]
async fn what_cannot_be_run_starts_nothing() {
    let mut plan = plan(&[]);
    plan.command = vec!["no-such-command".into()];
    let refused = lastline_bootstrap::LoggingMesh::spawn(plan, console(Counter::default()));
    assert!(matches!(refused, Err(SpawnError::Command(_))), "{refused:?}");
}

#[tokio::test]
async fn the_control_socket_answers_while_the_job_runs_and_is_gone_after() {
    let (commander, mut plan) = Commander::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    plan.control = Some(path.clone());
    let mesh = spawn(plan, Counter::default());
    let commands = commander.connect();
    assert!(path.exists());
    drop(commands);
    mesh.wait().await.unwrap();
    assert!(!path.exists());
}
