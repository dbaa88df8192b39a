//! The time of day is set back while a job runs, for lastline alone: no wait becomes longer.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Place, Running, file, rank, wait_until};

/// What makes another time of day for a program.
fn shifted_clock() -> PathBuf {
    let library = Path::new(&rank()).with_file_name("libshifted_clock.so");
    assert!(library.exists(), "{} is missing: build the examples too", library.display());
    library
}

/// Sets lastline's time of day, this much from the real one.
fn set(place: &Place, seconds: i64) {
    let shift = (seconds * 1_000_000_000).to_ne_bytes();
    let day =
        fs::OpenOptions::new().create(true).truncate(false).write(true).open(place.path("day"));
    day.unwrap().write_all_at(&shift, 0).unwrap();
}

/// `lastline run` with a time of day that can be set; its ranks have the real one.
fn command(place: &Place, options: &[&str], script: &str) -> Command {
    set(place, 0);
    let ranks = ["--", "env", "-u", "LD_PRELOAD", "sh", "-c", script];
    let mut command = place.command(&[&["run", "--job", "j"], options, &ranks].concat());
    command.env("LD_PRELOAD", shifted_clock()).env("SHIFTED_CLOCK", place.path("day"));
    command
}

/// The oldest chunk that waits seems to come from the next hour.
#[test]
fn ranks_do_not_wait_longer_for_a_console_that_stands_still() {
    const BEFORE: usize = 2_700_000;
    let place = Place::new();
    let script = format!(
        "yes 0123456789 | head -c {BEFORE}; until [ -e go ]; do sleep 0.05; done; {} flood 1 20000000; touch done",
        rank()
    );
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = command(&place, &["--teardown-timeout", "1s"], &script);
    command.stdout(writer);
    let run = Running::start(command);
    wait_until("it waits", || file(&place.job("j"), 0, "stdout").len() == BEFORE);
    set(&place, -3600);
    fs::write(place.path("go"), "").unwrap();
    wait_until("the rank is through", || place.path("done").exists());
    drop((run, reader));
}

#[test]
fn an_entry_is_shown_when_its_window_ends() {
    let place = Place::new();
    let script =
        "until [ -e go ]; do sleep 0.02; done; [ $RANK = 2 ] || echo step 1 of 10; exec sleep 100";
    let options = ["-n", "3", "--fold", "ranks", "--fold-window", "2s", "--grace", "0s"];
    let run = Running::start(command(&place, &options, script));
    fs::write(place.path("go"), "").unwrap();
    let filed = |rank| !file(&place.job("j"), rank, "stdout").is_empty();
    wait_until("two ranks have spoken", || filed(0) && filed(1));
    set(&place, -3600);
    let since = Instant::now();
    assert_eq!(run.line(), "[0,1] step 1 of 10");
    assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
    run.signal(rustix::process::Signal::TERM);
    run.wait();
}

/// What the others rest on: the clock that is set is the one that lastline shows.
#[test]
fn what_is_printed_after_a_step_has_the_time_of_that_clock() {
    let place = Place::new();
    let script = "echo before; until [ -e go ]; do sleep 0.02; done; echo after";
    let options = ["--format", "json"];
    let run = Running::start(command(&place, &options, script));
    let time = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["time"].as_str().unwrap().to_owned()
    };
    let before = time(&run.line_with("before"));
    set(&place, -86_400);
    fs::write(place.path("go"), "").unwrap();
    let after = time(&run.line_with("after"));
    // As text of one form, times are in their order.
    assert!(after < before, "{before}, then {after}");
    run.wait().expect(0);
    let report = crate::support::report(&place.job("j"));
    assert_eq!(report["ranks"][0]["code"], 0, "{report:#}");
}
