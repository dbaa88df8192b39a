//! What cannot be done is said at once, and nothing is half started.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::support::{Done, Place};

/// Nothing of a job is on the disk.
#[track_caller]
fn nothing_started(place: &Place) {
    let jobs = place.job("");
    let left: Vec<_> = fs::read_dir(&jobs).into_iter().flatten().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(!place.path("ran").exists(), "a rank ran");
}

#[track_caller]
fn refused(place: &Place, args: &[&str], code: i32, word: &str) -> Done {
    let done = place.lastline(args).expect(code);
    let err = done.err();
    assert!(err.contains(word), "{err}");
    assert!(done.stdout.is_empty());
    done
}

#[test]
fn bad_usage_is_2() {
    let place = Place::new();
    for args in [
        &["run"][..],
        &["run", "-n", "0", "--", "touch", "ran"],
        &["run", "--nonsense", "--", "touch", "ran"],
        &["run", "--grace", "soon", "--", "touch", "ran"],
        &["run", "--log-dir", "d", "--no-files", "--", "touch", "ran"],
        &["logs", "--rank", "x"],
        &["nonsense"],
    ] {
        place.lastline(args).expect(2);
    }
    nothing_started(&place);
}

#[test]
fn a_missing_command_is_127_and_one_that_may_not_run_126() {
    let place = Place::new();
    refused(&place, &["run", "--", "no-such-command"], 127, "command not found: no-such-command");
    refused(&place, &["run", "--", "./none"], 127, "command not found");
    fs::write(place.path("plain"), "x").unwrap();
    refused(&place, &["run", "--", "./plain"], 126, "cannot execute");
    refused(&place, &["run", "--", "/"], 126, "is a directory");
    nothing_started(&place);
}

#[test]
fn why_a_command_cannot_start_is_said_without_a_summary_too() {
    let place = Place::new();
    place.executable("script", b"#!/no/such -x\n");
    let run = ["run", "--quiet", "--no-files", "-n", "2", "--on-failure", "continue", "--"];
    for name in ["./script", "no-such-command"] {
        let word = if name == "./script" { "no interpreter \"/no/such\"" } else { "not found" };
        refused(&place, &[&run[..], &[name]].concat(), 127, word);
    }
    // Of this only the kernel knows.
    place.executable("script", b"#!/\n");
    let done = place.lastline(&[&run[..], &["./script"]].concat()).expect(126);
    let said = "lastline: ranks 0,1 could not be started: Permission denied (os error 13)\n";
    assert_eq!(done.err(), said);
    nothing_started(&place);
}

#[test]
fn a_missing_workdir_is_2() {
    let place = Place::new();
    refused(&place, &["run", "--workdir", "none", "--", "touch", "ran"], 2, "no such directory");
    nothing_started(&place);
}

#[test]
fn a_directory_that_cannot_be_written_is_2() {
    let place = Place::new();
    fs::write(place.path("file"), "x").unwrap();
    refused(&place, &["run", "--log-dir", "file/logs", "--", "touch", "ran"], 2, "cannot make");
    refused(&place, &["run", "--log-dir", "file", "--", "touch", "ran"], 2, "cannot make");
    refused(&place, &["run", "--log-dir", "/proc/none", "--", "touch", "ran"], 2, "cannot make");
    nothing_started(&place);
}

#[test]
fn a_job_id_cannot_leave_its_folder() {
    let place = Place::new();
    for id in ["a/b", "..", "../x", "", "latest", "a b", &"x".repeat(65)] {
        refused(&place, &["run", "--job", id, "--", "touch", "ran"], 2, "is no job id");
    }
    refused(&place, &["flush", "../x"], 2, "is no job id");
    nothing_started(&place);
}

#[test]
fn the_directory_of_a_running_job_is_refused_always() {
    let place = Place::new();
    let (gate, path) = place.gate();
    let run = place.start_ranks(&["--log-dir", "logs"], &["gate", &path]);
    assert_eq!(run.line(), "ready");
    for options in [&["--log-dir", "logs"][..], &["--log-dir", "logs", "--overwrite"]] {
        let args = [&["run"], options, &["--", "touch", "ran"]].concat();
        refused(&place, &args, 2, "a job is running in");
    }
    drop(gate);
    let done = run.wait().expect(0);
    assert_eq!(done.out(), "ready\npassed\n");
    assert!(!place.path("ran").exists());
    crate::support::report(&place.path("logs"));
}

#[test]
fn the_directory_of_a_finished_job_is_refused_unless_told() {
    let place = Place::new();
    let run = |options: &[&str], word: &str| {
        place.lastline(&[&["run", "--log-dir", "logs"], options, &["--", "echo", word]].concat())
    };
    run(&["-n", "2"], "first").expect(0);
    let done = run(&[], "second").expect(2);
    assert!(done.err().contains("holds a finished job"), "{}", done.err());
    assert_eq!(fs::read_to_string(place.path("logs/rank-0.stdout.log")).unwrap(), "first\n");
    run(&["--overwrite"], "third").expect(0);
    assert_eq!(fs::read_to_string(place.path("logs/rank-0.stdout.log")).unwrap(), "third\n");
    assert!(!place.path("logs/rank-1.stdout.log").exists(), "a file of the former job is left");
    place.lastline(&["run", "--job", "twice", "--", "true"]).expect(0);
    refused(&place, &["run", "--job", "twice", "--", "touch", "ran"], 2, "holds a finished job");
}

#[test]
fn files_that_are_no_jobs_are_left_alone() {
    let place = Place::new();
    fs::create_dir(place.path("logs")).unwrap();
    fs::write(place.path("logs/notes.txt"), "mine").unwrap();
    place.lastline(&["run", "--log-dir", "logs", "--", "true"]).expect(0);
    place.lastline(&["run", "--log-dir", "logs", "--overwrite", "--", "true"]).expect(0);
    assert_eq!(fs::read_to_string(place.path("logs/notes.txt")).unwrap(), "mine");
}

#[test]
fn files_of_other_programs_are_not_taken_for_a_jobs() {
    let place = Place::new();
    fs::create_dir(place.path("logs")).unwrap();
    let files = [("index", "theirs"), ("report.json", r#"{"allure":1}"#)];
    files.iter().for_each(|(name, text)| fs::write(place.path("logs").join(name), text).unwrap());
    for overwrite in [None, Some("--overwrite")] {
        let options = ["run", "--log-dir", "logs"].into_iter().chain(overwrite);
        let args: Vec<&str> = options.chain(["--", "touch", "ran"]).collect();
        refused(&place, &args, 2, "logs has files that are not lastline's: index; choose another");
    }
    for (name, text) in files {
        assert_eq!(fs::read_to_string(place.path("logs").join(name)).unwrap(), text);
    }
    nothing_started(&place);
}

#[test]
fn too_low_a_limit_of_open_files_is_told_and_nothing_is_started() {
    let place = Place::new();
    let script = "ulimit -n 1024; exec \"$0\" run -n 1000 --job j -- touch ran";
    let command = place.wrap("sh", &["-c", script, env!("CARGO_BIN_EXE_lastline")]);
    let done = crate::support::Running::start(command).wait().expect(2);
    assert!(done.err().contains("the limit is 1024: raise it (`ulimit -n`)"), "{}", done.err());
    nothing_started(&place);
}

/// Lastline is given so many descriptors by who starts it, and may have no more than `limit`.
fn crowded(command: &mut Command, taken: u64, limit: u64) {
    #[expect(unsafe_code, reason = "what a process inherits is made between fork and exec")]
    // SAFETY: between fork and exec it makes system calls only.
    unsafe {
        command.pre_exec(move || {
            for _ in 0..taken {
                std::mem::forget(rustix::io::dup(rustix::stdio::stdin())?);
            }
            let limit = Rlimit { current: Some(limit), maximum: Some(limit) };
            Ok(setrlimit(Resource::Nofile, limit)?)
        });
    }
}

#[test]
fn descriptors_that_are_taken_already_count() {
    let place = Place::new();
    for (taken, limit, code) in [(200, 300, 2), (290, 300, 2), (200, 400, 0)] {
        let mut command = place.command(&["run", "--", "touch", "ran"]);
        crowded(&mut command, taken, limit);
        let done = crate::support::Running::start(command).wait().expect(code);
        if code == 0 {
            assert!(place.path("ran").exists(), "{}", done.err());
            continue;
        }
        let told = format!("the limit is {limit}: raise it (`ulimit -n`)");
        assert!(done.err().contains(&told), "{}", done.err());
        nothing_started(&place);
    }
}

#[test]
fn a_low_soft_limit_of_open_files_is_raised_and_ranks_do_not_see_it() {
    let place = Place::new();
    let script = "ulimit -S -n 1024; exec \"$0\" run -n 1000 --job j -- sh -c \
        'exec 9</dev/null; while [ $(ulimit -S -n) != 1024 ]; do :; done; echo here'";
    let command = place.wrap("sh", &["-c", script, env!("CARGO_BIN_EXE_lastline")]);
    let done = crate::support::Running::start(command).wait().expect(0);
    assert_eq!(done.sorted().len(), 1000);
    crate::support::report(&place.job("j"));
}

#[test]
fn directories_and_files_are_their_owners_alone() {
    let place = Place::new();
    place.lastline(&["run", "--job", "j", "--", "sh", "-c", "echo x; echo y >&2"]).expect(0);
    let mode =
        |name: &str| fs::metadata(place.job("j").join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(""), 0o700);
    let files =
        ["job.json", "report.json", "index", "rank-0.stdout.log", "rank-0.stderr.log"].map(mode);
    assert_eq!(files, [0o600; 5]);
}
