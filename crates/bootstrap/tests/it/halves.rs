//! A host and a driver in two processes, over a Unix socket.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lastline_bootstrap::Report;
use lastline_line::{Offset, ReadBack as _, ReadOutcome, Stream};
use lastline_testing::{PATIENCE, wait_until};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{example, text};

/// Three ranks say something on both streams; the second one fails with last lines.
const TALK: &str = "echo hello from $RANK; echo careful >&2; i=0; \
    while [ $i -lt 200 ]; do echo line $i of rank $RANK; i=$((i+1)); done; \
    if [ $RANK = 1 ]; then sleep 0.3; echo out of luck >&2; exit 3; fi; sleep 30";

struct Halves {
    dir: TempDir,
    driver: Child,
    host: Child,
}

fn start(words: &[&str]) -> Command {
    let mut command = Command::new(example("halves"));
    command.args(words).stdin(Stdio::null());
    command
}

impl Halves {
    fn start(script: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("ll").tempdir().unwrap();
        let (socket, report) = (dir.path().join("socket"), dir.path().join("report"));
        let files = dir.path().join("files");
        std::fs::create_dir(&files).unwrap();
        let shown = std::fs::File::create(dir.path().join("shown")).unwrap();
        let driver = start(&["driver", text(&socket), text(&report), "sh", "-c", script])
            .stdout(shown)
            .spawn()
            .unwrap();
        wait_until(|| socket.exists());
        let mut host = start(&["host", text(&socket), text(&files), "sh", "-c", script])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut connected = String::new();
        BufReader::new(host.stdout.take().unwrap()).read_line(&mut connected).unwrap();
        assert_eq!(connected, "connected\n");
        Self { dir, driver, host }
    }

    fn report(&self) -> Report {
        let text = std::fs::read(self.dir.path().join("report")).expect("a report");
        serde_json::from_slice(&text).expect("a whole report")
    }

    fn shown(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("shown")).unwrap()
    }
}

/// Waits for it, for a while.
fn ends(child: &mut Child) {
    wait_until(|| child.try_wait().unwrap().is_some());
}

/// A report without what differs between two runs of the same job: times, processes, barriers that
/// depend on when somebody stopped.
fn comparable(path: &Path) -> Value {
    let mut report: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let fields = report.as_object_mut().unwrap();
    for field in ["started", "ended"] {
        fields[field] = Value::Null;
    }
    for rank in fields["ranks"].as_array_mut().unwrap() {
        for field in ["started", "ended", "pid", "launch"] {
            rank[field] = Value::Null;
        }
    }
    for row in ["barriers", "teardown"] {
        fields[row].as_array_mut().unwrap().iter_mut().for_each(|row| row["seconds"] = Value::Null);
    }
    fields["first_failure"]["after_seconds"] = Value::Null;
    report
}

#[test]
fn two_processes_give_the_report_of_one() {
    let mut halves = Halves::start(TALK);
    ends(&mut halves.driver);
    ends(&mut halves.host);
    let one = tempfile::tempdir().unwrap();
    let report = one.path().join("report");
    let mut both = start(&["both", text(one.path()), text(&report), "sh", "-c", TALK]);
    assert!(both.stdout(Stdio::null()).status().unwrap().success());
    let two = comparable(&halves.dir.path().join("report"));
    assert_eq!(two, comparable(&report));
    assert_eq!(two["balanced"], true);
    assert_eq!(two["first_failure"]["last_lines"], serde_json::json!(["careful", "out of luck"]));
    let shown = halves.shown();
    assert_eq!(shown.lines().filter(|line| line.contains(" of rank ")).count(), 600);
}

/// Says what has been filed of a stream, and that the files have nothing else.
fn check_files(halves: &Halves, script_lines: u64) {
    let archive = lastline_appender::Archive::open(halves.dir.path().join("files")).unwrap();
    for stream in archive.streams().into_iter().filter(|id| id.stream == Stream::Stdout) {
        let (mut bytes, filed) = (Vec::new(), archive.filed(stream));
        while (bytes.len() as u64) < filed.0 {
            let mut buffer = vec![0; 1 << 20];
            match archive.read_back(stream, Offset(bytes.len() as u64), &mut buffer).unwrap() {
                ReadOutcome::Read(read) => bytes.extend_from_slice(&buffer[..read]),
                // A gap is declared, and nothing else may be missing.
                ReadOutcome::Gone { cause, .. } => panic!("{stream}: {cause}"),
                ReadOutcome::NotYet => break,
            }
        }
        let text = String::from_utf8(bytes).unwrap();
        for (at, line) in (0..script_lines).zip(text.lines()) {
            let whole = format!("line {at} of rank {}", stream.rank);
            assert!(line == whole || whole.starts_with(line), "{line}");
        }
    }
}

/// Ranks that count, for as long as they are let.
const COUNT: &str =
    "i=0; while [ $i -lt 3000 ]; do echo line $i of rank $RANK; i=$((i+1)); done; sleep 0.2";

/// Whether a host has left children, or a zombie of its own.
fn ranks_left(host: u32) -> bool {
    let children = std::fs::read_to_string(format!("/proc/{host}/task/{host}/children"));
    children.is_ok_and(|children| !children.trim().is_empty())
}

fn kill(child: &Child) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

/// How many runs: more by the variable that the long part is asked for with.
fn runs() -> u64 {
    std::env::var("LASTLINE_TEST_KILLS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(10)
}

#[test]
fn a_driver_that_is_killed_at_any_time_takes_nothing_from_the_files() {
    for run in 0..runs() {
        let mut halves = Halves::start(COUNT);
        let until = Instant::now() + Duration::from_millis(fastrand::u64(0..120));
        wait_until(|| Instant::now() >= until);
        kill(&halves.driver);
        halves.driver.wait().unwrap();
        ends(&mut halves.host);
        assert!(!ranks_left(halves.host.id()), "run {run}");
        check_files(&halves, 3000);
        // The ranks went on to their end, and all of it is filed, once the host had its driver.
        let archive = lastline_appender::Archive::open(halves.dir.path().join("files")).unwrap();
        let whole: u64 = (0..3000).map(|at| format!("line {at} of rank 0\n").len() as u64).sum();
        for stream in archive.streams().into_iter().filter(|id| id.stream == Stream::Stdout) {
            assert_eq!(archive.filed(stream), Offset(whole), "run {run}: {stream}");
        }
    }
}

#[test]
fn a_host_that_is_killed_at_any_time_is_told_in_a_report_that_balances() {
    for run in 0..runs() {
        let mut halves = Halves::start(COUNT);
        let until = Instant::now() + Duration::from_millis(fastrand::u64(0..120));
        wait_until(|| Instant::now() >= until);
        let was_over = halves.host.try_wait().unwrap().is_some();
        kill(&halves.host);
        halves.host.wait().unwrap();
        let lost_at = Instant::now();
        ends(&mut halves.driver);
        assert!(lost_at.elapsed() < PATIENCE / 2, "run {run}: {:?}", lost_at.elapsed());
        let report = halves.report();
        assert!(report.balanced, "run {run}: {:?}", report.imbalances);
        if !was_over && !report.ranks.is_empty() {
            assert!(report.hosts[0].lost.is_some(), "run {run}: {report:?}");
        }
        check_files(&halves, 3000);
    }
}
