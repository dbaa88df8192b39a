//! The view of a job in a real terminal.

use std::time::{Duration, Instant};

use lastline_line::Exit;
use lastline_spawn::TerminalSize;

use crate::support::{PATIENCE, Place, Running, report, stream, tell, wait_until};
use crate::typed::Typed;

const SIZE: TerminalSize = TerminalSize { rows: 24, columns: 80 };

/// A job that is given a stdin.
fn job(place: &Place, options: &[&str], script: &str) -> (Running, std::process::ChildStdin) {
    let args = ["run", "--job", "j", "--stdin", "all", "--on-failure", "continue"];
    let mut command = place.command(&[&args[..], options, &["--", "sh", "-c", script]].concat());
    command.stdin(std::process::Stdio::piped());
    let mut run = Running::start(command);
    let stdin = run.stdin();
    (run, stdin)
}

/// Says every line that it is told, and fails at `die` where it is rank 3.
const ECHO: &str = "while read -r line; do
    if [ \"$line\" = die ]; then
        [ $RANK = 3 ] && { echo \"ValueError: bad shard\" >&2; exit 7; }
        echo going on
    else
        printf '%b\\n' \"$line\"
    fi
done";

struct View {
    typed: Typed,
    size: TerminalSize,
}

impl View {
    fn open(place: &Place, size: TerminalSize, args: &[&str]) -> Self {
        Self { typed: Typed::start(place, size, args), size }
    }

    #[track_caller]
    fn wait_for(&self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (screen, _) = self.typed.screen(self.size);
            if screen.contains(text) {
                return screen;
            }
            assert!(Instant::now() < deadline, "{text:?} is not in the view, which is\n{screen}");
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// It is over, and the terminal as it was.
    #[track_caller]
    fn is_left(&self) {
        assert!(matches!(self.typed.wait(), Exit::Code(_)));
        assert_eq!(self.typed.modes(), [true; 3]);
        // What it wrote last may still be on its way here.
        wait_until("the first screen is back", || !self.typed.screen(self.size).1);
        let has_cursor = |seen: &str| seen.rfind("\x1b[?25h") > seen.rfind("\x1b[?25l");
        wait_until("the cursor is there", || has_cursor(&self.typed.seen()));
        wait_until("the mouse is let go", || self.typed.seen().contains("\x1b[?1000l"));
    }
}

#[test]
fn a_job_is_followed_to_its_first_failure_and_its_end() {
    let place = Place::new();
    // Ranks may be far apart on a machine that has much to do.
    let options = ["-n", "4", "--fold", "ranks", "--fold-window", "20s"];
    let (run, mut stdin) = job(&place, &options, ECHO);
    tell(&mut stdin, "ready\n");
    run.line();
    let mut view = View::open(&place, SIZE, &["top", "j"]);
    view.wait_for("4 run");
    view.wait_for("[0-3] ready");
    tell(&mut stdin, "die\n");
    view.wait_for("rank 3 failed first: exit code 7");
    view.wait_for("ValueError: bad shard");
    view.wait_for("[0-2] going on");
    view.typed.keys("\r");
    // Its own log, where it says why.
    view.wait_for("── stderr: from byte 0");
    view.typed.keys("\x1b");
    view.wait_for("3 run · 1 failed");
    drop(stdin);
    run.wait().expect(7);
    view.wait_for("1 failed · 3 ended · over");
    view.typed.keys("q");
    view.is_left();
}

#[test]
fn a_job_that_is_over_is_seen_from_its_files() {
    let place = Place::new();
    let run = ["run", "--job", "j", "-n", "3", "--on-failure", "continue", "--", "sh", "-c"];
    place.lastline(&[&run[..], &["echo done; exit $((RANK > 0))"]].concat()).expect(1);
    let mut view = View::open(&place, SIZE, &["top"]);
    view.wait_for("failed first");
    view.typed.keys("\x1b");
    view.wait_for("[0-2] done");
    view.typed.keys("/1");
    view.typed.keys("\r");
    view.wait_for("1 of 1 fit `1`");
    view.typed.keys("q");
    view.is_left();
}

#[test]
fn the_terminal_is_as_it_was_when_a_signal_ends_the_view() {
    for signal in [libc::SIGTERM, libc::SIGHUP, libc::SIGINT] {
        let place = Place::new();
        place.lastline(&["run", "--job", "j", "-n", "2", "--", "echo", "done"]);
        let view = View::open(&place, SIZE, &["top", "j"]);
        view.wait_for("[0,1] done");
        view.typed.process.signal(signal);
        view.is_left();
    }
}

#[test]
fn who_pauses_it_has_the_terminal_meanwhile() {
    let place = Place::new();
    place.lastline(&["run", "--job", "over", "-n", "2", "--", "echo", "done"]);
    let run =
        ["run", "--view", "--job", "j", "-n", "2", "--", "sh", "-c", "echo done; exec sleep 600"];
    for args in [&["top", "over"][..], &run[..]] {
        let mut view = View::open(&place, SIZE, args);
        view.wait_for("[0,1] done");
        let raw = view.typed.modes();
        for from_keys in [false, true] {
            if from_keys {
                view.typed.keys("\x1a");
            } else {
                view.typed.process.signal(libc::SIGTSTP);
            }
            wait_until("it stands still", || view.typed.is_stopped());
            assert_eq!(view.typed.modes(), [true; 3]);
            wait_until("the first screen is back", || !view.typed.screen(SIZE).1);
            view.typed.process.signal(libc::SIGCONT);
            view.wait_for("[0,1] done");
            wait_until("the view has the terminal", || view.typed.screen(SIZE).1);
            assert_eq!(view.typed.modes(), raw);
        }
        view.typed.process.signal(libc::SIGTERM);
        view.is_left();
    }
    report(&place.job("j"));
}

#[test]
fn a_thousand_ranks_a_flood_hostile_bytes_and_a_storm_of_sizes() {
    use std::os::fd::AsFd as _;
    let place = Place::new();
    let script = "printf '\\033[2J\\033]0;title\\007\\233hostile\\n'; i=0
        while [ $RANK -lt 8 ] && [ $i -lt 20000 ]; do i=$((i + 1)); echo \"line $i\"; done
        read -r line";
    let (run, stdin) = job(&place, &["-n", "1000"], script);
    run.line();
    let mut view = View::open(&place, SIZE, &["top", "j"]);
    view.wait_for("1000 run");
    let sizes = (1..40).map(|step| TerminalSize { rows: 5 + step, columns: 20 + 3 * step });
    for size in sizes.chain([SIZE]) {
        size.give_to(&view.typed.slave.as_fd()).unwrap();
    }
    view.typed.keys("\x0c");
    view.wait_for("log: following");
    let seen = view.typed.seen();
    assert!(!seen.contains("title\x07") && !seen.contains('\u{9b}'), "{seen:?}");
    drop(stdin);
    run.wait().expect(1);
    view.wait_for("over");
    view.typed.keys("q");
    view.is_left();
}

#[test]
fn without_a_terminal_it_is_said_what_to_type() {
    let place = Place::new();
    let none = place.lastline(&["top"]).expect(2);
    assert!(none.err().starts_with("lastline: there is no job yet in "), "{}", none.err());
    place.lastline(&["run", "--", "true"]).expect(0);
    let done = place.lastline(&["top"]).expect(1);
    assert!(done.err().contains("`lastline logs --follow`"), "{}", done.err());
    let done = place.lastline(&["run", "--view", "--", "true"]).expect(2);
    assert!(done.err().contains("`lastline top`"), "{}", done.err());
    let view = View::open(&place, SIZE, &["top", "none"]);
    view.wait_for("no job `none`");
    for misused in [["--stdin", "rank0"], ["--format", "json"]] {
        let run = [&["run", "--view"], &misused[..], &["--", "true"]].concat();
        let view = View::open(&place, SIZE, &run);
        assert_eq!(view.typed.wait(), Exit::Code(2), "{misused:?}");
    }
}

#[test]
fn a_job_that_is_over_is_over_for_others_while_its_view_is_looked_at() {
    let place = Place::new();
    let run = ["run", "--view", "--job", "j", "-n", "2", "--on-failure", "continue"];
    let run = [&run[..], &["--", "sh", "-c", "echo x; exit 3"]].concat();
    let mut view = View::open(&place, SIZE, &run);
    view.wait_for("over");
    wait_until("the list says so", || {
        !place.lastline(&["jobs"]).expect(0).out().contains("running")
    });
    assert_eq!(place.lastline(&["logs", "--follow", "j"]).expect(0).sorted(), ["[0] x", "[1] x"]);
    place.lastline(&["report", "j"]).expect(0);
    let over = place.lastline(&["stop", "j"]).expect(1);
    assert!(over.err().contains("it is over"), "{}", over.err());
    view.typed.keys("q");
    assert_eq!(view.typed.wait(), Exit::Code(3));
    view.is_left();
}

#[test]
fn a_job_inside_its_view_goes_on_without_it_or_is_stopped() {
    let place = Place::new();
    let script = "echo early; while [ ! -e \"$0\" ]; do sleep 0.05; done; echo late; exit 4";
    let gate = place.path("gate");
    let run = ["run", "--view", "--job", "j", "-n", "2", "--on-failure", "continue"];
    let run = [&run[..], &["--", "sh", "-c", script]].concat();
    let mut view = View::open(&place, SIZE, &[&run[..], &[gate.to_str().unwrap()]].concat());
    view.wait_for("[0,1] early");
    view.typed.keys("q");
    view.wait_for("2 ranks run.");
    view.typed.keys("g");
    wait_until("the view is left", || !view.typed.screen(SIZE).1);
    std::fs::write(&gate, "").unwrap();
    view.wait_for("[0,1] late");
    view.wait_for("failed first: exit code 4");
    assert_eq!(view.typed.wait(), Exit::Code(4));
    view.is_left();
    let report_of_all = report(&place.job("j"));
    for rank in 0..2 {
        let told = stream(&report_of_all, rank, "stdout");
        let bytes = |value: &serde_json::Value| value.as_u64().unwrap();
        let (withheld, shown) = (bytes(&told["withheld"]["show"]), bytes(&told["shown_bytes"]));
        assert!(withheld >= 6 && withheld + shown == 11, "{told}");
    }

    let place = Place::new();
    let run = ["run", "--view", "--job", "j", "-n", "2", "--", "sleep", "600"];
    let mut view = View::open(&place, SIZE, &run);
    view.wait_for("2 run");
    view.typed.keys("q");
    view.wait_for("2 ranks run.");
    view.typed.keys("s");
    assert_eq!(view.typed.wait(), Exit::Code(130));
    view.is_left();
    report(&place.job("j"));
}
