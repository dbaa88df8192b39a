//! Ranks that fail and are started again.

use serde_json::Value;

use crate::support::{Place, report};

/// Rank 1 fails until it has been started twice before.
const FAILS_TWICE: &str = "echo start $LASTLINE_RESTART_COUNT of rank $RANK
    [ $RANK = 0 ] || [ $LASTLINE_RESTART_COUNT = 2 ] || exit 3";

fn run(place: &Place, times: &str, more: &[&str], script: &str) -> crate::support::Done {
    let options = ["run", "-n", "2", "--job", "j", "--max-restarts", times];
    place.lastline(&[&options[..], more, &["--", "sh", "-c", script]].concat())
}

/// Of rank 1: how each start of it ended, and whether it was started again.
fn starts(report: &Value) -> Vec<(Value, Value)> {
    let ranks = report["ranks"].as_array().unwrap().iter();
    let own = ranks.filter(|rank| rank["rank"] == 1);
    own.map(|rank| (rank["code"].clone(), rank["started_again"].clone())).collect()
}

#[test]
fn a_rank_that_fails_and_then_succeeds_is_no_failure() {
    let place = Place::new();
    let done = run(&place, "2", &[], FAILS_TWICE).expect(0);
    let lines = [
        "[0] start 0 of rank 0",
        "[1] start 0 of rank 1",
        "[1] start 1 of rank 1",
        "[1] start 2 of rank 1",
    ];
    assert_eq!(done.sorted(), lines);
    let err = done.err();
    for times in ["1", "2"] {
        let said = format!(
            "lastline: rank 1 failed (exit code 3) and is started again, time {times} of 2\n"
        );
        assert!(err.contains(&said), "{err}");
    }
    assert!(err.contains("lastline: rank 1 was started again twice\n"), "{err}");
    let report = report(&place.job("j"));
    assert_eq!(report["first_failure"], Value::Null);
    let again = |code: i32| (code.into(), true.into());
    assert_eq!(starts(&report), [again(3), again(3), (0.into(), Value::Null)]);
    let of_start = |name: &str| std::fs::read_to_string(place.job("j").join(name)).unwrap();
    assert_eq!(of_start("rank-1.stdout.0001.log"), "start 0 of rank 1\n");
    assert_eq!(of_start("rank-1.stdout.log"), "start 2 of rank 1\n");
    assert_eq!(place.lastline(&["logs", "j", "--rank", "1"]).expect(0).sorted().len(), 3);
}

#[test]
fn a_rank_that_fails_once_more_than_that_is_the_first_failure() {
    let place = Place::new();
    let done = run(&place, "1", &["--fold", "ranks"], FAILS_TWICE).expect(3);
    let err = done.err();
    assert!(err.contains("lastline: rank 1 failed first: exit code 3, after"), "{err}");
    assert!(err.contains("lastline:   start 1 of rank 1\n"), "of its last start: {err}");
    assert!(err.contains("lastline: rank 1 was started again once\n"), "{err}");
    let report = report(&place.job("j"));
    assert_eq!((&report["first_failure"]["rank"], &report["balanced"]), (&1.into(), &true.into()));
    assert_eq!(starts(&report), [(3.into(), true.into()), (3.into(), Value::Null)]);
}

/// Nothing runs between its starts: nobody takes the job for over.
#[test]
fn one_rank_alone_is_started_again() {
    let place = Place::new();
    let script = "echo $LASTLINE_RESTART_COUNT; [ $LASTLINE_RESTART_COUNT = 20 ] || kill -9 $$";
    let args = ["run", "--max-restarts", "20", "--job", "j", "--", "sh", "-c", script];
    let done = place.lastline(&args).expect(0);
    assert_eq!(done.out().lines().count(), 21);
    // What a start has printed is read before the next one.
    let logs = place.lastline(&["logs", "j"]).expect(0).out();
    let lines: Vec<u32> = logs.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(lines, Vec::from_iter(0..=20));
    assert_eq!(report(&place.job("j"))["ranks"].as_array().unwrap().len(), 21);
}

#[test]
fn what_is_stopped_or_cannot_be_started_is_not_started_again() {
    let place = Place::new();
    let script = "[ $RANK = 0 ] || exit 4; exec sleep 60";
    let done = run(&place, "1", &[], script).expect(4);
    assert!(done.err().contains("rank 0 was stopped by lastline\n"), "{}", done.err());
    let report = report(&place.job("j"));
    assert_eq!(report["ranks"].as_array().unwrap().len(), 3, "rank 0 was started once");

    let place = Place::new();
    let args = ["run", "--max-restarts", "5", "--job", "j", "--", "./no-such-program"];
    let done = place.lastline(&args).expect(127);
    assert!(!done.err().contains("again"), "{}", done.err());
}
