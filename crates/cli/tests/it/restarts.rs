//! Ranks that fail and are started again.

use serde_json::Value;

use crate::support::{Place, Running, report, wait_until};

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

/// Whatever waits for the console: what a rank's next start says comes after what the last one said.
#[test]
fn on_a_slow_console_starts_come_one_after_the_other() {
    let place = Place::new();
    let script = "n=$LASTLINE_RESTART_COUNT; seq -f \"$n %.0f\" 1 100000; [ $n = 2 ] || exit 3";
    let reader = "\"$0\" run --job j --max-restarts 2 -- sh -c \"$1\" |
        { until [ -e go ]; do sleep 0.01; done; cat; }";
    let job = place.wrap("sh", &["-c", reader, env!("CARGO_BIN_EXE_lastline"), script]);
    let job = Running::start(job);
    let last = place.job("j").join("rank-0.stdout.log");
    wait_until("all of it is filed", || {
        std::fs::read(&last).is_ok_and(|filed| filed.ends_with(b"\n2 100000\n"))
    });
    std::fs::write(place.path("go"), "").unwrap();
    let out = job.wait().expect(0).out();
    let number = |text: &str| text.parse::<u32>().unwrap();
    let pair = |line: &str| line.split_once(' ').map(|(start, line)| (number(start), number(line)));
    let lines: Vec<_> = out.lines().map(|line| pair(line).unwrap()).collect();
    assert!(lines.is_sorted() && lines.len() == 300_000, "{} lines", lines.len());
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

/// No process of a start that is over stays open, and of its files 64 at most, to be read back.
#[test]
fn a_rank_may_be_started_more_often_than_there_are_descriptors() {
    let place = Place::new();
    let script = "[ $RANK = 0 ] && { until [ -e go ]; do sleep 0.01; done; exit 0; }
        echo $LASTLINE_RESTART_COUNT; [ $LASTLINE_RESTART_COUNT = 150 ] || exit 3";
    let options = ["run", "-n", "2", "--job", "j", "--max-restarts", "150"];
    let job = place.start(&[&options[..], &["--", "sh", "-c", script]].concat());
    let open = || std::fs::read_dir(format!("/proc/{}/fd", job.pid())).unwrap().count();
    job.line_with("[1] 5");
    let early = open();
    job.line_with("[1] 150");
    wait_until("what is over is closed", || open() <= early + 70);
    std::fs::write(place.path("go"), "").unwrap();
    let done = job.wait().expect(0);
    assert!(done.err().contains("rank 1 was started again 150 times\n"), "{}", done.err());
}

#[test]
fn starts_that_never_came_are_not_counted() {
    let place = Place::new();
    let args = ["run", "-n", "8", "--job", "j", "--max-restarts", "3", "--", "sh", "-c", "exit 5"];
    let done = place.lastline(&args).expect(5);
    let report = report(&place.job("j"));
    let starts = |rank: u64| {
        let rows = report["ranks"].as_array().unwrap().iter();
        rows.filter(|row| row["rank"] == rank && !row["pid"].is_null()).count()
    };
    let all: usize = (0..8).map(starts).sum();
    let told = done.err();
    let told =
        told.lines().filter(|line| line.contains("started again") && !line.contains("failed"));
    assert!(told.clone().count() >= 1, "{}", done.err());
    let mut again = 0;
    for line in told {
        let (ranks, often) = line
            .trim_start_matches("lastline: ")
            .split_once(" started again ")
            .expect("ranks and how often");
        let ranks = ranks.split(' ').nth(1).expect("their numbers");
        let often = match often {
            "once" => 1,
            "twice" => 2,
            times => times.split(' ').next().unwrap().parse().unwrap(),
        };
        again += ranks.parse::<lastline_line::RankSet>().unwrap().len() * often;
    }
    assert_eq!(again + 8, all, "{}", done.err());
}
