//! What a line goes through between its stream and the console.

use std::time::SystemTime;

use lastline_line::{Fold, Line, Span, StreamId, Timestamp, Withheld};

use crate::account::Account;
use crate::console::Console;
use crate::lines::OpenLine;
use crate::long_line;
use crate::options::Options;
use crate::piece::Out;

/// The fold and the console behind it.
pub(crate) struct Presenter {
    pub(crate) fold: Box<dyn Fold>,
    pub(crate) console: Console,
    pub(crate) options: Options,
    /// When the fold wants to be asked, if it does.
    pub(crate) fold_due: Option<Timestamp>,
}

impl Presenter {
    /// For the pieces of one stream that arrived at `time`.
    pub(crate) fn of(&mut self, stream: StreamId, time: Timestamp) -> Output<'_> {
        let now = self.fold_time();
        Output { presenter: self, stream, time, now }
    }

    /// Prints and flushes everything that is held.
    pub(crate) fn release(&mut self) {
        self.fold.finish(&mut |entry| self.console.print(&entry));
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
            self.fold_due = self.fold.due(now(), &mut |entry| self.console.print(&entry));
        }
    }

    /// A rank will say nothing more.
    pub(crate) fn rank_ended(&mut self, rank: u32) {
        let now = self.fold_time();
        self.fold.ended(rank, now, &mut |entry| self.console.print(&entry));
    }

    /// The time for the fold; a fold that holds nothing needs none.
    fn fold_time(&self) -> Timestamp {
        if self.fold.is_transparent() { Timestamp::default() } else { now() }
    }
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from_system(SystemTime::now())
}

/// Takes the pieces of one stream.
pub(crate) struct Output<'a> {
    presenter: &'a mut Presenter,
    stream: StreamId,
    time: Timestamp,
    now: Timestamp,
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
        let Presenter { fold, console, .. } = &mut *self.presenter;
        fold.push(line, self.now, &mut |entry| console.print(&entry));
    }

    /// Changes the stream's account, unless all that came is accounted for: its output has failed.
    fn account(&mut self, change: impl FnOnce(&mut Account)) {
        let console = &self.presenter.console;
        if console.closed_for(self.stream).is_none() {
            change(console.shared.state().accounts.entry(self.stream).or_default());
        }
    }

    /// A line whose start was let go: it is read back and printed whole.
    fn push_long(&mut self, line: Line<'_>, filed: u64) {
        let files =
            self.presenter.options.read_back.clone().expect("BUG: only filed bytes are let go");
        match long_line::whole(&*files, self.stream, line.start, filed, line.text) {
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
            Some(files) if files.holds(self.stream, held) => line.let_go(),
            // What is on its way to the file is in the memory that reading may take; so this copy of
            // it is bounded, too.
            Some(files) if files.filed(self.stream) < held.to => {}
            _ => line.give_partial(&mut |piece| self.take(piece)),
        }
    }
}
