//! What a host has to store, subject by subject. No IO and no clock.

use std::collections::{HashMap, VecDeque};

use bytes::{Bytes, BytesMut};
use lastline_line::wire::{encode_message, encode_output, window_bytes};
use lastline_line::{Chunk, HostEvent, Message, Offset, Stream, StreamId};

use crate::ended::StoredEnd;
use crate::publish::Row;

/// A rank's stream, whichever launch of it: one subject. Of a host that folds there is one, its first
/// rank's.
pub(super) type LaneKey = (u32, Stream);

/// What a frame of data has beside its bytes, at most.
pub(super) const FRAME_BYTES: usize = 64;
/// So many ends are told of in one message at most, which then has some 40 KiB.
const MOST_ENDS: usize = 256;

/// All that waits.
#[derive(Debug, Default)]
pub(super) struct Queues {
    /// The lane of all output, where it is folded.
    folded: Option<LaneKey>,
    lanes: HashMap<LaneKey, Lane>,
    /// Output that was taken and is not stored, as the window counts it.
    queued_bytes: usize,
    /// Frames of events that are not stored, oldest first.
    events: VecDeque<Event>,
    /// How many events have been taken.
    events_taken: u64,
    /// Ends of streams that are stored as output, and are still to be told of beside the events.
    ends: VecDeque<StoredEnd>,
    /// Somebody stores events, or ends.
    events_busy: bool,
}

#[derive(Debug)]
struct Event {
    frame: Bytes,
    is_down: bool,
}

/// Output of one subject.
#[derive(Debug, Default)]
struct Lane {
    /// Each with how many events had been taken before it.
    waiting: VecDeque<(Message, u64)>,
    /// Somebody stores its messages.
    busy: bool,
    /// Lent to who stores.
    row: Option<Row>,
}

/// Output that becomes one message.
#[derive(Debug)]
pub(super) struct Batch {
    /// Frames.
    pub(super) payload: Bytes,
    /// What it takes of the window.
    pub(super) window_bytes: usize,
    /// How many events have to be stored before it.
    pub(super) events_before: u64,
    /// Up to where its streams are stored with it.
    pub(super) settled: Vec<(StreamId, Offset)>,
    /// The streams that end with it, and where.
    ends: Vec<(StreamId, Offset)>,
}

/// Events that become one message.
#[derive(Debug)]
pub(super) struct EventBatch {
    pub(super) payload: Bytes,
    /// How many.
    pub(super) events: u64,
    /// The host's last one is among them.
    pub(super) has_down: bool,
}

impl Queues {
    /// Whether output of so many bytes may be queued.
    pub(super) fn has_room(&self, bytes: usize, window: usize) -> bool {
        self.queued_bytes == 0 || self.queued_bytes + bytes <= window
    }

    /// All output goes the way of the standard output of `rank`, folded.
    pub(super) fn folded(rank: u32) -> Self {
        Self { folded: Some((rank, Stream::Stdout)), ..Self::default() }
    }

    /// Takes output; the lane that somebody has to begin to store, if so.
    pub(super) fn push(&mut self, stream: StreamId, message: Message) -> Option<LaneKey> {
        self.queued_bytes += window_bytes(&message);
        let key = self.folded.unwrap_or((stream.rank, stream.stream));
        let lane = self.lanes.entry(key).or_default();
        lane.waiting.push_back((message, self.events_taken));
        (!std::mem::replace(&mut lane.busy, true)).then_some(key)
    }

    /// How much waits, as the window counts it.
    pub(super) fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// Takes an event; true when somebody has to begin to store events.
    pub(super) fn push_event(&mut self, message: &Message) -> bool {
        let Message::Host(event) = message else {
            return false;
        };
        let is_down = matches!(event.event, HostEvent::Down);
        let mut frame = BytesMut::new();
        encode_message(message, &mut frame);
        self.events.push_back(Event { frame: frame.freeze(), is_down });
        self.events_taken += 1;
        !std::mem::replace(&mut self.events_busy, true)
    }

    /// The row of a lane that is to be stored; `make` makes it the first time.
    pub(super) fn lend_row(&mut self, key: LaneKey, make: impl FnOnce() -> Row) -> Row {
        self.lanes.entry(key).or_default().row.take().unwrap_or_else(make)
    }

    /// What is next to be stored of a lane, joined up to `limit` bytes. When nothing is, the lane is
    /// idle, and has its row again.
    pub(super) fn next_batch(
        &mut self,
        key: LaneKey,
        row: &mut Option<Row>,
        limit: usize,
    ) -> Option<Batch> {
        let lane = self.lanes.entry(key).or_default();
        if lane.waiting.is_empty() {
            (lane.busy, lane.row) = (false, row.take());
            return None;
        }
        let folds = self.folded.is_some();
        let mut batch = Building::default();
        while let Some((message, events_before)) = lane.waiting.pop_front() {
            if let Some((first, rest)) = split(&message, limit) {
                lane.waiting.push_front((rest, events_before));
                // The rest is a message of its own, and takes as much of the window beside its bytes.
                self.queued_bytes += window_bytes(&first) + window_bytes(&lane.waiting[0].0);
                self.queued_bytes -= window_bytes(&message);
                lane.waiting.push_front((first, events_before));
                continue;
            }
            if !batch.has_room(&message, limit) {
                lane.waiting.push_front((message, events_before));
                break;
            }
            batch.add(message, events_before, folds);
        }
        Some(batch.done())
    }

    /// A batch is stored, and has this sequence; perhaps after all was given up. True when somebody has to begin
    /// to store events.
    pub(super) fn stored(&mut self, batch: &Batch, sequence: u64) -> bool {
        self.queued_bytes = self.queued_bytes.saturating_sub(batch.window_bytes);
        let ends = batch.ends.iter();
        self.ends.extend(ends.map(|&(stream, at)| StoredEnd { stream, at, sequence }));
        !self.ends.is_empty() && !std::mem::replace(&mut self.events_busy, true)
    }

    /// What is next to be stored of events, whole ones, joined up to `limit` bytes; one above it comes
    /// alone. Where there are none, ends are next ([`next_ends`](Self::next_ends)).
    pub(super) fn next_events(&mut self, limit: usize) -> Option<EventBatch> {
        let mut payload = BytesMut::new();
        let mut batch = EventBatch { payload: Bytes::new(), events: 0, has_down: false };
        while let Some(event) = self.events.front() {
            if batch.events > 0 && payload.len() + event.frame.len() > limit {
                break;
            }
            payload.extend_from_slice(&event.frame);
            batch.events += 1;
            batch.has_down |= event.is_down;
            self.events.pop_front();
        }
        if batch.events == 0 {
            self.events_busy = !self.ends.is_empty();
            return None;
        }
        batch.payload = payload.freeze();
        Some(batch)
    }

    /// Ends that become one message; none when whoever stores events is done.
    pub(super) fn next_ends(&mut self) -> Vec<StoredEnd> {
        self.ends.drain(..self.ends.len().min(MOST_ENDS)).collect()
    }

    /// Whether nothing waits and nobody stores.
    pub(super) fn is_idle(&self) -> bool {
        !self.events_busy && self.lanes.values().all(|lane| !lane.busy)
    }

    /// Nothing will be stored any more.
    pub(super) fn clear(&mut self) {
        self.lanes.clear();
        self.events.clear();
        self.ends.clear();
        self.queued_bytes = 0;
    }
}

#[derive(Default)]
struct Building {
    payload: BytesMut,
    /// What is to be folded, and becomes the payload when all of it is there.
    unfolded: Vec<Message>,
    /// What all of it takes as frames, at most.
    bytes: usize,
    window_bytes: usize,
    events_before: u64,
    settled: Vec<(StreamId, Offset)>,
    ends: Vec<(StreamId, Offset)>,
}

impl Building {
    fn has_room(&self, message: &Message, limit: usize) -> bool {
        self.bytes == 0 || self.bytes + message_bytes(message) <= limit
    }

    fn add(&mut self, message: Message, events_before: u64, folds: bool) {
        self.window_bytes += window_bytes(&message);
        self.events_before = events_before;
        if let Some((stream, end)) = message.settles() {
            match self.settled.last_mut() {
                Some((last, through)) if *last == stream => *through = end.max(*through),
                _ => self.settled.push((stream, end)),
            }
        }
        if let Message::End { stream, at } = message {
            self.ends.push((stream, at));
        }
        if folds {
            self.bytes += message_bytes(&message);
            self.unfolded.push(message);
        } else {
            self.payload.reserve(message_bytes(&message));
            encode_message(&message, &mut self.payload);
            self.bytes = self.payload.len();
        }
    }

    fn done(mut self) -> Batch {
        encode_output(&self.unfolded, &mut self.payload);
        Batch {
            payload: self.payload.freeze(),
            window_bytes: self.window_bytes,
            events_before: self.events_before,
            settled: self.settled,
            ends: self.ends,
        }
    }
}

/// What a message takes as a frame, at most.
fn message_bytes(message: &Message) -> usize {
    window_bytes(message) + FRAME_BYTES
}

/// Data that is too long for one message, in two pieces: one that fits, and the rest.
fn split(message: &Message, limit: usize) -> Option<(Message, Message)> {
    let Message::Data(chunk) = message else {
        return None;
    };
    let fits = limit.saturating_sub(2 * FRAME_BYTES).max(1);
    if chunk.bytes.len() <= fits {
        return None;
    }
    let first = Chunk::new(chunk.stream, chunk.start, chunk.time, chunk.bytes.slice(..fits));
    let mut rest = chunk.clone();
    rest.bytes = chunk.bytes.slice(fits..);
    rest.start = first.end();
    Some((Message::Data(first), Message::Data(rest)))
}

#[cfg(test)]
mod tests;
