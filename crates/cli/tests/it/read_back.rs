//! A disk that hangs while output is read back from it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::ExitCode;
use std::time::Duration;

use lastline_testing::disk::Hang;
use rustix::process::Signal;

use crate::disks::{Answering, with_disk};
use crate::support::{Place, Running, check, json, stream, wait_until};

const FILE: &str = "rank-0.stdout.log";
const BYTES: usize = 4_000_000;

/// A job of two ranks: the first runs `script`, the other says `other` when there is a file `go`.
fn start(
    place: &Place,
    options: &[&str],
    script: &str,
) -> (Running, BufReader<std::io::PipeReader>) {
    let files = ["run", "-n", "2", "--job", "j", "--log-dir", "disk", "--report", "report.json"];
    let wait = "until [ -e go ]; do sleep 0.02; done";
    let script = format!(
        "if [ $RANK = 1 ]; then {wait}; echo other; exec sleep 600; fi; {script}; exec sleep 600"
    );
    let args = [&files[..], options, &["--grace", "0s", "--", "sh", "-c", &script]].concat();
    let mut command = place.command(&args);
    let (console, writer) = std::io::pipe().unwrap();
    command.stdout(writer);
    (Running::start(command), BufReader::new(console))
}

/// What a slow console left in the file alone is read back, and the disk does not answer: its rank
/// waits, nobody else does, and when the disk answers nothing is missing.
#[test]
fn a_disk_that_hangs_under_a_slow_console_keeps_its_own_rank_waiting_alone() -> ExitCode {
    with_disk(|place, disk| {
        let options = ["--buffer", "256KiB", "--flush-timeout", "1s"];
        let script = format!("yes 0123456789 | head -c {BYTES}");
        let (run, console) = start(place, &options, &script);
        wait_until("all is filed", || disk.bytes(FILE).len() == BYTES);
        let _answering = Answering(disk);
        disk.hang(Hang::Untaken);
        let reader = std::thread::spawn(move || {
            let mut lines = console.lines().map(Result::unwrap);
            let before = lines.by_ref().take_while(|line| line != "[1] other").count();
            (before, lines)
        });
        disk.wait_until_hanging();
        fs::write(place.path("go"), "").unwrap();
        let (before, lines) = reader.join().unwrap();
        assert!(before < BYTES / 11, "it was there before what is read back");
        let flush = place.lastline(&["flush", "j"]).expect(1);
        assert!(flush.out().contains("rank 0 stdout: shown up to byte"), "{}", flush.out());
        assert!(!flush.out().contains("rank 1"), "{}", flush.out());
        disk.release();
        // To its end: a console that goes away takes what was on the way along.
        let reader =
            std::thread::spawn(move || lines.filter(|line| line == "[0] 0123456789").count());
        wait_until("all is shown", || place.lastline(&["flush", "j"]).code() == 0);
        run.signal(Signal::TERM);
        run.wait();
        assert_eq!(reader.join().unwrap(), BYTES / 11 - before);
        let report = json(&place.path("report.json"));
        check(&report);
        assert_eq!(stream(&report, 0, "stdout")["shown_bytes"], BYTES, "{report:#}");
    })
}

/// The start of a long line is in the file alone, and its disk does not answer: the others are kept
/// waiting no longer than it takes to be sure of that, and what is missing is declared. How much the
/// console holds when the disk stops is a matter of time.
#[test]
fn a_long_line_on_a_disk_that_hangs_keeps_the_others_for_seconds_only() -> ExitCode {
    const LINES: usize = 180_000;
    const LONG: usize = 1_000_000;
    with_disk(|place, disk| {
        let script = format!(
            "yes 0123456789 | head -c {}; head -c {LONG} /dev/zero | tr '\\0' x; \
             until [ -e end ]; do sleep 0.02; done; echo; echo after",
            LINES * 11
        );
        let (run, console) = start(place, &["--buffer", "256KiB"], &script);
        wait_until("all is filed", || disk.bytes(FILE).len() == LINES * 11 + LONG);
        let mut lines = console.lines().map(Result::unwrap);
        assert!(lines.by_ref().take(LINES).all(|line| line == "[0] 0123456789"));
        // What comes after these is read back, and let go of again.
        std::thread::park_timeout(Duration::from_millis(500));
        let _answering = Answering(disk);
        disk.hang(Hang::Untaken);
        fs::write(place.path("end"), "").unwrap();
        disk.wait_until_hanging();
        fs::write(place.path("go"), "").unwrap();
        let mut said: Vec<String> = lines.by_ref().take_while(|line| line != "[1] other").collect();
        disk.release();
        if !said.iter().any(|line| line == "[0] after") {
            said.extend(lines.take_while(|line| line != "[0] after"));
        }
        run.signal(Signal::TERM);
        run.wait();
        let report = json(&place.path("report.json"));
        check(&report);
        let lost = &stream(&report, 0, "stdout")["lost"];
        if !said.iter().any(|line| line.len() == LONG + 4) {
            let cause = "not shown: the file that has it does not answer";
            assert_eq!(lost[0]["cause"], cause, "{report:#}");
            assert_eq!(lost[0]["from"], LINES * 11);
        } else {
            assert_eq!(lost.as_array().unwrap().len(), 0, "{report:#}");
        }
    })
}
