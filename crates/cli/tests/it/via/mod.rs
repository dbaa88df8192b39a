//! Ranks that several processes run, and a driver that is another.

mod broker;
mod failures;
mod folded;
mod launchers;
mod stored;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Place, Running, json, report, wait_until};

/// A job of four tasks with a rank each, and where they meet their driver.
struct Job {
    place: Place,
    url: String,
}

impl Job {
    fn new() -> Self {
        let place = Place::new();
        let url = format!("unix:{}", place.path("sock").display());
        Self { place, url }
    }

    /// Attaches a driver, and waits until it can be met.
    fn attach(&self, options: &[&str]) -> Running {
        let driver = self.start_attach(options);
        wait_until("the driver listens", || self.place.control("j").exists());
        driver
    }

    fn start_attach(&self, options: &[&str]) -> Running {
        let words = ["attach", "--via", &self.url, "--job", "j"];
        self.place.start(&[&words, options].concat())
    }

    fn task(&self, rank: u32, options: &[&str], command: &[&str]) -> Running {
        let rank = rank.to_string();
        let words = ["run", "--via", &self.url, "--job", "j", "--world-size", "4", "--rank", &rank];
        self.place.start(&[&words, options, &["--"], command].concat())
    }

    fn tasks(&self, script: &str) -> Vec<Running> {
        (0..4).map(|rank| self.task(rank, &[], &["sh", "-c", script])).collect()
    }

    fn dir(&self) -> PathBuf {
        self.place.job("j")
    }

    /// A file that scripts wait for.
    fn open(&self, gate: &str) {
        fs::write(self.place.path(gate), "").unwrap();
    }

    fn wait_for(&self, file: &str) {
        wait_until(file, || self.place.path(file).exists());
    }
}

/// Says so many numbered lines, its rank first; then waits for the gate, and says as many again.
fn halves(lines: u32) -> String {
    format!(
        "seq -f \"$RANK line %.0f\" 1 {lines}; touch half$RANK
         while ! [ -e gate ]; do sleep 0.02; done; seq -f \"$RANK line %.0f\" {} {}",
        lines + 1,
        2 * lines
    )
}

/// Every line of four ranks, with its prefix.
fn lines(from: u32, to: u32) -> BTreeSet<String> {
    let of = |rank: u32| (from..=to).map(move |line| format!("[{rank}] {rank} line {line}"));
    (0..4).flat_map(of).collect()
}

/// Fails unless the lines are these, each once, and in order in each rank.
#[track_caller]
fn check_lines(out: &str, wanted: &BTreeSet<String>) {
    let found: Vec<String> = out.lines().map(str::to_owned).collect();
    let set: BTreeSet<String> = found.iter().cloned().collect();
    assert_eq!(&set, wanted);
    assert_eq!(found.len(), set.len(), "a line comes once");
    for rank in 0..4 {
        let numbers = found.iter().filter_map(|line| line.strip_prefix(&format!("[{rank}] ")));
        let numbers = numbers.filter_map(|line| line.rsplit(' ').next()?.parse::<u32>().ok());
        assert!(numbers.is_sorted(), "rank {rank} in order");
    }
}

#[track_caller]
fn all_end_with(tasks: Vec<Running>, code: i32) {
    for task in tasks {
        let done = task.wait().expect(code);
        assert!(done.stdout.is_empty(), "{}", done.out());
    }
}

/// Fails unless one host was refused with such words, as the driver's last words and its report say.
#[track_caller]
fn check_refused(job: &Job, err: &str, why: &str) {
    let report = report(&job.dir());
    let refused = report["refused"].as_array().unwrap();
    let told = refused[0]["why"].as_str().unwrap();
    assert!(refused.len() == 1 && told.contains(why), "{refused:?}");
    let told = format!("lastline: a host was refused, and is no part of this: {told}\n");
    assert!(err.contains(&told), "{err}");
}

#[test]
fn a_driver_that_is_there_first_shows_the_job_as_if_it_were_here() {
    let job = Job::new();
    let driver = job.attach(&[]);
    job.open("gate");
    all_end_with(job.tasks(&halves(50)), 0);
    let done = driver.wait().expect(0);
    check_lines(&done.out(), &lines(1, 100));
    assert!(done.err().contains("4 ranks, 400 lines"), "{}", done.err());
    let report = report(&job.dir());
    assert_eq!((&report["world_size"], report["ranks"].as_array().unwrap().len()), (&4.into(), 4));
    // What was left is gone.
    assert!(!job.place.path("sock").exists() && !job.place.control("j").exists());
}

#[test]
fn ranks_that_end_at_once_fold_as_they_do_in_one_process() {
    let job = Job::new();
    let driver = job.attach(&["--fold", "ranks", "--fold-window", "20s"]);
    let wait = "touch half$RANK; while ! [ -e gate ]; do sleep 0.02; done";
    let tasks = job.tasks(&format!("{wait}; echo ready; echo loss 0.5$RANK"));
    (0..4).for_each(|rank| job.wait_for(&format!("half{rank}")));
    job.open("gate");
    all_end_with(tasks, 0);
    assert_eq!(driver.wait().expect(0).out(), "[0-3] ready\n[0-3] loss {0.50..0.53}\n");
}

#[test]
fn a_driver_that_comes_last_shows_everything() {
    let job = Job::new();
    let tasks = job.tasks(&halves(2_000));
    (0..4).for_each(|rank| job.wait_for(&format!("half{rank}")));
    let driver = job.attach(&[]);
    driver.line();
    job.open("gate");
    all_end_with(tasks, 0);
    check_lines(&driver.wait().expect(0).out(), &lines(1, 4_000));
    report(&job.dir());
}

#[test]
fn a_driver_that_comes_when_all_ranks_are_over_shows_them_still() {
    let job = Job::new();
    job.open("gate");
    let tasks = job.tasks(&halves(10));
    for rank in 0..4 {
        let file = job.dir().join(format!("node-{rank}/rank-{rank}.stdout.log"));
        wait_until("all is filed", || fs::read(&file).is_ok_and(|text| text.ends_with(b" 20\n")));
    }
    let driver = job.attach(&[]);
    all_end_with(tasks, 0);
    check_lines(&driver.wait().expect(0).out(), &lines(1, 20));
}

#[test]
fn a_driver_that_is_killed_is_followed_by_one_that_goes_on() {
    let job = Job::new();
    let first = job.attach(&[]);
    let tasks = job.tasks(&halves(5_000));
    let mut seen: BTreeSet<String> = (0..1_000).map(|_| first.line()).collect();
    first.signal(Signal::KILL);
    seen.extend(first.wait().out().lines().map(str::to_owned));
    (0..4).for_each(|rank| job.wait_for(&format!("half{rank}")));
    let second = job.attach(&["--from", "last-seen"]);
    second.line();
    job.open("gate");
    all_end_with(tasks, 0);
    let done = second.wait().expect(0);
    let again: BTreeSet<String> = done.out().lines().map(str::to_owned).collect();
    let missing = lines(1, 10_000).difference(&seen).filter(|line| !again.contains(*line)).count();
    assert_eq!(missing, 0, "of what the first one had not shown");
    // What one write takes at most, and what had not been told as written.
    let twice = again.intersection(&seen).count();
    assert!(twice < 10_000, "{twice} lines were shown twice");
    report(&job.dir());
}

#[test]
fn a_driver_may_want_only_what_comes_now() {
    let job = Job::new();
    let tasks = job.tasks(&halves(100));
    for rank in 0..4 {
        let file = job.dir().join(format!("node-{rank}/rank-{rank}.stdout.log"));
        wait_until("half is filed", || fs::read(&file).is_ok_and(|text| text.ends_with(b" 100\n")));
    }
    let driver = job.attach(&["--from", "now"]);
    let met = |rank: u32| format!("rank {rank}");
    wait_until("all are met", || {
        let asked = job.place.lastline(&["flush", "j"]);
        asked.status.success() && (0..4).all(|rank| !asked.out().contains(&met(rank)))
    });
    job.open("gate");
    all_end_with(tasks, 0);
    let out = driver.wait().expect(0).out();
    assert!(lines(101, 200).is_subset(&out.lines().map(str::to_owned).collect()), "{out}");
    let report = report(&job.dir());
    let withheld = &report["ranks"][0]["streams"]["stdout"]["withheld"]["streaming_off"];
    assert!(withheld.as_u64().unwrap() > 0, "{report:#}");
}

#[test]
fn two_drivers_at_once_are_one_too_many() {
    let job = Job::new();
    let driver = job.attach(&[]);
    let refused = job.start_attach(&[]).wait().expect(2);
    assert!(refused.err().contains("a driver is attached"), "{}", refused.err());
    job.open("gate");
    all_end_with(job.tasks(&halves(5)), 0);
    check_lines(&driver.wait().expect(0).out(), &lines(1, 10));
}

#[test]
fn signals_for_the_program_reach_the_ranks_of_every_host() {
    let job = Job::new();
    let driver = job.attach(&[]);
    let tasks = job.tasks("trap 'exit 0' USR1; echo ready; while :; do sleep 0.05; done");
    (0..4).for_each(|_| drop(driver.line_with("ready")));
    driver.signal(Signal::USR1);
    all_end_with(tasks, 0);
    driver.wait().expect(0);
}

#[test]
fn a_flood_arrives_whole() {
    let job = Job::new();
    let driver = job.attach(&[]);
    let tasks: Vec<Running> =
        (0..4).map(|rank| job.task(rank, &[], &["seq", "1", "300000"])).collect();
    all_end_with(tasks, 0);
    let done = driver.wait().expect(0);
    let wanted: Vec<u8> = (1..=300_000).flat_map(|n| format!("{n}\n").into_bytes()).collect();
    for rank in 0..4 {
        assert!(done.of_rank(rank) == wanted, "rank {rank}");
    }
    report(&job.dir());
}

#[test]
fn a_driver_of_another_job_changes_nothing() {
    let job = Job::new();
    let tasks = job.tasks(&halves(3));
    (0..4).for_each(|rank| job.wait_for(&format!("half{rank}")));
    let mistyped = job.place.start(&["attach", "--via", &job.url, "--job", "jj"]);
    let said = mistyped.err_line_with("is of job j");
    assert!(said.contains("this driver is for job jj"), "{said}");
    mistyped.signal(Signal::INT);
    let done = mistyped.wait().expect(130);
    assert_eq!(done.out(), "");
    assert!(!job.place.job("jj").exists(), "it leaves no job behind");
    let driver = job.attach(&[]);
    driver.line();
    job.open("gate");
    let told: String = tasks.into_iter().map(|task| task.wait().expect(0).err()).collect();
    assert!(told.contains("is of job `jj`, and this is job `j`"), "{told}");
    driver.wait().expect(0);
    report(&job.dir());
}

#[test]
fn a_task_that_cannot_start_its_command_tells_the_driver() {
    for (options, command, code, why) in [
        (&[][..], "no-such-program", 127, "command not found: no-such-program"),
        (&["--workdir", "/no/such"], "true", 126, "cannot enter the directory /no/such"),
    ] {
        let job = Job::new();
        let driver = job.attach(&[]);
        let others: Vec<Running> =
            (1..4).map(|rank| job.task(rank, &[], &["sleep", "600"])).collect();
        let told = job.task(0, options, &[command]).wait().expect(code).err();
        assert!(told.contains(why), "{told}");
        others.into_iter().for_each(|task| drop(task.wait().expect(1)));
        let told = driver.wait().expect(code).err();
        assert!(told.contains("rank 0 failed first") && told.contains(why), "{told}");
        assert_eq!(report(&job.dir())["first_failure"]["code"], code);
    }
}

#[test]
fn a_second_task_of_a_rank_is_refused() {
    let job = Job::new();
    let driver = job.attach(&[]);
    let tasks = job.tasks(&halves(3));
    (0..4).for_each(|rank| job.wait_for(&format!("half{rank}")));
    let other = job.place.path("other");
    let again =
        job.task(2, &["--log-dir", other.to_str().unwrap()], &["sh", "-c", "echo mine; sleep 60"]);
    let refused = again.wait().expect(2);
    assert!(refused.err().contains("lastline: refused: "), "{}", refused.err());
    job.open("gate");
    all_end_with(tasks, 0);
    let done = driver.wait().expect(0);
    check_lines(&done.out(), &lines(1, 6));
    check_refused(&job, &done.err(), "rank 2 runs on ");
}

#[test]
fn worlds_that_differ_are_not_mixed() {
    let job = Job::new();
    let driver = job.attach(&[]);
    let tasks = job.tasks(&halves(3));
    (0..4).for_each(|rank| job.wait_for(&format!("half{rank}")));
    let other = job.place.path("other");
    let words = ["run", "--via", &job.url, "--job", "j", "--world-size", "9", "--rank", "8"];
    let files = ["--log-dir", other.to_str().unwrap(), "--", "sh", "-c", "echo mine; sleep 60"];
    let refused = job.place.lastline(&[&words[..], &files].concat()).expect(2);
    assert!(refused.err().contains("lastline: refused: "), "{}", refused.err());
    job.open("gate");
    all_end_with(tasks, 0);
    let done = driver.wait().expect(0);
    check_lines(&done.out(), &lines(1, 6));
    check_refused(&job, &done.err(), "the job has 4 ranks in all");
}

#[test]
fn a_job_that_nobody_sees_is_in_its_files() {
    let job = Job::new();
    job.open("gate");
    all_end_with(job.tasks(&halves(20)), 0);
    let logs = job.place.lastline(&["logs", "j"]).expect(0);
    check_lines(&logs.out(), &lines(1, 40));
    let jobs = job.place.lastline(&["jobs"]).expect(0).out();
    let row: Vec<&str> = jobs.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!((row[0], row[3], row[4], jobs.lines().count()), ("j", "4", "0", 2), "{jobs}");
    let told = job.place.lastline(&["report", "j"]).expect(0);
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    crate::support::check(&told);
    assert_eq!((&told["world_size"], told["ranks"].as_array().unwrap().len()), (&4.into(), 4));
    assert_eq!(json(&job.dir().join("report.node-3.json"))["ranks"][0]["rank"], 3);
    assert_eq!(job.place.lastline(&["prune", "--keep", "0"]).expect(0).out(), "j\n");
    assert!(!job.dir().exists());
}

#[test]
fn a_job_is_flushed_and_stopped_from_elsewhere() {
    let job = Job::new();
    let unmet = job.place.lastline(&["stop", "--via", &job.url, "j"]).expect(1);
    assert!(unmet.err().contains("lastline attach"), "{}", unmet.err());
    let driver = job.attach(&[]);
    let tasks = job.tasks("echo up; exec sleep 60");
    (0..4).for_each(|_| drop(driver.line()));
    let flushed = job.place.lastline(&["flush", "--via", &job.url, "j"]).expect(0);
    assert_eq!(flushed.out(), "reached\n");
    job.place.lastline(&["stop", "--via", &job.url, "j"]).expect(0);
    let done = driver.wait().expect(143);
    assert!(done.err().contains("stopped by"), "{}", done.err());
    tasks.into_iter().for_each(|task| drop(task.wait()));
    let report = report(&job.dir());
    assert_eq!(report["ranks"][3]["stopped_by_lastline"], true);
}

#[test]
fn a_local_job_is_stopped_by_its_id() {
    let place = Place::new();
    let job = place.start(&["run", "--job", "j", "--", "sh", "-c", "echo up; exec sleep 60"]);
    assert_eq!(job.line(), "up");
    place.lastline(&["stop", "--signal", "INT", "j"]).expect(0);
    job.wait().expect(130);
    let over = place.lastline(&["stop", "j"]).expect(1);
    assert!(over.err().contains("it is over"), "{}", over.err());
}

#[test]
fn a_place_to_meet_needs_a_job() {
    let job = Job::new();
    let refused = job.place.lastline(&["run", "--via", &job.url, "true"]).expect(2);
    assert!(refused.err().contains("--job"), "{}", refused.err());
    let refused = job.place.lastline(&["run", "--rank", "1", "true"]).expect(2);
    assert!(refused.err().contains("--via"), "{}", refused.err());
}

#[test]
fn a_job_whose_files_are_elsewhere_is_found_where_its_driver_is() {
    let (job, here) = (Job::new(), Place::new());
    let driver = here.start(&["attach", "--via", &job.url, "--job", "j"]);
    let tasks = job.tasks(&halves(3));
    (0..4).for_each(|rank| job.wait_for(&format!("half{rank}")));
    let on_list = || {
        let jobs = here.lastline(&["jobs"]).expect(0).out();
        jobs.lines().any(|row| row.starts_with("j ") && row.contains(" 4  running"))
    };
    wait_until("it is on the list, with its ranks", on_list);
    for (words, said) in [
        (&["report", "j"][..], "the job still runs"),
        (&["top", "j"], "needs a terminal"),
        (&["logs", "j"], "the job's files of ranks 0-3 are not here, but on its hosts\n"),
    ] {
        let done = here.lastline(words).expect(1);
        assert!(done.err().contains(said), "{words:?}: {}", done.err());
    }
    let page = here.start(&["serve", "j"]);
    assert!(page.line().starts_with("http://"));
    page.signal(Signal::TERM);
    drop(page.wait());
    job.open("gate");
    all_end_with(tasks, 0);
    let done = driver.wait().expect(0);
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let end = format!("nothing lost; logs on its host {host}\n");
    assert!(done.err().ends_with(&end), "{}", done.err());
    let logs = here.lastline(&["logs", "j", "--rank", "2"]).expect(1);
    let said = format!("the job's files of rank 2 are not here, but on its host {host}\n");
    assert!(logs.err().ends_with(&said) && logs.out().is_empty(), "{}", logs.err());
    assert_eq!(job.place.lastline(&["logs", "j"]).expect(0).out().lines().count(), 24);
}
