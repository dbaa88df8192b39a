//! Exit codes.

use std::time::{Duration, Instant};

use crate::support::{Place, Running, json, report, wait_until};

fn sh(place: &Place, options: &[&str], script: &str) -> crate::support::Done {
    let args = [&["run"], options, &["--", "sh", "-c", script]].concat();
    place.lastline(&args)
}

#[test]
fn all_ranks_well_is_zero() {
    let place = Place::new();
    let done = sh(&place, &["-n", "3", "--job", "j"], "echo $RANK").expect(0);
    assert_eq!(done.sorted(), ["[0] 0", "[1] 1", "[2] 2"]);
    let report = report(&place.job("j"));
    assert!(report["first_failure"].is_null());
    assert!(done.err().contains("3 ranks, 3 lines, 6 B, nothing lost"), "{}", done.err());
}

#[test]
fn a_ranks_own_code_is_passed_on() {
    for code in [1, 3, 126, 127, 255] {
        sh(&Place::new(), &[], &format!("exit {code}")).expect(code);
    }
}

/// As a program is started by one that wants to hear nothing of its children.
#[test]
fn a_code_is_known_although_sigchld_was_ignored() {
    let place = Place::new();
    let mut command = place.command(&["run", "--", "sh", "-c", "exit 3"]);
    #[expect(unsafe_code, reason = "dash does not ignore it when asked to")]
    // SAFETY: a plain system call between fork and exec.
    unsafe {
        std::os::unix::process::CommandExt::pre_exec(&mut command, || {
            libc::signal(libc::SIGCHLD, libc::SIG_IGN);
            Ok(())
        });
    }
    crate::support::Running::start(command).wait().expect(3);
}

#[test]
fn a_signal_is_128_and_its_number() {
    for signal in [1, 6, 9, 11, 15] {
        sh(&Place::new(), &[], &format!("kill -{signal} $$")).expect(128 + signal);
    }
}

#[test]
fn the_first_failure_counts_and_stops_the_others() {
    let place = Place::new();
    let script = "[ $RANK = 1 ] || { touch $RANK; exec sleep 60; }
        until [ -e 0 ] && [ -e 2 ]; do sleep 0.01; done; echo why >&2; exit 3";
    let done = sh(&place, &["-n", "3", "--job", "j"], script).expect(3);
    assert!(done.took.as_secs() < 10, "{:?}", done.took);
    let report = report(&place.job("j"));
    assert_eq!(report["first_failure"]["rank"], 1);
    assert_eq!(report["first_failure"]["code"], 3);
    assert_eq!(report["first_failure"]["last_lines"][0], "why");
    for (rank, stopped) in [(0, true), (1, false), (2, true)] {
        assert_eq!(report["ranks"][rank]["stopped_by_lastline"], stopped, "{rank}");
    }
    let err = done.err();
    assert!(err.contains("lastline: rank 1 failed first: exit code 3"), "{err}");
    assert!(err.contains("lastline:   why\n"), "{err}");
    assert!(err.contains("ranks 0,2 were stopped by lastline"), "{err}");
}

#[test]
fn on_failure_continue_lets_the_others_go_on() {
    let place = Place::new();
    let (gate, path) = place.gate();
    let script = "[ $RANK = 1 ] && exit 3; exec \"$0\" gate \"$1\"";
    let rank = crate::support::rank();
    let args = ["run", "-n", "2", "--job", "j", "--on-failure", "continue", "--"];
    let run = place.start(&[&args[..], &["sh", "-c", script, &rank, &path]].concat());
    run.line_with("ready");
    drop(gate);
    let done = run.wait().expect(3);
    assert!(done.out().contains("[0] passed"), "{}", done.out());
    let report = report(&place.job("j"));
    assert_eq!(report["ranks"][0]["code"], 0);
}

#[test]
fn ranks_that_fail_by_themselves_are_not_called_stopped() {
    use rustix::process::Signal;
    let place = Place::new();
    let (gate, path) = place.gate();
    let script = "\"$0\" gate \"$1\"; echo same >&2; exit 7";
    let args = ["run", "-n", "8", "--job", "j", "--", "sh", "-c", script];
    let run = place.start(&[&args[..], &[&crate::support::rank(), &path]].concat());
    (0..8).for_each(|_| drop(run.line_with("ready")));
    let children = run.children();
    // All are dead before lastline hears of any.
    run.signal(Signal::STOP);
    crate::support::wait_until("all threads stand", || run.stands());
    drop(gate);
    crate::support::wait_until("all ranks have exited", || {
        children.iter().filter(|pid| !crate::support::runs(**pid)).count() == 8
    });
    run.signal(Signal::CONT);
    let done = run.wait().expect(7);
    let report = report(&place.job("j"));
    for rank in report["ranks"].as_array().unwrap() {
        assert_eq!(rank["stopped_by_lastline"], false, "{}", done.err());
    }
    assert_eq!(report["first_failure"]["same_text"].as_array().unwrap().len(), 7);
    assert!(done.err().contains("failed with the same text"), "{}", done.err());
}

#[test]
fn who_failed_otherwise_is_told_with_what_it_said() {
    let place = Place::new();
    let script =
        "[ $RANK = 2 ] && { echo out of memory >&2; exit 4; }; echo lost peer $RANK >&2; exit 3";
    let job =
        ["run", "-n", "4", "--on-failure", "continue", "--job", "j", "--", "sh", "-c", script];
    let done = place.lastline(&job);
    let failure = &report(&place.job("j"))["first_failure"];
    let (same, others) = (&failure["same_text"], &failure["others"]);
    let first_is_odd = failure["rank"] == 2;
    assert_eq!(same.as_array().map_or(0, Vec::len), if first_is_odd { 0 } else { 2 });
    let odd = if first_is_odd { "lost peer" } else { "out of memory" };
    assert!(others[0]["last_words"][0].as_str().unwrap().starts_with(odd), "{failure}");
    assert_eq!(others.as_array().unwrap().len(), 1);
    assert!(done.err().contains(&format!("failed otherwise: {odd}")), "{}", done.err());
}

/// As `env`, `xargs` and `nohup` do.
#[test]
fn a_script_that_names_no_interpreter_is_run_by_the_shell() {
    let place = Place::new();
    place.executable("script", b"echo shell speaking; exit 5\n");
    let done = place.lastline(&["run", "--", "./script"]).expect(5);
    assert_eq!(done.out(), "shell speaking\n");
}

#[test]
fn a_command_that_cannot_be_executed_is_told_of_every_rank() {
    let place = Place::new();
    // Only the kernel knows that a directory runs nothing.
    place.executable("script", b"#!/\n");
    let done = place.lastline(&["run", "-n", "2", "--job", "j", "--", "./script"]).expect(126);
    assert!(done.err().contains("could not be started"), "{}", done.err());
    report(&place.job("j"));
}

#[test]
fn strict_makes_lost_output_an_error() {
    let place = Place::new();
    let run = "\"$0\" run --strict --log-dir logs -- seq 100000";
    let script = format!("{{ {run}; echo $? >code; }} | head -1");
    let command = place.wrap("sh", &["-c", &script, env!("CARGO_BIN_EXE_lastline")]);
    Running::start(command).wait().expect(0);
    assert_eq!(std::fs::read_to_string(place.path("code")).unwrap(), "74\n");
    let report = report(&place.path("logs"));
    let lost = &report["ranks"][0]["streams"]["stdout"]["lost"][0];
    assert_eq!(lost["cause"], "console closed");
    let jobs = place.lastline(&["jobs"]).expect(0).out();
    assert!(jobs.contains(" 74 "), "{jobs}");
    place.lastline(&["run", "--strict", "--", "true"]).expect(0);
}

#[test]
fn a_report_that_is_not_where_it_was_asked_for_is_an_error() {
    let place = Place::new();
    for target in ["/dev/full", "none/r.json"] {
        let done = place.lastline(&["run", "--report", target, "--", "true"]).expect(74);
        assert!(done.err().contains("the report was not written"), "{target}: {}", done.err());
        // What a rank said is still what counts first.
        place.lastline(&["run", "--report", target, "--", "sh", "-c", "exit 3"]).expect(3);
    }
    place.lastline(&["run", "--no-files", "--report", "r.json", "--", "true"]).expect(0);
}

#[test]
fn who_reads_a_report_from_a_fifo_may_come_late() {
    let place = Place::new();
    let script = "mkfifo fifo && exec \"$0\" run --job \"$1\" --report fifo --teardown-timeout \"$2\" -- true";
    let args = |job, time| ["-c", script, env!("CARGO_BIN_EXE_lastline"), job, time];
    let run = Running::start(place.wrap("sh", &args("late", "60s")));
    wait_until("the job is over", || place.job("late").join("report.json").exists());
    // For longer than a disk is waited for.
    let over = Instant::now();
    wait_until("some time is over", || over.elapsed() > Duration::from_secs(1));
    let read = json(&place.path("fifo"));
    assert_eq!(read["job"], "late");
    run.wait().expect(0);
    std::fs::remove_file(place.path("fifo")).unwrap();
    let done = Running::start(place.wrap("sh", &args("never", "100ms"))).wait().expect(74);
    assert!(done.err().contains("fifo: nobody reads it"), "{}", done.err());
}

/// A limit on the size of files stands for a disk that is full.
#[test]
fn strict_makes_what_was_not_filed_an_error() {
    let place = Place::new();
    let script = "trap '' XFSZ; ulimit -f 8; exec \"$@\"";
    for (options, code) in [(&["--strict"][..], 74), (&[], 0)] {
        let run = [&["-c", script, "sh", env!("CARGO_BIN_EXE_lastline"), "run"], options].concat();
        let run = [&run[..], &["--", "seq", "10000"]].concat();
        let done = Running::start(place.wrap("sh", &run)).wait().expect(code);
        assert!(done.err().contains("NOT FILED"), "{}", done.err());
    }
}
