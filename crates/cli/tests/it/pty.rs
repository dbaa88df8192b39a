//! Ranks that have a terminal.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::content::{RANKS, check_console, kill_after_a_megabyte, run_with};
use crate::support::{Place, Running, check, file, json, rank, report, runs, stream, wait_until};

/// How often a rank with a terminal kills itself after a megabyte.
const KILLS: u32 = 100;

#[test]
fn stdout_and_stderr_are_a_terminal_of_the_ranks_own_session() {
    let place = Place::new();
    let done = place.ranks(&["-n", "2", "--pty", "--no-files"], &["terminals"]).expect(0);
    let said = "[false, true, true] 24x80 true";
    assert_eq!(done.sorted(), [format!("[0] {said}"), format!("[1] {said}")]);
    let done = place.ranks(&["--no-files"], &["terminals"]).expect(0);
    assert_eq!(done.out(), "[false, false, false]  false\n");
}

#[test]
fn the_variable_sets_it_too() {
    let place = Place::new();
    let rank = rank();
    let mut command = place.command(&["run", "--no-files", "--", &rank, "terminals"]);
    command.env("LASTLINE_RUN_PTY", "yes");
    let done = Running::start(command).wait().expect(0);
    assert_eq!(done.out(), "[false, true, true] 24x80 true\n");
}

/// A terminal to start lastline in: its master, and its other end.
pub(crate) fn terminal(ws_row: u16, ws_col: u16) -> (OwnedFd, OwnedFd) {
    use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags).unwrap();
    unlockpt(&master).unwrap();
    let slave = ioctl_tiocgptpeer(&master, flags).unwrap();
    let size = rustix::termios::Winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&slave, size).unwrap();
    (master, slave)
}

#[test]
fn it_is_as_large_as_the_terminal_of_lastline() {
    let place = Place::new();
    let (_master, slave) = terminal(50, 132);
    let rank = rank();
    let mut command = place.command(&["run", "--pty", "--no-files", "--", &rank, "terminals"]);
    command.stderr(slave);
    let done = Running::start(command).wait().expect(0);
    assert_eq!(done.out(), "[false, true, true] 50x132 true\n");
}

#[test]
fn it_becomes_as_large_as_that_becomes() {
    let place = Place::new();
    let (master, slave) = terminal(50, 132);
    let script = "trap 'stty size <&1' WINCH; echo ready; until [ -e go ]; do sleep 0.02; done";
    let mut command = place.command(&["run", "--pty", "--no-files", "--", "sh", "-c", script]);
    command.stderr(slave);
    let run = Running::start(command);
    assert_eq!(run.line(), "ready");
    let size = rustix::termios::Winsize { ws_row: 40, ws_col: 99, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&master, size).unwrap();
    // The kernel tells who leads the foreground; nobody does here.
    run.signal(Signal::WINCH);
    assert_eq!(run.line(), "40 99");
    std::fs::write(place.path("go"), "").unwrap();
    run.wait().expect(0);
}

#[test]
fn both_outputs_are_one_stream_in_the_order_of_writing() {
    let place = Place::new();
    let done = place.ranks(&["--pty", "--log-dir", "logs"], &["both", "5000"]).expect(0);
    let wanted: String = (0..5000).map(|number| format!("{number}\n")).collect();
    assert!(done.out() == wanted, "{}", done.out());
    assert!(file(&place.path("logs"), 0, "stdout") == wanted.as_bytes());
    assert!(!place.path("logs/rank-0.stderr.log").exists());
    let report = report(&place.path("logs"));
    let ledger = stream(&report, 0, "stderr");
    assert_eq!((&ledger["read_bytes"], &ledger["shown_bytes"]), (&0.into(), &0.into()));
    assert_eq!((&ledger["end"], &ledger["leaked_to"]), (&"eof".into(), &serde_json::json!([])));
    assert_eq!(stream(&report, 0, "stdout")["end"], "eof");
}

#[test]
fn any_bytes_are_filed_and_shown_as_they_are() {
    // Newlines, NUL, 0xFF, and every character that a terminal may act on.
    let (place, done) = run_with(&["--pty"], &["bytes", "2", "200000"]);
    check_console(&place, &done, RANKS);
}

#[test]
fn carriage_returns_are_filed_as_they_are() {
    let (place, _done) = run_with(&["--pty"], &["bar", "50"]);
    let filed = file(&place.path("logs"), 1, "stdout");
    assert_eq!(filed.iter().filter(|byte| **byte == b'\r').count(), 52);
}

#[test]
fn floods_are_filed_and_shown_whole() {
    let (place, done) = run_with(&["--pty"], &["flood", "1", "3000000"]);
    check_console(&place, &done, RANKS);
}

#[test]
fn a_partial_last_line_and_one_without_end_are_filed_and_shown() {
    for behaviour in [&["partial"][..], &["no-newline", "500000"], &["long-line", "3000000"]] {
        let (place, done) = run_with(&["--pty"], behaviour);
        check_console(&place, &done, RANKS);
    }
}

#[test]
fn a_rank_that_kills_itself_after_a_megabyte_loses_nothing() {
    kill_after_a_megabyte(KILLS, &["--pty"]);
}

#[test]
fn without_files_it_is_shown_and_balances() {
    let place = Place::new();
    let options = ["-n", "3", "--pty", "--no-files", "--report", "r.json", "--strict"];
    let done = place.ranks(&options, &["flood", "1", "300000"]).expect(0);
    let report = json(&place.path("r.json"));
    check(&report);
    for rank in 0..3 {
        let shown = &stream(&report, rank, "stdout")["shown_bytes"];
        assert_eq!(*shown, done.of_rank(u32::try_from(rank).unwrap()).len());
    }
}

#[test]
fn the_last_lines_of_a_rank_that_fails_come_from_the_terminal() {
    let place = Place::new();
    let script = "echo on stdout; echo on stderr >&2; exit 3";
    let done = place.lastline(&["run", "--pty", "--job", "j", "--", "sh", "-c", script]).expect(3);
    assert_eq!(done.out(), "on stdout\non stderr\n");
    let failure = &report(&place.job("j"))["first_failure"];
    assert_eq!(failure["last_lines"], serde_json::json!(["on stdout", "on stderr"]));
}

#[test]
fn a_program_that_cannot_be_executed_is_told_as_ever() {
    let place = Place::new();
    std::fs::write(place.path("bad"), "#!/\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(place.path("bad"), mode).unwrap();
    let done = place.lastline(&["run", "--pty", "--job", "j", "--", "./bad"]);
    assert_eq!(done.code(), 126, "{}", done.err());
    report(&place.job("j"));
}

#[test]
fn signals_reach_the_ranks_and_the_grace_ends() {
    for (signal, heard, code) in [(Signal::INT, 2, 130), (Signal::TERM, 15, 143)] {
        let place = Place::new();
        let run = place.start_ranks(&["-n", "2", "--job", "j", "--pty"], &["hear-signal"]);
        run.line_with("ready");
        run.line_with("ready");
        run.signal(signal);
        let done = run.wait().expect(code);
        let of = |rank| format!("[{rank}] heard {heard}");
        let lines = done.sorted();
        assert!(lines.contains(&of(0)) && lines.contains(&of(1)), "{lines:?}");
        report(&place.job("j"));
    }
    let place = Place::new();
    let run = place.start_ranks(&["--job", "j", "--pty", "--grace", "300ms"], &["stubborn"]);
    assert_eq!(run.line(), "ready");
    run.signal(Signal::TERM);
    let done = run.wait().expect(143);
    assert_eq!(report(&place.job("j"))["ranks"][0]["signal"], 9);
    assert!(done.took < Duration::from_secs(10), "{:?}", done.took);
}

#[test]
fn when_lastline_is_killed_the_ranks_end() {
    let place = Place::new();
    let mut run =
        place.start_ranks(&["-n", "2", "--pty", "--grace", "300ms", "--job", "j"], &["stubborn"]);
    run.line_with("ready");
    run.line_with("ready");
    let children = run.children();
    let killed = Instant::now();
    run.signal(Signal::KILL);
    run.wait_exit();
    wait_until("the ranks are gone", || children.iter().all(|pid| !runs(*pid)));
    assert!(killed.elapsed() < Duration::from_secs(5), "{:?}", killed.elapsed());
}

#[test]
fn what_a_rank_leaves_in_the_background_is_hung_up_and_what_it_said_is_kept() {
    let place = Place::new();
    // The shell exits when the other has spoken: the kernel sends SIGHUP to the group.
    let script = "(echo said; sleep 60) & sleep 0.1; echo x";
    let args = ["run", "--pty", "--job", "j", "--drain", "30s", "--", "sh", "-c", script];
    let done = place.lastline(&args).expect(0);
    assert_eq!(done.out(), "said\nx\n");
    assert!(done.took < Duration::from_secs(10), "{:?}", done.took);
    assert_eq!(stream(&report(&place.job("j")), 0, "stdout")["end"], "eof");
}

#[test]
fn a_grandchild_that_holds_the_terminal_is_given_up_after_the_drain_and_named() {
    let place = Place::new();
    let script = "trap '' HUP; sleep 60 & echo x";
    let args = ["run", "--pty", "--job", "j", "--drain", "300ms", "--", "sh", "-c", script];
    let done = place.lastline(&args).expect(0);
    assert_eq!(done.out(), "x\n");
    assert!(done.took < Duration::from_secs(5), "{:?}", done.took);
    let report = report(&place.job("j"));
    let held = stream(&report, 0, "stdout");
    assert_eq!((&held["end"], held["leaked_to"].as_array().unwrap().len()), (&"leaked".into(), 1));
    assert_eq!(held["leaked_to"][0]["command"], "sleep 60");
    assert_eq!(stream(&report, 0, "stderr")["end"], "eof");
    let err = done.err();
    assert!(err.contains("rank 0 exited, but its stdout is still held by sleep 60 (pid"), "{err}");
    let pid = u32::try_from(held["leaked_to"][0]["pid"].as_u64().unwrap()).unwrap();
    assert!(!runs(pid), "it is in the rank's group");
}

#[test]
fn what_a_grandchild_says_within_the_drain_is_kept() {
    let place = Place::new();
    let script = "trap '' HUP; (sleep 0.3; echo late; sleep 0.3; echo later) & echo early";
    let args = ["run", "--pty", "--job", "j", "--drain", "5s", "--", "sh", "-c", script];
    let done = place.lastline(&args).expect(0);
    assert_eq!(done.out(), "early\nlate\nlater\n");
    assert_eq!(stream(&report(&place.job("j")), 0, "stdout")["end"], "eof");
    assert!(done.took < Duration::from_secs(4), "{:?}", done.took);
}

#[test]
fn a_grandchild_that_floods_without_end_is_given_up_in_the_end() {
    let place = Place::new();
    let options = ["--pty", "--no-files", "--report", "r.json", "--drain", "100ms", "--show", "7"];
    let script = ["--", "sh", "-c", "trap '' HUP; yes & exit 3"];
    let done = place.lastline(&[&["run"], &options[..], &script].concat()).expect(3);
    assert!(done.took < Duration::from_secs(15), "{:?}", done.took);
    let report = json(&place.path("r.json"));
    check(&report);
    assert_eq!(stream(&report, 0, "stdout")["end"], "leaked");
}

#[test]
fn a_rank_that_closes_its_outputs_is_not_hung_up_and_may_open_the_terminal_again() {
    let place = Place::new();
    let (gate, path) = place.gate();
    let script = "echo early; exec >/dev/null 2>&1; echo > closed; \"$0\" gate \"$1\"; \
        echo late >/dev/tty; exit 5";
    let rank = rank();
    let args = ["run", "--pty", "--job", "j", "--", "sh", "-c", script, &rank, &path];
    let run = place.start(&args);
    wait_until("it has closed both", || place.path("closed").exists());
    // A terminal that nobody had open would have ended by the time this is answered.
    assert_eq!(place.lastline(&["flush", "j"]).expect(0).out(), "reached\n");
    drop(gate);
    let done = run.wait().expect(5);
    assert_eq!(done.out(), "early\nlate\n");
}

#[test]
fn a_barrier_from_another_process_covers_what_was_just_printed() {
    let place = Place::new();
    let script = "for at in 1 2 3 4 5 6 7 8 9; do \
        printf \"no newline $at \"; \"$0\" flush $LASTLINE_JOB_ID; done";
    let lastline = env!("CARGO_BIN_EXE_lastline");
    let args = ["run", "--pty", "--quiet", "--", "sh", "-c", script, lastline];
    let done = place.lastline(&args).expect(0);
    let wanted: String = (1..10).map(|at| format!("no newline {at} reached\n")).collect();
    assert_eq!(done.out(), wanted);
}

#[test]
fn three_hundred_ranks_have_a_terminal_each() {
    let place = Place::new();
    let done = place.ranks(&["-n", "300", "--job", "j", "--pty"], &["terminals"]).expect(0);
    assert_eq!(done.sorted().len(), 300, "{}", done.err());
    assert!(done.out().lines().all(|line| line.ends_with("[false, true, true] 24x80 true")));
    report(&place.job("j"));
}

#[test]
fn where_there_are_too_few_terminals_that_is_said() {
    let place = Place::new();
    let script = "mount -t devpts -o newinstance,ptmxmode=0666,max=2 devpts /dev/pts \
        && mount --bind /dev/pts/ptmx /dev/ptmx || exit 99; exec \"$@\"";
    let rank = rank();
    let run = ["run", "-n", "3", "--job", "j", "--pty", "--", &rank, "wait"];
    let lastline = env!("CARGO_BIN_EXE_lastline");
    let args = [&["-m", "sh", "-c", script, "sh", lastline], &run[..]].concat();
    if !place.has("unshare") {
        return println!("not run: without `unshare` there are as many terminals as there are");
    }
    let done = Running::start(place.wrap("unshare", &args)).wait();
    if [Some(1), Some(99)].contains(&done.status.code()) {
        return println!("not run: terminals of one's own take a mount: {}", done.err());
    }
    let report = report(&place.job("j"));
    let error = "could not be started: the system has no terminal left (kernel.pty.max)";
    assert_eq!(report["ranks"][2]["error"], error, "{}", done.err());
    assert_eq!(report["first_failure"]["rank"], 2);
    assert_eq!(done.code(), 126);
}
