//! The end that a tee feeds.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_channel::Sender;
use lastline_line::{Accept, Acquire, Lease, Message, Offset, Sink};

use crate::state::AppenderState;
use crate::stream::{Item, Payload, StreamState};

/// What a queued item takes beside its bytes.
pub(crate) const ITEM_BYTES: usize = 128;

/// Files what it is given. One stream of a rank usually has one; several may feed one stream, as
/// long as they do not at the same time.
///
/// `Data` is filed, `End` finishes the stream's file; the rest is taken and means nothing here.
/// Once the appender is closed everything is taken, and declared as not filed.
pub struct FileSink {
    shared: Arc<AppenderState>,
    stream: Arc<StreamState>,
    room: Room,
}

/// Room in the queues for a message that was refused.
enum Room {
    /// Nothing was refused.
    Unasked,
    /// It waits in line.
    Waits(Acquire),
    /// It is kept until the message is offered again.
    Kept(Lease),
}

impl fmt::Debug for FileSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSink").field("stream", &self.stream.id).finish_non_exhaustive()
    }
}

impl FileSink {
    pub(crate) fn new(shared: Arc<AppenderState>, stream: Arc<StreamState>) -> Self {
        Self { shared, stream, room: Room::Unasked }
    }

    fn offer(&mut self, stream: Arc<StreamState>, end: Offset, payload: Payload) -> Accept {
        let bytes = ITEM_BYTES
            + match &payload {
                Payload::Data { bytes, .. } => bytes.len(),
                Payload::End { .. } => 0,
            };
        let Some(queue) = self.queue(&stream) else {
            self.shared.declare_late(&stream, end);
            return Accept::Taken;
        };
        let Some(lease) = self.lease(bytes) else {
            return Accept::Full;
        };
        stream.accepted.raise(end);
        let item = Item { stream, payload, lease };
        if let Err(refused) = queue.try_send(item) {
            self.shared.declare_late(&refused.into_inner().stream, end);
        }
        Accept::Taken
    }

    /// Room for `bytes`; without it, asks for it.
    fn lease(&mut self, bytes: usize) -> Option<Lease> {
        let kept = match std::mem::replace(&mut self.room, Room::Unasked) {
            Room::Kept(lease) if lease.bytes() == bytes => Some(lease),
            Room::Waits(acquire) if acquire.bytes() == bytes => {
                self.room = Room::Waits(acquire);
                return None;
            }
            _ => self.shared.budget.try_acquire(bytes),
        };
        if kept.is_none() {
            self.room = Room::Waits(self.shared.budget.acquire(bytes));
        }
        kept
    }

    /// The queue of the stream's thread; `None` when nothing is filed any more.
    fn queue(&self, stream: &Arc<StreamState>) -> Option<Sender<Item>> {
        if self.shared.is_closed() {
            return None;
        }
        if let Some(queue) = stream.queue.get() {
            return Some(queue.clone());
        }
        let bound = self.shared.pool.bind(&self.shared)?;
        Some(stream.queue.get_or_init(|| bound).clone())
    }
}

impl Sink for FileSink {
    fn accept(&mut self, message: &Message) -> Accept {
        let (id, end, payload) = match message {
            Message::Data(chunk) if !chunk.is_empty() => {
                let (start, time, bytes) = (chunk.start, chunk.time, chunk.bytes.clone());
                (chunk.stream, chunk.end(), Payload::Data { start, time, bytes })
            }
            Message::End { stream, at } => (*stream, *at, Payload::End { at: *at }),
            _ => return Accept::Taken,
        };
        let own = id == self.stream.id;
        let stream = if own { Arc::clone(&self.stream) } else { self.shared.stream(id) };
        // A stream that never had a byte needs no thread for its end.
        if matches!(payload, Payload::End { .. })
            && end == Offset::ZERO
            && stream.queue.get().is_none()
        {
            return Accept::Taken;
        }
        self.offer(stream, end, payload)
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Room::Waits(acquire) = &mut self.room else {
            return Poll::Ready(());
        };
        // First be known, then look: a close in between is seen by one of the two.
        self.stream.set_waiting(Some(context.waker().clone()));
        let granted = Pin::new(acquire).poll(context);
        if granted.is_pending() && !self.shared.is_closed() {
            return Poll::Pending;
        }
        self.stream.set_waiting(None);
        self.room = match granted {
            Poll::Ready(lease) => Room::Kept(lease),
            Poll::Pending => Room::Unasked,
        };
        Poll::Ready(())
    }
}

impl Drop for FileSink {
    fn drop(&mut self) {
        self.stream.set_waiting(None);
    }
}
