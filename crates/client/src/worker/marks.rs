//! What streams send beside bytes: skips, marks of barriers, ends.

use std::time::{Duration, Instant};

use lastline_line::{Cause, Control, Offset, Span, StreamId, Version, Withheld};

use super::Worker;
use crate::printer::Missing;
use crate::state::{Interrupted, Progress};

/// How long the marks of a barrier, and the ends of streams it waits for, gather before any is answered;
/// unless all that is waited for is on its way.
const GATHER_FOR: Duration = Duration::from_millis(50);

impl Worker {
    pub(super) fn take_skip(&mut self, stream: StreamId, span: Span, cause: &Cause) {
        self.interrupt(stream);
        self.interrupt_tap(stream);
        let mut state = self.shared.state();
        let account = state.accounts.entry(stream).or_default();
        let fresh = account.arrive(span);
        match cause {
            // It would not have been shown either way.
            Cause::Lost(_) if !self.presenter.options.shows(stream) => {
                account.withhold(Withheld::Show, fresh.len());
            }
            Cause::Withheld(reason) => account.withhold(*reason, fresh.len()),
            Cause::Lost(words) => {
                account.lose(fresh, words);
                drop(state);
                if self.presenter.options.tell_missing && !fresh.is_empty() {
                    let missing = Missing { stream, span: fresh, cause: words };
                    self.presenter.console.missing(&missing);
                }
            }
        }
    }

    /// A barrier's mark. It is answered when all that came before it is printed and flushed.
    pub(super) fn take_mark(&mut self, stream: StreamId, version: Version, mark: Offset) {
        self.interrupt(stream);
        {
            let mut state = self.shared.state();
            let account = state.accounts.entry(stream).or_default();
            account.arrive(Span::new(mark, mark));
            account.mark = Some(mark);
            state.barriers.marked(stream, version, mark);
        }
        self.owed.marks.push((stream, version, mark));
    }

    pub(super) fn take_end(&mut self, stream: StreamId, at: Offset) {
        self.give_open(stream, true);
        self.interrupt_tap(stream);
        let rank_ended = {
            let mut state = self.shared.state();
            let account = state.accounts.entry(stream).or_default();
            account.arrive(Span::new(at, at));
            account.ended = Some(at);
            state.end_came(stream);
            let starts = &self.presenter.options.starts;
            starts.is_last_word(stream, |id| state.has_ended(id))
        };
        if rank_ended {
            self.presenter.rank_ended(stream.rank);
        }
        self.controls.send(Control::Acknowledge { stream, through: at });
    }

    /// The inbox is empty: nothing more comes of the streams that were interrupted.
    pub(super) fn take_interrupted(&mut self) {
        for _ in 0..std::mem::take(&mut self.settling) {
            let next = self.shared.state().interrupted.front().cloned();
            let Some(Interrupted { stream, length, cause }) = next else {
                break;
            };
            let (received, ended) = {
                let mut state = self.shared.state();
                let account = state.accounts.entry(stream).or_default();
                if account.ended.is_none() {
                    account.interrupted = Some(cause.clone());
                }
                (account.received, account.ended.is_some())
            };
            if !ended {
                let length = length.unwrap_or(received).max(received);
                self.take_skip(stream, Span::new(received, length), &Cause::lost(cause));
                self.take_end(stream, length);
            }
            self.shared.state().interrupted.pop_front();
        }
    }

    /// Answers who waits for marks and ends that have come, after printing what is held: when all have
    /// come that are waited for, or after a moment, unless all of it is on its way. What the others have yet to
    /// say may fold with what is held.
    pub(super) fn answer_when_gathered(&mut self) {
        let (gathered, ended, gathers_all) = {
            let mut state = self.shared.state();
            if state.barriers.is_idle() {
                state.to_release.clear();
            }
            let Progress { barriers, to_release, .. } = &*state;
            (barriers.has_gathered(), !to_release.is_empty(), barriers.gathers_all())
        };
        let owed = ended || !self.owed.marks.is_empty();
        if !owed || gathers_all {
            self.owed.since = None;
        } else {
            self.owed.since.get_or_insert_with(Instant::now);
        }
        let transparent = self.presenter.fold.is_transparent();
        let late = self.owed.since.is_some_and(|since| since.elapsed() >= GATHER_FOR);
        if owed && (gathered || transparent || late) {
            self.answer_all();
        }
    }

    /// Answers all of them now.
    pub(super) fn answer_all(&mut self) {
        self.presenter.release();
        self.owed.since = None;
        for (stream, version, mark) in std::mem::take(&mut self.owed.marks) {
            let mut state = self.shared.state();
            let account = state.accounts.entry(stream).or_default();
            let lost = account.lost.first_below(mark).cloned();
            state.barriers.reached(stream, version, lost.as_ref());
            drop(state);
            self.controls.send(Control::Acknowledge { stream, through: mark });
        }
        let mut state = self.shared.state();
        let Progress { accounts, barriers, to_release, .. } = &mut *state;
        for stream in std::mem::take(to_release) {
            if let Some(account) = accounts.get(&stream) {
                barriers.ended(stream, account.loss_at_end().as_ref());
            }
        }
    }
}

/// Who waits for what has come.
#[derive(Debug, Default)]
pub(super) struct Owed {
    /// Marks that were not answered yet.
    marks: Vec<(StreamId, Version, Offset)>,
    /// When the first of what is owed came.
    since: Option<Instant>,
}

impl Owed {
    /// How long until what is owed is answered, whatever else is to come.
    pub(super) fn due(&self) -> Option<Duration> {
        self.since.map(|since| GATHER_FOR.saturating_sub(since.elapsed()))
    }
}
