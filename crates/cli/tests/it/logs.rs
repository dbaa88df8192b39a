//! `logs`.

use crate::support::{Place, report};

/// Two ranks that speak in turn: 0, 1, 0, 1.
fn in_turn(place: &Place) {
    let script = "wait_for() { while ! [ -e $1 ]; do sleep 0.01; done; }
        [ $RANK = 0 ] || wait_for a0
        echo a$RANK; sleep 0.05; touch a$RANK
        [ $RANK = 0 ] && wait_for a1 || wait_for b0
        echo b$RANK >&2; sleep 0.05; touch b$RANK; wait_for b1; printf c$RANK";
    place.lastline(&["run", "-n", "2", "--job", "j", "--", "sh", "-c", script]).expect(0);
    report(&place.job("j"));
}

#[test]
fn lines_come_in_the_order_of_their_arrival_and_can_be_chosen() {
    let place = Place::new();
    in_turn(&place);
    let logs = |options: &[&str]| {
        let done = place.lastline(&[&["logs", "j"], options].concat()).expect(0);
        (done.out(), done.err())
    };
    let (out, err) = logs(&[]);
    assert!(out.starts_with("[0] a0\n[1] a1\n"), "{out}");
    assert_eq!(err, "[0] b0\n[1] b1\n");
    let (out, err) = logs(&["--rank", "1"]);
    assert_eq!((&*out, &*err), ("[1] a1\n[1] c1\n", "[1] b1\n"));
    let (out, err) = logs(&["--stream", "stderr"]);
    assert_eq!((&*out, &*err), ("", "[0] b0\n[1] b1\n"));
    let (out, _) = logs(&["--prefix", "{rank}/{stream}: ", "--rank", "0"]);
    assert_eq!(out, "0/stdout: a0\n0/stdout: c0\n");
    let (out, _) = logs(&["--format", "json", "--rank", "0", "--stream", "stdout"]);
    assert_eq!(out.lines().count(), 2, "{out}");
}

#[test]
fn tail_gives_the_last_lines() {
    let place = Place::new();
    let script = "seq 100; printf last";
    place.lastline(&["run", "--job", "j", "--", "sh", "-c", script]).expect(0);
    let tail = |lines: &str| place.lastline(&["logs", "--tail", lines]).expect(0).out();
    assert_eq!(tail("1"), "last\n");
    assert_eq!(tail("3"), "99\n100\nlast\n");
    assert_eq!(tail("0"), "");
    assert_eq!(tail("1000").lines().count(), 101);
    place.lastline(&["run", "--job", "k", "--", "seq", "100"]).expect(0);
    assert_eq!(tail("2"), "99\n100\n");
}

#[test]
fn tail_counts_over_all_ranks() {
    let place = Place::new();
    in_turn(&place);
    let args = ["logs", "j", "--stream", "stderr", "--tail", "1"];
    assert_eq!(place.lastline(&args).expect(0).err(), "[1] b1\n");
    assert_eq!(
        place.lastline(&["logs", "j", "--tail", "2"]).expect(0).sorted(),
        ["[0] c0", "[1] c1"]
    );
}

#[test]
fn follow_goes_on_until_the_job_is_over() {
    // What is read before the index tells of it is not given twice: that is a matter of moments.
    (0..10).for_each(|_| follow_once());
}

fn follow_once() {
    let place = Place::new();
    let (gate, path) = place.gate();
    let run = place.start_ranks(&["-n", "2", "--job", "j"], &["gate", &path]);
    (0..2).for_each(|_| drop(run.line()));
    let follow = place.start(&["logs", "--follow"]);
    let mut seen = [follow.line(), follow.line()];
    seen.sort();
    assert_eq!(seen, ["[0] ready", "[1] ready"]);
    drop(gate);
    run.wait().expect(0);
    let done = follow.wait().expect(0);
    assert_eq!(done.sorted(), ["[0] passed", "[0] ready", "[1] passed", "[1] ready"]);
}

#[test]
fn follow_after_a_tail_gives_nothing_that_was_left_out() {
    let place = Place::new();
    let (gate, path) = place.gate();
    let script = "if [ $RANK = 0 ]; then echo old; touch said; else while ! [ -e said ]; do sleep \
        0.05; done; sleep 0.1; echo new; fi; exec \"$0\" gate \"$1\"";
    let rank = crate::support::rank();
    let args = ["run", "-n", "2", "--job", "j", "--stdin", "null", "--"];
    let run = place.start(&[&args[..], &["sh", "-c", script, &rank, &path]].concat());
    run.line_with("new");
    run.line_with("ready");
    let follow = place.start(&["logs", "--follow", "--tail", "1"]);
    follow.line();
    drop(gate);
    run.wait().expect(0);
    let done = follow.wait().expect(0);
    assert!(!done.out().contains("old"), "{}", done.out());
    assert!(done.out().contains("[0] passed"), "{}", done.out());
    assert!(done.out().contains("[1] passed"), "{}", done.out());
}
