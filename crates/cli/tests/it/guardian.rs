//! Lastline itself is killed.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{Place, file, runs, wait_until};

#[test]
fn when_lastline_is_killed_ranks_and_their_children_end_and_the_files_stay_readable() {
    let place = Place::new();
    let options = ["-n", "2", "--job", "j", "--grace", "500ms"];
    let mut run = place.start_ranks(&options, &["hold-stubborn"]);
    let mut pids: Vec<u32> = Vec::new();
    while pids.len() < 2 {
        let line = run.line_with("left");
        pids.push(line.rsplit_once(' ').unwrap().1.parse().unwrap());
    }
    let ranks: Vec<u32> = pids.iter().map(|pid| parent_of(*pid)).collect();
    pids.extend(ranks);
    wait_until("it is filed", || {
        (0..2).all(|rank| file(&place.job("j"), rank, "stdout").ends_with(b"\n"))
    });
    let followed = place.start(&["logs", "j", "--follow"]);
    followed.line_with("left");
    let killed = Instant::now();
    run.signal(Signal::KILL);
    run.wait_exit();
    wait_until("the ranks are gone", || pids.iter().all(|pid| !runs(*pid)));
    assert!(killed.elapsed() < Duration::from_secs(5), "{:?}", killed.elapsed());

    let jobs = place.lastline(&["jobs"]).expect(0).out();
    assert!(jobs.lines().any(|line| line.starts_with("j ") && line.contains("broken")), "{jobs}");
    let logs = place.lastline(&["logs", "j"]).expect(0);
    assert_eq!(logs.sorted().len(), 2, "{}", logs.out());
    assert!(logs.out().contains("[1] left "), "{}", logs.out());
    assert!(logs.err().contains("ended before this job was over"), "{}", logs.err());
    let followed = followed.wait().expect(0);
    assert!(followed.err().contains("ended before this job was over"), "{}", followed.err());
    let flush = place.lastline(&["flush", "j"]).expect(1);
    assert!(flush.err().contains("no running job"), "{}", flush.err());
    // The place of a broken job is not given to another by mistake.
    let again = place.lastline(&["run", "--job", "j", "--", "true"]).expect(2);
    assert!(again.err().contains("finished job"), "{}", again.err());
    place.lastline(&["run", "--job", "j", "--overwrite", "--", "true"]).expect(0);
}

fn parent_of(pid: u32) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields = stat.rsplit_once(") ").unwrap().1;
    fields.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn that_the_guardian_is_gone_is_said_once() {
    let place = Place::new();
    let (gate, path) = place.gate();
    let run = place.start_ranks(&["-n", "20", "--job", "j"], &["gate", &path]);
    (0..20).for_each(|_| drop(run.line_with("ready")));
    let name = |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let guardian = run.children().into_iter().find(|pid| name(pid) == "lastline-guard\n").unwrap();
    let pid = rustix::process::Pid::from_raw(i32::try_from(guardian).unwrap()).unwrap();
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
    wait_until("the guardian is gone", || !runs(guardian));
    drop(gate);
    let done = run.wait().expect(0);
    assert_eq!(done.err().matches("the guardian is gone").count(), 1, "{}", done.err());
}
