//! Files that are compressed once they are closed, while the job runs.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use rustix::process::Signal;

use crate::disks::with_disk;
use crate::support::{Place, Running, check, json, report, stream, wait_until};

const LINES: usize = 700_000;
const OPTIONS: [&str; 4] = ["--rotate", "512KiB", "--compress", "zstd"];

/// What `seq` prints.
fn numbers(lines: usize) -> String {
    (1..=lines).map(|line| format!("{line}\n")).collect()
}

/// A rank that prints numbers, and ends when there is a file `go`.
fn waiting(lines: usize) -> String {
    format!("seq {lines}; until [ -e go ]; do sleep 0.02; done")
}

/// The rotated files of a job, in order.
fn rotated(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().flatten();
    let names = names.map(|file| file.file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("rank-0.stdout.0")).collect();
    names.sort();
    names
}

/// Waits until so many files are there, and nothing else of those that are closed.
fn until_compressed(dir: &Path, files: usize) {
    wait_until("all are compressed", || {
        let there = if dir.exists() { rotated(dir) } else { Vec::new() };
        there.len() == files && there.iter().all(|name| name.ends_with(".log.zst"))
    });
}

/// What a process has open.
fn open_files(run: &Running) -> impl Iterator<Item = String> {
    let all = fs::read_dir(format!("/proc/{}/fd", run.pid().as_raw_nonzero())).unwrap().flatten();
    // One may be closed meanwhile.
    let leads_to = all.filter_map(|file| fs::read_link(file.path()).ok());
    leads_to.map(|path| path.to_string_lossy().into_owned()).filter(|path| path.contains("rank-0"))
}

fn start(place: &Place, job: &str, script: &str) -> Running {
    let run = [&["run", "--job", job], &OPTIONS[..], &["--quiet"]].concat();
    place.start(&[&run[..], &["--", "sh", "-c", script]].concat())
}

#[test]
fn a_job_with_compressed_files_reads_as_it_was() {
    let place = Place::new();
    let (dir, all) = (place.job("j"), numbers(LINES));
    let run = start(&place, "j", &waiting(LINES));
    until_compressed(&dir, all.len() / (512 << 10));
    let reads_well = || {
        let logs = place.lastline(&["logs", "j"]).expect(0);
        assert!(logs.out() == all, "{} bytes of {}", logs.stdout.len(), all.len());
        let tail = place.lastline(&["logs", "--tail", "600000"]).expect(0);
        assert!(tail.out() == all[numbers(100_000).len()..]);
        let found = place.lastline(&["logs", "--grep", "^12345$", "-A", "1"]).expect(0);
        assert_eq!(found.out(), "12345\n12346\n");
    };
    reads_well();
    let follow = place.start(&["logs", "j", "--follow"]);
    fs::write(place.path("go"), "").unwrap();
    assert!(run.wait().expect(0).out() == all);
    assert!(follow.wait().expect(0).out() == all);
    reads_well();
    assert_eq!(stream(&report(&dir), 0, "stdout")["filed_bytes"], all.len());
    if place.has("zstdcat") {
        let script = "cd \"$0\" && zstdcat rank-0.stdout.0*.zst && cat rank-0.stdout.log";
        let command = place.wrap("sh", &["-c", script, dir.to_str().unwrap()]);
        assert!(Running::start(command).wait().expect(0).out() == all);
    }
    let taken: u64 =
        rotated(&dir).iter().map(|name| fs::metadata(dir.join(name)).unwrap().len()).sum();
    assert!(taken < all.len() as u64 / 2, "{taken}");
    let again = ["run", "--job", "j", "--overwrite", "--", "echo", "x"];
    place.lastline(&again).expect(0);
    assert_eq!(rotated(&dir), [""; 0]);
}

/// The console takes nothing until all but the newest file is compressed: what it has not had is read back
/// from those.
#[test]
fn what_a_slow_console_has_not_had_is_read_back_from_compressed_files() {
    let place = Place::new();
    let (dir, all) = (place.job("j"), numbers(LINES));
    let script = waiting(LINES);
    let run = [&["run", "--job", "j", "--buffer", "256KiB"], &OPTIONS[..]].concat();
    let mut command = place.command(&[&run[..], &["--", "sh", "-c", &script]].concat());
    let (mut console, writer) = std::io::pipe().unwrap();
    command.stdout(writer);
    let run = Running::start(command);
    until_compressed(&dir, all.len() / (512 << 10));
    // A file that is open has its room still, whatever names it has.
    wait_until("no plain one is open", || {
        open_files(&run).all(|file| !file.contains(" (deleted)"))
    });
    fs::write(place.path("go"), "").unwrap();
    let mut said = String::new();
    console.read_to_string(&mut said).unwrap();
    let done = run.wait().expect(0);
    assert!(said == all, "{} bytes of {}", said.len(), all.len());
    assert!(done.err().contains("nothing lost"), "{}", done.err());
    assert_eq!(stream(&report(&dir), 0, "stdout")["shown_bytes"], all.len());
}

/// Killed while files are being compressed: of what was filed every byte reads as it was, and nothing stays
/// when the job is removed.
#[test]
fn a_job_that_is_killed_while_it_compresses_has_every_byte() {
    let place = Place::new();
    for (job, files) in [("a", 1), ("b", 4), ("c", 9)] {
        let run = start(&place, job, "seq 3000000; exec sleep 600");
        let dir = place.job(job);
        let is_compressed = |name: &String| name.ends_with(".zst");
        wait_until("so many are compressed", || {
            dir.exists() && rotated(&dir).iter().filter(|name| is_compressed(name)).count() >= files
        });
        run.signal(Signal::KILL);
        run.wait();
        let logs = place.lastline(&["logs", job]);
        let lines = logs.out().lines().count();
        assert!(numbers(lines).starts_with(&logs.out()), "{lines} lines");
        let newest = fs::read(dir.join("rank-0.stdout.log")).unwrap();
        assert!(logs.stdout.ends_with(&newest));
        let report: serde_json::Value =
            serde_json::from_str(&place.lastline(&["report", job]).out()).unwrap();
        check(&report);
        assert_eq!(stream(&report, 0, "stdout")["filed_bytes"], logs.stdout.len());
        place.lastline(&["prune", "--keep", "0"]).expect(0);
        assert!(!dir.exists());
    }
}

#[test]
fn a_disk_that_forces_nothing_to_it_keeps_plain_files_and_says_so_once() -> ExitCode {
    with_disk(|place, disk| {
        disk.fail_syncs(Some(libc::ENOSPC));
        let files = ["run", "--log-dir", "disk", "--report", "report.json"];
        let args = [&files[..], &OPTIONS, &["--", "sh", "-c"]].concat();
        let script = format!("{}; seq 10", waiting(LINES));
        let run = place.start(&[&args[..], &[&*script]].concat());
        let words = run.err_line_with("is not compressed: no space left on device");
        assert!(words.contains("rank-0.stdout.0001.log"), "{words}");
        fs::write(place.path("go"), "").unwrap();
        let done = run.wait().expect(0);
        assert_eq!(done.err().matches("is not compressed").count(), 1, "{}", done.err());
        assert!(rotated(&place.path("disk")).iter().all(|name| name.ends_with(".log")));
        let all = numbers(LINES) + &numbers(10);
        assert!(place.lastline(&["logs", "disk"]).expect(0).out() == all);
        let report = json(&place.path("report.json"));
        check(&report);
        assert_eq!(stream(&report, 0, "stdout")["filed_bytes"], all.len());
    })
}
