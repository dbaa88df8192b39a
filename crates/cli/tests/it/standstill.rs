//! Processes that are stopped: lastline with its ranks, or a rank alone.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::support::{Place, Running, file, not_run, report, wait_until};

/// A rank that says so when it is told to end, and ends when there is a file `go`.
const ENDS_LATER: &str = "trap 'echo heard' TERM; echo ready $$; \
    until [ -e go ]; do sleep 0.02; done; echo done";

fn group_of(ready: &str) -> Pid {
    let pid: i32 = ready.rsplit_once(' ').unwrap().1.parse().unwrap();
    Pid::from_raw(pid).unwrap()
}

/// Lets time pass in which nothing happens: here that is what is tried.
fn pass(time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        std::thread::park_timeout(until.saturating_duration_since(Instant::now()));
    }
}

#[test]
fn time_in_which_lastline_was_stopped_with_its_ranks_is_not_of_their_grace() {
    let place = Place::new();
    let args = ["run", "--job", "j", "--grace", "2s", "--", "sh", "-c", ENDS_LATER];
    let run = place.start(&args);
    let group = group_of(&run.line_with("ready"));
    run.signal(Signal::TERM);
    run.line_with("heard");
    run.signal(Signal::STOP);
    wait_until("lastline stands", || run.stands());
    rustix::process::kill_process_group(group, Signal::STOP).unwrap();
    pass(Duration::from_millis(2500));
    run.signal(Signal::CONT);
    wait_until("lastline goes on", || !run.stands());
    // It acts on what it takes for over before the rank goes on; which it may have told to do so just now.
    pass(Duration::from_millis(200));
    fs::write(place.path("go"), "").unwrap();
    rustix::process::kill_process_group(group, Signal::CONT).unwrap();
    let done = run.wait();
    let report = report(&place.job("j"));
    assert_eq!(report["ranks"][0]["code"], 0, "{report:#}\n{}", done.err());
}

#[test]
fn a_rank_that_stands_is_told_to_go_on_when_it_is_told_to_end() {
    let place = Place::new();
    let options = ["run", "-n", "2", "--job", "j", "--grace", "1h", "--teardown-timeout", "2h"];
    let script = "echo ready $$; exec sleep 600";
    let run = place.start(&[&options[..], &["--", "sh", "-c", script]].concat());
    let groups = [group_of(&run.line_with("ready")), group_of(&run.line_with("ready"))];
    for group in groups {
        rustix::process::kill_process_group(group, Signal::STOP).unwrap();
        wait_until("it stands", || state(group) == Some('T'));
    }
    run.signal(Signal::TERM);
    let done = run.wait().expect(143);
    assert!(done.took < Duration::from_secs(30), "{:?}", done.took);
    assert_eq!(report(&place.job("j"))["ranks"][1]["signal"], 15);
}

fn state(pid: Pid) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

#[test]
fn what_a_standing_rank_leaves_in_its_group_is_told_to_go_on_too() {
    let place = Place::new();
    let options = ["run", "--job", "j", "--drain", "50ms", "--grace", "1h"];
    let script = "sh -c 'kill -STOP $$; exec sleep 600' & echo left $!; \
        until grep -q '^State:.T' /proc/$!/status; do sleep 0.02; done";
    let long = ["--teardown-timeout", "2h", "--", "sh", "-c", script];
    let done = place.start(&[&options[..], &long].concat()).wait().expect(0);
    assert!(done.took < Duration::from_secs(30), "{:?}", done.took);
}

/// A terminal: its master, and its other end.
fn terminal() -> (OwnedFd, OwnedFd) {
    use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags).unwrap();
    unlockpt(&master).unwrap();
    let slave = ioctl_tiocgptpeer(&master, flags).unwrap();
    (master, slave)
}

#[test]
fn a_rank_that_reads_the_terminal_and_one_that_somebody_stopped_are_told_of_once() {
    let place = Place::new();
    if !place.has("setsid") {
        not_run("a terminal takes setsid", &io::Error::other("not there"));
        return;
    }
    let (_master, slave) = terminal();
    let script = "echo ready $$; [ $RANK = 0 ] || exec sleep 600; read line </dev/tty";
    let options = ["run", "-n", "2", "--job", "j", "--grace", "1h", "--teardown-timeout", "2h"];
    let in_terminal = ["--ctty", "--wait", env!("CARGO_BIN_EXE_lastline")];
    let args = [&in_terminal[..], &options, &["--", "sh", "-c", script]].concat();
    let mut command = place.wrap("setsid", &args);
    command.stdin(slave);
    let run = Running::start(command);
    let mut groups = [None; 2];
    for _ in 0..2 {
        let line = run.line_with("ready");
        groups[usize::from(line.starts_with("[1]"))] = Some(group_of(&line));
    }
    let [reads, stopped] = groups.map(Option::unwrap);
    wait_until("it stands", || state(reads) == Some('T'));
    rustix::process::kill_process(stopped, Signal::STOP).unwrap();
    wait_until("the other one stands", || state(stopped) == Some('T'));
    let lastline = run.children()[0];
    // Stopped again it is not told of again.
    rustix::process::kill_process(stopped, Signal::CONT).unwrap();
    wait_until("it goes on", || state(stopped) != Some('T'));
    rustix::process::kill_process(stopped, Signal::STOP).unwrap();
    // Notes are gathered for a moment.
    pass(Duration::from_millis(500));
    let lastline = Pid::from_raw(i32::try_from(lastline).unwrap()).unwrap();
    rustix::process::kill_process(lastline, Signal::TERM).unwrap();
    let done = run.wait().expect(143);
    let said = |what: &str| done.err().matches(what).count();
    assert_eq!(said("rank 0 stands still, stopped by SIGTTIN: it reads"), 1, "{}", done.err());
    assert_eq!(said("rank 1 stands still, stopped by SIGSTOP"), 1, "{}", done.err());
    assert!(done.took < Duration::from_secs(30), "{:?}", done.took);
}

#[test]
fn time_in_which_lastline_was_stopped_is_not_of_a_barriers_deadline() {
    let place = Place::new();
    let script = "yes 0123456789 | head -c 500000; exec sleep 600";
    let options = ["run", "--job", "j", "--flush-timeout", "3s", "--grace", "0s"];
    let mut command = place.command(&[&options[..], &["--", "sh", "-c", script]].concat());
    let (mut console, writer) = io::pipe().unwrap();
    command.stdout(writer);
    let run = Running::start(command);
    wait_until("all is filed", || file(&place.job("j"), 0, "stdout").len() == 500_000);
    // It waits for the console.
    let flush = place.start(&["flush", "j"]);
    pass(Duration::from_millis(300));
    run.signal(Signal::STOP);
    wait_until("lastline stands", || run.stands());
    pass(Duration::from_millis(3300));
    run.signal(Signal::CONT);
    wait_until("lastline goes on", || !run.stands());
    std::thread::spawn(move || io::copy(&mut console, &mut io::sink()));
    assert_eq!(flush.wait().expect(0).out(), "reached\n");
    run.signal(Signal::TERM);
    run.wait();
}
