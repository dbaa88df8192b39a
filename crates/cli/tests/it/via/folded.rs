//! Hosts that fold before they send: the driver gets every line, and what carries them gets less.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::broker::job;
use super::{Job, all_end_with, check_lines, halves};
use crate::support::{Running, report, wait_until};

/// The ranks of each of the two hosts.
const RANKS: u32 = 4;

/// Ranks that say numbered lines of more than 100 bytes, in two halves.
fn script(lines: u32) -> String {
    halves(lines).replace("line", &"x".repeat(100))
}

/// Every line of both hosts' ranks, with its prefix.
fn wanted(lines: u32) -> BTreeSet<String> {
    let text = "x".repeat(100);
    let of = |rank| {
        let text = &text;
        (1..=lines).map(move |line| format!("[{rank}] {rank} {text} {line}"))
    };
    (0..2 * RANKS).flat_map(of).collect()
}

fn hosts(job: &Job, script: &str) -> Vec<Running> {
    let host = |node: &str| {
        let ranks = RANKS.to_string();
        let place = ["--nnodes", "2", "--node-rank", node, "-n", &ranks, "--pre-fold"];
        let words = ["run", "--via", &job.url, "--job", "j"];
        job.place.start(&[&words[..], &place, &["--", "sh", "-c", script]].concat())
    };
    vec![host("0"), host("1")]
}

fn all_have_said_half(job: &Job) {
    (0..2 * RANKS).for_each(|rank| job.wait_for(&format!("half{rank}")));
}

/// How many bytes the files below a directory have.
fn size(dir: &Path) -> u64 {
    let below = fs::read_dir(dir).unwrap().map(Result::unwrap);
    below
        .map(|entry| match entry.metadata().unwrap() {
            found if found.is_dir() => size(&entry.path()),
            found => found.len(),
        })
        .sum()
}

#[test]
fn what_is_folded_takes_less_of_a_broker_and_arrives_whole() {
    let Some((job, mut broker)) = job() else { return };
    let driver = job.start_attach(&[]);
    let hosts = hosts(&job, &script(2_000));
    all_have_said_half(&job);
    driver.line();
    broker.kill();
    job.open("gate");
    for rank in 0..2 * RANKS {
        let node = rank / RANKS * RANKS;
        let file = job.dir().join(format!("node-{node}/rank-{rank}.stdout.log"));
        let goes_on = || fs::read(&file).is_ok_and(|text| text.ends_with(b" 4000\n"));
        wait_until("ranks go on meanwhile", goes_on);
    }
    broker.up(&job.place);
    all_end_with(hosts, 0);
    let wanted = wanted(4_000);
    check_lines(&driver.wait().expect(0).out(), &wanted);
    let written: usize = wanted.iter().map(|line| line.len() - "[0] ".len() + 1).sum();
    let stored = size(&job.place.path("broker"));
    assert!(stored < written as u64 / 3, "{stored} bytes are stored of {written}");
    let words = ["logs", "--via", &job.url, "--job", "j", "--rank", "6", "--stream", "stdout"];
    let of_one = job.place.lastline(&words).expect(0).out();
    let of_one: BTreeSet<String> = of_one.lines().map(str::to_owned).collect();
    let wanted: BTreeSet<String> =
        wanted.into_iter().filter(|line| line.starts_with("[6] ")).collect();
    assert!(of_one == wanted, "{} lines", of_one.len());
    report(&job.dir());
}

#[test]
fn what_is_folded_is_folded_with_what_other_hosts_say() {
    let Some((job, _broker)) = job() else { return };
    let options = ["--fold", "ranks", "--fold-window", "20s"];
    let driver = job.start_attach(&options);
    let wait = "touch half$RANK; while ! [ -e gate ]; do sleep 0.02; done;";
    let said = "echo ready; echo rank $RANK of 8; echo step 7 loss 0.5$RANK";
    let hosts = hosts(&job, &format!("{wait} {said}"));
    all_have_said_half(&job);
    job.open("gate");
    all_end_with(hosts, 0);
    let shown = driver.wait().expect(0).out();
    let wanted = ["[0-7] ready", "[0-7] rank {0..7} of 8", "[0-7] step 7 loss {0.50..0.57}"];
    assert_eq!(shown.lines().collect::<Vec<_>>(), wanted);
}

#[test]
fn a_flush_does_not_wait_until_enough_is_gathered() {
    let Some((job, _broker)) = job() else { return };
    let driver = job.start_attach(&[]);
    let hosts = hosts(&job, "echo up; exec sleep 60");
    (0..2 * RANKS).for_each(|_| drop(driver.line()));
    let flushed = job.place.lastline(&["flush", "--via", &job.url, "j"]).expect(0);
    assert_eq!(flushed.out(), "reached\n");
    job.place.lastline(&["stop", "--via", &job.url, "j"]).expect(0);
    hosts.into_iter().for_each(|host| drop(host.wait()));
    driver.wait();
    report(&job.dir());
}

#[test]
fn a_socket_carries_what_is_folded_and_a_late_driver_gets_it() {
    let job = Job::new();
    let hosts = hosts(&job, &script(500));
    all_have_said_half(&job);
    let driver = job.attach(&[]);
    driver.line();
    job.open("gate");
    all_end_with(hosts, 0);
    check_lines(&driver.wait().expect(0).out(), &wanted(1_000));
    report(&job.dir());
}

#[test]
fn there_is_nothing_to_fold_before_without_a_way() {
    let job = Job::new();
    let refused = job.place.lastline(&["run", "--pre-fold", "--", "true"]).expect(2);
    assert!(refused.err().contains("--via"), "{}", refused.err());
}
