//! Screens of a view, drawn into a buffer.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use lastline_line::{Exit, Launch, Line, Offset, Stream, StreamId, Timestamp};
use lastline_top::{App, Happening, Leaving, Screen};
use lastline_watch::protocol::{EntryMessage, Message};
use lastline_watch::{Change, FailureView, FirstFailure, Output, Snapshot};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

const SECOND: u64 = 1_000_000;

struct View {
    app: App,
    terminal: Terminal<TestBackend>,
}

impl View {
    fn new(ranks: u32, (width, height): (u16, u16), inside: bool) -> Self {
        let terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let mut view = Self { app: App::new(inside), terminal };
        let mut snapshot = Snapshot::default();
        snapshot.job.id = String::from("demo");
        snapshot.job.command = ["python", "train.py"].map(String::from).to_vec();
        snapshot.job.started = Some(Timestamp(0));
        view.see(Message::Snapshot(Box::new(snapshot)));
        for rank in 0..ranks {
            view.change(Change::Started {
                rank,
                host: String::from("a"),
                launch: Some(Launch(u64::from(rank))),
                pid: Some(100 + rank),
                time: Some(Timestamp(0)),
            });
        }
        view.now(1);
        view
    }

    fn see(&mut self, message: Message) {
        self.app.handle_event(Happening::Seen(message));
    }

    fn change(&mut self, change: Change) {
        self.see(Message::Event(change));
    }

    fn now(&mut self, second: u64) {
        self.app.handle_event(Happening::Now(Timestamp(second * SECOND)));
    }

    fn says(&mut self, rank: u32, bytes: u64, second: u64) {
        let mut output = Output::default();
        (output.rank, output.bytes, output.lines) = (rank, bytes, 1);
        output.time = Some(Timestamp(second * SECOND));
        self.change(Change::Output(vec![output]));
    }

    fn entry(&mut self, rank: u32, stream: Stream, text: &str, second: u64) {
        let line = Line {
            stream: StreamId::new(Launch(1), rank, stream),
            start: Offset(0),
            bytes: text.len() as u64,
            time: Timestamp(second * SECOND),
            text: text.as_bytes(),
            continuation: false,
            partial: false,
            redrawn: false,
        };
        let entry = lastline_watch::Entry::from(&lastline_line::Entry::Line(line));
        self.app.handle_event(Happening::Entry(EntryMessage::Entry(Box::new(entry))));
    }

    fn keys(&mut self, keys: &str) {
        keys.chars().for_each(|key| self.key(KeyCode::Char(key)));
    }

    fn key(&mut self, code: KeyCode) {
        self.app.handle_event(Happening::Key(KeyEvent::new(code, KeyModifiers::NONE)));
    }

    fn screen(&mut self) -> String {
        self.terminal.draw(|frame| self.app.draw(frame)).unwrap();
        let buffer = self.terminal.backend().buffer();
        let rows = buffer.content().chunks(usize::from(buffer.area.width));
        let row = |row: &[ratatui::buffer::Cell]| {
            row.iter().map(ratatui::buffer::Cell::symbol).collect::<String>().trim_end().to_owned()
        };
        rows.map(|cells| row(cells) + "\n").collect()
    }
}

fn failure(rank: u32, second: u64, lines: &[&str]) -> Change {
    let mut failure = FirstFailure::new(rank, "a");
    failure.code = Some(3);
    failure.after_seconds = second as f64;
    failure.last_lines = lines.iter().map(|line| (*line).to_owned()).collect();
    failure.last_lines_of = Some(Stream::Stderr);
    failure.same_text = vec![5, 6];
    Change::FirstFailure(FailureView::new(Some(Timestamp(second * SECOND)), failure))
}

#[test]
fn ranks_and_the_log_are_seen_at_once() {
    let mut view = View::new(16, (80, 24), false);
    view.says(3, 4096, 2);
    view.now(2);
    for step in 0..30 {
        view.entry(0, Stream::Stdout, &format!("step {step}"), 2);
    }
    view.entry(7, Stream::Stderr, "a warning", 2);
    view.now(12);
    insta::assert_snapshot!(view.screen());
}

#[test]
fn a_thousand_ranks_are_usable_on_a_small_terminal() {
    let mut view = View::new(1000, (80, 24), false);
    for rank in [17, 998] {
        view.change(Change::Exited {
            rank,
            exit: Exit::Code(1),
            stopped: false,
            time: Some(Timestamp(SECOND)),
        });
    }
    let screen = view.screen();
    assert!(screen.contains("998 run · 2 failed"), "{screen}");
    view.keys("nn");
    let screen = view.screen();
    assert!(screen.contains("rank 998: exit code 1"), "{screen}");
    assert!(screen.lines().any(|line| line.starts_with("980 ") && line.contains('✗')), "{screen}");
}

#[test]
fn forty_columns_and_twelve_rows_are_enough_and_less_is_said() {
    let mut view = View::new(64, (40, 12), false);
    view.entry(0, Stream::Stdout, "a line that is longer than forty columns are", 2);
    insta::assert_snapshot!(view.screen());
    let mut small = View::new(4, (39, 12), false);
    assert!(small.screen().contains("too small"));
}

#[test]
fn the_first_failure_shows_itself_once_with_what_others_said_then() {
    let mut view = View::new(8, (80, 24), false);
    view.entry(2, Stream::Stdout, "long before", 2);
    view.entry(2, Stream::Stdout, "in that second", 9);
    view.entry(4, Stream::Stderr, "its own words", 9);
    view.change(failure(4, 9, &["Traceback", "ValueError: bad \x1b[2Jshard"]));
    insta::assert_snapshot!(view.screen());
    view.key(KeyCode::Esc);
    assert_eq!(view.app.screen(), Screen::Job);
    view.change(failure(4, 9, &["more is known"]));
    assert_eq!(view.app.screen(), Screen::Job, "it was seen");
    view.keys("!");
    assert!(view.screen().contains("more is known"));
}

#[test]
fn the_log_is_filtered_and_scrolled_and_stays_where_it_is_looked_at() {
    let mut view = View::new(8, (80, 24), false);
    for number in 0..100 {
        view.entry(number % 8, Stream::Stdout, &format!("number {number}"), 2);
    }
    view.screen();
    view.keys("/3 number 1");
    view.key(KeyCode::Enter);
    let screen = view.screen();
    assert!(screen.contains("2 of 100 fit `3 number 1`"), "{screen}");
    assert!(screen.contains("[3] number 11") && screen.contains("[3] number 19"), "{screen}");
    view.keys("/(");
    view.key(KeyCode::Enter);
    assert!(view.screen().contains("unclosed group"));
    view.key(KeyCode::Esc);
    view.key(KeyCode::Esc);
    view.key(KeyCode::PageUp);
    let before = view.screen();
    assert!(before.contains("scrolled back") && !before.contains("number 99"), "{before}");
    view.entry(0, Stream::Stdout, "more", 3);
    assert_eq!(view.screen(), before);
    view.keys("f");
    assert!(view.screen().contains("[0] more"));
}

#[test]
fn whatever_ranks_write_nothing_that_a_terminal_acts_on_is_drawn() {
    let mut view = View::new(2, (80, 24), false);
    let hostile = "\x1b[2J\x1b]0;title\x07\u{9b}31m\r\u{202e}evil\x08\x7f wide 日本語 \t tab";
    view.entry(0, Stream::Stdout, hostile, 1);
    let mut output = Output::default();
    (output.rank, output.last_line) = (0, Some(hostile.to_owned()));
    view.change(Change::Output(vec![output]));
    view.change(failure(1, 1, &[hostile]));
    for screen in ["!", "?"] {
        view.keys(screen);
        let drawn = view.screen();
        assert!(!drawn.chars().any(|character| character.is_control() && character != '\n'));
        view.key(KeyCode::Esc);
        let drawn = view.screen();
        assert!(!drawn.chars().any(|character| character.is_control() && character != '\n'));
    }
}

#[test]
fn a_job_inside_is_not_left_without_a_word_while_it_runs() {
    let mut view = View::new(2, (80, 24), true);
    view.keys("q");
    assert_eq!((view.app.screen(), view.app.leaving()), (Screen::Leave, None));
    view.key(KeyCode::Esc);
    view.keys("qs");
    assert_eq!(view.app.leaving(), Some(Leaving::StopJob));
    let mut view = View::new(2, (80, 24), false);
    view.keys("q");
    assert_eq!(view.app.leaving(), Some(Leaving::GoOn));
}

#[test]
fn a_job_inside_of_which_no_rank_runs_is_left_at_once() {
    let exited = |rank| {
        let (exit, time) = (Exit::Code(0), Some(Timestamp(SECOND)));
        Change::Exited { rank, exit, stopped: false, time }
    };
    // What ranks have left is still read: the job has not ended.
    let mut view = View::new(2, (80, 24), true);
    view.change(exited(0));
    view.keys("q");
    assert_eq!((view.app.screen(), view.app.leaving()), (Screen::Leave, None));
    view.key(KeyCode::Esc);
    view.change(exited(1));
    view.keys("q");
    assert_eq!(view.app.leaving(), Some(Leaving::GoOn));
    // Nor does the question stay that was asked before.
    let mut view = View::new(1, (80, 24), true);
    view.keys("q");
    assert_eq!((view.app.screen(), view.app.leaving()), (Screen::Leave, None));
    view.change(exited(0));
    assert_eq!(view.app.leaving(), Some(Leaving::GoOn));
    // A rank may be yet to come.
    let mut view = View::new(0, (80, 24), true);
    view.keys("q");
    assert_eq!(view.app.leaving(), None);
}

#[test]
fn hints_and_help_are_cut_between_words_and_the_help_scrolls() {
    let mut view = View::new(4, (40, 12), false);
    let hints = |view: &mut View| view.screen().lines().last().unwrap().to_owned();
    assert_eq!(hints(&mut view), "? help  q leave  Tab ranks/log");
    view.keys("?");
    let start = view.screen();
    assert!(start.contains("arrows, hjkl  scroll the log, long lines\n"), "{start}");
    assert!(start.contains("\n              sideways; choose a rank\n"), "{start}");
    assert_eq!(hints(&mut view), "arrows scroll  any other key: back");
    (0..50).for_each(|_| view.key(KeyCode::Down));
    let end = view.screen();
    assert!(end.contains("✗ failed") && !end.contains("this help"), "{end}");
    view.key(KeyCode::Home);
    assert_eq!(view.screen(), start);
    view.keys("x");
    assert_eq!(view.app.screen(), Screen::Job);
}

#[test]
fn the_mouse_chooses_ranks() {
    let mut view = View::new(64, (80, 24), false);
    view.screen();
    let click = |view: &mut View, column, row| {
        let (kind, modifiers) = (MouseEventKind::Down(MouseButton::Left), KeyModifiers::NONE);
        view.app.handle_event(Happening::Mouse(MouseEvent { kind, column, row, modifiers }));
    };
    click(&mut view, 11, 2);
    assert!(view.screen().contains("rank 18:"), "{}", view.screen());
    click(&mut view, 11, 2);
    assert_eq!(view.app.screen(), Screen::Rank);
}
