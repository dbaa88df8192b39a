//! Somebody else cuts or renames the file of a rank that writes.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Done, Place, Running, file, report, stream, wait_until};

/// A rank says `one`, then `work` is done to its file, then it says `two`.
fn between_two_lines(place: &Place, work: impl FnOnce(&Path)) -> (Done, Value) {
    let script = "echo one; read -r go <go; echo two";
    let made = place.wrap("mkfifo", &["go"]);
    Running::start(made).wait().expect(0);
    let run = place.start(&["run", "--strict", "--log-dir", "d", "--", "sh", "-c", script]);
    let log = place.path("d/rank-0.stdout.log");
    wait_until("it is filed", || fs::read(&log).is_ok_and(|bytes| bytes == b"one\n"));
    work(&log);
    fs::write(place.path("go"), "\n").unwrap();
    let done = run.wait().expect(74);
    (done, stream(&report(&place.path("d")), 0, "stdout").clone())
}

#[test]
fn a_file_that_is_cut_is_a_gap_and_another_one_is_made() {
    let place = Place::new();
    let cut = |log: &Path| fs::File::options().write(true).open(log).unwrap().set_len(0).unwrap();
    let (done, stdout) = between_two_lines(&place, cut);
    assert!(done.err().contains("the file was cut"), "{}", done.err());
    assert_eq!((&stdout["read_bytes"], &stdout["filed_bytes"]), (&8.into(), &4.into()));
    assert_eq!(stdout["not_filed"][0]["cause"], "the file was cut");
    assert_eq!(file(&place.path("d"), 0, "stdout"), b"two\n");
    let logs = place.lastline(&["logs", "d"]).expect(0);
    assert_eq!(logs.out(), "two\n");
    assert!(logs.err().contains("4 bytes are missing here"), "{}", logs.err());
}

#[test]
fn a_file_that_is_renamed_is_a_gap_and_what_it_held_is_there() {
    let place = Place::new();
    let other = place.path("other");
    let (done, stdout) = between_two_lines(&place, |log| fs::rename(log, &other).unwrap());
    assert!(done.err().contains("the file was renamed"), "{}", done.err());
    let cause = stdout["not_filed"][0]["cause"].as_str().unwrap();
    assert!(cause.starts_with("the file was renamed"), "{cause}");
    let held = fs::read(&other).unwrap();
    assert!(held.starts_with(b"one\n"));
    let filed = stdout["filed_bytes"].as_u64().unwrap();
    assert_eq!(filed + held.len() as u64, 8);
    let logs = place.lastline(&["logs", "d"]).expect(0);
    assert!(logs.err().contains("the file was renamed"), "{}", logs.err());
}
