use std::fs::File;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;
use crate::JobDir;
use crate::job_dir::{JOB_FILE, JobInfo, REPORT_FILE};
use crate::report::Report;

const DAY: Duration = Duration::from_secs(24 * 3600);

#[test]
fn the_newest_jobs_stay_within_every_bound() {
    let jobs: Vec<(Duration, u64)> = (0..200).map(|at| (DAY / 10 * at, 1 << 20)).collect();
    assert_eq!(Retention::DEFAULT.split(&jobs), 100);
    assert_eq!(Retention::default().split(&jobs), 200);
    let age = Retention { max_age: Some(DAY), ..Retention::default() };
    assert_eq!(age.split(&jobs), 11);
    let size = Retention { max_bytes: Some(10 << 20), ..Retention::default() };
    assert_eq!(size.split(&jobs), 10);
}

#[test]
fn pruning_removes_jobs_and_links_and_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    let place = JobsPlace::at(root.path().join("jobs"));
    let elsewhere = root.path().join("elsewhere");
    let start = |id: &str, dir: &Path| {
        let job = JobDir::create(dir, false, &JobInfo::new(id, vec![], 1)).unwrap();
        place.register(id, job.path()).unwrap();
        fs::write(dir.join("rank-0.stdout.log"), "text").unwrap();
        job
    };
    drop(start("a", &place.dir_of("a")));
    drop(start("b", &elsewhere));
    drop(start("c", &place.dir_of("c")));
    fs::write(place.dir_of("c").join("precious"), "mine").unwrap();
    let running = start("d", &place.dir_of("d"));
    let none = Retention { max_jobs: Some(0), ..Retention::default() };
    let pruned = place.prune(&none);
    assert_eq!(pruned.removed, ["a"]);
    assert_eq!(pruned.unlisted, [("b".to_owned(), fs::canonicalize(&elsewhere).unwrap())]);
    assert!(elsewhere.join("rank-0.stdout.log").exists());
    assert!(place.dir_of("c").join("precious").exists());
    assert!(place.dir_of("c").join("rank-0.stdout.log").exists(), "it stays whole");
    assert_eq!(ids(&place), ["c", "d"]);
    assert!(running.path().join("rank-0.stdout.log").exists());
    assert!(!place.dir_of("a").exists() && !place.dir_of("b").exists());
}

#[test]
fn what_is_left_of_a_job_goes_after_a_day_and_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    let place = JobsPlace::at(root.path().join("jobs"));
    let yesterday = std::time::SystemTime::UNIX_EPOCH;
    let make = |id: &str, names: &[&str], aged: bool| {
        fs::create_dir_all(place.dir_of(id)).unwrap();
        names.iter().for_each(|name| fs::write(place.dir_of(id).join(name), "").unwrap());
        if aged {
            File::open(place.dir_of(id)).unwrap().set_modified(yesterday).unwrap();
        }
    };
    let unfinished = ".report.json.0123456789abcdef.unfinished";
    make("empty", &[], true);
    make("broken", &[JOB_FILE, "rank-0.stdout.log", unfinished], true);
    make("removed", &["rank-0.stdout.log"], true);
    make("fresh", &[JOB_FILE], false);
    make("foreign", &["rank-0.stdout.log", "report.json.new"], true);
    make("unknown", &["notes"], true);
    job(&place, "a", &place.dir_of("a"));
    fs::write(place.dir_of("a").join(unfinished), "").unwrap();
    assert_eq!(place.prune(&Retention::default()).removed, [""; 0]);
    let mut left: Vec<_> = place.entries().collect();
    left.sort();
    assert_eq!(left, ["a", "foreign", "fresh", "unknown"].map(|id| place.dir_of(id)));
    assert!(place.dir_of("foreign").join("rank-0.stdout.log").exists());
    assert_eq!(place.prune(&keep(0)).removed, ["a"]);
    assert!(!place.dir_of("a").exists());
}

/// A report that was being written when the program ended, under the name of another version's.
#[test]
fn a_job_with_a_file_that_is_not_its_own_stays_whole_and_on_the_list() {
    let root = tempfile::tempdir().unwrap();
    let place = JobsPlace::at(root.path().join("jobs"));
    job(&place, "a", &place.dir_of("a"));
    fs::write(place.dir_of("a").join("report.json.new"), "").unwrap();
    let pruned = place.prune(&keep(0));
    assert_eq!(pruned.removed, [""; 0]);
    let kept: Vec<_> = pruned.kept.iter().map(|(job, why)| format!("{job}: {why}")).collect();
    assert_eq!(kept, ["a: report.json.new is not lastline's"]);
    assert_eq!(ids(&place), ["a"]);
    assert!(place.dir_of("a").join("rank-0.stdout.log").exists());
    fs::remove_file(place.dir_of("a").join("report.json.new")).unwrap();
    assert_eq!(place.prune(&keep(0)).removed, ["a"]);
}

#[test]
fn an_id_is_free_unless_its_job_runs_elsewhere() {
    let root = tempfile::tempdir().unwrap();
    let place = JobsPlace::at(root.path().join("jobs"));
    let (one, other) = (root.path().join("one"), root.path().join("other"));
    place.check_free("a", &one).unwrap();
    let running = JobDir::create(&one, false, &JobInfo::new("a", vec![], 1)).unwrap();
    place.register("a", running.path()).unwrap();
    let within = |dir| {
        let (wait, info) = (lastline_testing::PATIENCE, JobInfo::new("a", vec![], 1));
        JobDir::create_within(wait, Some(&place), dir, false, &info)
    };
    let refused = within(&other).unwrap_err();
    assert!(matches!(&refused, JobDirError::IdRunning { id, .. } if id == "a"), "{refused:?}");
    assert!(!other.exists());
    place.check_free("a", &one).unwrap();
    place.check_free("b", &other).unwrap();
    drop(running);
    within(&other).unwrap();
}

/// A job that is over, on the list, with files in `dir`.
fn job(place: &JobsPlace, id: &str, dir: &Path) {
    let job = JobDir::create(dir, true, &JobInfo::new(id, vec![], 1)).unwrap();
    place.register(id, job.path()).unwrap();
    fs::write(dir.join("rank-0.stdout.log"), id).unwrap();
    let report = crate::report_text(&Report::new(id, vec![], 1));
    fs::write(dir.join(REPORT_FILE), report).unwrap();
}

fn ids(place: &JobsPlace) -> Vec<String> {
    place.list().into_iter().map(|job| job.info.job).collect()
}

fn keep(jobs: usize) -> Retention {
    Retention { max_jobs: Some(jobs), ..Retention::default() }
}

#[test]
fn a_directory_is_one_job_however_often_it_was_used() {
    let root = tempfile::tempdir().unwrap();
    let place = JobsPlace::at(root.path().join("jobs"));
    let reused = root.path().join("logs");
    job(&place, "a", &place.dir_of("a"));
    job(&place, "b", &place.dir_of("b"));
    (0..4).for_each(|at| job(&place, &format!("l{at}"), &reused));
    assert_eq!(ids(&place), ["a", "b", "l3"]);
    let gone = place.find(Some("l0")).unwrap_err().to_string();
    let of = format!("{} is the directory of job `l3` now", reused.display());
    assert_eq!(gone, format!("the job `l0` is gone: {of}"));
    assert_eq!(place.find(None).unwrap().info.job, "l3");
    assert_eq!(place.prune(&keep(3)).removed, Vec::<String>::new());
    assert_eq!(ids(&place), ["a", "b", "l3"]);
    assert!(fs::symlink_metadata(place.dir_of("l0")).is_err(), "a link to what is gone");
    assert!(place.find(Some("l3")).is_ok());
    assert_eq!(place.prune(&keep(1)).removed, ["b", "a"]);
    assert_eq!(fs::read(reused.join("rank-0.stdout.log")).unwrap(), b"l3");
}

#[test]
fn a_folder_among_the_jobs_that_another_job_took_is_that_job() {
    let root = tempfile::tempdir().unwrap();
    let place = JobsPlace::at(root.path().join("jobs"));
    job(&place, "a", &place.dir_of("a"));
    job(&place, "b", &place.dir_of("a"));
    assert_eq!(ids(&place), ["b"]);
    assert!(
        matches!(place.find(Some("a")), Err(JobDirError::Gone { by: Some(by), .. }) if by == "b")
    );
    assert!(place.find(Some("b")).is_ok());
    assert_eq!(place.prune(&keep(0)).removed, ["b"]);
    assert_eq!(fs::read_dir(root.path().join("jobs")).unwrap().count(), 0, "links and all");
}

#[test]
fn what_is_damaged_is_named_and_the_rest_tells_of_the_job() {
    let root = tempfile::tempdir().unwrap();
    let place = JobsPlace::at(root.path().join("jobs"));
    let all = ["fifo", "info", "none", "report", "whole", "worse"];
    all.iter().for_each(|id| job(&place, id, &place.dir_of(id)));
    let file = |id: &str, name: &str| place.dir_of(id).join(name);
    fs::write(file("report", REPORT_FILE), "{}").unwrap();
    fs::write(file("info", JOB_FILE), "").unwrap();
    fs::write(file("worse", JOB_FILE), "[]").unwrap();
    for id in ["fifo", "none", "worse"] {
        fs::remove_file(file(id, REPORT_FILE)).unwrap();
    }
    let fifo = file("fifo", REPORT_FILE);
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();

    let damage = |id: &str| {
        let found = place.find(Some(id)).unwrap();
        let damage = found.damage.unwrap_or_default();
        (found.state == JobState::Broken, damage)
    };
    assert_eq!(damage("whole"), (false, String::new()));
    assert_eq!(damage("none"), (true, String::new()));
    let words = |id: &str, name: &str, why: &str| format!("{}{why}", file(id, name).display());
    let (broken, said) = damage("report");
    assert!(broken && said.starts_with(&words("report", REPORT_FILE, " cannot be understood: m")));
    let (broken, said) = damage("info");
    assert!(!broken && said.starts_with(&words("info", JOB_FILE, " cannot be understood: EOF")));
    let (broken, said) = damage("fifo");
    assert!(broken && said.ends_with(&words("fifo", REPORT_FILE, ": it is no regular file")));
    assert!(matches!(place.find(Some("worse")), Err(JobDirError::Damaged { .. })));
    let mut listed = ids(&place);
    listed.sort();
    assert_eq!(listed, all[..5]);
    let unreadable: Vec<String> = place.unreadable().iter().map(ToString::to_string).collect();
    assert_eq!(unreadable, [words("worse", JOB_FILE, " cannot be understood")]);
}

#[test]
fn a_directory_without_a_job_says_so() {
    let root = tempfile::tempdir().unwrap();
    let place = JobsPlace::at(root.path().join("jobs"));
    let dir = root.path().to_str().unwrap();
    let error = place.find(Some(dir)).unwrap_err().to_string();
    assert_eq!(error, format!("{dir} holds no job: neither job.json nor report.json is there"));
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    let error = JobDir::create(&file, false, &JobInfo::new("a", vec![], 1)).unwrap_err();
    let why = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(why, "it is no directory");
}

#[test]
fn a_place_that_cannot_be_read_is_not_an_empty_one() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("jobs");
    let place = JobsPlace::at(file.clone());
    place.check_readable().unwrap();
    assert!(matches!(place.find(None), Err(JobDirError::NoJobs { .. })), "it is not there");
    fs::write(&file, "").unwrap();
    let error = place.check_readable().unwrap_err().to_string();
    assert_eq!(error, format!("cannot read {}", file.display()));
    for name in [None, Some("a")] {
        assert_eq!(place.find(name).unwrap_err().to_string(), error);
    }
}

#[test]
fn links_to_nothing_go() {
    let root = tempfile::tempdir().unwrap();
    let place = JobsPlace::at(root.path().join("jobs"));
    let elsewhere = root.path().join("logs");
    job(&place, "a", &elsewhere);
    fs::remove_dir_all(&elsewhere).unwrap();
    let gone = format!("the job `a` is gone: {} holds no job any more", elsewhere.display());
    assert_eq!(place.find(Some("a")).unwrap_err().to_string(), gone);
    assert_eq!(place.find(None).unwrap_err().to_string(), gone);
    std::os::unix::fs::symlink("nowhere", root.path().join("jobs/not.an.id")).unwrap();
    assert_eq!(place.prune(&Retention::default()).removed, Vec::<String>::new());
    let left: Vec<_> = fs::read_dir(root.path().join("jobs")).unwrap().flatten().collect();
    assert_eq!(left.len(), 1, "what is not ours stays: {left:?}");
}

#[test]
fn the_newest_job_is_the_latest_where_no_link_says_which() {
    let root = tempfile::tempdir().unwrap();
    let place = JobsPlace::at(root.path().join("jobs"));
    ["a", "b", "c"].iter().for_each(|id| job(&place, id, &place.dir_of(id)));
    let latest = || place.find(None).unwrap().info.job;
    assert_eq!(latest(), "c");
    fs::remove_dir_all(place.dir_of("c")).unwrap();
    assert_eq!(latest(), "b", "the link leads to nothing");
    fs::remove_file(place.0.join(LATEST)).unwrap();
    assert_eq!(latest(), "b", "there is no link");
    assert_eq!(place.find(Some(LATEST)).unwrap().info.job, "b");
}

#[test]
fn a_folder_that_was_renamed_is_found_by_its_job() {
    let root = tempfile::tempdir().unwrap();
    let place = JobsPlace::at(root.path().join("jobs"));
    job(&place, "a", &place.dir_of("a"));
    fs::rename(place.dir_of("a"), place.dir_of("kept")).unwrap();
    assert_eq!(place.find(Some("a")).unwrap().dir, fs::canonicalize(place.dir_of("kept")).unwrap());
    assert!(matches!(place.find(Some("none")), Err(JobDirError::NoSuchJob { .. })));
}

#[test]
fn jobs_are_listed_once_by_time() {
    let place = tempfile::tempdir().unwrap();
    let jobs = JobsPlace::at(place.path().join("jobs"));
    let starts = ["2026-01-01T00:00:00.5Z", "2026-01-01T00:00:00.57Z", "2026-01-01T00:00:01Z"];
    for (at, started) in starts.into_iter().enumerate() {
        let job = format!("j{}", 9 - at);
        let mut info = JobInfo::new(&job, vec!["true".into()], 1);
        info.started = started.into();
        let dir = JobDir::create(&jobs.dir_of(&job), false, &info).unwrap();
        jobs.register(&job, dir.path()).unwrap();
    }
    // What `register` makes before it gives it its name.
    point(&jobs.dir_of("latest.new-7"), Path::new("j9")).unwrap();
    let found: Vec<String> = jobs.list().into_iter().map(|job| job.info.job).collect();
    assert_eq!(found, ["j9", "j8", "j7"]);
}
