use std::sync::atomic::{AtomicBool, Ordering};

use lastline_testing::disk::{Disk, Hang};
use lastline_testing::wait_until;

use super::*;
use crate::{FoundJob, JobState};

#[test]
fn a_directory_that_comes_too_late_is_given_back() -> std::process::ExitCode {
    let dir = tempfile::tempdir().unwrap();
    let disk = match Disk::mount(dir.path()) {
        Ok(disk) => disk,
        Err(error) => {
            eprintln!("not run: a file system cannot be mounted here: {error}");
            return std::process::ExitCode::SUCCESS;
        }
    };
    let info = JobInfo::new("j", vec!["true".into()], 1);
    disk.hang(Hang::Unanswered);
    let timeout = Duration::from_millis(20);
    let refused = JobDir::create_within(timeout, None, dir.path(), false, &info).unwrap_err();
    assert!(matches!(refused, JobDirError::NoAnswer { .. }), "{refused:?}");
    disk.release();
    let within = |timeout| JobDir::create_within(timeout, None, dir.path(), false, &info);
    // What was made is gone when another may have the directory.
    wait_until(|| within(lastline_testing::PATIENCE).is_ok());
    std::process::ExitCode::SUCCESS
}

#[test]
fn a_directory_that_is_refused_is_as_it_was() {
    let root = tempfile::tempdir().unwrap();
    let log = root.path().join("rank-0.stdout.log");
    std::fs::write(&log, "old").unwrap();
    let info = JobInfo::new("j", vec![], 1);
    let report = crate::report_text(&crate::Report::new("j", vec![], 1));
    std::fs::write(root.path().join(REPORT_FILE), report).unwrap();
    let refused = JobDir::create(root.path(), false, &info).unwrap_err();
    assert!(matches!(refused, JobDirError::Finished { .. }), "{refused:?}");
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 2);
    drop(JobDir::create(root.path(), true, &info).unwrap());
    assert!(!log.exists());
    let before = std::fs::read(root.path().join(JOB_FILE)).unwrap();
    JobDir::create(root.path(), false, &info).unwrap_err();
    assert_eq!(std::fs::read(root.path().join(JOB_FILE)).unwrap(), before);
}

#[test]
fn files_of_others_by_the_names_of_a_jobs_are_never_removed() {
    let info = JobInfo::new("j", vec![], 1);
    let foreign = [("index", "x"), (REPORT_FILE, r#"{"allure":1}"#), (JOB_FILE, r#"{"job":"j"}"#)];
    for (name, text) in foreign.into_iter().chain([("rank-12.log", ""), (SEEN_FILE, "")]) {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join(name), text).unwrap();
        for overwrite in [false, true] {
            let refused = JobDir::create(root.path(), overwrite, &info).unwrap_err();
            assert!(matches!(refused, JobDirError::NotOurs { file, .. } if file == name));
            let left = std::fs::read_dir(root.path()).unwrap().flatten();
            assert_eq!(left.map(|file| file.file_name()).collect::<Vec<_>>(), [name]);
            assert_eq!(std::fs::read_to_string(root.path().join(name)).unwrap(), text);
        }
    }
}

#[test]
fn only_what_a_job_writes_is_taken_for_its_files() {
    let report = ".report.json.0123456789abcdef.unfinished";
    let ours = ["index", "report.json", "report.node-12.json", "rank-3.log", report];
    let logs = ["rank-3.stdout.log", "rank-12.stderr.0001.log", "rank-0.stdout.12345.log"];
    let compressed = ["rank-3.0001.log.zst", "rank-12.stderr.0001.log.zst.unfinished"];
    assert!(ours.iter().chain(&logs).chain(&compressed).all(|name| is_job_file(name)));
    for other in [
        "index.html",
        "report.mine.json",
        "report.node-.json",
        "report.node-03.json",
        "rank-mine.log",
        "rank-03.log",
        "rank-3.stdout.stderr.log",
        "rank-3.merged.log",
        "rank-3.mine.log",
        "rank-3.stdout.1.log",
        "rank-.log",
        "rank-3.stdout.log.zst",
        "rank-3.stdout.0001.log.gz",
        "rank-3.stdout.0001.log.unfinished",
        "rank-3.stdout.0001.zst",
    ] {
        assert!(!is_job_file(other), "{other}");
    }
}

#[test]
fn a_job_is_not_refused_because_somebody_looks() {
    let root = tempfile::tempdir().unwrap();
    let (dir, info) = (root.path().join("j"), JobInfo::new("j", vec![], 1));
    drop(JobDir::create(&dir, false, &info).unwrap());
    let over = AtomicBool::new(false);
    let refused = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                // It may be half written.
                drop(FoundJob::open(&dir));
            }
        });
        let begun = (0..1000).map(|_| JobDir::create(&dir, true, &info));
        let refused = begun.filter_map(Result::err).next();
        over.store(true, Ordering::Relaxed);
        refused
    });
    assert!(refused.is_none(), "{refused:?}");
    let running = JobDir::create(&dir, true, &info).unwrap();
    assert_eq!(FoundJob::open(&dir).unwrap().state, JobState::Running);
    let refused = JobDir::create(&dir, true, &info).unwrap_err();
    assert!(matches!(refused, JobDirError::Running { .. }), "{refused:?}");
    drop(running);
    assert_eq!(FoundJob::open(&dir).unwrap().state, JobState::Broken);
}
