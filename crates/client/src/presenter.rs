//! What a line goes through between its stream and the console.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime};

use lastline_line::{Entry, Fold, Line, Off, Span, StreamId, Timestamp, Withheld};

use crate::account::Account;
use crate::console::Console;
use crate::entry::OwnedEntry;
use crate::lines::OpenLine;
use crate::long_line::LongLines;
use crate::options::Options;
use crate::piece::Out;
use crate::printer::Printer;

/// The fold and the console behind it.
pub(crate) struct Presenter {
    pub(crate) fold: Box<dyn Fold>,
    /// The fold is at work: what panics now, and is not the printer, is the fold.
    pub(crate) folding: bool,
    pub(crate) console: Console,
    pub(crate) options: Options,
    pub(crate) long_lines: LongLines,
    /// When the fold wants to be asked, if it does.
    pub(crate) fold_due: Option<Timestamp>,
}

impl Presenter {
    /// For the pieces of one stream that arrived at `time`.
    pub(crate) fn of(&mut self, stream: StreamId, time: Timestamp) -> Output<'_> {
        let now = self.fold_time();
        Output { presenter: self, stream, time, now, last: false }
    }

    /// Who is at work.
    pub(crate) fn part(&self) -> &'static str {
        match (self.console.printing, self.folding) {
            (true, _) => "printer",
            (false, true) => "fold",
            (false, false) => "client",
        }
    }

    /// Nothing is folded or printed any more, because of `cause`. Gives back who did, and is not to
    /// be used again.
    pub(crate) fn fail(&mut self, cause: &str) -> (Box<dyn Fold>, Box<dyn Printer>) {
        (self.folding, self.fold_due) = (false, None);
        let fold = std::mem::replace(&mut self.fold, Box::new(Off));
        (fold, self.console.fail(cause))
    }

    /// Has the fold do something.
    fn ask<T>(&mut self, work: impl FnOnce(&mut dyn Fold, &mut Console) -> T) -> T {
        self.folding = true;
        let done = work(&mut *self.fold, &mut self.console);
        self.folding = false;
        done
    }

    /// What is shown of states of one moment, in the order of their ranks.
    pub(crate) fn fold_states(&mut self, states: &[Line<'_>], now: Timestamp) -> Vec<OwnedEntry> {
        let mut entries = Vec::new();
        let ranks = states.iter().map(|state| state.stream.rank).collect();
        self.folding = true;
        let mut fold = self.fold.for_states(ranks);
        for state in states {
            fold.push(state, now, &mut |entry| entries.push(OwnedEntry::from(&entry)));
        }
        fold.finish(&mut |entry| entries.push(OwnedEntry::from(&entry)));
        self.folding = false;
        entries.sort_by_key(|entry| match entry {
            OwnedEntry::Line(line) => Some(line.stream.rank),
            OwnedEntry::Folded(folded) => folded.ranks.iter().next(),
        });
        entries
    }

    /// Prints and flushes everything that is held.
    pub(crate) fn release(&mut self) {
        self.ask(|fold, console| fold.finish(&mut |entry| console.print(&entry)));
        self.fold_due = None;
        self.console.flush();
    }

    /// Uses another fold from now on.
    pub(crate) fn change_fold(&mut self, next: Box<dyn Fold>) {
        self.release();
        self.fold = next;
    }

    /// Prints what is due.
    pub(crate) fn ask_fold(&mut self) {
        if !self.fold.is_transparent() {
            self.fold_due =
                self.ask(|fold, console| fold.due(now(), &mut |entry| console.print(&entry)));
        }
    }

    /// A rank will say nothing more.
    pub(crate) fn rank_ended(&mut self, rank: u32) {
        let now = self.fold_time();
        self.ask(|fold, console| fold.ended(rank, now, &mut |entry| console.print(&entry)));
    }

    /// The time for the fold; a fold that holds nothing needs none.
    fn fold_time(&self) -> Timestamp {
        if self.fold.is_transparent() { Timestamp::default() } else { now() }
    }
}

/// The time for folds: that of day when it is asked for first, and from then on by a clock that nobody
/// sets, so that no window becomes longer or shorter.
pub(crate) fn now() -> Timestamp {
    static START: OnceLock<(Timestamp, Instant)> = OnceLock::new();
    #[expect(clippy::disallowed_methods, reason = "any time will do to count from")]
    let start = || (Timestamp::from_system(SystemTime::now()), Instant::now());
    let (day, moment) = START.get_or_init(start);
    let passed = u64::try_from(moment.elapsed().as_micros()).unwrap_or(u64::MAX);
    Timestamp(day.0.saturating_add(passed))
}

/// Takes the pieces of one stream.
pub(crate) struct Output<'a> {
    presenter: &'a mut Presenter,
    stream: StreamId,
    time: Timestamp,
    now: Timestamp,
    /// The stream has ended: nothing goes on with what is open.
    pub(crate) last: bool,
}

impl Output<'_> {
    pub(crate) fn take(&mut self, piece: Out<'_>) {
        match piece {
            Out::Redrawn(bytes) => {
                self.account(|account| account.withhold(Withheld::Redrawn, bytes));
            }
            Out::Line { start, bytes, text, filed, continuation, partial, redrawn } => {
                let (stream, time) = (self.stream, self.time);
                let line =
                    Line { stream, start, bytes, time, text, continuation, partial, redrawn };
                if filed == 0 {
                    self.push(&line);
                } else {
                    self.push_long(line, filed);
                }
            }
        }
    }

    fn push(&mut self, line: &Line<'_>) {
        let (now, last) = (self.now, self.last && line.partial);
        let print = |fold: &mut dyn Fold, console: &mut Console| {
            let emit = &mut |entry: Entry<'_>| console.print(&entry);
            if last { fold.push_last(line, now, emit) } else { fold.push(line, now, emit) }
        };
        self.presenter.ask(print);
    }

    /// Changes the stream's account, unless all that came is accounted for: its output has failed.
    fn account(&mut self, change: impl FnOnce(&mut Account)) {
        let console = &self.presenter.console;
        if console.closed_for(self.stream).is_none() {
            change(console.shared.state().accounts.entry(self.stream).or_default());
        }
    }

    /// A line whose start was released: it is read back and printed whole.
    fn push_long(&mut self, line: Line<'_>, filed: u64) {
        let Options { read_back, read_back_timeout: within, .. } = &self.presenter.options;
        let files = read_back.clone().expect("BUG: only filed bytes are released");
        let (front, within) = ((line.start, filed), *within);
        let long_lines = &mut self.presenter.long_lines;
        match long_lines.whole(files, self.stream, front, line.text, within) {
            Ok(text) => self.push(&Line { text: &text, ..line }),
            Err(cause) => {
                let gone = Span::new(line.start, line.start + filed);
                self.account(|account| account.lose(gone, &cause));
                let (start, bytes) = (line.start + filed, line.bytes - filed);
                self.push(&Line { start, bytes, continuation: true, ..line });
            }
        }
    }

    /// Keeps what an open line holds within its bound.
    pub(crate) fn bound(&mut self, line: &mut OpenLine) {
        let Options { held_line_bytes, whole_line_bytes, ref read_back, .. } =
            self.presenter.options;
        if line.held_bytes() <= held_line_bytes {
            return;
        }
        let held = Span::new(line.held_from(), line.end());
        let files = read_back.as_ref().filter(|_| line.len() < whole_line_bytes as u64);
        match files {
            Some(files) if files.holds(self.stream, held) => line.release(),
            // What is on its way to the file is in the memory that reading may take; so this copy of
            // it is bounded, too.
            Some(files) if files.filed(self.stream) < held.to => {}
            _ => line.give_partial(&mut |piece| self.take(piece)),
        }
    }
}
