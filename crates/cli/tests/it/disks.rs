//! Disks that fail, and disks that hang, under a job that runs.

use std::fs;
use std::process::{ChildStdin, ExitCode, Stdio};
use std::time::{Duration, Instant};

use lastline_testing::disk::{Disk, Hang};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Done, Place, Running, check, json, not_run, rank, stream, tell, wait_until};

const FILE: &str = "rank-0.stdout.log";

/// Runs a test with a disk that is mounted on `disk`, where that can be.
pub(crate) fn with_disk(test: impl FnOnce(&Place, &Disk)) -> ExitCode {
    let place = Place::new();
    fs::create_dir(place.path("disk")).unwrap();
    match Disk::mount(&place.path("disk")) {
        Ok(disk) => test(&place, &disk),
        Err(error) => not_run("a file system cannot be mounted here", &error),
    }
    ExitCode::SUCCESS
}

/// A disk that answers again when a test ends, however that ends: else its job could not.
pub(crate) struct Answering<'a>(pub(crate) &'a Disk);

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        self.0.release();
    }
}

/// A job whose one rank prints what it is told, with its files in `dir`.
struct Echo {
    run: Running,
    stdin: ChildStdin,
    told: String,
}

impl Echo {
    fn start(place: &Place, dir: &str, options: &[&str]) -> Self {
        Self::start_with(place, dir, options, Stdio::piped())
    }

    /// With its stderr on `words`.
    fn start_with(place: &Place, dir: &str, options: &[&str], words: impl Into<Stdio>) -> Self {
        let files = ["run", "--job", "j", "--log-dir", dir, "--report", "report.json"];
        let args = [&files[..], options, &["--stdin", "rank0", "--", "cat"]].concat();
        let mut command = place.command(&args);
        command.stdin(Stdio::piped()).stderr(words);
        let mut run = Running::start(command);
        let stdin = run.stdin();
        Self { run, stdin, told: String::new() }
    }

    /// Has a line printed, and waits until it is on the console.
    fn say(&mut self, line: &str) {
        tell(&mut self.stdin, &format!("{line}\n"));
        self.told.push_str(line);
        self.told.push('\n');
        assert_eq!(self.run.line(), line);
    }

    /// Lets the rank end; everything that was told is on the console.
    fn end(self) -> Done {
        drop(self.stdin);
        let done = self.run.wait().expect(0);
        assert_eq!(done.out(), self.told);
        done
    }
}

/// The report beside the disk, which balances, and what it has of the one stream.
fn report(place: &Place) -> Value {
    let report = json(&place.path("report.json"));
    check(&report);
    stream(&report, 0, "stdout").clone()
}

/// Fails unless the file has what was told, but for the gaps; gives their causes.
fn causes(told: &str, stream: &Value, file: &[u8]) -> Vec<String> {
    let (mut expected, mut at, mut causes) = (Vec::new(), 0, Vec::new());
    for gap in stream["not_filed"].as_array().unwrap() {
        let edge = |name: &str| usize::try_from(gap[name].as_u64().unwrap()).unwrap();
        expected.extend_from_slice(&told.as_bytes()[at..edge("from")]);
        at = edge("to");
        causes.push(gap["cause"].as_str().unwrap().to_owned());
    }
    expected.extend_from_slice(&told.as_bytes()[at..]);
    assert!(expected == file, "{stream:#}: {}", String::from_utf8_lossy(file));
    causes
}

/// How often lastline spoke of the files before its summary.
fn notes(done: &Done) -> usize {
    let about = |line: &&str| line.contains("filed") || line.contains("index");
    done.err().lines().filter(about).filter(|line| !line.contains("NOT FILED")).count()
}

/// The disk fails for a while: what comes meanwhile is a gap, told once when it begins and once
/// when it is over.
fn fails_for_a_while(number: i32, words: &str) -> ExitCode {
    with_disk(|place, disk| {
        let mut echo = Echo::start(place, "disk", &[]);
        echo.say("before");
        wait_until("it is filed", || disk.bytes(FILE) == b"before\n");
        disk.fail(Some(number));
        (0..300).for_each(|at| echo.say(&format!("meanwhile {at}")));
        wait_until("it is refused", || disk.refusals() > 1);
        disk.fail(None);
        wait_until("filing goes on", || {
            echo.say("after");
            disk.bytes(FILE).ends_with(b"after\n")
        });
        let told = echo.told.clone();
        let done = echo.end();
        let stream = report(place);
        let causes = causes(&told, &stream, &disk.bytes(FILE));
        assert!(!causes.is_empty() && causes.iter().all(|cause| cause == words), "{causes:?}");
        assert!((2..=3).contains(&notes(&done)), "{}", done.err());
        assert!(done.err().contains("output is filed again"), "{}", done.err());
        assert!(done.err().contains(" NOT FILED"), "{}", done.err());
        assert!(!disk.bytes("report.json").is_empty(), "it is among the files, too");
    })
}

#[test]
fn a_bad_disk_is_a_gap_and_filing_resumes() -> ExitCode {
    fails_for_a_while(libc::EIO, "input/output error")
}

#[test]
fn a_used_up_quota_is_a_gap_and_filing_resumes() -> ExitCode {
    fails_for_a_while(libc::EDQUOT, "disk quota exceeded")
}

#[test]
fn a_file_system_that_turns_read_only_is_a_gap_and_filing_resumes() -> ExitCode {
    fails_for_a_while(libc::EROFS, "read-only file system")
}

#[test]
fn a_full_disk_is_a_gap_and_filing_resumes() -> ExitCode {
    fails_for_a_while(libc::ENOSPC, "no space left on device")
}

#[test]
fn a_report_that_a_full_disk_does_not_take_is_told_once() -> ExitCode {
    with_disk(|place, disk| {
        let mut echo = Echo::start(place, "disk", &[]);
        echo.say("filed");
        wait_until("it is filed", || disk.bytes(FILE) == b"filed\n");
        disk.fail(Some(libc::ENOSPC));
        let done = echo.end();
        let told = done.err().matches("the report was not written to ").count();
        assert_eq!(told, 1, "{}", done.err());
        report(place);
    })
}

#[test]
fn what_cannot_be_forced_to_disk_is_in_the_report_and_in_the_summary() -> ExitCode {
    with_disk(|place, disk| {
        disk.fail_syncs(Some(libc::EIO));
        let mut echo = Echo::start(place, "disk", &["--fsync", "end", "--strict"]);
        echo.say("filed");
        let done = echo.end();
        assert_eq!(disk.bytes(FILE), b"filed\n");
        let stream = report(place);
        assert_eq!(
            (&stream["filed_bytes"], &stream["not_synced"][0]["to"]),
            (&6.into(), &6.into())
        );
        assert_eq!(stream["not_synced"][0]["cause"], "input/output error");
        let report = json(&place.path("report.json"));
        assert_eq!(report["not_synced"]["directory"], "input/output error");
        let told = done.err().matches("cannot force files to disk").count();
        assert_eq!(told, 1, "{}", done.err());
        assert!(done.err().contains("6 B NOT FORCED TO DISK"), "{}", done.err());
    })
}

#[test]
fn a_removed_directory_is_a_gap_and_one_in_its_place_is_used() {
    let place = Place::new();
    let (dir, file) = (place.path("logs"), place.path("logs").join(FILE));
    let mut echo = Echo::start(&place, "logs", &[]);
    echo.say("before");
    wait_until("it is filed", || fs::read(&file).is_ok_and(|bytes| bytes == b"before\n"));
    // Removing a directory fails when a file is made in it meanwhile.
    wait_until("the index is there", || dir.join("index").exists());
    fs::remove_dir_all(&dir).unwrap();
    // It is looked at twice a second.
    let looked = Instant::now() + Duration::from_millis(1200);
    wait_until("it was looked at", || {
        echo.say("meanwhile");
        Instant::now() > looked
    });
    fs::create_dir(&dir).unwrap();
    wait_until("filing goes on", || {
        echo.say("after");
        fs::read(&file).is_ok_and(|bytes| bytes.ends_with(b"after\n"))
    });
    let told = echo.told.clone();
    let done = echo.end();
    let causes = causes(&told, &report(&place), &fs::read(&file).unwrap());
    assert_eq!(causes, ["the file was removed", "no such file or directory"]);
    assert!(notes(&done) <= 4, "{}", done.err());
    assert!(dir.join("report.json").exists());
}

#[test]
fn a_disk_that_hangs_for_a_while_costs_nothing() -> ExitCode {
    with_disk(|place, disk| {
        let mut echo = Echo::start(place, "disk", &["--strict"]);
        let _answering = Answering(disk);
        echo.say("before");
        wait_until("it is filed", || disk.bytes(FILE) == b"before\n");
        disk.hang(Hang::Unanswered);
        (0..300).for_each(|at| echo.say(&format!("meanwhile {at}")));
        disk.wait_until_hanging();
        disk.release();
        let told = echo.told.clone();
        let done = echo.end();
        assert_eq!(causes(&told, &report(place), &disk.bytes(FILE)), [""; 0]);
        assert_eq!(notes(&done), 0, "{}", done.err());
    })
}

#[test]
fn a_disk_that_hangs_for_long_is_told_while_it_hangs_and_when_it_is_over() -> ExitCode {
    with_disk(|place, disk| {
        let words = place.path("words");
        let file = fs::File::create(&words).unwrap();
        let mut echo = Echo::start_with(place, "disk", &["--strict"], file);
        let said = |what: &str| fs::read_to_string(&words).unwrap().contains(what);
        let answering = Answering(disk);
        echo.say("before");
        wait_until("it is filed", || disk.bytes(FILE) == b"before\n");
        disk.hang(Hang::Unanswered);
        (0..300).for_each(|at| echo.say(&format!("meanwhile {at}")));
        wait_until("it is told", || said("lastline: the disk of the files has not answered for"));
        drop(answering);
        wait_until("it is over", || said("lastline: the disk of the files answers again"));
        let told = echo.told.clone();
        echo.end();
        assert_eq!(causes(&told, &report(place), &disk.bytes(FILE)), [""; 0]);
    })
}

#[test]
fn a_disk_that_hangs_for_good_is_given_up_and_what_it_has_not_is_told() -> ExitCode {
    with_disk(|place, disk| {
        let mut echo = Echo::start(place, "disk", &["--teardown-timeout", "2s"]);
        echo.say("before");
        wait_until("it is filed", || disk.bytes(FILE) == b"before\n");
        disk.hang(Hang::Untaken);
        (0..300).for_each(|at| echo.say(&format!("meanwhile {at}")));
        disk.wait_until_hanging();
        let (ended, told) = (Instant::now(), echo.told.clone());
        let done = echo.end();
        assert!(ended.elapsed() < Duration::from_secs(6), "{:?}", ended.elapsed());
        let stream = report(place);
        assert_eq!(causes(&told, &stream, b"before\n"), ["the writer hung and was given up"]);
        assert_eq!(stream["shown_bytes"], told.len());
        let err = done.err();
        assert!(err.contains("the disk hangs: gave up 1 of the threads"), "{err}");
        let not_written =
            format!("{}: its disk does not answer", place.path("disk/report.json").display());
        assert!(err.contains(&format!("the report was not written to {not_written}")), "{err}");
        assert!(err.contains("NOT FILED"), "{err}");
    })
}

/// What nobody can file stays in memory, up to its bound: then the ranks wait.
#[test]
fn a_stopped_job_on_a_disk_that_hangs_does_not_exceed_its_time() -> ExitCode {
    with_disk(|place, disk| {
        let files = ["run", "--log-dir", "disk", "--report", "report.json", "--buffer", "1MiB"];
        let limits = ["-n", "2", "--teardown-timeout", "2s", "--grace", "1s"];
        let run = place.start(&[&files[..], &limits, &["--", &rank(), "talk"]].concat());
        wait_until("it is filed", || !disk.bytes(FILE).is_empty());
        disk.hang(Hang::Untaken);
        disk.wait_until_hanging();
        let told = Instant::now();
        run.signal(Signal::TERM);
        let done = run.wait().expect(143);
        assert!(told.elapsed() < Duration::from_secs(6), "{:?}", told.elapsed());
        let report = json(&place.path("report.json"));
        check(&report);
        for rank in 0..2 {
            let stream = stream(&report, rank, "stdout");
            let bytes = usize::try_from(stream["shown_bytes"].as_u64().unwrap()).unwrap();
            let mut said: Vec<u8> =
                b"and another line\n".iter().copied().cycle().take(bytes).collect();
            // A line in the middle of which the rank was ended gets its newline from the console.
            said.extend(said.last().is_some_and(|last| *last != b'\n').then_some(b'\n'));
            let shown = done.of_rank(u32::try_from(rank).unwrap());
            assert!(shown == said, "{} bytes are shown: {stream:#}", shown.len());
            assert_eq!(stream["lost"].as_array().unwrap().len(), 0, "{stream:#}");
        }
    })
}

/// Of a long line the console may have let go of what is filed, and reads it back when the line
/// ends.
#[test]
fn a_long_line_on_a_disk_that_hangs_is_shown_or_said_to_be_lost() -> ExitCode {
    with_disk(|place, disk| {
        let options = ["-n", "2", "--teardown-timeout", "2s"];
        let Echo { run, mut stdin, .. } = Echo::start(place, "disk", &options);
        let long = "long ".repeat(200_000);
        tell(&mut stdin, &long);
        wait_until("it is filed", || disk.bytes(FILE).len() == long.len());
        disk.hang(Hang::Untaken);
        tell(&mut stdin, "\n");
        disk.wait_until_hanging();
        let ended = Instant::now();
        drop(stdin);
        let done = run.wait().expect(0);
        assert!(ended.elapsed() < Duration::from_secs(6), "{:?}", ended.elapsed());
        let stream = report(place);
        assert_eq!(stream["read_bytes"], long.len() + 1, "{stream:#}");
        let line = [long.as_bytes(), b"\n"].concat();
        if done.of_rank(0) != line {
            let cause = "not shown before the deadline of the teardown";
            assert_eq!(stream["lost"][0]["cause"], cause, "{stream:#}");
            assert!(done.err().contains(" not shown: "), "{}", done.err());
        } else {
            assert_eq!(stream["lost"].as_array().unwrap().len(), 0, "{stream:#}");
        }
    })
}

/// The kernel lets nobody go who waits for such a disk: then all is said, and the process ends
/// with the disk.
#[test]
fn what_a_disk_that_never_lets_go_has_not_is_told_before_the_process_can_end() -> ExitCode {
    with_disk(|place, disk| {
        let mut echo = Echo::start(place, "disk", &["--teardown-timeout", "2s"]);
        let answering = Answering(disk);
        echo.say("before");
        wait_until("it is filed", || disk.bytes(FILE) == b"before\n");
        disk.hang(Hang::Unanswered);
        echo.say("meanwhile");
        disk.wait_until_hanging();
        let Echo { run, stdin, .. } = echo;
        let ended = Instant::now();
        drop(stdin);
        wait_until("the report is there", || place.path("report.json").exists());
        assert!(ended.elapsed() < Duration::from_secs(6), "{:?}", ended.elapsed());
        let stream = report(place);
        assert_eq!(stream["not_filed"][0]["cause"], "the writer hung and was given up");
        wait_until("all is said", || !crate::support::runs(pid(&run)) || is_leaving(&run));
        drop(answering);
        let done = run.wait().expect(0);
        assert!(done.err().contains("10 B NOT FILED"), "{}", done.err());
    })
}

fn pid(run: &Running) -> u32 {
    run.pid().as_raw_nonzero().get().unsigned_abs()
}

/// Whether its first thread has ended, and others have not.
fn is_leaving(run: &Running) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", pid(run))).unwrap_or_default();
    status.contains("State:\tZ")
}

#[test]
fn a_disk_that_hangs_from_the_start_starts_nothing() -> ExitCode {
    with_disk(|place, disk| {
        disk.hang(Hang::Untaken);
        let done = place.lastline(&["run", "--log-dir", "disk", "--", "touch", "started"]);
        let done = done.expect(2);
        assert!(done.err().contains("disk does not answer"), "{}", done.err());
        assert!(!place.path("started").exists());
    })
}
