//! Processes that ranks leave behind.

use std::time::Duration;

use crate::support::{Place, report, runs, stream, wait_until};

/// The pid in `left <pid>`.
fn left(out: &str) -> u32 {
    let line = out.lines().find(|line| line.contains("left ")).expect("it says whom it left");
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

#[test]
fn a_grandchild_that_holds_the_pipe_is_given_up_after_the_drain_and_named() {
    let place = Place::new();
    let args = ["run", "--job", "j", "--drain", "300ms", "--", "sh", "-c", "echo x; sleep 60 &"];
    let done = place.lastline(&args).expect(0);
    assert_eq!(done.out(), "x\n");
    assert!(done.took < Duration::from_secs(5), "{:?}", done.took);
    let report = report(&place.job("j"));
    for name in ["stdout", "stderr"] {
        let stream = stream(&report, 0, name);
        assert_eq!(stream["end"], "leaked");
        assert_eq!(stream["leaked_to"][0]["command"], "sleep 60");
    }
    let err = done.err();
    assert!(err.contains("rank 0 exited, but its stdout is still held by sleep 60 (pid"), "{err}");
}

#[test]
fn what_is_left_in_a_ranks_group_is_ended_with_the_job() {
    let place = Place::new();
    let done = place.ranks(&["--job", "j", "--drain", "200ms"], &["hold-quiet"]).expect(0);
    assert!(!runs(left(&done.out())));
}

/// The signal that ends the group is what makes the background start more.
#[test]
fn what_a_background_starts_while_it_is_ended_is_ended_too() {
    let place = Place::new();
    let background =
        "trap 'sleep 0.1; sleep 3171 & sleep 3172' TERM; echo ready >&3; sleep 3170 & wait";
    let script = format!("mkfifo gate; exec 3<>gate; echo $$; ({background}) & read ready <&3");
    let options = ["run", "--job", "j", "--drain", "100ms", "--grace", "300ms"];
    let done = place.lastline(&[&options[..], &["--", "sh", "-c", &script]].concat()).expect(0);
    let group: i32 = done.out().trim().parse().unwrap();
    let group = rustix::process::Pid::from_raw(group).unwrap();
    // What was killed and is nobody's child here takes a moment to be reaped.
    wait_until("the group is empty", || {
        rustix::process::test_kill_process_group(group) == Err(rustix::io::Errno::SRCH)
    });
}

#[test]
fn leave_background_leaves_it() {
    let place = Place::new();
    let options = ["--job", "j", "--drain", "200ms", "--leave-background"];
    let done = place.ranks(&options, &["hold-quiet"]).expect(0);
    let pid = left(&done.out());
    assert!(runs(pid));
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn a_grandchild_that_never_stops_talking_is_given_up_in_the_end() {
    let place = Place::new();
    let options = ["--job", "j", "--drain", "100ms", "--show", "7"];
    let done = place.ranks(&options, &["hold-talking"]).expect(0);
    assert!(done.took < Duration::from_secs(15), "{:?}", done.took);
    let report = report(&place.job("j"));
    let stream = stream(&report, 0, "stdout");
    assert_eq!(stream["end"], "leaked");
    let named = stream["leaked_to"][0]["command"].as_str().unwrap();
    assert!(named.ends_with("talk"), "{named}");
    let pid = u32::try_from(stream["leaked_to"][0]["pid"].as_u64().unwrap()).unwrap();
    assert!(!runs(pid));
}

#[test]
fn a_grandchild_that_floods_without_end_is_given_up_in_the_end() {
    let place = Place::new();
    let args = ["run", "--no-files", "--report", "r.json", "--drain", "100ms", "--show", "7", "--"];
    let done = place.lastline(&[&args[..], &["sh", "-c", "yes & exit 3"]].concat()).expect(3);
    assert!(done.took < Duration::from_secs(15), "{:?}", done.took);
    let report = crate::support::json(&place.path("r.json"));
    crate::support::check(&report);
    assert_eq!(stream(&report, 0, "stdout")["end"], "leaked");
}

#[test]
fn what_a_grandchild_says_within_the_drain_is_kept() {
    let place = Place::new();
    let script = "(sleep 0.3; echo late; sleep 0.3; echo later) & echo early";
    let args = ["run", "--job", "j", "--drain", "5s", "--", "sh", "-c", script];
    let done = place.lastline(&args).expect(0);
    assert_eq!(done.out(), "early\nlate\nlater\n");
    assert_eq!(stream(&report(&place.job("j")), 0, "stdout")["end"], "eof");
    assert!(done.took < Duration::from_secs(4), "{:?}", done.took);
}

#[test]
fn a_daemon_in_a_session_of_its_own_is_named() {
    let place = Place::new();
    let done = place.ranks(&["--job", "j", "--drain", "500ms"], &["double-fork"]).expect(0);
    let pid = left(&done.out());
    let report = report(&place.job("j"));
    assert_eq!(stream(&report, 0, "stdout")["leaked_to"][0]["pid"], pid);
    // It left the rank's group: lastline names it and does not end it.
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn a_failed_ranks_children_are_ended_too() {
    let place = Place::new();
    let script = "sleep 60 & echo left $!; [ $RANK = 0 ] && exit 9; wait";
    let args = ["run", "-n", "2", "--job", "j", "--drain", "300ms", "--", "sh", "-c", script];
    let done = place.lastline(&args).expect(9);
    for line in done.sorted().iter().filter(|line| line.contains("left")) {
        assert!(!runs(left(line)), "{line}");
    }
    assert!(done.took < Duration::from_secs(8), "{:?}", done.took);
    report(&place.job("j"));
}
