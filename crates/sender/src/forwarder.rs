//! The forwarder's state: one transport, the backlog before it, and what had no route.
//!
//! Everything here runs under one lock, held for a few operations and never across a wait.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use lastline_line::{Accept, Cause, Chunk, Message, Offset, ReadBack, Span, StreamId, Withheld};

use crate::backlog::{Backlog, Item, Moment};
use crate::options::{Options, WhenFull};
use crate::sent::{Sent, declare};
use crate::transport::{Reason, Refused, Transport};

mod control;

/// The cause of what was dropped as asked for.
pub(crate) const DROPPED: &str = "dropped: the driver was slower than the rank";

/// The cause of what the far side does not want.
const UNWANTED: Cause = Cause::Withheld(Withheld::StreamingOff);

/// What the worker has to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing can be sent now: nothing waits, or only for files.
    Idle,
    /// The transport is full.
    Full,
    /// Read these bytes back, then call [`Forwarder::read_back`]. Meanwhile others are sent.
    ReadBack(StreamId, Span),
}

/// What reading back gave: bytes, or that they are gone up to somewhere.
pub(crate) type Fetched = Result<Vec<u8>, (Offset, String)>;

pub(crate) struct Forwarder {
    /// The transport; once its far side is gone the detour; `None` when nobody can be reached.
    route: Option<Box<dyn Transport>>,
    /// Takes marks and skips when the transport's far side is gone.
    detour: Option<Box<dyn Transport>>,
    backlog: Backlog,
    pub(crate) options: Options,
    stream_to_client: bool,
    /// The transport's far side is gone. No data is sent from then on.
    closed: bool,
    /// The client has been behind for too long: what is filed is spilled at once.
    behind: bool,
    /// How much of the backlog has been sent, and when that was seen to change last.
    moved: u64,
    seen_to_move: (u64, Moment),
    /// How much has been taken or acknowledged on the far side.
    progress: u64,
    streams: HashMap<StreamId, Sent>,
}

impl Forwarder {
    pub(crate) fn new(
        transport: Box<dyn Transport>,
        detour: Option<Box<dyn Transport>>,
        options: Options,
    ) -> Self {
        Self {
            route: Some(transport),
            detour,
            backlog: Backlog::default(),
            stream_to_client: true,
            closed: false,
            behind: options.spill_after.is_zero(),
            moved: 0,
            seen_to_move: (0, Moment::ZERO),
            progress: 0,
            options,
            streams: HashMap::new(),
        }
    }

    /// Takes a message from a tee; true when the worker has something to do.
    pub(crate) fn accept(&mut self, message: &Message, now: Moment) -> (Accept, bool) {
        let Some(stream) = message.stream() else {
            return (Accept::Taken, false);
        };
        let message = match message {
            Message::Data(chunk) if !self.stream_to_client => {
                let cause = Cause::Withheld(Withheld::StreamingOff);
                Message::Skip { stream, span: chunk.span(), cause }
            }
            Message::Data(chunk) if self.closed => self.declare(stream, chunk.span()),
            message => message.clone(),
        };
        if self.backlog.is_before(stream) {
            self.queue(stream, message, now);
            return (Accept::Taken, true);
        }
        match self.send(message) {
            Ok(()) => (Accept::Taken, false),
            Err(refused) => {
                self.queue(stream, refused.message, now);
                (Accept::Taken, true)
            }
        }
    }

    fn queue(&mut self, stream: StreamId, message: Message, now: Moment) {
        let over = self.backlog.held_bytes() + message.payload_bytes() > self.options.held_bytes;
        let message = match message {
            Message::Data(chunk) if self.closed => self.declare(stream, chunk.span()),
            Message::Data(chunk) if over && self.options.when_full == WhenFull::Drop => {
                Message::Skip { stream, span: chunk.span(), cause: Cause::lost(DROPPED) }
            }
            message => message,
        };
        self.backlog.push(stream, message, now);
        if over
            && self.behind
            && let Some(files) = self.spool()
        {
            let keep = self.options.keep_spilled;
            self.backlog.release(stream, |span| may_spill(&*files, keep, stream, span));
        }
    }

    /// Where to read back what is spilled, if that is the policy.
    fn spool(&self) -> Option<Arc<dyn ReadBack>> {
        let spool = self.options.when_full == WhenFull::Spool;
        self.options.read_back.clone().filter(|_| spool)
    }

    /// Whether more is held in memory than wanted, although files may have it by now.
    pub(crate) fn is_over(&self) -> bool {
        self.backlog.held_bytes() > self.options.held_bytes && self.spool().is_some()
    }

    /// Spills what has been filed since it was taken, whoever's it is: a rank that waits for
    /// memory sends nothing more that could be an occasion. Not while the client is behind for a
    /// moment only.
    pub(crate) fn spill(&mut self, now: Moment) {
        let waited = self.backlog.waits_since().map(|since| now.saturating_sub(since));
        if self.seen_to_move.0 != self.moved {
            self.seen_to_move = (self.moved, now);
        }
        let stands_still = now.saturating_sub(self.seen_to_move.1) >= self.options.spill_after / 2;
        self.behind |= waited.is_some_and(|waited| {
            waited >= self.options.spill_after
                || stands_still && waited >= self.options.spill_after / 2
        });
        if self.behind
            && let Some(files) = self.spool()
        {
            let keep = self.options.keep_spilled;
            self.backlog.release_all(|stream, span| may_spill(&*files, keep, stream, span));
        }
    }

    /// Sends on the route that there is. Refused as `Closed`, a message is to be offered again,
    /// behind what the end of the route has put into the backlog.
    fn send(&mut self, message: Message) -> Result<(), Box<Refused>> {
        let Some(route) = &mut self.route else {
            return Ok(());
        };
        let end = message.settles();
        match route.try_send(message) {
            Ok(()) => {
                self.progress += 1;
                if let Some((stream, end)) = end {
                    self.took(stream, end);
                }
                Ok(())
            }
            Err(refused) => {
                if refused.reason == Reason::Closed {
                    self.lose_route();
                }
                Err(refused)
            }
        }
    }

    fn took(&mut self, stream: StreamId, end: Offset) {
        if self.closed {
            return;
        }
        let sent = self.streams.entry(stream).or_default();
        sent.taken = sent.taken.max(end);
        if self.route.as_ref().is_some_and(|route| route.stores_on_send()) {
            sent.stored.raise(end);
        }
    }

    /// The far side is gone: what it had not acknowledged and what waits had no route, no data is
    /// sent any more, and the detour takes the marks.
    fn lose_route(&mut self) {
        let gone = self.route.take();
        if self.closed {
            tracing::debug!("the detour is gone, too");
            return;
        }
        self.closed = true;
        self.route = self.detour.take();
        tracing::debug!("the far side of the transport is gone; nothing more is sent");
        self.take_remaining_controls(gone);
        let mut lost: Vec<(StreamId, Span)> =
            self.streams.iter().map(|(stream, sent)| (*stream, sent.unacknowledged())).collect();
        lost.sort_by_key(|(stream, _)| *stream);
        for (stream, span) in lost {
            if !span.is_empty() {
                let skip = self.declare(stream, span);
                self.backlog.put_back(stream, Item::Mark(skip));
            }
        }
        let (streams, files) = (&mut self.streams, self.options.read_back.as_deref());
        self.backlog.forget(|stream, span| {
            let_go(files, stream, span.to);
            Some(declare(streams, stream, span))
        });
    }

    /// Acknowledgements that came before the end still count.
    fn take_remaining_controls(&mut self, gone: Option<Box<dyn Transport>>) {
        let mut context = Context::from_waker(Waker::noop());
        let Some(mut gone) = gone else {
            return;
        };
        while let Poll::Ready(Ok(control)) = gone.poll_control(&mut context) {
            self.handle_control(&control);
        }
    }

    fn declare(&mut self, stream: StreamId, span: Span) -> Message {
        declare(&mut self.streams, stream, span)
    }

    /// Sends what waits until nothing does, or until the worker has to do something. Files are read
    /// only when the worker `may_read`.
    pub(crate) fn step(&mut self, may_read: bool) -> Step {
        if may_read && let Some((stream, span)) = self.backlog.begin_reading() {
            return Step::ReadBack(stream, span);
        }
        while let Some((stream, item)) = self.backlog.front() {
            let message = match item {
                Item::Filed { span, .. } if self.unwanted_below(stream) > span.from => {
                    let to = span.to.min(self.unwanted_below(stream));
                    let (span, cause) = (Span::new(span.from, to), UNWANTED);
                    Message::Skip { stream, span, cause }
                }
                Item::Filed { .. } => {
                    self.backlog.set_aside();
                    match may_read.then(|| self.backlog.begin_reading()).flatten() {
                        Some((stream, span)) => return Step::ReadBack(stream, span),
                        None => continue,
                    }
                }
                Item::Held(chunk, _) => Message::Data(chunk.clone()),
                Item::Mark(message) => message.clone(),
            };
            let end = message.settles().map(|(_, end)| end);
            match self.send(message) {
                Ok(()) => {
                    self.sent_front(stream, end);
                    self.moved += 1;
                }
                Err(refused) if refused.reason == Reason::Full => return Step::Full,
                Err(_) => {}
            }
        }
        if self.backlog.is_empty() {
            self.behind = self.options.spill_after.is_zero();
        }
        Step::Idle
    }

    fn unwanted_below(&self, stream: StreamId) -> Offset {
        self.route.as_ref().map_or(Offset::ZERO, |route| route.unwanted_below(stream))
    }

    /// The item at the front has been sent up to `end`; what is left of it is next.
    fn sent_front(&mut self, stream: StreamId, end: Option<Offset>) {
        let (Some(Item::Filed { span, time, since }), Some(end)) = (self.backlog.pop(), end) else {
            return;
        };
        let_go(self.options.read_back.as_deref(), stream, end);
        if end < span.to {
            let span = Span::new(end, span.to);
            self.backlog.put_back(stream, Item::Filed { span, time, since });
        }
    }

    /// The bytes of `stream` from `from` on, which were spilled, have been read back, or `None` when
    /// the file does not have them yet. Nothing happens when they have lost their route, or their
    /// time, meanwhile.
    pub(crate) fn read_back(&mut self, stream: StreamId, from: Offset, fetched: Option<Fetched>) {
        let Some(item) = self.backlog.end_reading(stream, from) else {
            return;
        };
        let (&Item::Filed { span, time, since }, Some(fetched)) = (&item, fetched) else {
            return self.backlog.put_back(stream, item);
        };
        let (front, rest_from) = match fetched {
            Ok(bytes) => {
                let chunk = Chunk::new(stream, span.from, time, bytes.into());
                let end = chunk.end();
                (Item::Held(chunk, since), end)
            }
            Err((to, cause)) => {
                let span = Span::new(span.from, to.min(span.to));
                (Item::Mark(Message::Skip { stream, span, cause: Cause::lost(cause) }), span.to)
            }
        };
        let_go(self.options.read_back.as_deref(), stream, rest_from);
        let rest = Span::new(rest_from, span.to);
        if !rest.is_empty() {
            self.backlog.put_back(stream, Item::Filed { span: rest, time, since });
        }
        self.backlog.put_back(stream, front);
    }

    /// A number that grows whenever something is sent or acknowledged.
    pub(crate) fn progress(&self) -> u64 {
        self.progress
    }

    /// Whether something waits for a file, and not for room.
    pub(crate) fn wants_file(&self) -> bool {
        self.backlog.wants_file()
    }

    /// Nothing waits, and what was taken is stored.
    pub(crate) fn is_idle(&self) -> bool {
        let stored = |sent: &Sent| sent.unacknowledged().is_empty();
        self.backlog.is_empty() && (self.closed || self.streams.values().all(stored))
    }

    /// Ends: what was sent of each stream; what still waits or was not acknowledged is declared
    /// with `cause`. What comes later is taken, and goes nowhere.
    pub(crate) fn settle(&mut self, cause: &str) -> Vec<(StreamId, Sent)> {
        if !self.closed {
            for sent in self.streams.values_mut() {
                sent.no_route.declare(sent.unacknowledged(), cause);
            }
        }
        let (streams, files) = (&mut self.streams, self.options.read_back.as_deref());
        self.backlog.forget(|stream, span| {
            let_go(files, stream, span.to);
            streams.entry(stream).or_default().no_route.declare(span, cause);
            None
        });
        self.backlog = Backlog::default();
        (self.route, self.detour, self.closed) = (None, None, true);
        let mut streams: Vec<_> = self.streams.drain().collect();
        streams.sort_by_key(|(stream, _)| *stream);
        streams
    }
}

/// What was spilled of `stream` below `below` is not read any more.
fn let_go(files: Option<&dyn ReadBack>, stream: StreamId, below: Offset) {
    if let Some(files) = files {
        files.let_go(stream, below);
    }
}

/// Whether memory may let go of `span`: the files have it, and keep it where that is wanted.
fn may_spill(files: &dyn ReadBack, keep: bool, stream: StreamId, span: Span) -> bool {
    if keep { files.keep(stream, span) } else { files.holds(stream, span) }
}

#[cfg(test)]
mod tests;
