//! The time of day is set back while a job runs, for lastline alone (libfaketime, where it is
//! installed): no wait becomes longer.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Place, Running, file, not_run, rank, wait_until};

/// What makes another time of day for a program.
fn faketime() -> Option<PathBuf> {
    let found = fs::read_dir("/usr/lib").unwrap().flatten();
    let mut found = found.map(|dir| dir.path().join("faketime/libfaketimeMT.so.1"));
    let library = found.find(|path| path.exists());
    if library.is_none() {
        not_run("libfaketime is missing", &std::io::ErrorKind::NotFound.into());
    }
    library
}

/// Sets lastline's time of day, this much from the real one.
fn set(place: &Place, seconds: i32) {
    fs::write(place.path("new"), format!("{seconds:+}")).unwrap();
    fs::rename(place.path("new"), place.path("day")).unwrap();
}

/// `lastline run` with a time of day that can be set; its ranks have the real one.
fn command(place: &Place, library: &Path, options: &[&str], script: &str) -> Command {
    set(place, 0);
    let ranks = ["--", "env", "-u", "LD_PRELOAD", "sh", "-c", script];
    let mut command = place.command(&[&["run", "--job", "j"], options, &ranks].concat());
    command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", place.path("day"));
    for name in ["FAKETIME_NO_CACHE", "FAKETIME_DONT_FAKE_MONOTONIC", "FAKETIME_DISABLE_SHM"] {
        command.env(name, "1");
    }
    command
}

/// The oldest chunk that waits seems to come from the next hour.
#[test]
fn ranks_do_not_wait_longer_for_a_console_that_stands_still() {
    const BEFORE: usize = 2_700_000;
    let Some(library) = faketime() else { return };
    let place = Place::new();
    let script = format!(
        "yes 0123456789 | head -c {BEFORE}; until [ -e go ]; do sleep 0.05; done; {} flood 1 20000000; touch done",
        rank()
    );
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = command(&place, &library, &["--teardown-timeout", "1s"], &script);
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
    let Some(library) = faketime() else { return };
    let place = Place::new();
    let script =
        "until [ -e go ]; do sleep 0.02; done; [ $RANK = 2 ] || echo step 1 of 10; exec sleep 100";
    let options = ["-n", "3", "--fold", "ranks", "--fold-window", "2s", "--grace", "0s"];
    let run = Running::start(command(&place, &library, &options, script));
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
