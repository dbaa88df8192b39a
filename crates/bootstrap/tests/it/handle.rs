//! What a handle of a job can do, beside barriers and stops.

use std::sync::Arc;
use std::time::Duration;

use lastline_bootstrap::{
    LoggingMesh, Output, Plan, RankError, RankState, RankStatus, Report, SpawnError, Spawned,
    StopCause, SubscribeOptions,
};
use lastline_client::{PrintError, Printer, Subscribed};
use lastline_line::{BarrierOutcome, Entry, Exit, Stream};
use lastline_testing::{PATIENCE, PrintRecorder, SpawnerDouble, until, wait_until};

use crate::support::{Counter, console, spawn};

fn sh(script: &str, procs: u32) -> Plan {
    let mut plan = Plan::new("test", vec!["sh".into(), "-c".into(), script.into()]);
    plan.procs = procs;
    plan
}

async fn wait(mesh: &LoggingMesh) -> Arc<Report> {
    tokio::time::timeout(PATIENCE, mesh.wait()).await.expect("it ends").unwrap()
}

/// The ranks once `wanted` holds of them.
async fn ranks_when(mesh: &LoggingMesh, wanted: impl Fn(&[RankStatus]) -> bool) -> Vec<RankStatus> {
    let mut changes = mesh.watch();
    let mut ranks = mesh.ranks();
    let found = async {
        while !wanted(&ranks) {
            ranks = changes.next().await.expect("the job goes on");
        }
        ranks
    };
    tokio::time::timeout(PATIENCE, found).await.expect("in time")
}

#[tokio::test]
async fn ranks_are_seen_and_signalled_one_by_one() {
    // The shell would say on stderr what becomes of its sleeping child.
    let script = "exec 2>/dev/null; trap 'echo got it; exit 7' USR1; echo ready; \
        while :; do sleep 0.01; done";
    let mut plan = sh(script, 2);
    plan.on_failure = lastline_bootstrap::OnFailure::Continue;
    let mesh = spawn(plan, Counter::default());
    ranks_when(&mesh, |ranks| ranks.iter().all(|rank| rank.state == RankState::Running)).await;
    let mut lines = mesh.subscribe(SubscribeOptions::default());
    let ready = tokio::time::timeout(PATIENCE, async {
        while mesh.ranks().iter().any(|rank| rank.lines < 1) {
            tokio::task::yield_now().await;
        }
    });
    ready.await.unwrap();
    mesh.signal(Some(1), libc_usr1());
    let over = |ranks: &[RankStatus]| ranks[1].state == RankState::Exited(Exit::Code(7));
    let ranks = ranks_when(&mesh, over).await;
    assert_eq!(ranks[0].state, RankState::Running);
    let one = &mesh.ranks()[1];
    assert_eq!((one.lines, one.last_lines.last().map(String::as_str)), (2, Some("got it")));
    assert!(one.pid.is_some() && one.launch.is_some() && one.bytes > 0);
    let mut seen = Vec::new();
    while !seen.contains(&(1, "got it".to_owned())) {
        match lines.next().await.expect("the job goes on") {
            Subscribed::Line(line) => {
                let text = String::from_utf8(line.bytes.to_vec()).unwrap();
                seen.push((line.stream.rank, text));
            }
            other => panic!("{other:?}"),
        }
    }
    mesh.stop(StopCause::Owner);
    let report = wait(&mesh).await;
    assert!(report.balanced);
    assert_eq!(report.ranks[1].code, Some(7));
}

#[tokio::test]
async fn whoever_watches_ranks_sees_what_is_read_of_them() {
    let script = r#"[ "$RANK" = 1 ] && exec sleep 1000; echo one; echo two; exec sleep 1000"#;
    let mut plan = sh(script, 2);
    plan.on_failure = lastline_bootstrap::OnFailure::Continue;
    let mesh = spawn(plan, Counter::default());
    until(|| mesh.ranks()[0].lines == 2 && mesh.ranks()[1].state == RankState::Running).await;
    let seen = |rank: &RankStatus| (rank.bytes, rank.lines, rank.last_lines.clone());
    let wanted = (8, 2, vec!["one".to_owned(), "two".to_owned()]);
    assert_eq!(seen(&mesh.ranks()[0]), wanted);
    assert_eq!(seen(&mesh.driver().ranks()[0]), wanted);
    let mut changes = mesh.watch();
    mesh.signal(Some(1), libc_usr1());
    let ends = async {
        loop {
            let ranks = changes.next().await.expect("the job goes on");
            if matches!(ranks[1].state, RankState::Exited(_)) {
                return ranks;
            }
        }
    };
    let ranks = tokio::time::timeout(PATIENCE, ends).await.expect("in time");
    assert_eq!(seen(&ranks[0]), wanted);
    mesh.stop(StopCause::Owner);
    wait(&mesh).await;
}

fn libc_usr1() -> i32 {
    rustix::process::Signal::USR1.as_raw()
}

#[tokio::test]
async fn a_rank_is_started_again_and_both_starts_are_in_the_report() {
    let script = "echo start; test $RANK = 0 && exec sleep 60; exit 0";
    let mesh = spawn(sh(script, 2), Counter::default());
    let over = |ranks: &[RankStatus]| ranks[1].state == RankState::Exited(Exit::Code(0));
    let first = ranks_when(&mesh, over).await[1].launch;
    assert_eq!(mesh.restart(0).await, Err(RankError::Runs { rank: 0 }));
    assert_eq!(mesh.restart(9).await, Err(RankError::Unknown { rank: 9 }));
    let second = mesh.restart(1).await.unwrap();
    assert_ne!(first, Some(second));
    let again = |ranks: &[RankStatus]| over(ranks) && ranks[1].launch == Some(second);
    ranks_when(&mesh, again).await;
    // Its line may come late, and is read then without an event of its host.
    until(|| mesh.ranks()[0].lines == 1).await;
    mesh.stop(StopCause::Owner);
    let report = wait(&mesh).await;
    let ranks: Vec<u32> = report.ranks.iter().map(|rank| rank.rank).collect();
    assert_eq!(ranks, [0, 1, 1]);
    assert_eq!(report.totals().lines, 3);
    assert!(report.balanced, "{:?}", report.imbalances);
    assert_eq!(mesh.restart(1).await, Err(RankError::Ending));
}

/// More starts than a guardian has places for at once.
#[tokio::test]
async fn a_rank_is_started_again_as_often_as_it_is_asked_for() {
    let script = "test $RANK = 0 && exec sleep 60; sleep 60 & exit 0";
    let mesh = spawn(sh(script, 2), Counter::default());
    for _ in 0..80 {
        let over = |ranks: &[RankStatus]| ranks[1].state == RankState::Exited(Exit::Code(0));
        ranks_when(&mesh, over).await;
        let launch = mesh.restart(1).await.unwrap();
        let again = |ranks: &[RankStatus]| ranks[1].launch == Some(launch);
        ranks_when(&mesh, again).await;
    }
    mesh.stop(StopCause::Owner);
    let report = wait(&mesh).await;
    assert_eq!(report.ranks.len(), 82);
    assert!(report.ranks.iter().all(|rank| rank.error.is_none()));
}

#[tokio::test]
async fn each_rank_can_have_a_command_and_variables_of_its_own() {
    let printer = PrintRecorder::new();
    let mesh = LoggingMesh::builder(sh("true", 2))
        .rank(|rank, spec| {
            spec.command = vec!["sh".into(), "-c".into(), "echo $WHO".into()];
            spec.env.push(("WHO".into(), Some(format!("rank {rank} of us").into())));
        })
        .console(console(printer.clone()))
        .spawn()
        .unwrap();
    let report = wait(&mesh).await;
    let bytes = "rank 0 of us\n".len() as u64;
    assert_eq!((report.totals().bytes, report.totals().lines), (2 * bytes, 2));
}

#[tokio::test]
async fn a_process_of_somebody_else_is_attached() {
    let mut plan = Plan::new("test", Vec::new());
    plan.procs = 1;
    let printer = Counter::default();
    let mesh = spawn(plan, printer.clone());
    let ((stdout, out_end), (stderr, err_end)) =
        (std::io::pipe().unwrap(), std::io::pipe().unwrap());
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "echo one; echo two; echo oops >&2; exit 4"]);
    let mut child = command.stdout(out_end).stderr(err_end).spawn().unwrap();
    drop(command);
    let pid = rustix::process::Pid::from_child(&child);
    let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
    let output = Output::Pipes { stdout: stdout.into(), stderr: stderr.into() };
    let spawned = Spawned::new(lastline_spawn::attach(child.id(), pidfd), output);
    mesh.attach(0, spawned).await.unwrap();
    let report = wait(&mesh).await;
    // It is a child of this process, so that how it ended can be known.
    assert_eq!(report.ranks[0].code, Some(4));
    assert_eq!((report.totals().lines, printer.shown(0)), (3, 3));
    assert_eq!(report.ranks[0].streams[&Stream::Stderr].ledger.read_lines, 1);
    // Reaped already.
    child.wait().map(drop).unwrap_or_default();
}

#[tokio::test]
async fn a_rank_that_is_never_attached_is_told_when_the_job_is_stopped() {
    let mut plan = Plan::new("test", Vec::new());
    plan.procs = 2;
    let mesh = spawn(plan, Counter::default());
    mesh.stop(StopCause::Owner);
    let report = wait(&mesh).await;
    assert!(report.ranks.iter().all(|rank| rank.error.is_some() && rank.stopped_by_lastline));
}

#[tokio::test]
async fn the_last_handle_stops_the_job_when_it_is_dropped() {
    let double = SpawnerDouble::new();
    let mesh = LoggingMesh::builder(sh("", 1))
        .spawner(Box::new(double.clone()))
        .console(console(Counter::default()))
        .spawn()
        .unwrap();
    let rank = double.rank(0);
    let second = mesh.clone();
    drop(mesh);
    assert_eq!(second.flush().await.summary(), BarrierOutcome::Reached);
    drop(second);
    let stopped = tokio::time::timeout(PATIENCE, async {
        while rank.signals().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    stopped.await.expect("it is told to end");
    rank.end(Exit::Signal(15));
    let dismissed = tokio::time::timeout(PATIENCE, async {
        while !double.is_dismissed() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    dismissed.await.expect("it is drained in the background");
}

#[tokio::test]
async fn a_rank_whose_start_ends_after_the_grace_is_killed() {
    let double = SpawnerDouble::new();
    double.gate().shut();
    let mut plan = sh("", 1);
    plan.grace = Duration::ZERO;
    let mesh = LoggingMesh::builder(plan)
        .spawner(Box::new(double.clone()))
        .console(console(Counter::default()))
        .spawn()
        .unwrap();
    wait_until(|| double.gate().waiting() == 1);
    mesh.stop(StopCause::Owner);
    while mesh.restart(9).await != Err(RankError::Ending) {}
    double.gate().open();
    let report = wait(&mesh).await;
    // SIGCONT between: one that stands hears nothing else.
    assert_eq!(double.rank(0).signals()[..3], [15, 18, 9]);
    assert!(report.ranks[0].stopped_by_lastline);
}

/// Longer than the whole shutdown may take.
#[tokio::test]
async fn no_deadline_counts_the_time_in_which_ranks_are_paused() {
    let mut plan = sh(
        "exec 2>/dev/null; trap 'sleep 0.2; echo bye; exit 0' TERM; echo up; while :; do sleep 0.01; done",
        1,
    );
    (plan.grace, plan.teardown_timeout) = (Duration::from_secs(1), Duration::from_secs(2));
    let mesh = spawn(plan, Counter::default());
    ranks_when(&mesh, |ranks| ranks[0].pid.is_some()).await;
    while mesh.ranks()[0].lines < 1 {
        tokio::task::yield_now().await;
    }
    mesh.suspend().await;
    mesh.stop(StopCause::Owner);
    tokio::time::sleep(Duration::from_millis(2500)).await;
    mesh.resume();
    let report = wait(&mesh).await;
    assert_eq!((report.ranks[0].code, report.totals().lines), (Some(0), 2));
    assert!(report.teardown.iter().all(|row| !row.timed_out), "{:?}", report.teardown);
}

#[test]
fn no_process_is_left_when_the_runtime_goes() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let pids = runtime.block_on(async {
        let mesh =
            spawn(sh("trap '' TERM; echo up; while :; do sleep 1; done", 3), Counter::default());
        let running = |ranks: &[RankStatus]| ranks.iter().all(|rank| rank.pid.is_some());
        let ranks = ranks_when(&mesh, running).await;
        std::mem::forget(mesh);
        ranks.iter().filter_map(|rank| rank.pid).collect::<Vec<u32>>()
    });
    drop(runtime);
    for pid in pids {
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "{pid} is left");
    }
}

#[test]
fn outside_of_a_runtime_there_is_an_error_that_says_what_to_do() {
    let refused = LoggingMesh::spawn(sh("true", 1), console(Counter::default()));
    let error = refused.expect_err("there is no runtime");
    assert!(matches!(error, SpawnError::NoRuntime), "{error}");
    assert!(error.to_string().contains("block_on"), "{error}");
}

/// Prints one line, and then no more.
struct Fails;

impl Printer for Fails {
    fn print(&mut self, _entry: &Entry<'_>) -> Result<(), PrintError> {
        panic!("this printer is broken");
    }

    fn flush(&mut self) -> Result<(), PrintError> {
        Ok(())
    }
}

#[tokio::test]
async fn a_printer_that_panics_is_the_cause_of_what_is_not_shown_and_delays_nothing() {
    let mesh = spawn(sh("echo hello", 1), Fails);
    let report = wait(&mesh).await;
    // To print a panic with its stack takes seconds on a busy machine, and no stage's time.
    assert!(report.teardown.iter().all(|stage| !stage.timed_out), "{:?}", report.teardown);
    let ledger = &report.ranks[0].streams[&Stream::Stdout].ledger;
    let cause = &ledger.lost.as_slice()[0].cause;
    assert!(cause.contains("this printer is broken"), "{cause}");
    assert!(report.balanced && ledger.shown_bytes == 0);
}
