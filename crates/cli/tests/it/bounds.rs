//! How much memory a job takes.

use std::fs;
use std::io::Read as _;
use std::time::Duration;

use crate::support::{Place, Running, file, report, stream, wait_until};

/// What lastline has allocated and used now, in KiB, without its own code.
fn allocated(run: &Running) -> u64 {
    let status = format!("/proc/{}/status", run.pid().as_raw_nonzero());
    let status = fs::read_to_string(status).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The start of a line is bounded by `--buffer` as everything read is, and a stream that says nothing
/// holds no buffer: what 100 MB in open lines leave behind are the last lines, for the report, the
/// buffers that are kept for the next read, and what the allocator keeps. That is less than the lines.
#[test]
fn open_lines_are_within_the_memory_for_output_and_idle_ranks_hold_none() {
    const RANKS: u32 = 200;
    const LINE: usize = 500_000;
    let place = Place::new();
    let script = format!("head -c {LINE} /dev/zero | tr '\\0' x; exec sleep 100");
    let args = ["run", "-n", "200", "--job", "j", "--", "sh", "-c", &script];
    let mut command = place.command(&args);
    command.stdout(std::process::Stdio::null());
    let run = Running::start(command);
    let job = place.job("j");
    wait_until("all is filed", || (0..RANKS).all(|rank| file(&job, rank, "stdout").len() == LINE));
    let kib = allocated(&run);
    assert!(kib < (u64::from(RANKS) * LINE as u64) >> 10, "{kib} KiB");
    run.signal(rustix::process::Signal::KILL);
}

/// The console takes nothing until the ranks wait, or are done.
#[test]
fn files_that_are_bounded_keep_what_a_slow_console_has_not_had() {
    const LINES: usize = 400_000;
    let place = Place::new();
    let (dir, script) = (place.path("files"), format!("yes 0123456789 | head -n {LINES}"));
    let bounds = ["--buffer", "256KiB", "--rotate", "64KiB", "--max-size", "1MiB"];
    let args = [&["run", "--log-dir", "files"], &bounds[..], &["--", "sh", "-c", &script]].concat();
    let mut command = place.command(&args);
    let (mut console, writer) = std::io::pipe().unwrap();
    command.stdout(writer);
    let run = Running::start(command);
    wait_until("files fill", || dir.join("rank-0.stdout.0008.log").exists());
    std::thread::park_timeout(Duration::from_millis(500));
    let mut said = String::new();
    console.read_to_string(&mut said).unwrap();
    assert_eq!(said.lines().filter(|line| *line == "0123456789").count(), LINES);
    let done = run.wait().expect(0);
    assert!(done.err().contains("nothing lost"), "{}", done.err());
    assert_eq!(stream(&report(&dir), 0, "stdout")["shown_bytes"], LINES * 11);
    let files = std::fs::read_dir(&dir).unwrap().flatten();
    let logs = files.filter(|file| file.file_name().to_string_lossy().ends_with(".log"));
    let bytes: u64 = logs.map(|file| file.metadata().unwrap().len()).sum();
    assert!(bytes <= 1 << 20, "{bytes}");
}
