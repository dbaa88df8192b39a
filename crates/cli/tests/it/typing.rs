//! Lastline in a terminal, with somebody who types into its one rank.

use std::os::fd::AsFd as _;

use lastline_line::Exit;
use lastline_spawn::TerminalSize;

use crate::support::{Place, rank, report, wait_until};
use crate::typed::Typed;

const SIZE: TerminalSize = TerminalSize { rows: 30, columns: 100 };
const TYPED: [&str; 7] = ["run", "--job", "j", "--pty", "--stdin", "rank0", "--"];

fn start(place: &Place, command: &[&str]) -> Typed {
    Typed::start(place, SIZE, &[&TYPED[..], command].concat())
}

#[test]
fn a_python_prompt_is_used_as_in_any_terminal() {
    let place = Place::new();
    if !place.has("python3") {
        return println!("not run: there is no python3");
    }
    let mut typed = start(&place, &["python3", "-q"]);
    typed.expect(">>> ");
    assert_eq!(typed.modes(), [false; 3]);
    typed.keys("print(6 * 7, *__import__('os').get_terminal_size())\r");
    typed.expect("42 100 30\n");
    // Endless, and not asleep: a signal that comes just before a sleep begins does not end it.
    typed.keys("all(True for _ in iter(int, 1))\r");
    typed.expect("iter(int, 1))\n");
    typed.keys("\x03");
    typed.expect("KeyboardInterrupt");
    TerminalSize { rows: 40, columns: 120 }.give_to(&typed.slave.as_fd()).unwrap();
    typed.keys("__import__('sys').exit(5)\r");
    assert_eq!(typed.wait(), Exit::Code(5));
    assert_eq!(typed.modes(), [true; 3]);
    report(&place.job("j"));
    // What was typed is echoed by the rank's terminal: it is part of what the rank's file has.
    let filed = std::fs::read_to_string(place.job("j").join("rank-0.stdout.log")).unwrap();
    assert!(filed.contains("42 100 30\n"), "{filed}");
}

#[test]
fn another_size_reaches_the_rank_and_so_does_a_key_that_suspends() {
    let place = Place::new();
    let script = "trap 'stty size' WINCH; trap 'echo suspended' TSTP; echo ready; \
        while :; do sleep 0.05; done";
    let mut typed = start(&place, &["sh", "-c", script]);
    typed.expect("ready\n");
    TerminalSize { rows: 40, columns: 120 }.give_to(&typed.slave.as_fd()).unwrap();
    typed.expect("40 120\n");
    typed.keys("\x1a");
    typed.expect("suspended\n");
    typed.process.signal(libc::SIGTERM);
    assert_eq!(typed.wait(), Exit::Code(143));
}

#[test]
fn the_terminal_is_restored_however_lastline_ends_itself() {
    // Once: the job is stopped. Three times: lastline exits at once.
    for signals in [1, 3] {
        let place = Place::new();
        let typed = start(&place, &[&rank(), "stubborn"]);
        typed.expect("ready");
        assert_eq!(typed.modes(), [false; 3]);
        (0..signals).for_each(|_| {
            typed.process.signal(libc::SIGTERM);
            // Two at once are one.
            std::thread::park_timeout(std::time::Duration::from_millis(200));
        });
        if signals == 1 {
            // Its grace is ended.
            typed.process.signal(libc::SIGTERM);
        }
        assert_eq!(typed.wait(), Exit::Code(143));
        assert_eq!(typed.modes(), [true; 3], "{signals}");
    }
    // The command could not be started.
    let place = Place::new();
    let typed = start(&place, &["./none"]);
    assert_eq!(typed.wait(), Exit::Code(127));
    assert_eq!(typed.modes(), [true; 3]);
}

#[test]
fn while_lastline_stands_still_the_terminal_is_as_it_was() {
    let place = Place::new();
    let mut typed = start(&place, &["sh", "-c", "echo ready; read line; echo got $line"]);
    typed.expect("ready");
    typed.process.signal(libc::SIGTSTP);
    wait_until("the terminal is restored", || typed.modes() == [true; 3]);
    let stat = format!("/proc/{}/stat", typed.process.id().unwrap());
    wait_until("lastline stands", || {
        let stat = std::fs::read_to_string(&stat).unwrap();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    });
    typed.process.signal(libc::SIGCONT);
    wait_until("the terminal is raw again", || typed.modes() == [false; 3]);
    typed.keys("it\r");
    typed.expect("got it\n");
    assert_eq!(typed.wait(), Exit::Code(0));
}

#[test]
fn beside_a_prefix_a_terminal_is_narrower_and_of_several_ranks_the_first_is_typed_into() {
    let place = Place::new();
    let script = "stty size </dev/tty; [ $RANK = 0 ] && read line && echo got $line; [ -t 0 ]; \
        echo tty $?";
    let args = ["run", "-n", "2", "--fold", "off", "--color", "never", "--pty", "--stdin", "rank0"];
    let mut typed = Typed::start(&place, SIZE, &[&args[..], &["--", "sh", "-c", script]].concat());
    for shown in ["[0] 30 96\n", "[1] 30 96\n", "[1] tty 1\n"] {
        typed.expect(shown);
    }
    assert_eq!(typed.modes(), [true; 3], "it shows what is typed itself");
    typed.keys("it\r");
    typed.expect("[0] got it\n");
    typed.expect("[0] tty 0\n");
    assert_eq!(typed.wait(), Exit::Code(0));
}

#[test]
fn what_the_first_of_several_ranks_wants_hidden_is_not_shown() {
    let place = Place::new();
    let script = "[ $RANK = 0 ] || exit 0; stty -a; read line; stty -echo; echo hidden; read word; \
        stty echo; echo shown; echo $line and $word; cat; stty -echo; echo over; exec sleep 600";
    let args = ["run", "-n", "2", "--fold", "off", "--color", "never", "--pty", "--stdin", "rank0"];
    let mut typed = Typed::start(&place, SIZE, &[&args[..], &["--", "sh", "-c", script]].concat());
    typed.expect(" echo ");
    typed.keys("a name\r");
    typed.expect("[0] hidden\n");
    wait_until("it hides what is typed", || typed.modes() == [false, true, true]);
    typed.keys("secret\r");
    typed.expect("[0] shown\n");
    wait_until("it shows it again", || typed.modes() == [true; 3]);
    typed.expect("[0] a name and secret\n");
    assert_eq!(typed.seen().matches("secret").count(), 1, "{}", typed.seen());
    assert_eq!(typed.seen().matches("a name").count(), 2, "{}", typed.seen());
    typed.keys("\x04");
    typed.expect("[0] over\n");
    typed.process.signal(libc::SIGTERM);
    assert_eq!(typed.wait(), Exit::Code(143));
    assert_eq!(typed.modes(), [true; 3]);
}
