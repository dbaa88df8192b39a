//! Lastline's own words, on consoles of all kinds.

use rustix::process::Signal;

use crate::support::{Place, Running, file, rank, report, runs, stream, wait_until};

#[test]
fn a_note_that_nobody_can_be_told_is_no_reason_to_fail() {
    let place = Place::new();
    let (read, write) = std::io::pipe().unwrap();
    drop(read);
    let mut command = place.command(&["run", "--job", "j", "--fold-window", "1s", "--", "true"]);
    command.stderr(write);
    Running::start(command).wait().expect(0);
    report(&place.job("j"));
}

#[test]
fn the_summary_does_not_stand_in_a_line_that_was_not_ended() {
    let place = Place::new();
    let done = place.lastline(&["run", "--", "sh", "-c", "printf half; printf 'an end' >&2"]);
    assert_eq!(done.out(), "half");
    assert!(done.err().starts_with("an end\nlastline: 1 rank"), "{}", done.err());
}

#[test]
fn a_note_does_not_either_when_the_other_output_stands_in_a_line_too() {
    let place = Place::new();
    let (read, write) = std::io::pipe().unwrap();
    drop(read);
    let script = "printf 'an end' >&2; \"$0\" flush $LASTLINE_JOB_ID; printf half";
    let lastline = env!("CARGO_BIN_EXE_lastline");
    let mut command = place.command(&["run", "--job", "j", "--", "sh", "-c", script, lastline]);
    command.stdout(write);
    let done = Running::start(command).wait().expect(0);
    assert!(done.err().starts_with("an end\nlastline: stdout takes no more"), "{}", done.err());
}

#[test]
fn with_both_outputs_on_a_stuck_console_lastline_ends_all_the_same() {
    let place = Place::new();
    let (read, write) = std::io::pipe().unwrap();
    let rank = rank();
    let mut command = place.command(&["run", "--job", "j", "--teardown-timeout", "300ms", "--"]);
    command.args([&rank, "flood", "1", "500000"]);
    command.stdout(write.try_clone().unwrap()).stderr(write);
    Running::start(command).wait().expect(0);
    let report = report(&place.job("j"));
    let filed = file(&place.job("j"), 0, "stdout");
    assert_eq!(stream(&report, 0, "stdout")["filed_bytes"], filed.len());
    drop(read);
}

#[test]
fn ranks_that_are_not_to_be_shown_lose_nothing() {
    let place = Place::new();
    let options = ["-n", "4", "--job", "j", "--show", "0", "--strict", "--when-full", "drop"];
    place.ranks(&[&options[..], &["--buffer", "64KiB"]].concat(), &["flood", "1", "300000"]);
    let report = report(&place.job("j"));
    for rank in 1..4 {
        let stream = stream(&report, rank, "stdout");
        assert_eq!(stream["withheld"]["show"], stream["read_bytes"], "{stream:#}");
    }
}

#[test]
fn a_budget_below_the_grace_leaves_no_rank_behind() {
    let place = Place::new();
    let options = ["-n", "2", "--teardown-timeout", "300ms", "--grace", "1h"];
    let run = place.start_ranks(&options, &["stubborn"]);
    (0..2).for_each(|_| assert!(run.line().ends_with("ready")));
    let ranks = with_argument("stubborn", &place);
    run.signal(Signal::TERM);
    run.wait().expect(143);
    assert_eq!(ranks.iter().filter(|pid| runs(**pid)).count(), 0);
}

#[test]
fn a_rank_that_was_being_started_when_lastline_was_killed_ends_too() {
    let place = Place::new();
    for job in 0..8 {
        let job = job.to_string();
        let options = ["-n", "100", "--job", &job, "--grace", "0s"];
        let mark = place.path("nothing");
        let mark = mark.to_str().unwrap();
        let mut run = place.start_ranks(&options, &["wait", mark]);
        wait_until("a rank runs", || !with_argument(mark, &place).is_empty());
        run.signal(Signal::KILL);
        run.wait_exit();
        wait_until("the ranks are gone", || with_argument(mark, &place).is_empty());
    }
}

/// The processes of this place that were given an argument.
fn with_argument(argument: &str, place: &Place) -> Vec<u32> {
    let own = place.path("");
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let given = |pid: &u32| {
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let place = std::fs::read_link(format!("/proc/{pid}/cwd"));
        command.split(|byte| *byte == 0).any(|word| word == argument.as_bytes())
            && place.is_ok_and(|place| place.join("") == own)
            && runs(*pid)
    };
    pids.filter(given).collect()
}

#[test]
fn a_ranks_escapes_reach_no_terminal_when_sanitized_nor_in_lastlines_words() {
    let place = Place::new();
    let script = r"printf '\033[2Jwiped\n' >&2; printf '\033]0;title\007mine\r\n'; exit 3";
    let options = ["run", "-n", "2", "--job", "j", "--on-failure", "continue"];
    let run = |more: &[&str]| {
        let words = [&options[..], more, &["--", "sh", "-c", script]].concat();
        place.lastline(&words)
    };
    let done = run(&["--sanitize"]);
    assert_eq!(done.of_rank(1), b"^[]0;title^Gmine\n");
    assert!(done.err().contains("] ^[[2Jwiped\n"), "{}", done.err());
    assert!(!done.err().contains('\x1b') && !done.out().contains('\x1b'));
    assert_eq!(file(&place.job("j"), 0, "stderr"), b"\x1b[2Jwiped\n");
    let done = run(&["--overwrite"]);
    assert!(done.out().contains("\x1b]0;title\x07mine\n"), "it passes otherwise");
    assert!(done.err().contains("lastline:   ^[[2Jwiped\n"), "{}", done.err());
    let logs = place.lastline(&["logs", "j", "--sanitize", "--stream", "stderr", "--rank", "0"]);
    assert_eq!(logs.out(), "[0] ^[[2Jwiped\n");
}

#[test]
fn the_directory_in_the_summary_is_a_link_where_a_terminal_can_show_one() {
    let place = Place::new();
    let run = |force: Option<&str>| {
        let mut command = place.command(&["run", "--log-dir", "a b", "--overwrite", "--", "true"]);
        // A pipe is no terminal, whatever these say.
        command.env("VTE_VERSION", "7600").env_remove("FORCE_HYPERLINK");
        command.envs(force.map(|force| ("FORCE_HYPERLINK", force)));
        Running::start(command).wait().expect(0).err()
    };
    let dir = std::fs::canonicalize(place.path("")).unwrap().join("a b");
    assert!(run(None).ends_with(&format!("; logs in {}\n", dir.display())));
    let linked = run(Some("1"));
    let end = format!("/a%20b\x1b\\{}\x1b]8;;\x1b\\\n", dir.display());
    assert!(linked.contains("; logs in \x1b]8;;file://") && linked.ends_with(&end), "{linked:?}");
}
