//! Stdout and stderr of a rank as one stream.

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Place, Running, report, wait_until};

const TURNS: &str = "for i in 1 2 3 4 5; do echo out $i of $RANK; echo err $i of $RANK >&2; done";

fn turns(rank: u32) -> String {
    let both = |i: u32| format!("out {i} of {rank}\nerr {i} of {rank}\n");
    (1..=5).map(both).collect()
}

fn names(place: &Place) -> Vec<String> {
    let entries = std::fs::read_dir(place.job("j")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".log")).collect();
    names.sort();
    names
}

#[test]
fn both_are_one_stream_in_their_order() {
    let place = Place::new();
    let args = ["run", "-n", "2", "--job", "j", "--merge", "--", "sh", "-c", TURNS];
    let done = place.lastline(&args).expect(0);
    let of_rank_1: String = done
        .out()
        .lines()
        .filter_map(|l| l.strip_prefix("[1] "))
        .fold(String::new(), |all, line| all + line + "\n");
    assert_eq!(of_rank_1, turns(1), "on stdout");
    assert_eq!(names(&place), ["rank-0.log", "rank-1.log"]);
    for rank in 0..2 {
        let filed = std::fs::read_to_string(place.job("j").join(format!("rank-{rank}.log")));
        assert_eq!(filed.unwrap(), turns(rank));
    }
    let report = report(&place.job("j"));
    let streams = report["ranks"][1]["streams"].as_object().unwrap();
    assert_eq!(streams.keys().collect::<Vec<_>>(), ["merged"]);
    assert_eq!(
        (&streams["merged"]["read_lines"], &streams["merged"]["end"]),
        (&10.into(), &"eof".into())
    );
    let json = place.lastline(&["logs", "j", "--rank", "0", "--format", "json"]).expect(0).out();
    let streams: Vec<Value> = json
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["stream"].clone())
        .collect();
    assert_eq!(streams, vec![Value::from("merged"); 10]);
    let by_name = place.lastline(&["logs", "j", "--rank", "1", "--stream", "merged"]).expect(0);
    assert_eq!(by_name.sorted().len(), 10);
    let other = place.lastline(&["logs", "j", "--stream", "stderr"]).expect(0);
    assert!(other.out().is_empty() && other.err().contains("`--stream merged`"), "{}", other.err());
    let at = place.lastline(&["logs", "j", "--at", "1.merged@0", "--lines", "2"]).expect(0).out();
    assert_eq!(at, "[1] out 1 of 1\n[1] err 1 of 1\n");
}

#[test]
fn files_are_rotated_and_read_back_as_any() {
    let place = Place::new();
    let script = "head -c 200000 /dev/zero | tr '\\0' x; echo; exec sleep 60";
    let options = ["run", "--job", "j", "--merge", "--rotate", "64KiB", "--", "sh", "-c", script];
    let mut job = place.start(&options);
    let bytes = || -> u64 {
        let of =
            |name: &String| std::fs::metadata(place.job("j").join(name)).map_or(0, |m| m.len());
        names(&place).iter().map(of).sum()
    };
    wait_until("all of it is filed", || place.job("j").exists() && bytes() == 200_001);
    assert!(names(&place).contains(&String::from("rank-0.0003.log")), "{:?}", names(&place));
    job.signal(Signal::KILL);
    job.wait_exit();
    let report: Value =
        serde_json::from_str(&place.lastline(&["report", "j"]).expect(0).out()).unwrap();
    let merged = &report["ranks"][0]["streams"]["merged"];
    assert_eq!(report["ranks"][0]["streams"].as_object().unwrap().len(), 1);
    assert_eq!(merged["filed_bytes"], 200_001, "{merged}");
}

#[test]
fn what_it_failed_of_is_found_among_what_else_it_said() {
    let place = Place::new();
    let script = "echo step 1; echo 'Traceback (most recent call last):' >&2
        echo '  File \"a.py\", line 3, in <module>' >&2; echo 'ValueError: shard 7' >&2; exit 1";
    let args = ["run", "-n", "2", "--job", "j", "--merge", "--", "sh", "-c", script];
    let done = place.lastline(&args).expect(1);
    assert!(done.err().contains("lastline:   ValueError: shard 7\n"), "{}", done.err());
    assert_eq!(report(&place.job("j"))["first_failure"]["last_lines_of"], "merged");
}

#[test]
fn a_failure_is_told_where_its_lines_went_elsewhere_with_the_file_that_has_the_whole() {
    let place = Place::new();
    let script = "echo 'Traceback (most recent call last):' >&2; echo 'ValueError: a' >&2
        seq 1 40 >&2; exit 1";
    let done = place.lastline(&["run", "--job", "j", "--merge", "--", "sh", "-c", script]);
    let err = done.expect(1).err();
    assert!(err.contains("lastline:   ValueError: a\n"), "stdout is no terminal: {err}");
    let file = place.job("j").join("rank-0.log");
    assert!(
        err.contains(&format!("the whole is in {}\n", file.display())) && file.exists(),
        "{err}"
    );
    // Without anything left out it is not told twice where both are one output, and else it is.
    for (output, told) in [(">&1", true), ("2>&1", false)] {
        let both = format!("\"$0\" run --no-files --merge -- sh -c 'echo why; exit 3' {output}");
        let both = place.wrap("sh", &["-c", &both, env!("CARGO_BIN_EXE_lastline")]);
        let done = Running::start(both).wait().expect(3);
        assert_eq!((done.out() + &done.err()).contains("lastline:   why"), told, "{output}");
    }
}

#[test]
fn a_barrier_reaches_it_and_a_terminal_is_not_merged() {
    let place = Place::new();
    let script = "echo ready; echo there >&2; exec sleep 60";
    let job = place.start(&["run", "--job", "j", "--merge", "--", "sh", "-c", script]);
    job.line_with("there");
    assert_eq!(place.lastline(&["flush", "j"]).expect(0).out(), "reached\n");
    job.signal(Signal::TERM);
    job.wait().expect(143);
    let done = place.lastline(&["run", "--merge", "--pty", "--", "true"]).expect(2);
    assert!(done.err().contains("--merge"), "{}", done.err());
}

/// A rank whose outputs are one stream has ended with it.
#[test]
fn who_has_ended_is_neither_waited_for_nor_silent() {
    for option in ["--merge", "--pty"] {
        let place = Place::new();
        let script = "[ $RANK = 0 ] || exit 0; for i in 1 2 3 4 5; do sleep 0.6; echo $i; done";
        let options = ["run", "-n", "2", "--silent-after", "1s", option, "--", "sh", "-c", script];
        let done = place.lastline(&options).expect(0);
        assert!(!done.err().contains("silent"), "{option}: {}", done.err());
    }
}
