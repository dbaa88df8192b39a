//! How much memory a job takes.

use std::fs;

use crate::support::{Place, Running, file, wait_until};

/// What lastline has allocated and used now, in KiB, without its own code.
fn allocated(run: &Running) -> u64 {
    let status = format!("/proc/{}/status", run.pid().as_raw_nonzero());
    let status = fs::read_to_string(status).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The start of a line is bounded by `--buffer` as everything read is, and a stream that says nothing
/// holds no buffer: what 50 MB in open lines leave behind are the last lines, for the report, the
/// buffers that are kept for the next read, and what the allocator keeps. That is less than the lines.
#[test]
fn open_lines_are_within_the_memory_for_output_and_idle_ranks_hold_none() {
    const RANKS: u32 = 200;
    const LINE: usize = 250_000;
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
