//! Who reads lastline's stdin.

use std::process::Stdio;

use crate::support::{Place, Running, rank, tell};

fn start(place: &Place, options: &[&str], child: &[&str]) -> Running {
    let mut command = place.command(&[&["run"], options, &["--"], child].concat());
    command.stdin(Stdio::piped());
    Running::start(command)
}

#[test]
fn nobody_by_default() {
    let place = Place::new();
    let mut run = start(&place, &["-n", "2"], &["cat"]);
    tell(&mut run.stdin(), "not for you\n");
    assert_eq!(run.wait().expect(0).out(), "");
}

#[test]
fn rank_0_alone() {
    let place = Place::new();
    let mut run = start(&place, &["-n", "2", "--stdin", "rank0"], &["cat"]);
    let mut stdin = run.stdin();
    tell(&mut stdin, "for one\n");
    assert_eq!(run.line(), "[0] for one");
    drop(stdin);
    assert_eq!(run.wait().expect(0).out(), "[0] for one\n");
}

#[test]
fn every_rank_gets_all_of_it() {
    let place = Place::new();
    let mut run = start(&place, &["-n", "3", "--stdin", "all"], &["cat"]);
    let mut stdin = run.stdin();
    let lines: String = (0..10_000).map(|number| format!("{number}\n")).collect();
    tell(&mut stdin, &lines);
    drop(stdin);
    let done = run.wait().expect(0);
    for rank in 0..3 {
        assert_eq!(done.of_rank(rank), lines.as_bytes(), "rank {rank}");
    }
}

#[test]
fn that_it_cannot_be_read_is_said() {
    let place = Place::new();
    let mut command = place.command(&["run", "-n", "2", "--stdin", "all", "--", "cat"]);
    command.stdin(std::fs::File::open("/").unwrap());
    let done = Running::start(command).wait().expect(0);
    assert!(done.err().contains("stdin cannot be read"), "{}", done.err());
}

#[test]
fn a_rank_that_reads_nothing_does_not_keep_it_from_the_others() {
    let script = "[ $RANK = 0 ] && exec <&- || exec cat";
    let options = ["-n", "2", "--stdin", "all"];
    let place = Place::new();
    let mut run = start(&place, &options, &["sh", "-c", script]);
    let mut stdin = run.stdin();
    let text = "x".repeat(300_000) + "\n";
    tell(&mut stdin, &text);
    drop(stdin);
    assert_eq!(run.wait().expect(0).of_rank(1), text.as_bytes());
}

#[test]
fn a_job_ends_though_stdin_stays_open() {
    for who in ["rank0", "all"] {
        let place = Place::new();
        let mut run = start(&place, &["-n", "2", "--stdin", who], &["true"]);
        let stdin = run.stdin();
        run.wait().expect(0);
        drop(stdin);
    }
}

#[test]
fn one_rank_can_ask_a_question() {
    let place = Place::new();
    let mut command = place.command(&["run", "--stdin", "rank0", "--", &rank(), "prompt"]);
    // The prompt comes through without its newline: read what there is, byte by byte.
    let (read, write) = std::io::pipe().unwrap();
    command.stdin(Stdio::piped()).stdout(write);
    let mut run = Running::start(command);
    let mut prompt = [0; 6];
    crate::support::wait_readable(&read, "no prompt");
    std::io::Read::read_exact(&mut &read, &mut prompt).unwrap();
    assert_eq!(&prompt, b"name? ");
    tell(&mut run.stdin(), "you\n");
    run.wait().expect(0);
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut &read, &mut rest).unwrap();
    assert_eq!(rest, "hello you\n");
}

#[test]
fn several_ranks_hold_a_partial_line_until_its_newline() {
    let place = Place::new();
    let (gate, path) = place.gate();
    // A line of stderr shows that the start of the one on stdout was read long before.
    let script = "printf 'name? '; \"$0\" gate \"$1\" >&2; echo of $RANK";
    let rank = rank();
    let mut command =
        place.command(&["run", "-n", "2", "--job", "j", "--", "sh", "-c", script, &rank, &path]);
    command.stdin(Stdio::null());
    let run = Running::start(command);
    let filed = |rank| crate::support::file(&place.job("j"), rank, "stdout");
    // The file does not wait for the newline, the console does.
    crate::support::wait_until("the start is filed", || filed(0) == b"name? ");
    crate::support::wait_until("the start is filed", || filed(1) == b"name? ");
    drop(gate);
    let done = run.wait().expect(0);
    assert_eq!(done.sorted(), ["[0] name? of 0", "[1] name? of 1"]);
}
