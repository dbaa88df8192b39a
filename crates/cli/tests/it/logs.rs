//! `logs`.

use std::fs::{self, File};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Place, Running, report};

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
    assert!(out.starts_with("[0] a0\n[1] a1\n[0] b0\n[1] b1\n"), "{out}");
    assert_eq!((out.lines().count(), &*err), (6, ""));
    let (out, _) = logs(&["--rank", "1"]);
    assert_eq!(out, "[1] a1\n[1] b1\n[1] c1\n");
    let (out, _) = logs(&["--stream", "stderr"]);
    assert_eq!(out, "[0] b0\n[1] b1\n");
    let (out, _) = logs(&["--prefix", "{rank}/{stream}: ", "--rank", "0"]);
    assert_eq!(out, "0/stdout: a0\n0/stderr: b0\n0/stdout: c0\n");
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
    assert_eq!(place.lastline(&args).expect(0).out(), "[1] b1\n");
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

#[test]
fn an_output_that_cannot_be_written_is_an_error() {
    let place = Place::new();
    place.lastline(&["run", "--job", "j", "--", "seq", "100"]).expect(0);
    for format in ["text", "json"] {
        let mut command = place.command(&["logs", "--format", format]);
        command.stdout(File::options().write(true).open("/dev/full").unwrap());
        let done = Running::start(command).wait().expect(1);
        assert!(done.err().contains("cannot write to stdout: No space left"), "{}", done.err());
        assert_eq!(done.err().lines().count(), 1, "{}", done.err());
    }
    for args in [&["--help"][..], &["run", "--help"], &["--version"]] {
        let mut command = place.command(args);
        command.stdout(File::options().write(true).open("/dev/full").unwrap());
        let done = Running::start(command).wait().expect(1);
        assert!(done.err().contains("cannot write to stdout: No space left"), "{}", done.err());
    }
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_without_a_word() {
    let place = Place::new();
    place.lastline(&["run", "--job", "j", "--", "seq", "1000000"]).expect(0);
    for words in [&["logs"][..], &["jobs"], &["report"]] {
        let (read, write) = std::io::pipe().unwrap();
        drop(read);
        let mut command = place.command(words);
        command.stdout(write);
        let done = Running::start(command).wait().expect(0);
        assert_eq!(done.err(), "", "{words:?}");
    }
}

#[test]
fn a_low_limit_of_open_files_leaves_nothing_out() {
    let place = Place::new();
    let script = "echo a; echo b >&2; echo c";
    place.lastline(&["run", "-n", "300", "--job", "j", "--", "sh", "-c", script]).expect(0);
    let limited = |files: &str| {
        let script = format!("ulimit -n {files}; exec \"$0\" logs");
        let command = place.wrap("sh", &["-c", &script, env!("CARGO_BIN_EXE_lastline")]);
        Running::start(command).wait()
    };
    // Whichever open is the one that finds none left.
    for files in (10..=26).chain([100]) {
        let done = limited(&files.to_string()).expect(0);
        assert_eq!((done.out().lines().count(), &*done.err()), (900, ""), "{files}");
    }
    let done = limited("5");
    assert_eq!(done.code(), 1, "{}", done.err());
    assert!(done.err().contains("Too many open files"), "{}", done.err());
}

#[test]
fn a_line_that_is_longer_than_what_is_held_is_printed_whole() {
    let place = Place::new();
    let script = "head -c 3000000 /dev/zero | tr '\\0' $RANK; echo; echo end";
    place
        .lastline(&["run", "-n", "2", "--job", "j", "--quiet", "--", "sh", "-c", script])
        .expect(0);
    let done = place.lastline(&["logs"]).expect(0);
    let mut lines: Vec<String> = done.out().lines().map(String::from).collect();
    lines.sort();
    let long = |rank: u32| format!("[{rank}] {}", rank.to_string().repeat(3_000_000));
    let expected = [long(0), "[0] end".into(), long(1), "[1] end".into()];
    assert!(lines == expected, "{:?}", lines.iter().map(String::len).collect::<Vec<_>>());
}

#[test]
fn the_lines_of_a_tail_are_whole_however_long_they_are() {
    let place = Place::new();
    // Each has begun before any ends its long line: the last two lines are those.
    let script =
        "echo $RANK; > begun-$RANK; until [ -e begun-0 ] && [ -e begun-1 ]; do sleep 0.01; done
        head -c 600000 /dev/zero | tr '\\0' $RANK; echo";
    place
        .lastline(&["run", "-n", "2", "--job", "j", "--quiet", "--", "sh", "-c", script])
        .expect(0);
    let line = |rank: &str| format!("{}\n", rank.repeat(600_000));
    let one = place.lastline(&["logs", "--rank", "1", "--tail", "1", "--prefix", "never"]);
    assert!(one.expect(0).out() == line("1"));
    let both = place.lastline(&["logs", "--tail", "2", "--format", "json"]).expect(0).out();
    let mut objects: Vec<Value> =
        both.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    objects.sort_by_key(|object| object["rank"].as_u64());
    for (rank, object) in ["0", "1"].into_iter().zip(&objects) {
        assert_eq!((&object["offset"], objects.len()), (&2.into(), 2));
        assert!(object["line"] == line(rank).trim_end(), "{rank}");
    }
}

#[test]
fn what_somebody_cut_off_a_file_is_told_and_is_an_error() {
    let place = Place::new();
    place.lastline(&["run", "--job", "j", "--quiet", "--", "seq", "1000"]).expect(0);
    let file = fs::OpenOptions::new().write(true).open(place.job("j").join("rank-0.stdout.log"));
    file.unwrap().set_len(99).unwrap();
    let done = place.lastline(&["logs"]).expect(1);
    assert_eq!(done.stdout.len(), 99);
    let said = done.err();
    assert!(said.contains("rank 0 stdout: 3794 bytes are missing here, from byte 99 on"), "{said}");
    assert!(
        said.ends_with("rank 0 stdout cannot be read at byte 99: the file was cut\n"),
        "{said}"
    );
}

#[test]
fn what_is_missing_is_told_where_it_is_missing() {
    let place = Place::new();
    let options = ["--job", "j", "--rotate", "64KiB", "--max-size", "256KiB", "--quiet"];
    place.lastline(&[&["run"], &options[..], &["--", "seq", "100000"]].concat()).expect(0);
    let report = report(&place.job("j"));
    let kept: u64 = fs::read_dir(place.job("j"))
        .unwrap()
        .flatten()
        .filter(|file| file.file_name().to_string_lossy().starts_with("rank-"))
        .map(|file| file.metadata().unwrap().len())
        .sum();
    let read = report["ranks"][0]["streams"]["stdout"]["read_bytes"].as_u64().unwrap();
    let missing = read - kept;
    assert!(missing > 0);
    let cause = "removed to keep within the maximum size";
    let done = place.lastline(&["logs"]).expect(0);
    assert_eq!(done.stdout.len() as u64, kept);
    let said = format!(
        "lastline: rank 0 stdout: {missing} bytes are missing here, from byte 0 on: {cause}\n"
    );
    assert_eq!(done.err(), said);
    let done = place.lastline(&["logs", "--format", "json"]).expect(0);
    let first: Value = serde_json::from_str(done.out().lines().next().unwrap()).unwrap();
    let object = json!({ "rank": 0, "stream": "stdout", "offset": 0, "missing_bytes": missing,
        "cause": cause });
    assert_eq!((first, done.err()), (object, said));
    // Of what was left out nothing is said.
    assert_eq!(place.lastline(&["logs", "--tail", "1"]).expect(0).err(), "");
    // Somebody removes the newest file.
    fs::remove_file(place.job("j").join("rank-0.stdout.log")).unwrap();
    let err = place.lastline(&["logs"]).expect(1).err();
    assert_eq!(err.lines().count(), 3, "{err}");
    assert!(err.ends_with(": the file was removed\n"), "{err}");
}

#[test]
fn following_a_job_that_is_over_takes_the_time_of_printing_it() {
    let place = Place::new();
    let script = "echo a; echo b >&2";
    place.lastline(&["run", "-n", "1500", "--job", "j", "--", "sh", "-c", script]).expect(0);
    let plain = place.lastline(&["logs"]).expect(0);
    let followed = place.lastline(&["logs", "--follow"]).expect(0);
    assert_eq!((followed.sorted().len(), followed.out()), (3000, plain.out()));
    // Looking at all files again for every stream took more than a hundred times as long.
    let bound = plain.took * 10 + std::time::Duration::from_secs(1);
    assert!(followed.took < bound, "{:?} after {:?}", followed.took, plain.took);
}

#[test]
fn times_are_those_of_the_place_with_their_offset_and_utc_in_json() {
    let place = Place::new();
    place.lastline(&["run", "--job", "j", "--", "echo", "x"]).expect(0);
    let in_zone = |zone: &str, words: &[&str]| {
        let mut command = place.command(words);
        command.env("TZ", zone).stdin(Stdio::null());
        Running::start(command).wait().expect(0).out()
    };
    // A POSIX rule needs no database; its sign is the other way round.
    for (zone, offset) in [("XXX-5:30", "+05:30"), ("UTC0", "+00:00")] {
        let line = in_zone(zone, &["logs", "--prefix", "{time} "]);
        assert!(line.ends_with(&format!("{offset} x\n")), "{line}");
        let row = in_zone(zone, &["jobs"]);
        assert!(row.contains(&format!("{offset}  ")), "{row}");
        let line = in_zone(zone, &["logs", "--format", "json"]);
        let time = serde_json::from_str::<Value>(&line).unwrap()["time"].clone();
        assert!(time.as_str().unwrap().ends_with('Z'), "{line}");
    }
    if fs::exists("/usr/share/zoneinfo/Asia/Kolkata").unwrap() {
        let line = in_zone("Asia/Kolkata", &["logs", "--prefix", "{time} "]);
        assert!(line.ends_with("+05:30 x\n"), "{line}");
    }
}

/// When lines came is known by the index alone.
#[test]
fn a_job_without_its_index_says_so_and_tells_no_wrong_times() {
    let place = Place::new();
    let run = ["run", "-n", "2", "--job", "j", "--", "echo", "x"];
    place.lastline(&run).expect(0);
    let index = place.job("j").join("index");
    let times = |code| {
        let done = place.lastline(&["logs", "j", "--format", "json"]).expect(code);
        let of = |line: &str| serde_json::from_str::<Value>(line).unwrap()["time"].clone();
        (done.out().lines().map(of).collect::<Vec<_>>(), done.err())
    };
    let (known, said) = times(0);
    assert!(known.iter().all(Value::is_string) && known.len() == 2 && said.is_empty(), "{said}");
    for (bytes, what) in [(Some(30), "cut"), (Some(0), "cut"), (None, "missing")] {
        match bytes {
            Some(bytes) => {
                fs::File::options().write(true).open(&index).unwrap().set_len(bytes).unwrap()
            }
            None => fs::remove_file(&index).unwrap(),
        }
        let (unknown, said) = times(1);
        assert_eq!(unknown, [Value::Null, Value::Null], "{bytes:?}");
        assert!(said.contains(&format!("the index of the files is {what}: ")), "{said}");
    }
    let text = place.lastline(&["logs", "j", "--prefix", "{time} ", "--rank", "0"]).expect(1);
    assert_eq!(text.out(), "--:--:--.--------- x\n");
}
