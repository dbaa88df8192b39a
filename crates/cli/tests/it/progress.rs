//! What is open: progress bars, lines without their end, ranks that are silent.

use std::fs::File;
use std::io::Read as _;
use std::sync::{Arc, Mutex};

use lastline_line::RankSet;
use rustix::process::Signal;
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::Value;

use crate::pty::terminal;
use crate::support::{Done, Place, Running, file, rank, report, stream, wait_until};

/// A bar as tqdm draws it, to 30 %; the rest when the gate opens. Lines go on meanwhile.
const BAR: &str = r#"
for step in 10 20 30; do
  printf '\r%3d%%|###       | %d/100' $step $step >&2
  echo "line at $step"
done
"$0" gate "$1" >gate.said
printf '\r100%%|##########| 100/100\n' >&2
"#;

/// A terminal on which lastline runs, and what is on its screen.
struct Screen {
    run: Running,
    master: Arc<File>,
    parser: Arc<Mutex<vt100::Parser>>,
    /// Everything that was written to it.
    written: Arc<Mutex<Vec<u8>>>,
}

impl Screen {
    fn start(place: &Place, size: (u16, u16), env: &[(&str, &str)], args: &[&str]) -> Self {
        let (master, slave) = terminal(size.0, size.1);
        let mut command = place.command(args);
        command.env("TERM", "xterm").envs(env.iter().copied());
        command.stdout(slave.try_clone().unwrap()).stderr(slave);
        let run = Running::start(command);
        let master = Arc::new(File::from(master));
        let parser = Arc::new(Mutex::new(vt100::Parser::new(size.0, size.1, 0)));
        let written = Arc::<Mutex<Vec<u8>>>::default();
        let (reads, screen, all) = (Arc::clone(&master), Arc::clone(&parser), Arc::clone(&written));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // It ends with an error when nobody has the other end any more.
            while let Ok(count) = (&*reads).read(&mut bytes) {
                all.lock().unwrap().extend_from_slice(&bytes[..count]);
                screen.lock().unwrap().process(&bytes[..count]);
            }
        });
        Self { run, master, parser, written }
    }

    /// The rows, without those at the end that are empty.
    fn rows(&self) -> Vec<String> {
        let parser = self.parser.lock().unwrap();
        let (_, width) = parser.screen().size();
        let rows = parser.screen().rows(0, width).map(|row| row.trim_end().to_owned());
        let mut rows: Vec<String> = rows.collect();
        while rows.last().is_some_and(String::is_empty) {
            rows.pop();
        }
        rows
    }

    #[track_caller]
    fn wait_for(&self, what: &str, found: impl Fn(&[String]) -> bool) -> Vec<String> {
        let mut rows = Vec::new();
        wait_until(what, || {
            rows = self.rows();
            found(&rows)
        });
        rows
    }

    fn resize(&self, ws_row: u16, ws_col: u16) {
        let size = Winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 };
        self.parser.lock().unwrap().screen_mut().set_size(ws_row, ws_col);
        tcsetwinsize(&*self.master, size).unwrap();
    }

    /// Waits for the end; what is on the screen then.
    #[track_caller]
    fn finish(self, code: i32) -> (Vec<String>, String) {
        let Self { run, parser, written, .. } = self;
        let done = run.wait();
        assert_eq!(done.code(), code);
        // The last of it is read when the word about it is there.
        let mut rows = Vec::new();
        wait_until("the last words", || {
            let parser = parser.lock().unwrap();
            let (_, width) = parser.screen().size();
            rows = parser.screen().rows(0, width).map(|row| row.trim_end().to_owned()).collect();
            rows.iter().any(|row| row.contains("lastline: ") && row.contains("ranks,"))
        });
        let written = String::from_utf8_lossy(&written.lock().unwrap()).into_owned();
        rows.retain(|row| !row.is_empty());
        (rows, written)
    }
}

/// The words of `lastline run` for `ranks` ranks that run this script, which may wait at the gate.
fn job<'a>(options: &[&'a str], script: &'a str, rank: &'a str, gate: &'a str) -> Vec<&'a str> {
    [&["run", "--job", "j"], options, &["--", "sh", "-c", script, rank, gate]].concat()
}

#[test]
fn bars_of_all_ranks_stand_below_the_lines_at_their_newest_state() {
    let place = Place::new();
    let ((gate, path), rank) = (place.gate(), rank());
    let args = job(&["-n", "8"], BAR, &rank, &path);
    let screen = Screen::start(&place, (24, 80), &[], &args);
    let bar = "[0-7]  30%|###       | 30/100";
    let rows = screen.wait_for("the newest state, below the lines", |rows| {
        rows.last().is_some_and(|row| row == bar)
            && rows.iter().any(|row| row == "[0-7] line at 30")
    });
    let states = rows.iter().filter(|row| row.contains('%')).count();
    assert_eq!(states, 1, "{rows:#?}");
    // Narrow, and so that it has to be drawn again.
    screen.resize(12, 20);
    screen.wait_for("a bar that fits", |rows| {
        rows.last().is_some_and(|row| row == "[0-7]  30%|###    …")
    });
    screen.resize(24, 80);
    screen.wait_for("the whole bar", |rows| rows.last().is_some_and(|row| row == bar));
    drop(gate);
    let (rows, _) = screen.finish(0);
    let rest: Vec<&String> = rows.iter().filter(|row| row.contains("30%")).collect();
    assert_eq!(rest, [""; 0], "{rows:#?}");
    assert!(rows.iter().any(|row| row.ends_with("] 100%|##########| 100/100")), "{rows:#?}");
    let end = rows.iter().rposition(|row| row.contains("100%")).unwrap() + 1;
    assert!(rows[end].starts_with("lastline: 8 ranks,"), "{rows:#?}");
    let report = report(&place.job("j"));
    let bytes = |of: &str| stream(&report, 0, "stderr")[of].as_u64().unwrap();
    assert_eq!(bytes("shown_bytes"), "100%|##########| 100/100\n".len() as u64);
}

#[test]
fn more_rows_than_there_is_room_for_are_counted() {
    let place = Place::new();
    let ((gate, path), rank) = (place.gate(), rank());
    let args = job(&["-n", "16", "--fold", "off"], BAR, &rank, &path);
    let screen = Screen::start(&place, (10, 40), &[("NO_COLOR", "1")], &args);
    let rows = screen.wait_for("some rows, and the number of the others", |rows| {
        rows.last().is_some_and(|row| row == "… and 12 more")
            && rows[5..9].iter().all(|row| row.contains(" 30%|"))
    });
    for (rank, row) in rows[5..9].iter().enumerate() {
        assert_eq!(*row, format!("[{rank}]  30%|###       | 30/100"));
    }
    drop(gate);
    let (rows, written) = screen.finish(0);
    assert!(rows.iter().all(|row| !row.contains("more") && !row.contains("30%")), "{rows:#?}");
    assert!(!written.contains("\x1b[2m"), "there are colours: {written}");
}

#[test]
fn on_a_signal_nothing_of_it_is_left() {
    for fold in ["ranks", "off"] {
        let place = Place::new();
        let ((_gate, path), rank) = (place.gate(), rank());
        let args = job(&["-n", "4", "--fold", fold, "--no-files"], BAR, &rank, &path);
        let screen = Screen::start(&place, (24, 80), &[], &args);
        screen.wait_for("the bars", |rows| rows.last().is_some_and(|row| row.contains(" 30%|")));
        screen.run.signal(Signal::INT);
        let (rows, _) = screen.finish(130);
        // A line that is not ended is printed as it is, once; below it stand the last words.
        let last = rows.iter().rposition(|row| row.contains("30%")).unwrap();
        assert!(rows[last + 1..].iter().all(|row| row.starts_with("lastline: ")), "{rows:#?}");
        // Those that end within a moment may be one entry.
        let bars = rows.iter().filter(|row| row.contains("30%"));
        let ranks = bars.map(|row| row[1..].split(']').next().unwrap().parse::<RankSet>().unwrap());
        let mut ranks: Vec<u32> = ranks.flat_map(|set| set.iter().collect::<Vec<_>>()).collect();
        ranks.sort_unstable();
        assert_eq!(ranks, [0, 1, 2, 3], "{rows:#?}");
    }
}

#[test]
fn nested_bars_stand_below_each_other() {
    let script = r#"
    for step in 1 2 3; do
      printf '\router: %d/9' $step
      for inner in 5 6 7; do printf '\n\rinner: %d0%%\033[A' $inner; done
    done
    "$0" gate "$1" >gate.said; printf '\n\n'
    "#;
    let place = Place::new();
    let ((gate, path), rank) = (place.gate(), rank());
    let args = job(&["-n", "3"], script, &rank, &path);
    let screen = Screen::start(&place, (24, 80), &[], &args);
    screen.wait_for("both bars", |rows| {
        rows.ends_with(&["[0-2] outer: 3/9", "[0-2] inner: 70%"].map(String::from))
    });
    drop(gate);
    screen.finish(0);
    report(&place.job("j"));
}

#[test]
fn a_line_that_is_not_ended_is_seen_after_a_while_and_printed_whole() {
    let script =
        r#"printf "waiting for 漢字 $((RANK / 4)) "; "$0" gate "$1" >gate.said; echo got it"#;
    let place = Place::new();
    let ((gate, path), rank) = (place.gate(), rank());
    let args = job(&["-n", "4"], script, &rank, &path);
    let screen = Screen::start(&place, (24, 20), &[], &args);
    screen.wait_for("what they wait for", |rows| rows == ["[0-3] waiting for …"]);
    drop(gate);
    let (rows, _) = screen.finish(0);
    assert!(rows.concat().contains("[0-3] waiting for 漢字 0 got it"), "{rows:#?}");
}

#[test]
fn elsewhere_an_open_line_is_announced_once_and_printed_whole() {
    let script = r#"printf "waiting for lock "; "$0" gate "$1" >gate.said; echo got it"#;
    let place = Place::new();
    let ((gate, path), rank) = (place.gate(), rank());
    let run = place.start(&job(&["-n", "2", "--fold", "ranks"], script, &rank, &path));
    assert_eq!(run.line(), "[0,1] waiting for lock …");
    drop(gate);
    let done = run.wait().expect(0);
    // The gate lets one after the other through, so that the whole lines may come apart.
    let (announced, whole) =
        done.out().split_once('\n').map(|(a, w)| (a.to_owned(), w.to_owned())).unwrap();
    assert_eq!(announced, "[0,1] waiting for lock …");
    assert!(whole.lines().all(|line| line.ends_with("] waiting for lock got it")), "{whole}");
    let report = report(&place.job("j"));
    assert_eq!(stream(&report, 1, "stdout")["shown_bytes"], "waiting for lock got it\n".len());
}

/// Bars of eight ranks that take three seconds, in a pipe.
fn slow_bars(options: &[&str]) -> (Place, Done) {
    let script = r#"
    i=0
    while [ $i -le 50 ]; do printf '\r%3d%%|#####     | %d/50' $((i * 2)) $i >&2; i=$((i + 1)); sleep 0.06; done
    echo >&2
    "#;
    let place = Place::new();
    let done = place.lastline(&job(&[&["-n", "8"], options].concat(), script, "", ""));
    (place, done.expect(0))
}

#[test]
fn in_a_pipe_a_job_has_a_line_for_a_tenth_and_one_for_each_end() {
    let (place, done) = slow_bars(&["--fold", "off"]);
    let err = done.err();
    let states: Vec<&str> = err.lines().filter(|line| line.contains("|#####     |")).collect();
    let ends = states.iter().filter(|line| line.ends_with(" 100%|#####     | 50/50")).count();
    assert_eq!(ends, 8, "{err}");
    // At most one a second, at most nine, and the states are those of tenths.
    let between = states.len() - ends;
    assert!((1..=9).contains(&between), "{err}");
    report(&place.job("j"));
    let (place, done) = slow_bars(&["--fold", "ranks"]);
    let err = done.err();
    let states: Vec<&str> = err.lines().filter(|line| line.contains("|#####     |")).collect();
    assert!(states.last().is_some_and(|end| end.ends_with(" 100%|#####     | 50/50")), "{err}");
    // Ranks whose scripts are slow may come apart at the end.
    let entries = states.iter().filter(|line| line.starts_with("[0-7]")).count();
    assert!((1..=10).contains(&entries) && states.len() <= 18, "{err}");
    report(&place.job("j"));
}

#[test]
fn as_objects_states_are_partial_and_open_lines_wait_for_their_end() {
    let (place, done) = slow_bars(&["--format", "json"]);
    let out = done.out();
    let objects: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let partial = objects.iter().filter(|object| object["partial"] == true).count();
    assert!((1..=9).contains(&partial), "{out}");
    assert_eq!(objects.len() - partial, 8, "{out}");
    report(&place.job("j"));
    let script = r#"printf "open "; "$0" gate "$1" >gate.said; echo and closed"#;
    let place = Place::new();
    let ((gate, path), rank) = (place.gate(), rank());
    let options = ["-n", "2", "--format", "json", "--silent-after", "2500ms"];
    let run = place.start(&job(&options, script, &rank, &path));
    wait_until("it is filed", || file(&place.job("j"), 1, "stdout") == b"open ");
    drop(gate);
    let done = run.wait().expect(0);
    assert_eq!(done.out().lines().count(), 2, "{}", done.out());
}

#[test]
fn a_terminal_that_cannot_draw_has_lines() {
    let place = Place::new();
    let ((gate, path), rank) = (place.gate(), rank());
    let args = job(&["-n", "2"], BAR, &rank, &path);
    let screen = Screen::start(&place, (24, 80), &[("TERM", "dumb")], &args);
    screen.wait_for("the lines", |rows| rows.iter().any(|row| row == "[0,1] line at 30"));
    drop(gate);
    let (rows, written) = screen.finish(0);
    assert!(rows.iter().any(|row| row == "[0,1] 100%|##########| 100/100"), "{rows:#?}");
    assert!(!written.contains("\x1b[J"), "{written}");
}

/// Rank 2 falls silent at once, the others when the gate opens.
const SILENT: &str = r#"
echo "start of $RANK"
if [ $RANK = 2 ]; then printf "waiting for lock"; exec "$0" gate "$1" >gate.said; fi
while [ ! -e open ]; do echo on; sleep 0.05; done
"#;

#[test]
fn who_is_silent_while_others_write_is_named_once() {
    let place = Place::new();
    let ((gate, path), rank) = (place.gate(), rank());
    let options = ["-n", "4", "--silent-after", "1s", "--show", "9"];
    let mut command = place.command(&job(&options, SILENT, &rank, &path));
    let err = File::create(place.path("err")).unwrap();
    command.stderr(err);
    let run = Running::start(command);
    let said = || std::fs::read_to_string(place.path("err")).unwrap();
    wait_until("the rank is named", || said().contains("silent"));
    // Longer than it took the first time.
    let written = || file(&place.job("j"), 0, "stdout").len();
    let before = written();
    wait_until("the others go on", || written() > before + 60);
    std::fs::write(place.path("open"), "").unwrap();
    drop(gate);
    run.wait().expect(0);
    let said = said();
    let notes: Vec<&str> = said.lines().filter(|line| line.contains("silent")).collect();
    assert_eq!(notes.len(), 1, "{said}");
    assert!(notes[0].starts_with("lastline: rank 2 silent for 1."), "{said}");
    assert!(notes[0].ends_with(" s; last: waiting for lock"), "{said}");
}
