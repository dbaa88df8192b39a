//! Signals to lastline.

use std::time::Duration;

use rustix::process::Signal;

use crate::support::{Place, Running, rank, report, runs, wait_until};

#[test]
fn the_ranks_get_the_signal_at_once_and_the_code_says_which() {
    for (signal, heard, code, name) in [
        (Signal::INT, 2, 130, "signal 2 (SIGINT)"),
        (Signal::TERM, 15, 143, "signal 15 (SIGTERM)"),
        (Signal::HUP, 15, 143, "signal 1 (SIGHUP)"),
        (Signal::QUIT, 15, 143, "signal 3 (SIGQUIT)"),
    ] {
        let place = Place::new();
        let run = place.start_ranks(&["-n", "2", "--job", "j"], &["hear-signal"]);
        run.line_with("ready");
        run.line_with("ready");
        run.signal(signal);
        let done = run.wait().expect(code);
        let of = |rank| format!("[{rank}] heard {heard}");
        let lines = done.sorted();
        assert!(lines.contains(&of(0)) && lines.contains(&of(1)), "{lines:?}");
        let report = report(&place.job("j"));
        assert_eq!(report["ranks"][1]["stopped_by_lastline"], true);
        assert!(report["first_failure"].is_null(), "it was told to end: {report:#}");
        assert_eq!(report["stopped_by"], name);
        assert!(done.err().contains(&format!("stopped by {name}; ")), "{}", done.err());
        assert!(done.took < Duration::from_secs(10), "{:?}", done.took);
    }
}

#[test]
fn a_stubborn_rank_is_killed_after_the_grace() {
    let place = Place::new();
    let run = place.start_ranks(&["--job", "j", "--grace", "300ms"], &["stubborn"]);
    assert_eq!(run.line(), "ready");
    run.signal(Signal::TERM);
    let done = run.wait().expect(143);
    let report = report(&place.job("j"));
    assert_eq!(report["ranks"][0]["signal"], 9);
    assert!(done.took < Duration::from_secs(10), "{:?}", done.took);
}

#[test]
fn a_second_signal_ends_the_grace() {
    let place = Place::new();
    let script = "[ $RANK = 0 ] && exec \"$0\" stubborn || exec \"$0\" hear-signal";
    let args = ["run", "-n", "2", "--job", "j", "--grace", "1h", "--", "sh", "-c", script];
    let run = place.start(&[&args[..], &[&rank()]].concat());
    run.line_with("ready");
    run.line_with("ready");
    run.signal(Signal::INT);
    // It has heard the first when it has passed it on.
    run.line_with("heard 2");
    run.signal(Signal::TERM);
    let done = run.wait().expect(130);
    assert_eq!(report(&place.job("j"))["ranks"][0]["signal"], 9);
    assert!(done.took < Duration::from_secs(10), "{:?}", done.took);
}

#[test]
fn a_third_signal_exits_at_once_and_the_ranks_end_all_the_same() {
    let place = Place::new();
    // The console takes nothing more, so that the shutdown is long.
    let mut command = place.command(&["run", "--job", "j", "--grace", "1h", "--"]);
    command.args([&rank(), "stubborn"]);
    let mut run = Running::start(command);
    assert_eq!(run.line(), "ready");
    let job = crate::support::json(&place.job("j").join("job.json"));
    assert!(job["pid"].is_u64());
    let child = run.children();
    run.signal(Signal::STOP);
    // All three wait for it to go on.
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT] {
        run.signal(signal);
    }
    run.signal(Signal::CONT);
    let code = run.wait_exit().code();
    assert!(code.is_some_and(|code| [130, 143].contains(&code)), "{code:?}");
    wait_until("the ranks end", || child.iter().all(|pid| !runs(*pid)));
    let left: Vec<_> = std::fs::read_dir(place.path("run/lastline")).unwrap().flatten().collect();
    assert!(left.is_empty(), "the socket is left: {left:?}");
}

#[test]
fn a_third_signal_says_what_is_left() {
    let place = Place::new();
    let run = place.start_ranks(&["-n", "2", "--job", "j", "--grace", "1h"], &["stubborn"]);
    (0..2).for_each(|_| drop(run.line_with("ready")));
    run.signal(Signal::STOP);
    // All three wait for it to go on.
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        run.signal(signal);
    }
    run.signal(Signal::CONT);
    let done = run.wait();
    let dir = place.job("j").canonicalize().unwrap();
    // The second signal kills them: they may be gone when the third is heard.
    let killed = ["", " ranks 0,1 are killed,", " rank 0 is killed,", " rank 1 is killed,"];
    let said = killed.iter().any(|left| {
        let words = format!("exiting at once:{left} the report is not waited for; logs in");
        done.err().contains(&format!("lastline: {words} {}\n", dir.display()))
    });
    // Or all was over by then.
    assert!(said || dir.join("report.json").exists(), "{}", done.err());
}

#[test]
fn under_nohup_a_hangup_is_not_heard() {
    let place = Place::new();
    let (gate, path) = place.gate();
    let lastline = env!("CARGO_BIN_EXE_lastline");
    let run = Running::start(
        place.wrap("nohup", &[lastline, "run", "--job", "j", "--", &rank(), "gate", &path]),
    );
    assert_eq!(run.line(), "ready");
    run.signal(Signal::HUP);
    drop(gate);
    let done = run.wait().expect(0);
    assert_eq!(done.out(), "ready\npassed\n");
}

/// As a batch system sends them some time before the end.
#[test]
fn signals_for_the_program_are_passed_on_and_lastline_goes_on() {
    let place = Place::new();
    let script = "trap 'echo saved' USR1; trap 'echo over; exit 0' USR2; echo ready; \
        while :; do sleep 0.05; done";
    let options = ["run", "-n", "2", "--job", "j", "--prefix", "never"];
    let run = place.start(&[&options[..], &["--", "sh", "-c", script]].concat());
    // What the shell waits for has no trap, and dies of it: the shell says so on stderr.
    for (word, next) in [("ready", Signal::USR1), ("saved", Signal::USR2)] {
        (0..2).for_each(|_| drop(run.line_with(word)));
        run.signal(next);
    }
    let done = run.wait().expect(0);
    assert_eq!(done.sorted(), ["over", "over", "ready", "ready", "saved", "saved"]);
    assert!(report(&place.job("j"))["stopped_by"].is_null());
}

#[test]
fn who_does_not_expect_a_signal_that_is_passed_on_dies_of_it() {
    let place = Place::new();
    let run = place.start_ranks(&["--job", "j"], &["hear-signal"]);
    assert_eq!(run.line(), "ready");
    run.signal(Signal::USR1);
    run.wait().expect(138);
    assert_eq!(report(&place.job("j"))["first_failure"]["signal"], 10);

    let (gate, path) = place.gate();
    let lastline = env!("CARGO_BIN_EXE_lastline");
    let ignoring = ["-c", "trap '' USR1 USR2; exec \"$@\"", "sh", lastline, "run", "--"];
    let rank = rank();
    let args = [&ignoring[..], &[&rank, "gate", &path]].concat();
    let run = Running::start(place.wrap("sh", &args));
    assert_eq!(run.line(), "ready");
    run.signal(Signal::USR1);
    run.signal(Signal::USR2);
    drop(gate);
    assert_eq!(run.wait().expect(0).out(), "ready\npassed\n");
}

#[test]
fn a_signal_that_a_rank_sends_while_others_start_stops_the_job() {
    let place = Place::new();
    let script = "[ $RANK != 0 ] || kill -TERM $PPID; exec sleep 60";
    let args = ["run", "-n", "64", "--job", "j", "--", "sh", "-c", script];
    let done = place.lastline(&args).expect(143);
    let report = report(&place.job("j"));
    assert_eq!(report["stopped_by"], "signal 15 (SIGTERM)");
    assert!(report["first_failure"].is_null(), "{report:#}");
    assert!(done.took < Duration::from_secs(20), "{:?}", done.took);
}

#[test]
fn a_grace_that_is_longer_than_the_way_out_does_not_leave_a_rank_behind() {
    let place = Place::new();
    let options = ["--job", "j", "--grace", "1h", "--teardown-timeout", "1s"];
    let run = place.start_ranks(&options, &["hold-stubborn"]);
    let left = run.line_with("left");
    let pids = run.children();
    run.signal(Signal::TERM);
    let done = run.wait().expect(143);
    assert!(done.took < Duration::from_secs(10), "{:?}", done.took);
    let left: u32 = left.strip_prefix("left ").unwrap().parse().unwrap();
    let still: Vec<u32> = pids.into_iter().chain([left]).filter(|pid| runs(*pid)).collect();
    assert!(still.is_empty(), "{still:?} outlive lastline: {}", done.err());
    assert_eq!(report(&place.job("j"))["ranks"][0]["signal"], 9);
}

#[test]
fn a_signal_after_a_failure_ends_the_grace_of_what_is_left() {
    let place = Place::new();
    let (gate, path) = place.gate();
    // Rank 0 leaves behind what ignores SIGTERM, and fails when both are ready.
    let script = "[ $RANK = 1 ] && exec \"$0\" hear-signal; trap '' TERM INT; \
        \"$0\" wait >/dev/null 2>&1 & echo left $!; \"$0\" gate \"$1\"; exit 3";
    let hour = ["--grace", "1h", "--teardown-timeout", "2h"];
    let args = [&["run", "-n", "2", "--job", "j"], &hour[..], &["--", "sh", "-c", script]].concat();
    let run = place.start(&[&args[..], &[&rank(), &path]].concat());
    let (mut left, mut ready) = (String::new(), 0);
    while left.is_empty() || ready < 2 {
        let line = run.line();
        ready += u32::from(line.contains("ready"));
        left = line.split_once("left ").map_or(left, |(_, pid)| pid.to_owned());
    }
    drop(gate);
    run.line_with("heard 15");
    run.signal(Signal::TERM);
    let done = run.wait().expect(143);
    assert!(!runs(left.parse().unwrap()), "what the rank left outlives lastline");
    assert!(done.took < Duration::from_secs(30), "{:?}", done.took);
    let report = report(&place.job("j"));
    assert_eq!(report["first_failure"]["code"], 3);
    assert_eq!(report["stopped_by"], "signal 15 (SIGTERM)");
    let jobs = place.lastline(&["jobs"]).expect(0).out();
    assert!(jobs.lines().any(|line| line.starts_with("j ") && line.contains(" 143 ")), "{jobs}");
}

#[test]
fn the_grace_is_given_once() {
    let place = Place::new();
    let options = ["--job", "j", "--grace", "1500ms", "--drain", "100ms"];
    let run = place.start_ranks(&options, &["hold-stubborn"]);
    run.line_with("left");
    let told = std::time::Instant::now();
    run.signal(Signal::TERM);
    run.wait().expect(143);
    assert!(told.elapsed() < Duration::from_millis(2800), "{:?}", told.elapsed());
}

/// The state of a process, as in `ps`.
fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next())
}

#[test]
fn a_pause_stops_ranks_and_lastline_until_somebody_continues() {
    // Who goes on before it stands itself lets the ranks go on: that showed in every other run.
    for time in 0..10 {
        pause(if time % 2 == 0 { &["--no-files"] } else { &["--no-files", "--pty"] });
    }
}

fn pause(options: &[&str]) {
    let place = Place::new();
    let (gate, path) = place.gate();
    let run = place.start_ranks(options, &["gate", &path]);
    assert_eq!(run.line(), "ready");
    let name = |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let rank = run.children().into_iter().find(|pid| name(pid) == "rank\n").unwrap();
    run.signal(Signal::TSTP);
    wait_until("lastline stands", || run.stands());
    wait_until("the rank stands", || state(rank) == Some('T'));
    run.signal(Signal::CONT);
    wait_until("the rank goes on", || state(rank) != Some('T'));
    drop(gate);
    run.wait().expect(0);
}
