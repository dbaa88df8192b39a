//! Every byte is in the file, every line on the console, once.

use lastline_testing::rank::{HASH_DIR, hash};

use crate::support::{Done, Place, file, report, stream};

pub(crate) const RANKS: u32 = 8;
/// How often a rank kills itself after a megabyte: a race at the exit shows in one of a few dozen.
const KILLS: u32 = 200;
const KILLS_AT_ONCE: u32 = 4;

fn run(behaviour: &[&str]) -> (Place, Done) {
    run_with(&[], behaviour)
}

/// Runs eight ranks; checks each file against the hash that the rank left.
pub(crate) fn run_with(options: &[&str], behaviour: &[&str]) -> (Place, Done) {
    let place = Place::new();
    let hashes = format!("{HASH_DIR}={}", place.path("").display());
    let options = [&["-n", "8", "--log-dir", "logs", "--env", &hashes], options].concat();
    let done = place.ranks(&options, behaviour).expect(0);
    check_files(&place, RANKS);
    (place, done)
}

fn check_files(place: &Place, ranks: u32) {
    let report = report(&place.path("logs"));
    for rank in 0..ranks {
        let wrote = std::fs::read_to_string(place.path(&format!("{rank}.hash"))).unwrap();
        let filed = file(&place.path("logs"), rank, "stdout");
        assert_eq!(format!("{:016x}", hash(&filed)), wrote, "rank {rank}");
        let ledger = stream(&report, rank as usize, "stdout");
        assert_eq!(ledger["read_bytes"], filed.len());
        assert_eq!(ledger["filed_bytes"], filed.len());
    }
}

/// The console has the lines of each rank in order, whole, once, and nothing else.
pub(crate) fn check_console(place: &Place, done: &Done, ranks: u32) {
    let mut bytes = 0;
    for rank in 0..ranks {
        let filed = file(&place.path("logs"), rank, "stdout");
        let shown = done.of_rank(rank);
        bytes += shown.len();
        bytes += "[0] ".len() * shown.iter().filter(|byte| **byte == b'\n').count();
        let missing = if filed.ends_with(b"\n") { &b""[..] } else { b"\n" };
        assert!(shown == [&filed, missing].concat(), "rank {rank} is not shown as it was");
    }
    assert_eq!(done.stdout.len(), bytes, "the console holds something else");
}

#[test]
fn floods_are_filed_and_shown_whole() {
    let (place, done) = run(&["flood", "1", "3000000"]);
    check_console(&place, &done, RANKS);
}

#[test]
fn a_flood_on_a_small_buffer_is_filed_and_shown_whole() {
    let place = Place::new();
    let hashes = format!("{HASH_DIR}={}", place.path("").display());
    for policy in ["spool", "block"] {
        let options = ["-n", "3", "--log-dir", "logs", "--overwrite", "--env", &hashes];
        let options = [&options[..], &["--buffer", "64KiB", "--when-full", policy]].concat();
        let done = place.ranks(&options, &["flood", "5", "1000000"]).expect(0);
        check_files(&place, 3);
        check_console(&place, &done, 3);
    }
}

#[test]
fn any_bytes_are_filed_and_shown_as_they_are() {
    let (place, done) = run(&["bytes", "2", "200000"]);
    check_console(&place, &done, RANKS);
}

#[test]
fn a_partial_last_line_is_filed_as_it_is_and_shown() {
    let (place, done) = run(&["partial"]);
    assert_eq!(file(&place.path("logs"), 0, "stdout"), b"whole\nthe last, without its end");
    check_console(&place, &done, RANKS);
}

#[test]
fn a_line_of_ten_megabytes_is_filed_and_shown_whole() {
    let (place, done) = run(&["long-line", "10000000"]);
    check_console(&place, &done, RANKS);
}

#[test]
fn a_stream_without_any_newline_is_filed_and_shown() {
    let (place, done) = run(&["no-newline", "500000"]);
    check_console(&place, &done, RANKS);
}

#[test]
fn a_rank_that_kills_itself_after_a_megabyte_loses_nothing() {
    kill_after_a_megabyte(KILLS, &[]);
}

pub(crate) fn kill_after_a_megabyte(kills: u32, options: &[&str]) {
    for round in 0..kills / KILLS_AT_ONCE {
        let place = Place::new();
        let hashes = format!("{HASH_DIR}={}", place.path("").display());
        let all = ["-n", "4", "--log-dir", "logs", "--env", &hashes, "--on-failure", "continue"];
        let options = [&all[..], options].concat();
        let done = place.ranks(&options, &["kill-after", &round.to_string(), "1000000"]);
        let done = done.expect(128 + 9);
        check_files(&place, KILLS_AT_ONCE);
        check_console(&place, &done, KILLS_AT_ONCE);
        assert!(done.err().contains("signal 9 (SIGKILL)"), "{}", done.err());
    }
}

#[test]
fn a_rank_that_dies_mid_line_is_shown_to_its_last_byte() {
    let place = Place::new();
    let done = place.ranks(&["-n", "2", "--log-dir", "logs"], &["kill-mid-line"]).expect(137);
    let shown = done.of_rank(0);
    assert!(shown.is_empty() || shown == b"a whole line\nhalf of a li\n", "{}", done.out());
    let report = report(&place.path("logs"));
    let failed = report["first_failure"]["rank"].as_u64().unwrap();
    let failed = u32::try_from(failed).unwrap();
    assert_eq!(done.of_rank(failed), b"a whole line\nhalf of a li\n");
    assert_eq!(file(&place.path("logs"), failed, "stdout"), b"a whole line\nhalf of a li");
    assert_eq!(report["first_failure"]["last_lines"][1], "half of a li");
}

#[test]
fn carriage_returns_are_filed_and_not_shown() {
    let place = Place::new();
    let done = place.ranks(&["-n", "2", "--log-dir", "logs"], &["bar", "50"]).expect(0);
    let filed = file(&place.path("logs"), 1, "stdout");
    assert_eq!(filed.iter().filter(|byte| **byte == b'\r').count(), 52);
    assert!(!done.stdout.contains(&b'\r'), "{}", done.out());
    let shown = String::from_utf8(done.of_rank(1)).unwrap();
    let bar = "#".repeat(50);
    assert!(shown.ends_with(&format!("50/50 {bar}\ndone\n")), "{shown}");
    report(&place.path("logs"));
}

#[test]
fn a_rank_that_closes_stdout_and_lives_on_is_waited_for() {
    let place = Place::new();
    let (gate, path) = place.gate();
    let run = place.start_ranks(&["--log-dir", "logs"], &["close-stdout", &path]);
    assert_eq!(run.line(), "my last line on stdout");
    drop(gate);
    let done = run.wait().expect(0);
    assert!(done.err().starts_with("still here\n"), "{}", done.err());
    assert_eq!(stream(&report(&place.path("logs")), 0, "stdout")["end"], "eof");
}
