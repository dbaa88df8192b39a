//! What is said, and how long it takes, when lastline is told to stop.

use std::time::Duration;

use rustix::process::Signal;

use crate::support::{Place, Running, rank, report};

#[test]
fn who_is_waited_for_is_said_and_when_the_grace_is_over() {
    let place = Place::new();
    let script = "trap '' INT; echo ready; [ $RANK != 2 ] || exec sleep 0.2; exec sleep 600";
    let options = ["run", "-n", "4", "--job", "j", "--grace", "2500ms"];
    let run = place.start(&[&options[..], &["--", "sh", "-c", script]].concat());
    (0..4).for_each(|_| drop(run.line_with("ready")));
    run.signal(Signal::INT);
    let done = run.wait().expect(130);
    let said: Vec<&str> = done.err().leak().lines().take(2).collect();
    assert_eq!(
        said,
        [
            "lastline: stopping: waiting for 3 ranks (0,1,3); Ctrl-C again ends the grace of 2.5 s",
            "lastline: the grace is over: SIGKILL to 3 ranks (0,1,3)",
        ]
    );
}

#[test]
fn ranks_that_end_at_once_are_not_waited_for_in_words() {
    let place = Place::new();
    let run = place.start_ranks(&["-n", "2", "--job", "j"], &["hear-signal"]);
    (0..2).for_each(|_| drop(run.line_with("ready")));
    run.signal(Signal::INT);
    let done = run.wait().expect(130);
    assert!(!done.err().contains("waiting") && !done.err().contains("SIGKILL"), "{}", done.err());
}

#[test]
fn many_ranks_that_end_are_not_each_held_against_every_other() {
    let place = Place::new();
    let args = ["run", "-n", "1500", "--job", "j", "--", "sh", "-c", "echo here; exec sleep 600"];
    let run = place.start(&args);
    (0..1500).for_each(|_| drop(run.line_with("here")));
    run.signal(Signal::INT);
    run.wait().expect(130);
    let report = report(&place.job("j"));
    let stages = report["teardown"].as_array().unwrap();
    let flush = stages.iter().find(|stage| stage["stage"] == "flush").unwrap();
    // Where each end had every other looked at, it took more than a second.
    assert!(flush["seconds"].as_f64().unwrap() < 0.5, "{stages:#?}");
}

#[test]
fn an_interrupt_that_was_ignored_stays_ignored_and_a_blocked_sigterm_is_heard() {
    let place = Place::new();
    let (gate, path) = place.gate();
    let lastline = env!("CARGO_BIN_EXE_lastline");
    let ignoring = "trap '' INT QUIT; exec \"$@\"";
    let args = ["-c", ignoring, "sh", lastline, "run", "--job", "j", "--", &rank(), "gate", &path];
    let run = Running::start(place.wrap("sh", &args));
    assert_eq!(run.line(), "ready");
    run.signal(Signal::INT);
    run.signal(Signal::QUIT);
    drop(gate);
    assert_eq!(run.wait().expect(0).out(), "ready\npassed\n");

    if place.has("env") {
        let blocking = ["--block-signal=TERM", lastline, "run", "--", &rank(), "hear-signal"];
        let run = Running::start(place.wrap("env", &blocking));
        assert_eq!(run.line(), "ready");
        run.signal(Signal::TERM);
        let done = run.wait().expect(143);
        assert!(done.took < Duration::from_secs(30), "{:?}", done.took);
    }
}
