//! Lastline in a terminal, with somebody who types into its one rank.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use lastline_line::Exit;
use lastline_spawn::{
    Output, Process, ProcessOptions, ProcessSpawner, RankSpec, Spawner as _, TerminalSize,
};
use rustix::termios::LocalModes;

use crate::support::{PATIENCE, Place, rank, report, wait_until};

/// Lastline in a terminal of its own, its stdin, stdout and stderr.
struct Typed {
    process: Arc<dyn Process>,
    /// Keeps the terminal from being hung up.
    slave: OwnedFd,
    keys: File,
    seen: Arc<Mutex<Vec<u8>>>,
    /// Who starts it has to live as long.
    _spawner: ProcessSpawner,
}

const SIZE: TerminalSize = TerminalSize { rows: 30, columns: 100 };

impl Typed {
    fn start(place: &Place, args: &[&str]) -> Self {
        let mut options = ProcessOptions::default();
        options.guardian = false;
        let mut spawner = ProcessSpawner::new(options).unwrap();
        let words = [env!("CARGO_BIN_EXE_lastline")].iter().chain(args).map(OsString::from);
        let mut spec = RankSpec::new(0, words.collect());
        spec.workdir = Some(place.path(""));
        let own = ["state", "run"].map(|name| Some(place.path(name).into_os_string()));
        let [state, run] = own;
        spec.env = vec![("XDG_STATE_HOME".into(), state), ("XDG_RUNTIME_DIR".into(), run)];
        spec.env.push(("TERM".into(), Some("dumb".into())));
        (spec.terminal, spec.stdin_is_terminal, spec.echo) = (Some(SIZE), true, true);
        let spawned = spawner.spawn(spec).unwrap();
        let Output::Terminal { master, slave } = spawned.output else {
            panic!("a terminal was asked for")
        };
        let (keys, mut screen) = (File::from(master.try_clone().unwrap()), File::from(master));
        let seen = Arc::<Mutex<Vec<u8>>>::default();
        let shown = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(bytes @ 1..) = screen.read(&mut buffer) {
                shown.lock().unwrap().extend_from_slice(&buffer[..bytes]);
            }
        });
        Self { process: spawned.process, slave, keys, seen, _spawner: spawner }
    }

    fn seen(&self) -> String {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&seen).replace('\r', "")
    }

    #[track_caller]
    fn expect(&self, text: &str) {
        wait_until(&format!("{text:?} is shown"), || self.seen().contains(text));
    }

    fn keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Whether it echoes, reads by lines, and makes signals of keys.
    fn modes(&self) -> [bool; 3] {
        let modes = rustix::termios::tcgetattr(&self.slave).unwrap().local_modes;
        [LocalModes::ECHO, LocalModes::ICANON, LocalModes::ISIG].map(|mode| modes.contains(mode))
    }

    #[track_caller]
    fn wait(&self) -> Exit {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ended = async { tokio::time::timeout(PATIENCE, self.process.wait()).await };
        runtime.block_on(ended).unwrap_or_else(|_| panic!("{}", self.seen()))
    }
}

const TYPED: [&str; 7] = ["run", "--job", "j", "--pty", "--stdin", "rank0", "--"];

fn start(place: &Place, command: &[&str]) -> Typed {
    Typed::start(place, &[&TYPED[..], command].concat())
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
    let mut typed = Typed::start(&place, &[&args[..], &["--", "sh", "-c", script]].concat());
    for shown in ["[0] 30 96\n", "[1] 30 96\n", "[1] tty 1\n"] {
        typed.expect(shown);
    }
    assert_eq!(typed.modes(), [true; 3], "it shows what is typed itself");
    typed.keys("it\r");
    typed.expect("[0] got it\n");
    typed.expect("[0] tty 0\n");
    assert_eq!(typed.wait(), Exit::Code(0));
}
