//! The client's thread.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use lastline_line::{
    Cause, Chunk, Control, ControlSender, Fold, Inbox, Message, Offset, Received, Span, Stream,
    StreamId, Version, Withheld,
};

use crate::bar::moves_up;
use crate::console::Console;
use crate::lines::OpenLine;
use crate::options::Options;
use crate::presenter::{Presenter, now};
use crate::printer::{Block, Printer};
use crate::shared::{Shared, State};

/// Printed bytes that are not flushed yet are flushed beyond this.
const FLUSH_BYTES: u64 = 64 << 10;

pub(crate) struct Worker {
    inbox: Box<dyn Inbox>,
    controls: ControlSender,
    presenter: Presenter,
    shared: Arc<Shared>,
    lines: HashMap<StreamId, OpenLine>,
}

impl Worker {
    pub(crate) fn new(
        inbox: Box<dyn Inbox>,
        fold: Box<dyn Fold>,
        printer: Box<dyn Printer>,
        options: Options,
        shared: Arc<Shared>,
    ) -> Self {
        let console = Console::new(printer, Arc::clone(&shared));
        let presenter = Presenter { fold, console, options, fold_due: None };
        let controls = inbox.control_sender();
        Self { inbox, controls, presenter, shared, lines: HashMap::new() }
    }

    pub(crate) fn run(&mut self) {
        loop {
            match self.inbox.next(self.patience()) {
                Received::Message(message) => self.take(message),
                Received::TimedOut => self.presenter.console.flush(),
                Received::Closed => break,
            }
            self.present();
            if self.presenter.console.unflushed_bytes() >= FLUSH_BYTES {
                self.presenter.console.flush();
            }
        }
        self.give_all();
    }

    /// How long to wait for the next message: not at all while something is to be flushed.
    fn patience(&self) -> Option<Duration> {
        if self.presenter.console.unflushed_bytes() > 0 {
            return Some(Duration::ZERO);
        }
        self.presenter.fold_due.map(|due| due.since(now()))
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Data(chunk) => self.take_chunk(chunk),
            Message::Flush { stream, version, mark } => self.take_mark(stream, version, mark),
            Message::Skip { stream, span, cause } => self.take_skip(stream, span, &cause),
            Message::End { stream, at } => self.take_end(stream, at),
            Message::Heartbeat { node, time } => {
                self.shared.state().heard.insert(node, time);
            }
            // What hosts say of themselves does not come this way.
            _ => {}
        }
    }

    fn take_chunk(&mut self, chunk: Chunk) {
        let (stream, unseen) = (chunk.stream, chunk.span());
        let fresh = {
            let mut state = self.shared.state();
            let account = state.accounts.entry(stream).or_default();
            let before = account.received;
            let fresh = account.arrive(unseen);
            if !self.presenter.options.shows(stream) {
                account.withhold(Withheld::Show, fresh.len());
                return;
            }
            if let Some(cause) = self.presenter.console.closed_for(stream) {
                account.lose(fresh, cause);
                return;
            }
            (fresh, unseen.from > before)
        };
        let (fresh, after_gap) = fresh;
        if after_gap {
            self.interrupt(stream);
        }
        if let Some(chunk) = chunk.trim_before(fresh.from) {
            self.show(&chunk);
        }
    }

    fn show(&mut self, chunk: &Chunk) {
        let Chunk { stream, start, time, ref bytes, unterminated } = *chunk;
        let raw = self.presenter.options.raw_partials;
        let line = self.lines.entry(stream).or_insert_with(|| OpenLine::new(raw));
        let presenter = &mut self.presenter;
        let plain = !unterminated && line.is_fresh() && presenter.fold.is_transparent();
        if plain && memchr::memchr(b'\r', bytes).is_none() && !moves_up(bytes) {
            presenter.console.print_block(&Block { stream, start, time, bytes });
            return;
        }
        line.time = time;
        let mut out = presenter.of(stream, time);
        line.push(start, bytes, &mut |piece| out.take(piece));
        if raw {
            line.give_partial(&mut |piece| out.take(piece));
        } else {
            out.bound(line);
        }
    }

    /// What is open of a stream goes out; what follows continues it.
    fn interrupt(&mut self, stream: StreamId) {
        if let Some(line) = self.lines.get_mut(&stream) {
            let mut out = self.presenter.of(stream, line.time);
            line.interrupt(&mut |piece| out.take(piece));
        }
    }

    fn take_skip(&mut self, stream: StreamId, span: Span, cause: &Cause) {
        self.interrupt(stream);
        let mut state = self.shared.state();
        let account = state.accounts.entry(stream).or_default();
        let fresh = account.arrive(span);
        match cause {
            // It would not have been shown either way.
            Cause::Lost(_) if !self.presenter.options.shows(stream) => {
                account.withhold(Withheld::Show, fresh.len());
            }
            Cause::Withheld(reason) => account.withhold(*reason, fresh.len()),
            Cause::Lost(words) => account.lose(fresh, words),
        }
    }

    /// A barrier's mark: all that came before it is printed and flushed before the answer.
    fn take_mark(&mut self, stream: StreamId, version: Version, mark: Offset) {
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

    fn take_end(&mut self, stream: StreamId, at: Offset) {
        self.interrupt(stream);
        let rank_ended = {
            let mut state = self.shared.state();
            let account = state.accounts.entry(stream).or_default();
            account.arrive(Span::new(at, at));
            account.ended = Some(at);
            state.release_ended = true;
            let both = Stream::ALL.map(|other| StreamId { stream: other, ..stream });
            both.iter().all(|id| state.accounts.get(id).is_some_and(|a| a.ended.is_some()))
        };
        if rank_ended {
            self.presenter.rank_ended(stream.rank);
        }
        self.controls.send(Control::Acknowledge { stream, through: at });
    }

    /// Answers barriers that wait for streams that have ended, after printing what is held.
    fn release_ended(&mut self) {
        if !std::mem::take(&mut self.shared.state().release_ended) {
            return;
        }
        if !self.shared.state().barriers.is_idle() {
            self.presenter.release();
            let mut state = self.shared.state();
            let State { accounts, barriers, .. } = &mut *state;
            for (stream, account) in accounts.iter().filter(|(_, account)| account.ended.is_some())
            {
                barriers.ended(*stream, account.lost.first_below(account.received));
            }
        }
    }

    /// Takes a new fold, if there is one, prints what the fold has due, and releases who waits for
    /// streams that have ended.
    fn present(&mut self) {
        let next = self.shared.state().next_fold.take();
        if let Some(next) = next {
            self.presenter.change_fold(next);
        }
        self.presenter.ask_fold();
        self.release_ended();
    }

    /// The end: open lines, held entries, then the last flush, and the answers.
    fn give_all(&mut self) {
        let mut streams: Vec<StreamId> = self.lines.keys().copied().collect();
        streams.sort();
        streams.into_iter().for_each(|stream| self.interrupt(stream));
        self.presenter.release();
        self.shared.state().release_ended = true;
        self.release_ended();
    }
}
