//! Ranks that fail where several processes started them.

use lastline_line::RankSet;
use rustix::process::Signal;

use super::{Job, all_end_with, check_lines, halves, lines};
use crate::support::{Running, report, runs, wait_until};

#[test]
fn the_first_failure_ends_the_other_tasks_and_is_told() {
    let job = Job::new();
    let driver = job.attach(&[]);
    let script = "if [ $RANK = 2 ]; then echo boom >&2; exit 7; fi; exec sleep 60";
    let tasks = job.tasks(script);
    let done = driver.wait().expect(7);
    assert!(done.err().contains("rank 2 failed first: exit code 7"), "{}", done.err());
    assert!(done.err().contains("boom"), "{}", done.err());
    let codes: Vec<i32> = tasks.into_iter().map(|task| task.wait().code()).collect();
    assert_eq!(codes[2], 7);
    let report = report(&job.dir());
    assert_eq!(report["first_failure"]["rank"], 2);
    assert_eq!(report["ranks"][0]["stopped_by_lastline"], true);
}

#[test]
fn tasks_that_come_after_the_first_failure_are_stopped_too() {
    let job = Job::new();
    let driver = job.attach(&[]);
    let failed = job.task(2, &[], &["sh", "-c", "echo boom >&2; exit 7"]);
    let script = "echo up; exec sleep 60";
    let late = [0, 1, 3].map(|rank| job.task(rank, &[], &["sh", "-c", script]));
    let done = driver.wait().expect(7);
    // Whether one had begun by then is chance.
    let err = done.err();
    let told = err.lines().filter_map(|line| line.strip_prefix("lastline: rank"));
    let told = told.filter(|line| line.ends_with(" by lastline") || line.ends_with(" not started"));
    let ranks =
        |line: &str| line.trim_start_matches('s').split_whitespace().next().map(String::from);
    let told: Vec<u32> = told
        .flat_map(|line| {
            ranks(line).unwrap().parse::<RankSet>().unwrap().iter().collect::<Vec<_>>()
        })
        .collect();
    let told = RankSet::from_iter(told);
    assert_eq!(told.to_string(), "0,1,3", "{err}");
    failed.wait().expect(7);
    // Who starts them must not take them for done.
    all_end_with(late.into(), 1);
    assert_eq!(report(&job.dir())["ranks"].as_array().unwrap().len(), 4);
}

#[test]
fn a_task_that_is_killed_is_told_as_lost() {
    let job = Job::new();
    let driver = job.attach(&[]);
    let mut tasks = job.tasks("echo $RANK $$; exec sleep 60");
    let lines: Vec<String> = (0..4).map(|_| driver.line()).collect();
    let killed = tasks.remove(1);
    let line = lines.iter().find_map(|line| line.strip_prefix("[1] 1 ")).unwrap();
    let rank: u32 = line.parse().unwrap();
    killed.signal(Signal::KILL);
    drop(killed);
    let done = driver.wait().expect(1);
    assert!(done.err().contains("was lost"), "{}", done.err());
    let words = "nothing lost of what came here, ";
    let (_, sums) = done.err().split_once(words).map(|(a, b)| (a.len(), b.to_owned())).unwrap();
    assert!(sums.contains("B of which it is not known here whether they are filed"), "{sums}");
    assert!(!sums.contains("NOT FILED"), "{sums}");
    wait_until("its rank is gone, too", || !runs(rank));
    tasks.into_iter().for_each(|task| drop(task.wait()));
    let report = report(&job.dir());
    assert!(report["ranks"][1]["error"].is_string(), "{report:#}");
    // Its own count of them went with it.
    assert_eq!(report["ranks"][1]["streams"]["stdout"]["read_lines"], 1, "{report:#}");
}

#[test]
fn whether_a_failure_stops_all_is_for_the_tasks_to_say_unless_the_driver_does() {
    for (of_tasks, of_driver) in
        [(&["--on-failure", "continue"][..], &[][..]), (&[], &["--on-failure", "continue"])]
    {
        let job = Job::new();
        let driver = job.attach(of_driver);
        let failing = job.task(0, of_tasks, &["sh", "-c", "exit 3"]);
        let task = |rank| job.task(rank, of_tasks, &["sh", "-c", &halves(3)]);
        let others: Vec<Running> = (1..4).map(task).collect();
        (1..4).for_each(|rank| job.wait_for(&format!("half{rank}")));
        failing.wait().expect(3);
        // The driver has heard of that.
        job.place.lastline(&["flush", "j"]).expect(0);
        job.open("gate");
        all_end_with(others, 0);
        let wanted = lines(1, 6).into_iter().filter(|line| !line.starts_with("[0]")).collect();
        check_lines(&driver.wait().expect(3).out(), &wanted);
    }
}
