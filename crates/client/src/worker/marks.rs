//! What streams send beside bytes: skips, marks of barriers, ends.

use lastline_line::{Cause, Control, Offset, Span, StreamId, Version, Withheld};

use super::Worker;
use crate::printer::Missing;
use crate::state::{Interrupted, Progress};

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

    /// A barrier's mark: all that came before it is printed and flushed before the answer.
    pub(super) fn take_mark(&mut self, stream: StreamId, version: Version, mark: Offset) {
        self.interrupt(stream);
        {
            let mut state = self.shared.state();
            let account = state.accounts.entry(stream).or_default();
            account.arrive(Span::new(mark, mark));
            account.mark = Some(mark);
            state.barriers.marked(stream, version, mark);
        }
        self.presenter.release();
        let mut state = self.shared.state();
        let account = state.accounts.entry(stream).or_default();
        let lost = account.lost.first_below(mark).cloned();
        state.barriers.reached(stream, version, lost.as_ref());
        drop(state);
        self.controls.send(Control::Acknowledge { stream, through: mark });
    }

    pub(super) fn take_end(&mut self, stream: StreamId, at: Offset) {
        self.interrupt(stream);
        self.interrupt_tap(stream);
        let rank_ended = {
            let mut state = self.shared.state();
            let account = state.accounts.entry(stream).or_default();
            account.arrive(Span::new(at, at));
            account.ended = Some(at);
            state.to_release.push(stream);
            state.has_ended(stream)
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

    /// Answers barriers that wait for streams that have ended, after printing what is held.
    pub(super) fn release_ended(&mut self) {
        let ended = std::mem::take(&mut self.shared.state().to_release);
        if ended.is_empty() {
            return;
        }
        if !self.shared.state().barriers.is_idle() {
            self.presenter.release();
            let mut state = self.shared.state();
            let Progress { accounts, barriers, .. } = &mut *state;
            for stream in ended {
                if let Some(account) = accounts.get(&stream) {
                    barriers.ended(stream, account.loss_at_end().as_ref());
                }
            }
        }
    }
}
