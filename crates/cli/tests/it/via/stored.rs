//! `logs` of what a broker has, on machines that have nothing of the job.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::broker::{Broker, job};
use super::{Job, all_end_with, check_lines, halves, lines};
use crate::support::{Done, PATIENCE, Place, Running, report, wait_until};

/// A machine that has nothing of the job, and where its broker is.
struct Elsewhere {
    place: Place,
    url: String,
}

impl Elsewhere {
    fn of(job: &Job) -> Self {
        Self { place: Place::new(), url: job.url.clone() }
    }

    fn start(&self, options: &[&str]) -> Running {
        let words = ["logs", "--via", &self.url, "--job", "j"];
        self.place.start(&[&words, options].concat())
    }

    fn logs(&self, options: &[&str]) -> Done {
        self.start(options).wait()
    }

    /// What is printed, without a word beside it.
    fn out(&self, options: &[&str]) -> String {
        let done = self.logs(options).expect(0);
        assert_eq!(done.err(), "");
        done.out()
    }

    /// Waits until the broker has so many lines.
    fn wait_for_lines(&self, count: usize) {
        wait_until("the broker has all", || self.logs(&[]).out().lines().count() == count);
    }
}

/// A job of four ranks that is over, each with so many lines twice.
fn job_that_is_over(half: u32) -> Option<(Job, Broker)> {
    let (job, broker) = job()?;
    job.open("gate");
    all_end_with(job.tasks(&halves(half)), 0);
    Some((job, broker))
}

#[test]
fn a_job_that_is_over_is_printed_where_none_of_its_files_are() {
    let Some((job, _broker)) = job_that_is_over(50) else { return };
    let elsewhere = Elsewhere::of(&job);
    let all = elsewhere.out(&[]);
    check_lines(&all, &lines(1, 100));
    assert_eq!(elsewhere.out(&["--follow"]), all);
    let of = |wanted: &[&str]| -> String {
        let of_ranks = |line: &&str| wanted.iter().any(|rank| line.starts_with(rank));
        all.split_inclusive('\n').filter(of_ranks).collect()
    };
    for (ranks, wanted) in [("2", &["[2]"][..]), ("1-2", &["[1]", "[2]"])] {
        assert_eq!(elsewhere.out(&["--rank", ranks]), of(wanted));
        assert_eq!(elsewhere.out(&["--rank", ranks, "--follow"]), of(wanted));
    }
    assert_eq!(elsewhere.out(&["--stream", "stdout", "--rank", "3"]), of(&["[3]"]));
    assert_eq!(elsewhere.out(&["--stream", "stderr"]), "");
    let line = elsewhere.out(&["--rank", "0", "--tail", "1", "--format", "json"]);
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["rank"], &line["line"]), (&json!(0), &json!("0 line 100")));
    assert!(line["time"].as_str().unwrap().ends_with('Z'), "{line}");
    let folded = elsewhere.out(&["--fold", "ranks"]);
    assert!(folded.contains("[0-3] {0..3} line "), "{folded}");
}

#[test]
fn the_last_lines_are_those_that_all_lines_end_with() {
    let Some((job, _broker)) = job() else { return };
    // Many lines in few messages, and then few in many: more than are looked at first.
    let script = "seq -f \"$RANK line %.0f\" 1 1000
         for i in $(seq 150); do echo \"$RANK more $i\"; sleep 0.005; done";
    all_end_with(job.tasks(script), 0);
    let elsewhere = Elsewhere::of(&job);
    let last = |all: &str, count: usize| -> String {
        let lines: Vec<&str> = all.split_inclusive('\n').collect();
        lines[lines.len().saturating_sub(count)..].concat()
    };
    for options in [&[][..], &["--rank", "3"], &["--rank", "0,2"]] {
        let all = elsewhere.out(options);
        for count in [0, 1, 7, 500, 1_149, 2_301, 100_000] {
            let tail = ["--tail", &count.to_string()];
            let found = elsewhere.out(&[options, &tail].concat());
            assert!(found == last(&all, count), "{options:?} {count}: {found}");
        }
    }
}

#[test]
fn a_job_that_runs_is_printed_up_to_now_or_followed_to_its_end() {
    let Some((job, _broker)) = job() else { return };
    let elsewhere = Elsewhere::of(&job);
    let tasks = job.tasks(&halves(100));
    elsewhere.wait_for_lines(400);
    let followers = [
        elsewhere.start(&["--follow"]),
        elsewhere.start(&["--follow", "--rank", "1", "--tail", "1"]),
        elsewhere.start(&["--follow", "--rank", "0-2"]),
    ];
    assert_eq!(followers[1].line(), "[1] 1 line 100");
    followers.iter().step_by(2).for_each(|follower| drop(follower.line()));
    check_lines(&elsewhere.out(&[]), &lines(1, 100));
    job.open("gate");
    all_end_with(tasks, 0);
    let [all, one, three] = followers.map(|follower| {
        let done = follower.wait().expect(0);
        assert_eq!(done.err(), "");
        done.out()
    });
    let of = |ranks: &[&str], mut lines: BTreeSet<String>| {
        lines.retain(|line| ranks.iter().any(|rank| line.starts_with(rank)));
        lines
    };
    check_lines(&all, &lines(1, 200));
    check_lines(&one, &of(&["[1]"], lines(100, 200)));
    check_lines(&three, &of(&["[0]", "[1]", "[2]"], lines(1, 200)));
}

#[test]
fn who_reads_is_no_part_of_the_job() {
    let Some((job, _broker)) = job() else { return };
    let elsewhere = Elsewhere::of(&job);
    let driver = job.start_attach(&[]);
    let tasks = job.tasks(&halves(100));
    elsewhere.wait_for_lines(400);
    for signal in [Signal::INT, Signal::KILL] {
        let follower = elsewhere.start(&["--follow"]);
        follower.line();
        follower.signal(signal);
        assert_eq!(follower.wait().status.signal(), Some(signal.as_raw()));
    }
    job.open("gate");
    all_end_with(tasks, 0);
    check_lines(&driver.wait().expect(0).out(), &lines(1, 200));
    let report = report(&job.dir());
    let hosts = report["hosts"].as_array().unwrap();
    assert_eq!((hosts.len(), report["refused"].as_array().map_or(0, Vec::len)), (4, 0));
    assert_eq!(report["ranks"][0]["stopped_by_lastline"], false);
}

#[test]
fn a_job_that_a_broker_does_not_know_is_not_made_there() {
    let Some((job, _broker)) = job() else { return };
    let elsewhere = Elsewhere::of(&job);
    for _ in 0..2 {
        let done = elsewhere.logs(&[]).expect(2);
        assert_eq!((done.out(), done.err().lines().count()), (String::new(), 1));
        assert!(done.err().contains("the broker has no job `j`"), "{}", done.err());
    }
    let logs = |words: &[&str]| {
        let words = [&["logs", "--via", &elsewhere.url], words].concat();
        elsewhere.place.lastline(&words).expect(2).err()
    };
    assert!(logs(&[]).contains("which job of the broker"), "{}", logs(&[]));
    assert!(logs(&["./logs"]).contains("`./logs` is no job id"), "{}", logs(&["./logs"]));
}

#[test]
fn a_rank_that_the_job_has_not_is_named() {
    let Some((job, _broker)) = job_that_is_over(1) else { return };
    let done = Elsewhere::of(&job).logs(&["--rank", "9"]).expect(2);
    assert!(done.err().contains("the job has no rank 9: there are ranks 0 to 3"), "{}", done.err());
}

#[test]
fn a_broker_that_is_not_there_is_an_error_in_time() {
    // Nobody may listen there but root.
    let elsewhere = Elsewhere { place: Place::new(), url: String::from("nats://127.0.0.1:1") };
    let done = elsewhere.logs(&[]).expect(1);
    let said = "cannot connect to the broker at nats://127.0.0.1:1";
    assert!(done.err().contains(said), "{}", done.err());
    assert!(done.took < Duration::from_secs(20), "{:?}", done.took);
}

/// Has the broker do something to the job's stream.
fn ask(broker: &Broker, what: &str, how: &Value) {
    let mut connection = TcpStream::connect(("127.0.0.1", broker.port)).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    let how = how.to_string();
    let asked = format!(
        "CONNECT {{\"verbose\":false}}\r\nSUB answer 1\r\n\
         PUB $JS.API.STREAM.{what}.LASTLINE_j answer {}\r\n{how}\r\n",
        how.len()
    );
    connection.write_all(asked.as_bytes()).unwrap();
    let answer = BufReader::new(connection).lines().map(Result::unwrap);
    let answer = answer.skip_while(|line| !line.starts_with("MSG answer ")).nth(1).unwrap();
    assert!(answer.contains("\"success\":true"), "{answer}");
}

#[test]
fn what_a_broker_does_not_have_any_more_is_told_where_it_is_missing() {
    let Some((job, broker)) = job() else { return };
    let elsewhere = Elsewhere::of(&job);
    let tasks = job.tasks(&halves(100));
    elsewhere.wait_for_lines(400);
    let removed = elsewhere.out(&["--rank", "2", "--prefix", "never"]).len();
    // As a limit of its age would.
    ask(&broker, "PURGE", &json!({ "filter": "lastline.j.log.2.*" }));
    job.open("gate");
    all_end_with(tasks, 0);
    let mut wanted = lines(1, 200);
    wanted.retain(|line| !line.starts_with("[2]"));
    wanted.extend(lines(101, 200).into_iter().filter(|line| line.starts_with("[2]")));
    let done = elsewhere.logs(&[]).expect(0);
    check_lines(&done.out(), &wanted);
    let said = format!(
        "lastline: rank 2 stdout: {removed} bytes are missing here, from byte 0 on: the broker does not \
         have it\n"
    );
    assert_eq!(done.err(), said);
    // Of what is left out nothing is said.
    assert_eq!(elsewhere.out(&["--rank", "2", "--tail", "1"]), "[2] 2 line 200\n");
    assert_eq!(elsewhere.out(&["--rank", "1"]).lines().count(), 200);
}

#[test]
fn a_job_that_goes_from_the_broker_meanwhile_is_not_taken_for_whole() {
    let Some((job, broker)) = job() else { return };
    let elsewhere = Elsewhere::of(&job);
    let _tasks = job.tasks(&halves(100));
    elsewhere.wait_for_lines(400);
    let follower = elsewhere.start(&["--follow"]);
    follower.line();
    ask(&broker, "DELETE", &json!({}));
    let done = follower.wait().expect(1);
    assert!(done.err().contains("the broker has let go of the job"), "{}", done.err());
    check_lines(&done.out(), &lines(1, 100));
}

#[test]
fn who_has_no_files_is_told_that_the_broker_has_the_lines() {
    let Some((job, _broker)) = job_that_is_over(5) else { return };
    let here = Elsewhere::of(&job);
    here.place.lastline(&["attach", "--via", &job.url, "--job", "j"]).expect(0);
    let logs = here.place.lastline(&["logs", "j"]).expect(1);
    let instead =
        format!("; `lastline logs --via {} --job j` prints what the broker has\n", job.url);
    assert!(logs.err().ends_with(&instead), "{}", logs.err());
}
