//! `logs` of some lines: those that match, those of a while.

use crate::support::Place;

fn logs(place: &Place, options: &[&str], code: i32) -> Vec<String> {
    place.lastline(&[&["logs", "j"], options].concat()).expect(code).sorted()
}

#[test]
fn lines_that_match_come_with_those_around_them() {
    let place = Place::new();
    let script = "echo first of $RANK; echo second of $RANK
        [ $RANK = 1 ] && echo Loss NaN; echo third of $RANK";
    place.lastline(&["run", "-n", "2", "--job", "j", "--", "sh", "-c", script]).expect(0);
    assert_eq!(logs(&place, &["--grep", "NaN"], 0), ["[1] Loss NaN"]);
    assert_eq!(logs(&place, &["--grep", "nan|inf", "-i"], 0), ["[1] Loss NaN"]);
    let around = ["[1] Loss NaN", "[1] second of 1", "[1] third of 1"];
    assert_eq!(logs(&place, &["--grep", "NaN", "-B", "1", "-A", "5"], 0), around);
    assert_eq!(logs(&place, &["--grep", "of", "--rank", "0"], 0).len(), 3);
    let folded = logs(&place, &["--grep", "third", "--fold", "ranks"], 0);
    assert_eq!(folded, ["[0,1] third of {0..1}"]);
}

#[test]
fn that_nothing_matches_is_said_by_the_code() {
    let place = Place::new();
    place.lastline(&["run", "--job", "j", "--", "echo", "one"]).expect(0);
    assert_eq!(logs(&place, &["--grep", "two"], 1), [""; 0]);
    let done = place.lastline(&["logs", "j", "--grep", "("]).expect(2);
    assert!(done.err().contains("unclosed group"), "{}", done.err());
    place.lastline(&["logs", "j", "-A", "1"]).expect(2);
}

#[test]
fn what_came_around_the_first_failure_is_given_in_whole_lines() {
    let place = Place::new();
    let script = "echo early; printf half; sleep 4; echo ' a line' >&1; echo late >&2; exit 3";
    place.lastline(&["run", "--job", "j", "--", "sh", "-c", script]).expect(3);
    assert_eq!(logs(&place, &["--around-failure", "2s"], 0), ["half a line", "late"]);
    assert_eq!(logs(&place, &["--around-failure", "1h"], 0).len(), 3);
}

#[test]
fn a_last_line_without_a_newline_stands_where_it_came() {
    let place = Place::new();
    let script = "[ $RANK = 0 ] && { printf 'dying words'; exit 3; }
        until [ -s logs/rank-0.stdout.log ]; do sleep 0.01; done; sleep 0.1; echo later";
    let options = ["run", "-n", "2", "--on-failure", "continue", "--log-dir", "logs"];
    place.lastline(&[&options[..], &["--", "sh", "-c", script]].concat()).expect(3);
    let logs = place.lastline(&["logs", "logs"]).expect(0).out();
    assert_eq!(logs, "[0] dying words\n[1] later\n");
}

#[test]
fn lines_are_found_by_the_offset_that_json_tells() {
    let place = Place::new();
    let script = "for i in 1 2 3 4 5; do echo line $i of $RANK; done; printf end >&2";
    place.lastline(&["run", "-n", "2", "--job", "j", "--", "sh", "-c", script]).expect(0);
    let json = logs(&place, &["--format", "json", "--rank", "1", "--stream", "stdout"], 0);
    let third: serde_json::Value = serde_json::from_str(&json[2]).unwrap();
    let at = format!("1.stdout@{}", third["offset"]);
    let lines = place.lastline(&["logs", "j", "--at", &at, "--lines", "2"]).expect(0).out();
    assert_eq!(lines, "[1] line 3 of 1\n[1] line 4 of 1\n");
    assert_eq!(logs(&place, &["--at", &at], 0).len(), 3, "as many as there are");
    assert_eq!(logs(&place, &["--at", "0.stderr@1"], 0), ["[0] end"], "the whole line");
    let done = place.lastline(&["logs", "j", "--at", "1.stdout@60"]).expect(1);
    assert!(done.err().contains("nothing at 1.stdout@60: rank 1 has 60 bytes"), "{}", done.err());
    let done = place.lastline(&["logs", "j", "--at", "5.stdout@0"]).expect(1);
    assert!(done.err().contains("no rank 5: there are ranks 0 to 1"), "{}", done.err());
    for wrong in [&["--at", "stdout@1"][..], &["--lines", "3"], &["--at", &at, "--rank", "1"]] {
        place.lastline(&[&["logs", "j"], wrong].concat()).expect(2);
    }
}

#[test]
fn lines_are_played_again_at_the_pace_at_which_they_came() {
    let place = Place::new();
    let script = "echo one; sleep 1; echo two; sleep 1; echo three";
    place.lastline(&["run", "--job", "j", "--", "sh", "-c", script]).expect(0);
    for (speed, least) in [("1", 2000), ("4", 500)] {
        let begun = std::time::Instant::now();
        let done = place.lastline(&["logs", "j", "--replay", "--speed", speed]).expect(0);
        assert_eq!(done.out(), "one\ntwo\nthree\n");
        assert!(begun.elapsed().as_millis() >= least, "{speed}: {:?}", begun.elapsed());
    }
    let done = place.lastline(&["logs", "j", "--replay", "--speed", "0"]).expect(2);
    assert!(done.err().contains("`0` is no speed (write `2`"), "{}", done.err());
    place.lastline(&["logs", "j", "--speed", "2"]).expect(2);
}

#[test]
fn what_came_since_and_until_then_is_given() {
    let place = Place::new();
    place.lastline(&["run", "--job", "j", "--", "echo", "now"]).expect(0);
    for since in ["1h", "2000-01-01", "2000-01-01T00:00:00Z"] {
        assert_eq!(logs(&place, &["--since", since], 0), ["now"], "{since}");
        assert_eq!(logs(&place, &["--until", since], 0), [""; 0], "{since}");
    }
    assert_eq!(logs(&place, &["--since", "2000-01-01", "--until", "2100-01-01"], 0), ["now"]);
    let done = place.lastline(&["logs", "j", "--since", "soon"]).expect(2);
    assert!(done.err().contains("`soon` is no time (write `10m`"), "{}", done.err());
    let done = place.lastline(&["logs", "j", "--around-failure", "1s"]).expect(1);
    assert!(done.err().contains("no rank of this job has failed"), "{}", done.err());
}
