//! The forwarder's state: one transport, the backlog before it, and what had no route.
//!
//! Everything here runs under one lock, held for a few operations and never across a wait.

use std::collections::HashMap;
use std::task::{Context, Poll};

use lastline_line::{
    Accept, Cause, Chunk, Control, Gaps, Message, Offset, Span, StreamId, Watermark, Withheld,
};

use crate::backlog::{Backlog, Item};
use crate::options::{Options, WhenFull};
use crate::transport::{Closed, Reason, Transport};

/// The cause of what had no route any more.
pub(crate) const NO_ROUTE: &str = "no route: the far side of the transport is gone";
/// The cause of what was dropped as asked for.
pub(crate) const DROPPED: &str = "dropped: the driver was slower than the rank";

/// What the worker has to do next.
pub(crate) enum Step {
    /// Nothing waits.
    Idle,
    /// The transport is full.
    Full,
    /// Read these bytes back, then call [`Forwarder::read_back`].
    ReadBack(StreamId, Span),
}

pub(crate) struct Forwarder {
    transport: Box<dyn Transport>,
    /// Takes marks and skips when the transport's far side is gone.
    detour: Option<Box<dyn Transport>>,
    backlog: Backlog,
    pub(crate) options: Options,
    stream_to_client: bool,
    closed: bool,
    streams: HashMap<StreamId, Sent>,
}

/// What became of one stream on the way.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// Acknowledged by the transport up to here.
    pub stored: Watermark,
    /// What could not be sent, and why.
    pub no_route: Gaps,
    /// Up to where `no_route` is declared, or the transport has taken it.
    settled: Offset,
}

impl Forwarder {
    pub(crate) fn new(
        transport: Box<dyn Transport>,
        detour: Option<Box<dyn Transport>>,
        options: Options,
    ) -> Self {
        Self {
            transport,
            detour,
            backlog: Backlog::default(),
            options,
            stream_to_client: true,
            closed: false,
            streams: HashMap::new(),
        }
    }

    /// Takes a message from a tee; true when the worker has something to do.
    pub(crate) fn accept(&mut self, message: &Message) -> (Accept, bool) {
        let Some(stream) = message.stream() else {
            return (Accept::Taken, false);
        };
        let message = match message {
            Message::Data(chunk) if !self.stream_to_client => {
                let cause = Cause::Withheld(Withheld::StreamingOff);
                Message::Skip { stream, span: chunk.span(), cause }
            }
            message => message.clone(),
        };
        if self.backlog.is_empty() {
            let Err(refused) = self.send(message) else {
                return (Accept::Taken, false);
            };
            self.queue(stream, refused);
        } else {
            self.queue(stream, message);
        }
        (Accept::Taken, true)
    }

    fn queue(&mut self, stream: StreamId, message: Message) {
        let over = self.backlog.held_bytes() + message.payload_bytes() > self.options.held_bytes;
        let message = match message {
            Message::Data(chunk) if over && self.options.when_full == WhenFull::Drop => {
                Message::Skip { stream, span: chunk.span(), cause: Cause::lost(DROPPED) }
            }
            message => message,
        };
        self.backlog.push(stream, message);
        if over
            && self.options.when_full == WhenFull::Spool
            && let Some(files) = &self.options.read_back
        {
            self.backlog.release(stream, files.filed(stream));
        }
    }

    /// Sends on the transport, or, when that is gone, declares and takes the detour. Gives the
    /// message back when there is no room.
    fn send(&mut self, message: Message) -> Result<(), Message> {
        if self.closed {
            self.send_around(message);
            return Ok(());
        }
        let (stream, end) = (message.stream(), end_of(&message));
        match self.transport.try_send(message) {
            Ok(()) => {
                if let (Some(stream), Some(end)) = (stream, end) {
                    self.took(stream, end);
                }
                Ok(())
            }
            Err(refused) if refused.reason == Reason::Full => Err(refused.message),
            Err(refused) => {
                self.lose_route();
                self.send_around(refused.message);
                Ok(())
            }
        }
    }

    fn took(&mut self, stream: StreamId, end: Offset) {
        let sent = self.streams.entry(stream).or_default();
        sent.settled = sent.settled.max(end);
        if self.transport.stores_on_send() {
            sent.stored.raise(end);
        }
    }

    /// The far side is gone: what it had not acknowledged had no route, and nothing more is sent.
    fn lose_route(&mut self) {
        if self.closed {
            return;
        }
        self.closed = true;
        tracing::debug!("the far side of the transport is gone; nothing more is sent");
        let streams: Vec<_> =
            self.streams.iter().map(|(id, sent)| (*id, sent.stored.get(), sent.settled)).collect();
        for (stream, stored, settled) in streams {
            let span = Span::new(stored, settled);
            if !span.is_empty() {
                self.declare(stream, span);
            }
        }
    }

    fn send_around(&mut self, message: Message) {
        match message {
            Message::Data(chunk) => self.declare(chunk.stream, chunk.span()),
            message => self.tell_detour(message),
        }
    }

    fn declare(&mut self, stream: StreamId, span: Span) {
        let sent = self.streams.entry(stream).or_default();
        sent.no_route.declare(span, NO_ROUTE);
        sent.settled = sent.settled.max(span.to);
        self.tell_detour(Message::Skip { stream, span, cause: Cause::lost(NO_ROUTE) });
    }

    fn tell_detour(&mut self, message: Message) {
        let Some(detour) = &mut self.detour else {
            return;
        };
        if let Err(refused) = detour.try_send(message) {
            tracing::debug!(message = ?refused.message, "the detour did not take it");
        }
    }

    /// Sends what waits until nothing does, or until the worker has to do something.
    pub(crate) fn step(&mut self) -> Step {
        while let Some((stream, item)) = self.backlog.front() {
            let message = match item {
                Item::Filed { span, .. } if self.closed => {
                    let span = *span;
                    self.backlog.pop();
                    self.declare(stream, span);
                    continue;
                }
                Item::Filed { span, .. } => return Step::ReadBack(stream, *span),
                Item::Held(chunk) => Message::Data(chunk.clone()),
                Item::Mark(message) => message.clone(),
            };
            if self.send(message).is_err() {
                return Step::Full;
            }
            self.backlog.pop();
        }
        Step::Idle
    }

    /// The front item of `stream`, a span that was let go, has been read back from its start on:
    /// either bytes, or word that they are gone up to somewhere.
    pub(crate) fn read_back(
        &mut self,
        stream: StreamId,
        result: Result<Vec<u8>, (Offset, String)>,
    ) {
        let Some(Item::Filed { span, time }) = self.backlog.pop() else {
            unreachable!("BUG: only the worker takes items, one at a time");
        };
        let (front, rest_from) = match result {
            Ok(bytes) => {
                let chunk = Chunk::new(stream, span.from, time, bytes.into());
                let end = chunk.end();
                (Item::Held(chunk), end)
            }
            Err((to, cause)) => {
                let gone = Span::new(span.from, to.min(span.to));
                (
                    Item::Mark(Message::Skip { stream, span: gone, cause: Cause::lost(cause) }),
                    gone.to,
                )
            }
        };
        let rest = Span::new(rest_from, span.to);
        if !rest.is_empty() {
            self.backlog.put_back(stream, Item::Filed { span: rest, time });
        }
        self.backlog.put_back(stream, front);
    }

    pub(crate) fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match self.transport.poll_ready(context) {
            Poll::Ready(Err(Closed)) => {
                self.lose_route();
                Poll::Ready(())
            }
            ready => ready.map(|_| ()),
        }
    }

    /// Hears what the client says; ready when it is to be told to the owner, or the peer is gone.
    pub(crate) fn poll_control(&mut self, context: &mut Context<'_>) -> Poll<Option<Control>> {
        if self.closed {
            return Poll::Pending;
        }
        match self.transport.poll_control(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(Closed)) => {
                self.lose_route();
                Poll::Ready(None)
            }
            Poll::Ready(Ok(control)) => {
                match control {
                    Control::Acknowledge { stream, through } => {
                        self.streams.entry(stream).or_default().stored.raise(through);
                    }
                    Control::SetMode { stream_to_client } => self.set_mode(stream_to_client),
                    Control::Flush { .. } => {}
                }
                Poll::Ready(Some(control))
            }
        }
    }

    pub(crate) fn set_mode(&mut self, stream_to_client: bool) {
        self.stream_to_client = stream_to_client;
    }

    /// Says that the host is alive, when there is room to say it at once.
    pub(crate) fn beat(&mut self, message: Message) {
        if !self.closed && self.transport.try_send(message).is_err() {
            tracing::trace!("no room for a heartbeat");
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.backlog.is_empty()
    }

    /// What was sent of each stream; what still waits is declared with `cause`.
    pub(crate) fn settle(&mut self, cause: &str) -> Vec<(StreamId, Sent)> {
        while let Some((stream, _)) = self.backlog.front() {
            let span = match self.backlog.pop() {
                Some(Item::Held(chunk)) => chunk.span(),
                Some(Item::Filed { span, .. }) => span,
                _ => continue,
            };
            self.streams.entry(stream).or_default().no_route.declare(span, cause);
        }
        let mut streams: Vec<_> = self.streams.drain().collect();
        streams.sort_by_key(|(stream, _)| *stream);
        streams
    }
}

/// Up to where a message settles its stream.
fn end_of(message: &Message) -> Option<Offset> {
    match message {
        Message::Data(chunk) => Some(chunk.end()),
        Message::Skip { span, .. } => Some(span.to),
        _ => None,
    }
}
