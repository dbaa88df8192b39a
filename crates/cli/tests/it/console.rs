//! What is printed, and how.

use serde_json::Value;

use crate::support::{Place, Running, file, report, stream};

fn sh(place: &Place, options: &[&str], script: &str) -> crate::support::Done {
    place.lastline(&[&["run"], options, &["--", "sh", "-c", script]].concat())
}

#[test]
fn stdout_goes_to_stdout_and_stderr_to_stderr() {
    let place = Place::new();
    let done = sh(&place, &["-n", "2", "--quiet"], "echo out; echo err >&2").expect(0);
    assert_eq!(done.sorted(), ["[0] out", "[1] out"]);
    let mut err: Vec<String> = done.err().lines().map(str::to_owned).collect();
    err.sort();
    assert_eq!(err, ["[0] err", "[1] err"]);
}

#[test]
fn one_rank_has_no_prefix_and_a_template_has_every_field() {
    let place = Place::new();
    assert_eq!(sh(&place, &[], "echo plain").out(), "plain\n");
    assert_eq!(sh(&place, &["-n", "2", "--prefix", "never"], "echo plain").out(), "plain\nplain\n");
    let template = "{rank}|{local_rank}|{host}|{pid}|{stream}|{job}|{time}|";
    let done = sh(&place, &["--job", "j", "--prefix", template], "echo $$").expect(0);
    let out = done.out();
    let fields: Vec<&str> = out.trim_end().split('|').collect();
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    assert_eq!([fields[0], fields[1], fields[2], fields[4]], ["0", "0", &host, "stdout"]);
    assert_eq!(fields[3], fields[7], "the pid");
    assert_eq!(fields[5], "j");
    assert!(!fields[6].is_empty(), "the time");
}

#[test]
fn show_withholds_the_others_and_the_files_have_all() {
    let place = Place::new();
    let done = sh(&place, &["-n", "4", "--job", "j", "--show", "1-2"], "echo $RANK").expect(0);
    assert_eq!(done.sorted(), ["[1] 1", "[2] 2"]);
    let report = report(&place.job("j"));
    for rank in 0..4 {
        assert_eq!(file(&place.job("j"), rank, "stdout"), format!("{rank}\n").as_bytes());
        let withheld = &stream(&report, rank as usize, "stdout")["withheld"]["show"];
        assert_eq!(*withheld, if (1..3).contains(&rank) { 0 } else { 2 });
    }
}

#[test]
fn one_stream_of_a_rank_is_shown_where_it_is_named() {
    let place = Place::new();
    let script = "echo out $RANK; echo err $RANK >&2";
    let show = ["--show", "0:both,1-2:stderr"];
    let options = [&["-n", "4", "--job", "j", "--fold", "ranks"], &show[..]].concat();
    let done = sh(&place, &options, script).expect(0);
    assert_eq!(done.sorted(), ["[0] out 0"]);
    let err = done.err();
    assert!(err.contains("[0-2] err {0..2}\n"), "nobody is said to be missing: {err}");
    let report = report(&place.job("j"));
    for (rank, withheld) in [(0, [0, 0]), (1, [6, 0]), (2, [6, 0]), (3, [6, 6])] {
        let of = |name: &str| stream(&report, rank, name)["withheld"]["show"].clone();
        assert_eq!([of("stdout"), of("stderr")], withheld.map(serde_json::Value::from), "{rank}");
    }
    let logs = place.lastline(&["logs", "j", "--show", "0:stdout,2:stderr"]).expect(0);
    assert_eq!(logs.sorted(), ["[0] out 0", "[2] err 2"]);
    let done = sh(&place, &["--show", "0:errors"], script).expect(2);
    assert!(done.err().contains("`errors` is no stream (write `stdout`"), "{}", done.err());
    place.lastline(&["logs", "j", "--show", "0", "--rank", "0"]).expect(2);
}

#[test]
fn json_is_one_object_a_line_with_every_byte() {
    let place = Place::new();
    let script = r"printf 'text\n\377\000\nend'; echo err >&2";
    let done = sh(&place, &["--format", "json", "--quiet"], script).expect(0);
    let out = done.out();
    let objects: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |name: &str| objects.iter().filter(|line| line["stream"] == name).collect::<Vec<_>>();
    let (stdout, stderr) = (of("stdout"), of("stderr"));
    assert_eq!((stdout.len(), stderr.len()), (3, 1), "{out}");
    assert_eq!((&stdout[0]["line"], &stdout[0]["offset"]), (&"text".into(), &0.into()));
    assert_eq!((&stdout[1]["line_base64"], &stdout[1]["offset"]), (&"/wA=".into(), &5.into()));
    assert_eq!((&stdout[2]["line"], &stdout[2]["partial"]), (&"end".into(), &true.into()));
    assert_eq!((&stderr[0]["line"], &stderr[0]["rank"]), (&"err".into(), &0.into()));
    assert!(stdout[0]["time"].is_string(), "{out}");
}

#[test]
fn crlf_is_filed_and_not_shown() {
    let place = Place::new();
    let done = sh(&place, &["--job", "j", "-n", "2"], r"printf 'a\r\nb\r\n'").expect(0);
    assert_eq!(done.sorted(), ["[0] a", "[0] b", "[1] a", "[1] b"]);
    assert!(!done.stdout.contains(&b'\r'));
    assert_eq!(file(&place.job("j"), 1, "stdout"), b"a\r\nb\r\n");
    report(&place.job("j"));
}

#[test]
fn a_closed_console_does_not_stop_the_job() {
    let place = Place::new();
    let script = "\"$0\" run -n 2 --job j -- seq 200000 | head -1";
    let command = place.wrap("sh", &["-c", script, env!("CARGO_BIN_EXE_lastline")]);
    let done = Running::start(command).wait().expect(0);
    assert_eq!(done.out().lines().count(), 1);
    let notes = done.err().matches("takes no more").count();
    assert_eq!(notes, 1, "{}", done.err());
    let report = report(&place.job("j"));
    let all: String = (1..=200_000).map(|number| format!("{number}\n")).collect();
    for rank in 0..2 {
        assert!(file(&place.job("j"), rank, "stdout") == all.as_bytes(), "rank {rank}");
        assert_eq!(report["ranks"][rank as usize]["code"], 0);
    }
    assert_eq!(stream(&report, 0, "stdout")["lost"][0]["cause"], "console closed");
    assert!(done.err().contains(", nothing lost, "), "{}", done.err());
    assert!(
        done.err().contains(" filed but not shown: console closed; logs in "),
        "{}",
        done.err()
    );
}

#[test]
fn an_output_that_is_closed_from_the_start_shows_nothing_and_the_files_have_it() {
    let place = Place::new();
    let lastline = env!("CARGO_BIN_EXE_lastline");
    let run = |closed: &str, options: &str| {
        let script = format!("\"$0\" run --job j {options} -- sh -c 'echo x; echo y >&2' {closed}");
        Running::start(place.wrap("sh", &["-c", &script, lastline])).wait()
    };
    let done = run(">&-", "").expect(0);
    assert!(done.err().contains("stdout takes no more (console closed)"), "{}", done.err());
    assert!(done.err().contains("2 B filed but not shown: console closed; "), "{}", done.err());
    let told = report(&place.job("j"));
    assert_eq!(stream(&told, 0, "stdout")["lost"][0]["cause"], "console closed");
    assert_eq!(stream(&told, 0, "stderr")["shown_bytes"], 2);
    assert_eq!(file(&place.job("j"), 0, "stdout"), b"x\n");
    for closed in ["2>&-", ">&- 2>&-", "<&- >&- 2>&-"] {
        run(closed, "--overwrite").expect(0);
        let told = report(&place.job("j"));
        assert_eq!(stream(&told, 0, "stderr")["lost"][0]["cause"], "console closed", "{closed}");
    }
    run(">&-", "--overwrite --strict").expect(74);
    let done = run(">&-", "--no-files");
    assert!(done.err().contains("2 B LOST"), "{}", done.err());
}

/// What a command was asked for cannot have been seen by anybody.
#[test]
fn a_stdout_that_nobody_opened_is_an_error_of_what_prints_there() {
    let place = Place::new();
    place.lastline(&["run", "--job", "j", "--", "echo", "x"]).expect(0);
    std::fs::write(place.path("lines"), "0: x\n1: x\n").unwrap();
    let lastline = env!("CARGO_BIN_EXE_lastline");
    let commands = ["logs", "logs --format json", "jobs", "report", "fold lines", "man run"];
    for command in commands.into_iter().chain(["completions bash", "--help", "run --help"]) {
        let script = format!("\"$0\" {command} >&-");
        let done = Running::start(place.wrap("sh", &["-c", &script, lastline])).wait().expect(1);
        let said = done.err();
        assert!(said.starts_with("lastline: cannot write to stdout: "), "{command}: {said}");
    }
}

#[test]
fn when_stderr_is_closed_stdout_goes_on() {
    let place = Place::new();
    let script = "\"$0\" run --job j -- sh -c 'for i in 1 2 3; do echo $i; echo e >&2; done' 2>&1 \
        >out | true; cat out";
    let command = place.wrap("sh", &["-c", script, env!("CARGO_BIN_EXE_lastline")]);
    let done = Running::start(command).wait();
    assert_eq!(done.out(), "1\n2\n3\n");
    assert_eq!(file(&place.job("j"), 0, "stderr"), b"e\ne\ne\n");
    report(&place.job("j"));
}

#[test]
fn quiet_has_no_summary_and_errors_stay() {
    let place = Place::new();
    assert_eq!(sh(&place, &["--quiet"], "echo x").err(), "");
    assert_eq!(sh(&place, &["--quiet"], "exit 3").expect(3).err(), "");
}

#[test]
fn colours_are_for_terminals_or_as_told() {
    let place = Place::new();
    assert!(!sh(&place, &["-n", "2"], "echo x").stdout.contains(&0x1b));
    assert!(sh(&place, &["-n", "2", "--color", "always"], "echo x").stdout.contains(&0x1b));
    let own = sh(&place, &["-n", "2"], r"printf '\033[31mred\033[0m\n'");
    assert_eq!(own.of_rank(0), b"\x1b[31mred\x1b[0m\n", "what ranks colour passes");
}
