//! What ranks are given, and options from variables.

use crate::support::{Place, Running, report};

#[test]
fn ranks_get_their_numbers_and_python_is_unbuffered() {
    let place = Place::new();
    let script = "echo $RANK $LOCAL_RANK $WORLD_SIZE $LOCAL_WORLD_SIZE $NODE_RANK \
        $LASTLINE_RANK $LASTLINE_JOB_ID $PYTHONUNBUFFERED $MASTER_ADDR; \
        [ $MASTER_PORT -gt 1023 ]";
    let done = place.lastline(&["run", "-n", "2", "--job", "j", "--", "sh", "-c", script]);
    let done = done.expect(0);
    assert_eq!(done.sorted(), ["[0] 0 0 2 2 0 0 j 1 127.0.0.1", "[1] 1 1 2 2 0 1 j 1 127.0.0.1"]);
}

#[test]
fn buffered_and_a_set_variable_win() {
    let place = Place::new();
    let script = "echo \"<${PYTHONUNBUFFERED-unset}>\"";
    let out = |options: &[&str]| {
        place.lastline(&[&["run"], options, &["--", "sh", "-c", script]].concat()).out()
    };
    assert_eq!(out(&["--buffered"]), "<unset>\n");
    assert_eq!(out(&["--env", "PYTHONUNBUFFERED=0"]), "<0>\n");
    assert_eq!(out(&["--env", "PYTHONUNBUFFERED="]), "<>\n");
}

#[test]
fn options_are_read_from_variables_that_ranks_do_not_inherit() {
    let place = Place::new();
    let script = "env | grep LASTLINE_RUN_; echo $A $B";
    let mut command = place.command(&["run", "--env", "B=b", "--", "sh", "-c", script]);
    command.env("LASTLINE_RUN_PROCS", "2").env("LASTLINE_RUN_JOB", "from-variable");
    command.env("LASTLINE_RUN_PREFIX", "{rank}> ").env("LASTLINE_RUN_QUIET", "1");
    command.env("LASTLINE_RUN_STRICT", "true").env("LASTLINE_RUN_BUFFERED", "0");
    let done = Running::start(command).wait().expect(0);
    assert_eq!(done.sorted(), ["0> b", "1> b"]);
    assert_eq!(done.err(), "");
    report(&place.job("from-variable"));
    let mut command = place.command(&["run", "--", "true"]);
    command.env("LASTLINE_RUN_PROCS", "many");
    Running::start(command).wait().expect(2);
}

#[test]
fn what_is_typed_goes_before_variables_and_beside_that_of_the_ranks() {
    let place = Place::new();
    let with = |variable: &str, value: &str, args: &[&str]| {
        let mut command = place.command(&[&["run", "--quiet"], args].concat());
        command.env(format!("LASTLINE_RUN_{variable}"), value);
        Running::start(command).wait()
    };
    let echo = ["--", "sh", "-c", "echo $A $B"];
    for (typed, expected) in [("B=2", "1 2\n"), ("A=2", "2\n")] {
        let done = with("ENV", "A=1", &[&["--no-files", "--env", typed], &echo[..]].concat());
        assert_eq!(done.expect(0).out(), expected, "{typed}");
    }
    let bad = with("ENV", "novalue", &[&["--env", "B=2"], &echo[..]].concat()).expect(2);
    assert!(bad.err().contains("`novalue` sets no variable"), "{}", bad.err());
    with("NO_FILES", "1", &["--log-dir", "x", "--", "true"]).expect(0);
    assert!(place.path("x/report.json").exists());
    with("LOG_DIR", "y", &["--no-files", "--", "true"]).expect(0);
    assert!(!place.path("y").exists());
}

#[test]
fn a_lastline_inside_a_rank_is_a_job_of_its_own() {
    let place = Place::new();
    let lastline = env!("CARGO_BIN_EXE_lastline");
    let script = "\"$0\" run --quiet -n 2 -- sh -c 'echo $LASTLINE_JOB_ID $WORLD_SIZE'";
    let mut command = place.command(&["run", "--quiet", "--", "sh", "-c", script, lastline]);
    command.env("LASTLINE_RUN_JOB", "outer");
    let done = Running::start(command).wait().expect(0);
    assert_eq!(done.sorted().len(), 2, "{}", done.out());
    assert!(!done.out().contains("outer"), "{}", done.out());
}

#[test]
fn workdir_is_where_ranks_start_and_relative_commands_are_found() {
    let place = Place::new();
    std::fs::create_dir(place.path("work")).unwrap();
    place.executable("work/script", b"#!/bin/sh\nbasename $(pwd)\n");
    let args = ["run", "--workdir", "work", "--log-dir", "logs", "--", "./script"];
    assert_eq!(place.lastline(&args).expect(0).out(), "work\n");
    report(&place.path("logs"));
}

#[test]
fn jobs_inside_of_each_other_and_side_by_side_have_ports_of_their_own() {
    let place = Place::new();
    let lastline = env!("CARGO_BIN_EXE_lastline");
    let inner = "echo $MASTER_PORT; exec \"$0\" run --quiet -n 2 -- sh -c 'echo $MASTER_PORT'";
    let args = ["run", "--quiet", "--prefix", "none", "-n", "2", "--", "sh", "-c", inner, lastline];
    let done = place.lastline(&args).expect(0);
    let ports: std::collections::BTreeSet<String> = done
        .sorted()
        .iter()
        .map(|line| line.rsplit_once(' ').map_or(line.clone(), |(_, port)| port.to_owned()))
        .collect();
    // That of the outer job, which both its ranks have, and that of each inner one.
    assert_eq!((done.sorted().len(), ports.len()), (6, 3), "{}", done.out());
    let mut command = place.command(&["run", "--", "sh", "-c", "echo $MASTER_PORT"]);
    command.env("MASTER_PORT", "4321");
    assert_eq!(Running::start(command).wait().expect(0).out(), "4321\n");
}

#[test]
fn a_directory_that_is_gone_when_ranks_start_is_named() {
    let place = Place::new();
    std::fs::create_dir(place.path("work")).unwrap();
    // It is there when lastline looks, and gone when the last of many ranks is started.
    let script = "rmdir \"$0\" 2>/dev/null; exec sleep 0.2";
    let work = place.path("work");
    let args = ["run", "-n", "64", "--job", "j", "--workdir", "work", "--", "sh", "-c", script];
    let done = place.lastline(&[&args[..], &[work.to_str().unwrap()]].concat()).expect(126);
    let named = format!("cannot enter the directory {}", "work");
    assert!(done.err().contains(&named), "{}", done.err());
}

#[test]
fn a_limit_of_the_size_of_files_is_told() {
    let place = Place::new();
    if !place.has("prlimit") {
        return;
    }
    let lastline = env!("CARGO_BIN_EXE_lastline");
    let run = ["--fsize=100", lastline, "run", "--job", "j", "--", "echo", "here"];
    let done = Running::start(place.wrap("prlimit", &run)).wait();
    assert_eq!(done.code(), 2, "{}", done.err());
    assert!(done.err().contains("too large"), "{}", done.err());
    // With room for what lastline writes at the start: the rank's output is a gap, and said.
    let run = ["--fsize=2000", lastline, "run", "--job", "k", "--", "seq", "2000"];
    let done = Running::start(place.wrap("prlimit", &run)).wait().expect(0);
    assert!(done.err().contains("NOT FILED"), "{}", done.err());
    assert_eq!(done.out().lines().count(), 2000);
}
