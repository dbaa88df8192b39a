//! What keys and the mouse do.

use crossterm::event::{
    KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use lastline_line::Stream;

use crate::app::{App, Focus, Leaving, Screen, Typing};
use crate::own_log::At;

/// How many rows the wheel moves.
const WHEEL: isize = 3;
/// How many columns an arrow moves long lines.
const SHIFT: isize = 20;
/// The longest filter that is typed, in characters.
const MAX_TYPED: usize = 500;

/// The keys and what they do, as the help says it.
pub(crate) const KEYS: [(&str, &str); 15] = [
    ("q, Ctrl-C", "leave"),
    ("?", "this help"),
    ("Tab", "from the log to the ranks and back"),
    ("arrows, hjkl", "scroll the log, long lines sideways; choose a rank"),
    ("PgUp, PgDn", "a screen at a time"),
    ("Home, End", "to the start; to the end, and follow it"),
    ("f", "follow the end"),
    ("Enter", "the chosen rank's own log"),
    ("s", "there: stdout or stderr"),
    ("[ ]", "there: the rank before, the next one"),
    ("n", "the next rank that failed or is silent"),
    ("!", "the first failure"),
    ("/", "filter: `0-3,7 stderr error|warn`: ranks, a stream, a text"),
    ("Esc", "back; without the filter"),
    ("mouse", "choose a rank, twice for its log; the wheel scrolls"),
];

impl App {
    pub(crate) fn key(&mut self, key: KeyEvent) {
        if key.kind == KeyEventKind::Release {
            return;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if control && matches!(key.code, KeyCode::Char('c' | 'd')) {
            return self.ask_to_leave();
        }
        if self.typing.is_some() {
            return self.type_key(key.code, control);
        }
        match (self.screen, key.code) {
            (Screen::Leave, code) => self.answer(code),
            (_, KeyCode::Char('q')) => self.ask_to_leave(),
            (Screen::Help, code) => self.help_key(code),
            (_, KeyCode::Char('?')) => self.open(Screen::Help),
            (_, KeyCode::Char('!')) => self.open(Screen::Failure),
            (_, KeyCode::Char('/')) => {
                self.open(Screen::Job);
                self.typing = Some(Typing { text: self.filter.clone(), error: None });
            }
            (Screen::Rank, code) => self.own_key(code),
            (Screen::Failure, code) => self.failure_key(code),
            (_, code) => self.job_key(code),
        }
    }

    /// Where the job runs inside, it has to be said what becomes of it, as long as anything may.
    fn ask_to_leave(&mut self) {
        if self.has_choice() {
            self.open(Screen::Leave);
        } else {
            self.leave(Leaving::GoOn);
        }
    }

    fn answer(&mut self, code: KeyCode) {
        match code {
            KeyCode::Char('g' | 'G') => self.leave(Leaving::GoOn),
            KeyCode::Char('s' | 'S') => self.leave(Leaving::StopJob),
            KeyCode::Esc | KeyCode::Char('b' | 'B') => self.open(Screen::Job),
            _ => {}
        }
    }

    fn type_key(&mut self, code: KeyCode, control: bool) {
        let Some(typing) = &mut self.typing else { return };
        match code {
            KeyCode::Enter => {
                let text = typing.text.clone();
                match self.set_filter(&text) {
                    Ok(()) => self.typing = None,
                    Err(error) => self.typing = Some(Typing { text, error: Some(error) }),
                }
            }
            KeyCode::Esc => self.typing = None,
            KeyCode::Char('u') if control => typing.text.clear(),
            KeyCode::Backspace => drop(typing.text.pop()),
            KeyCode::Char(character) if !control && typing.text.chars().count() < MAX_TYPED => {
                typing.text.push(character);
                typing.error = None;
            }
            _ => {}
        }
    }

    fn job_key(&mut self, code: KeyCode) {
        match code {
            KeyCode::Tab | KeyCode::BackTab => {
                self.focus = match self.focus {
                    Focus::Log => Focus::Ranks,
                    Focus::Ranks => Focus::Log,
                };
            }
            KeyCode::Char('n') => {
                self.next_odd();
                self.focus = Focus::Ranks;
            }
            KeyCode::Char('f') => self.log.follow(),
            KeyCode::Enter => self.open(Screen::Rank),
            KeyCode::Esc => {
                // A filter of nothing is a good one.
                if self.set_filter("").is_ok() {
                    self.log.follow();
                }
            }
            code => match (self.focus, steps(code)) {
                (Focus::Ranks, Some(step)) => self.move_selection(step),
                (Focus::Log, Some(step)) => self.scroll_log(step),
                (_, None) => {}
            },
        }
    }

    fn move_selection(&mut self, step: Step) {
        let row = isize::try_from(self.grid.columns.max(1)).unwrap_or(1);
        let page = row * isize::try_from(self.grid.height.max(1)).unwrap_or(1);
        self.move_by(match step {
            Step::Row(rows) => rows * row,
            Step::Column(columns) => columns,
            Step::Page(pages) => pages * page,
            Step::Start => isize::MIN + 1,
            Step::End => isize::MAX,
        });
    }

    fn scroll_log(&mut self, step: Step) {
        let height = self.log_height.max(1);
        let page = isize::try_from(height.saturating_sub(1).max(1)).unwrap_or(1);
        match step {
            Step::Row(rows) => self.log.scroll(-rows, height),
            Step::Page(pages) => self.log.scroll(-pages * page, height),
            Step::Start => self.log.scroll(isize::MAX, height),
            Step::End => self.log.follow(),
            Step::Column(columns) => self.shift_by(columns * SHIFT),
        }
    }

    fn own_key(&mut self, code: KeyCode) {
        match code {
            KeyCode::Esc | KeyCode::Enter => self.open(Screen::Job),
            KeyCode::Char('s') => {
                self.own_stream = match self.own_stream {
                    Stream::Stdout => Stream::Stderr,
                    Stream::Stderr | Stream::Merged => Stream::Stdout,
                };
                self.open(Screen::Rank);
            }
            KeyCode::Char('f') => self.want(At::End),
            KeyCode::Char('n') => {
                self.next_odd();
                self.open(Screen::Rank);
            }
            KeyCode::Char('[' | ']') => {
                self.move_by(if code == KeyCode::Char('[') { -1 } else { 1 });
                self.open(Screen::Rank);
            }
            code => self.scroll_own(code),
        }
    }

    fn scroll_own(&mut self, code: KeyCode) {
        let page = isize::try_from(self.own_height.saturating_sub(1).max(1)).unwrap_or(1);
        match steps(code) {
            Some(Step::Row(rows)) => self.scroll_own_by(rows),
            Some(Step::Page(pages)) => self.scroll_own_by(pages * page),
            Some(Step::Start) => self.want(At::From(0)),
            Some(Step::End) => self.want(At::End),
            Some(Step::Column(columns)) => self.shift_by(columns * SHIFT),
            None => {}
        }
    }

    fn scroll_own_by(&mut self, rows: isize) {
        let Some(window) = &self.window else { return };
        let Some(first) = window.lines.first() else { return };
        let by = rows.unsigned_abs();
        if rows < 0 {
            self.want(At::Before(first.start, by));
        } else if window.at_end {
            self.want(At::End);
        } else {
            let next = window.lines.get(by).or(window.lines.last());
            let start = next.map_or(first.start, |line| line.start);
            self.want(At::From(start));
        }
    }

    fn help_key(&mut self, code: KeyCode) {
        match steps(code) {
            Some(step) => self.scroll_text(step),
            None => self.open(Screen::Job),
        }
    }

    fn failure_key(&mut self, code: KeyCode) {
        match (code, steps(code)) {
            (KeyCode::Esc, _) => self.open(Screen::Job),
            (KeyCode::Enter, _) => self.open_failed(),
            (_, Some(step)) => self.scroll_text(step),
            _ => {}
        }
    }

    fn scroll_text(&mut self, step: Step) {
        self.scrolled = match step {
            Step::Row(rows) => self.scrolled.saturating_add_signed(rows),
            Step::Page(pages) => self.scrolled.saturating_add_signed(pages * 10),
            Step::Start => 0,
            Step::Column(_) | Step::End => self.scrolled,
        };
    }

    pub(crate) fn mouse(&mut self, mouse: MouseEvent) {
        match mouse.kind {
            MouseEventKind::ScrollUp => self.wheel(-WHEEL),
            MouseEventKind::ScrollDown => self.wheel(WHEEL),
            MouseEventKind::Down(MouseButton::Left) if self.screen == Screen::Job => {
                self.click(mouse.column, mouse.row);
            }
            _ => {}
        }
    }

    fn wheel(&mut self, rows: isize) {
        match self.screen {
            Screen::Job => self.log.scroll(-rows, self.log_height.max(1)),
            Screen::Rank => self.scroll_own_by(rows),
            Screen::Failure | Screen::Help => self.scroll_text(Step::Row(rows)),
            Screen::Leave => {}
        }
    }

    fn click(&mut self, column: u16, row: u16) {
        let (left, top) = self.grid_at;
        let place = (column.checked_sub(left)).zip(row.checked_sub(top));
        let place = place.and_then(|(x, y)| self.grid.at(usize::from(x), usize::from(y)));
        match place {
            Some(place) if place == self.selected && self.focus == Focus::Ranks => {
                self.open(Screen::Rank);
            }
            Some(place) => (self.selected, self.focus) = (place, Focus::Ranks),
            None => self.focus = Focus::Log,
        }
    }
}

/// Where a key goes.
#[derive(Clone, Copy, Debug)]
enum Step {
    Row(isize),
    Column(isize),
    Page(isize),
    Start,
    End,
}

fn steps(code: KeyCode) -> Option<Step> {
    Some(match code {
        KeyCode::Up | KeyCode::Char('k') => Step::Row(-1),
        KeyCode::Down | KeyCode::Char('j') => Step::Row(1),
        KeyCode::Left | KeyCode::Char('h') => Step::Column(-1),
        KeyCode::Right | KeyCode::Char('l') => Step::Column(1),
        KeyCode::PageUp => Step::Page(-1),
        KeyCode::PageDown | KeyCode::Char(' ') => Step::Page(1),
        KeyCode::Home | KeyCode::Char('g') => Step::Start,
        KeyCode::End | KeyCode::Char('G') => Step::End,
        _ => return None,
    })
}
