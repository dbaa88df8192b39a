//! A console that takes nothing more.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::{Place, Running, file, json, rank, report, stream, wait_until};

/// A pipe that nobody reads.
fn start(place: &Place, options: &[&str], child: &[&str]) -> (Running, std::io::PipeReader) {
    let (read, write) = std::io::pipe().unwrap();
    let mut command = place.command(&[&["run", "--job", "j"], options, &["--"], child].concat());
    command.stdout(write).stdin(Stdio::null());
    (Running::start(command), read)
}

#[test]
fn at_the_end_a_stuck_console_is_given_up_and_the_files_and_the_ledger_are_right() {
    let place = Place::new();
    let options = ["-n", "2", "--teardown-timeout", "1s"];
    let (run, reader) = start(&place, &options, &[&rank(), "flood", "1", "2000000"]);
    let done = run.wait().expect(0);
    assert!(done.took < Duration::from_secs(20), "{:?}", done.took);
    let report = report(&place.job("j"));
    for rank in 0..2 {
        let stream = stream(&report, rank as usize, "stdout");
        let filed = file(&place.job("j"), rank, "stdout");
        assert_eq!(stream["filed_bytes"], filed.len(), "{stream:#}");
        assert_eq!(stream["read_bytes"], filed.len(), "{stream:#}");
        assert_eq!(stream["end"], "eof");
        assert!(stream["lost"][0]["cause"].as_str().unwrap().contains("deadline"), "{stream:#}");
    }
    assert!(done.err().contains(" not shown: "), "{}", done.err());
    drop(reader);
}

/// All has been read and filed before the ranks end: nothing moves while the console is waited for.
#[test]
fn a_console_that_stands_still_is_not_given_the_budget_twice() {
    let place = Place::new();
    let options = ["-n", "2", "--teardown-timeout", "3s"];
    let go = place.path("go");
    let script = format!(
        "yes | head -c 100000; while [ ! -e {} ]; do sleep 0.05; done",
        go.to_str().unwrap()
    );
    let (run, reader) = start(&place, &options, &["sh", "-c", &script]);
    let filed = |rank| file(&place.job("j"), rank, "stdout").len();
    wait_until("all is filed", || filed(0) == 100_000 && filed(1) == 100_000);
    std::fs::write(go, "").unwrap();
    let done = run.wait().expect(0);
    let report = report(&place.job("j"));
    let flush = report["teardown"].as_array().unwrap().iter().find(|row| row["stage"] == "flush");
    // Three quarters of the budget are for the console; twice that would be 4.5 s.
    let seconds = flush.unwrap()["seconds"].as_f64().unwrap();
    assert!((2.0..4.0).contains(&seconds), "{seconds}, {}", done.err());
    drop(reader);
}

#[test]
fn a_stopped_job_with_a_stuck_console_does_not_exceed_its_time() {
    let place = Place::new();
    let options = ["--teardown-timeout", "2s", "--grace", "1s"];
    let (run, reader) = start(&place, &options, &[&rank(), "talk"]);
    wait_until("the console is full", || file(&place.job("j"), 0, "stdout").len() > 1 << 20);
    let told = std::time::Instant::now();
    run.signal(Signal::TERM);
    let done = run.wait().expect(143);
    // The budget, and a last moment for each of its stages.
    assert!(told.elapsed() < Duration::from_secs(5), "{:?}", told.elapsed());
    let report = report(&place.job("j"));
    let stream = stream(&report, 0, "stdout");
    assert_eq!(stream["filed_bytes"], file(&place.job("j"), 0, "stdout").len(), "{stream:#}");
    assert!(done.err().contains(" not shown: "), "{}", done.err());
    drop(reader);
}

#[test]
fn a_slow_console_gets_every_line_once_however_long_it_takes() {
    let place = Place::new();
    let options = ["--teardown-timeout", "300ms", "--log-dir", "logs"];
    let (read, write) = std::io::pipe().unwrap();
    let rank = rank();
    let args = [&["run"], &options[..], &["--", &rank, "flood", "1", "400000"]].concat();
    let mut command = place.command(&args);
    command.stdout(write);
    let mut run = Running::start(command);
    // Slower than the budget of the shutdown as a whole, and never silent for as long.
    let reader = read_slowly(read, 16 << 10);
    assert_eq!(run.wait_exit().code(), Some(0));
    drop(run);
    let shown = reader.join().unwrap();
    assert!(shown == file(&place.path("logs"), 0, "stdout"));
    let report = json(&place.path("logs/report.json"));
    assert_eq!(stream(&report, 0, "stdout")["lost"].as_array().unwrap().len(), 0);
}

/// Reads a pipe to its end, so many bytes twenty times a second.
fn read_slowly(read: std::io::PipeReader, bytes: usize) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let (mut all, mut some) = (Vec::new(), vec![0; bytes]);
        loop {
            match std::io::Read::read(&mut &read, &mut some).unwrap() {
                0 => return all,
                count => all.extend_from_slice(&some[..count]),
            }
            std::thread::park_timeout(Duration::from_millis(50));
        }
    })
}

/// Runs a rank that writes so much to a pipe, of which so much is read in a second, with a second for
/// the shutdown: not a byte may be missing.
fn assert_all_arrives(bytes: u64, pipe_bytes: usize, bytes_per_second: usize) {
    let place = Place::new();
    let (read, write) = std::io::pipe().unwrap();
    rustix::pipe::fcntl_setpipe_size(&write, pipe_bytes).unwrap();
    let (rank, bytes) = (rank(), bytes.to_string());
    let options = ["run", "--teardown-timeout", "1s", "--log-dir", "logs", "--"];
    let mut command = place.command(&[&options[..], &[&rank, "flood", "1", &bytes]].concat());
    command.stdout(write);
    let mut run = Running::start(command);
    let reader = read_slowly(read, bytes_per_second / 20);
    assert_eq!(run.wait_exit().code(), Some(0));
    drop(run);
    assert!(reader.join().unwrap() == file(&place.path("logs"), 0, "stdout"));
    let report = report(&place.path("logs"));
    assert_eq!(stream(&report, 0, "stdout")["lost"].as_array().unwrap().len(), 0);
}

/// It takes longer over 64 KiB, which are flushed at once, than the shutdown has.
#[test]
fn a_console_that_moves_in_small_steps_is_waited_for() {
    assert_all_arrives(200_000, 4 << 10, 40_000);
}

/// It takes longer over one chunk, so that for so long nothing is sent either.
#[test]
fn a_host_waits_for_a_console_that_moves_in_small_steps() {
    assert_all_arrives(3_000_000, 16 << 10, 200_000);
}
