//! The client's thread.

use std::any::Any;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lastline_line::{
    Chunk, ControlSender, Fold, Heartbeat, Inbox, Message, Received, StreamId, Withheld,
};
use tokio::sync::watch;

use crate::bar::moves_up;
use crate::console::Console;
use crate::join::JoinError;
use crate::lines::OpenLine;
use crate::long_line::LongLines;
use crate::options::Options;
use crate::presenter::{Presenter, now};
use crate::printer::{Block, Printer};
use crate::silence::Silence;
use crate::state::{ClientState, Status};
use crate::tap::LineTap;
use crate::turns::Turns;
use crate::worker::states::Watch;

mod marks;
mod states;

/// Printed bytes that are not flushed yet are flushed beyond this.
const FLUSH_BYTES: u64 = 64 << 10;

/// How long the client waits for messages before it looks whether its owner wants something. A host
/// that can be reached wakes it sooner.
const LOOK_UP_AFTER: Duration = Duration::from_secs(1);

pub(crate) struct Worker {
    turns: Turns,
    controls: ControlSender,
    presenter: Presenter,
    shared: Arc<ClientState>,
    status: watch::Sender<Status>,
    lines: HashMap<StreamId, OpenLine>,
    watch: Watch,
    silence: Option<Silence>,
    started: Instant,
    tap: LineTap,
    /// How many streams were interrupted before the inbox is asked next.
    settling: usize,
    owed: marks::Owed,
    /// The mark, skip or end that is being worked on.
    current: Option<Message>,
    /// Who has panicked; kept to the end, for they may panic again when dropped.
    failed: Option<(Box<dyn Fold>, Box<dyn Printer>)>,
}

impl Worker {
    pub(crate) fn new(
        inbox: Box<dyn Inbox>,
        fold: Box<dyn Fold>,
        printer: Box<dyn Printer>,
        options: Options,
        shared: Arc<ClientState>,
        status: watch::Sender<Status>,
    ) -> Self {
        let console = Console::new(printer, options.print_only, Arc::clone(&shared));
        let silent_after = Some(options.silent_after).filter(|after| !after.is_zero());
        let silence = silent_after.map(|after| Silence::new(after, &options.ranks));
        let long_lines = LongLines::default();
        let presenter =
            Presenter { fold, folding: false, console, options, long_lines, fold_due: None };
        let controls = inbox.control_sender();
        let turns = Turns::new(inbox, presenter.options.kept_back_bytes);
        Self {
            turns,
            controls,
            presenter,
            shared,
            status,
            lines: HashMap::new(),
            watch: Watch::default(),
            silence,
            started: Instant::now(),
            tap: LineTap::default(),
            settling: 0,
            owed: marks::Owed::default(),
            current: None,
            failed: None,
        }
    }

    /// Receives until the inbox is closed. When a fold or a printer panics, everything from then on
    /// is received all the same, and counted as lost.
    pub(crate) fn run(&mut self) {
        while let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.receive_all())) {
            if self.failed.is_some() {
                resume_unwind(panic);
            }
            self.fail(&*panic);
        }
        self.shared.subscribers.end();
        self.shared.state().over = true;
        self.shared.begin_entries(&[]);
        self.status.send_modify(|status| status.finished = true);
    }

    /// Why not all that was received was printed, if so; at the end.
    pub(crate) fn unprinted(&mut self) -> Result<(), JoinError> {
        if let Some(cause) = self.status.borrow().failure.clone() {
            return Err(JoinError::Failed { cause });
        }
        self.presenter.console.take_error().map_or(Ok(()), |error| Err(error.into()))
    }

    fn receive_all(&mut self) {
        loop {
            let wait = self.wait_for();
            // Who settles wants to hear when nothing more is there.
            let fold = (self.settling == 0).then_some(&*self.presenter.fold);
            match self.turns.next(wait, fold) {
                Received::Message(message) => self.take(message),
                Received::TimedOut => {
                    self.presenter.console.flush();
                    self.take_interrupted();
                }
                Received::Closed => break,
            }
            self.present();
            if self.presenter.options.print_only && self.presenter.console.has_failed() {
                break;
            }
            if self.presenter.console.unflushed_bytes() >= FLUSH_BYTES {
                self.presenter.console.flush();
            }
        }
        self.finish();
    }

    /// How long to wait for the next message: not at all while something is to be done when there is
    /// none.
    fn wait_for(&self) -> Option<Duration> {
        if self.presenter.console.unflushed_bytes() > 0 || self.settling > 0 {
            return Some(Duration::ZERO);
        }
        let due = self.presenter.fold_due.into_iter().chain(self.watch.due()).min();
        let due = due.map(|due| due.since(now()));
        let due = due.into_iter().chain(self.owed.due()).min();
        let look = self.silence.as_ref().map_or(LOOK_UP_AFTER, Silence::look_every);
        Some(due.unwrap_or(look).min(look).min(LOOK_UP_AFTER))
    }

    /// Whoever presents has panicked: settles all that was not shown, answers who waits for what is
    /// known, and says so.
    fn fail(&mut self, panic: &(dyn Any + Send)) {
        let cause = format!("the {} failed: {}", self.presenter.part(), words_of(panic));
        tracing::error!("{cause}; the rest of the output is received and not shown");
        self.failed = Some(self.presenter.fail(&cause));
        self.lines.clear();
        (self.watch, self.silence) = (Watch::default(), None);
        if let Some(message) = self.current.take() {
            self.take(message);
        }
        self.shared.state().release_all();
        self.answer_all();
        self.status.send_modify(|status| status.failure = Some(cause));
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Data(chunk) => self.take_chunk(chunk),
            Message::Flush { .. } | Message::Skip { .. } | Message::End { .. } => {
                self.current = Some(message.clone());
                self.take_mark_or_gap(message);
                self.current = None;
            }
            Message::Heartbeat(Heartbeat { host, time, .. }) => {
                self.shared.state().heartbeats.insert(host, time);
            }
            // Events of hosts do not come this way.
            _ => {}
        }
    }

    fn take_mark_or_gap(&mut self, message: Message) {
        match message {
            Message::Flush { stream, version, mark } => self.take_mark(stream, version, mark),
            Message::Skip { stream, span, cause } => self.take_skip(stream, span, &cause),
            Message::End { stream, at } => self.take_end(stream, at),
            _ => {}
        }
    }

    fn take_chunk(&mut self, chunk: Chunk) {
        let (stream, unseen) = (chunk.stream, chunk.span());
        let (fresh, after_gap, shown) = {
            let mut state = self.shared.state();
            let account = state.accounts.entry(stream).or_default();
            let before = account.received;
            account.last_arrival = Some(chunk.time);
            let fresh = account.arrive(unseen);
            if self.presenter.options.count_lines && !fresh.is_empty() {
                let bytes = &chunk.bytes[(fresh.from - unseen.from) as usize..];
                account.received_lines += memchr::memchr_iter(b'\n', bytes).count() as u64;
            }
            let mut shown = false;
            if !self.presenter.options.shows(stream) {
                account.withhold(Withheld::Show, fresh.len());
            } else if let Some(cause) = self.presenter.console.closed_for(stream) {
                account.lose(fresh, cause);
            } else {
                shown = true;
            }
            (fresh, unseen.from > before, shown)
        };
        if after_gap {
            self.interrupt_tap(stream);
        }
        let Some(chunk) = chunk.trim_before(fresh.from) else {
            return;
        };
        if let Some(silence) = &mut self.silence {
            silence.wrote(stream, &chunk.bytes, self.started.elapsed());
        }
        if self.shared.subscribers.want_lines() {
            let mid_line = self.lines.get(&stream).is_some_and(|line| !line.is_fresh());
            self.tap.push(&chunk, mid_line, &mut |line| self.shared.subscribers.offer_line(&line));
        }
        if after_gap {
            self.interrupt(stream);
        }
        if shown {
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
        let was_open = line.is_open();
        let mut out = presenter.of(stream, time);
        line.push(start, bytes, &mut |piece| out.take(piece));
        if raw {
            line.give_partial(&mut |piece| out.take(piece));
        } else {
            out.bound(line);
            self.watch(stream, was_open);
        }
    }

    /// What is open of a stream goes out; what follows continues it.
    fn interrupt(&mut self, stream: StreamId) {
        self.give_open(stream, false);
    }

    /// The same of a stream that has ended, when it is the `last` that comes of it.
    fn give_open(&mut self, stream: StreamId, last: bool) {
        if let Some(line) = self.lines.get_mut(&stream) {
            let was_open = line.is_open();
            let mut out = self.presenter.of(stream, line.time);
            out.last = last;
            line.interrupt(&mut |piece| out.take(piece));
            self.watch(stream, was_open);
        }
    }

    /// The same for subscribers, who get open lines only when their streams break off.
    fn interrupt_tap(&mut self, stream: StreamId) {
        if self.shared.subscribers.want_lines() {
            self.tap.interrupt(stream, &mut |line| self.shared.subscribers.offer_line(&line));
        } else {
            self.tap.clear();
        }
    }

    /// Takes a new fold, if there is one, prints what the fold has due, and releases who waits for
    /// streams that have ended.
    fn present(&mut self) {
        let (next, wants_entries) = {
            let mut state = self.shared.state();
            self.settling = state.interrupted.len();
            (state.next_fold.take(), !state.new_entries.is_empty())
        };
        if wants_entries {
            self.presenter.console.begin_entries();
        }
        if let Some(next) = next.filter(|_| self.failed.is_none()) {
            self.presenter.change_fold(next);
        }
        self.look_at_open();
        self.look_for_silence();
        self.presenter.ask_fold();
        self.answer_when_gathered();
    }

    /// The end: open lines, held entries, then the last flush, and the answers.
    fn finish(&mut self) {
        self.settling = usize::MAX;
        self.take_interrupted();
        self.wipe();
        let mut streams: Vec<StreamId> = self.lines.keys().copied().collect();
        streams.sort();
        streams.into_iter().for_each(|stream| self.interrupt(stream));
        self.tap.finish(&mut |line| self.shared.subscribers.offer_line(&line));
        self.shared.state().release_all();
        self.answer_all();
    }
}

/// What a panic said.
fn words_of(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked")
}
