//! What has been taken from tees and not yet sent. Pure: no clock, no task, no IO.
//!
//! Each output of a rank has a lane of its own, in order, through all starts of that rank: what its next
//! start says comes after all that the last one said. Lanes with something to send stand in a queue, in
//! the order in which something came. A chunk that its stream's file has can be spilled: its lane
//! keeps the span, and reads it back when its turn comes. A lane that waits for its file stands
//! aside: the others are not kept by a disk that does not answer.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use lastline_line::{Chunk, Message, Offset, Span, Stream, StreamId, Timestamp};

/// Beyond this many items a lane joins spans whose arrival times differ.
const EXACT_ITEMS: usize = 64;

/// What a chunk in a lane costs beside its payload, in bytes.
const ITEM_BYTES: usize = size_of::<(StreamId, Item)>() + 64;

fn cost(chunk: &Chunk) -> usize {
    chunk.bytes.len() + ITEM_BYTES
}

/// Time since a fixed moment, by a clock that nobody sets.
pub(crate) type Moment = Duration;

/// What stands in a lane.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Item {
    /// A chunk in memory, and since when it has been here. What its own time says is for people.
    Held(Chunk, Moment),
    /// Bytes that were spilled: the file has them.
    Filed { span: Span, time: Timestamp, since: Moment },
    /// A mark, an end, a skip.
    Mark(Message),
}

impl Item {
    /// Since when its first byte has been here; of marks it is not known.
    pub(crate) fn since(&self) -> Option<Moment> {
        match self {
            Self::Held(_, since) | Self::Filed { since, .. } => Some(*since),
            Self::Mark(_) => None,
        }
    }
}

#[derive(Debug)]
struct Lane {
    items: VecDeque<(StreamId, Item)>,
    place: Place,
}

/// Where a lane stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nowhere: it is empty.
    Nowhere,
    /// In the queue of those that can send.
    Queue,
    /// Among those that wait for a file to be read.
    Files,
    /// What is at its front is being read.
    Reading,
}

/// The lanes of all streams.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    lanes: Vec<Lane>,
    by_output: HashMap<(u32, Stream), usize>,
    queue: VecDeque<usize>,
    /// Those whose next bytes are to be read from a file.
    files: VecDeque<usize>,
    /// How many have theirs read now.
    reading: usize,
    held_bytes: usize,
}

impl Backlog {
    /// Nothing waits in any lane.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.files.is_empty() && self.reading == 0
    }

    /// Whether what comes of `stream` now has to wait, for what came before it or for others' turn.
    pub(crate) fn is_before(&self, stream: StreamId) -> bool {
        let lane = self.by_output.get(&output(stream)).map(|&at| &self.lanes[at]);
        !self.queue.is_empty() || lane.is_some_and(|lane| lane.place != Place::Nowhere)
    }

    /// Whether a lane waits for a file to be read.
    pub(crate) fn wants_file(&self) -> bool {
        !self.files.is_empty()
    }

    /// What the chunks in memory cost, in bytes.
    pub(crate) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Puts a message at the end of its stream's lane. A skip joins the skip before it.
    pub(crate) fn push(&mut self, stream: StreamId, message: Message, now: Moment) {
        let at = self.lane(stream);
        let lane = &mut self.lanes[at];
        match message {
            Message::Data(chunk) => {
                self.held_bytes += cost(&chunk);
                lane.items.push_back((stream, Item::Held(chunk, now)));
            }
            message => push_mark(&mut lane.items, stream, message),
        }
        if lane.place == Place::Nowhere {
            lane.place = Place::Queue;
            self.queue.push_back(at);
        }
    }

    /// Releases the chunks of `stream` that `filed` says can be read back, keeping their address.
    pub(crate) fn release(&mut self, stream: StreamId, filed: impl Fn(Span) -> bool) {
        let at = self.lane(stream);
        self.release_lane(at, |of, span| of == stream && filed(span));
    }

    /// The same for every stream, as far as `filed` says.
    pub(crate) fn release_all(&mut self, filed: impl Fn(StreamId, Span) -> bool) {
        for at in 0..self.lanes.len() {
            if self.lanes[at].place != Place::Nowhere {
                self.release_lane(at, &filed);
            }
        }
    }

    fn release_lane(&mut self, at: usize, filed: impl Fn(StreamId, Span) -> bool) {
        let items = &mut self.lanes[at].items;
        let is_filed = |(stream, item): &(StreamId, Item)| matches!(item, Item::Held(chunk, _) if filed(*stream, chunk.span()));
        let Some(first) = items.iter().position(is_filed) else { return };
        let mut kept: VecDeque<(StreamId, Item)> = VecDeque::with_capacity(items.len());
        for (at, (stream, item)) in items.drain(..).enumerate() {
            match item {
                // Each is asked for once: whoever says that it is filed may have to keep it from then on.
                Item::Held(chunk, since)
                    if at == first || at > first && filed(stream, chunk.span()) =>
                {
                    self.held_bytes -= cost(&chunk);
                    let exact = kept.len() < EXACT_ITEMS;
                    let item = Item::Filed { span: chunk.span(), time: chunk.time, since };
                    push_filed(&mut kept, stream, item, exact);
                }
                other => kept.push_back((stream, other)),
            }
        }
        *items = kept;
    }

    /// Forgets all bytes for good, held or filed; `instead` may give a skip to stand for them.
    pub(crate) fn forget(&mut self, mut instead: impl FnMut(StreamId, Span) -> Option<Message>) {
        self.held_bytes = 0;
        // Nothing waits for a file any more; what is still read is of no use.
        self.reading = 0;
        let aside = std::mem::take(&mut self.files);
        self.queue.extend(aside);
        for (at, lane) in self.lanes.iter_mut().enumerate() {
            if lane.place == Place::Reading {
                self.queue.push_back(at);
            }
            for (stream, item) in std::mem::take(&mut lane.items) {
                let message = match item {
                    Item::Held(chunk, _) => instead(stream, chunk.span()),
                    Item::Filed { span, .. } => instead(stream, span),
                    Item::Mark(message) => Some(message),
                };
                if let Some(message) = message {
                    push_mark(&mut lane.items, stream, message);
                }
            }
            lane.place = if lane.items.is_empty() { Place::Nowhere } else { Place::Queue };
        }
        self.queue.retain(|&at| self.lanes[at].place == Place::Queue);
    }

    /// Since when the oldest of those has been here whose turn is next; `None` when that is not
    /// known.
    pub(crate) fn waits_since(&self) -> Option<Moment> {
        let next = self.queue.front().or(self.files.front()).copied();
        let reads = || self.lanes.iter().position(|lane| lane.place == Place::Reading);
        let lane = &self.lanes[next.or_else(reads)?];
        lane.items.front().and_then(|(_, item)| item.since())
    }

    /// The lane whose turn it is waits for its file from now on.
    pub(crate) fn set_aside(&mut self) {
        if let Some(at) = self.queue.pop_front() {
            self.lanes[at].place = Place::Files;
            self.files.push_back(at);
        }
    }

    /// What is to be read next, from now on; the next call gives another stream's.
    pub(crate) fn begin_reading(&mut self) -> Option<(StreamId, Span)> {
        while let Some(at) = self.files.pop_front() {
            let lane = &mut self.lanes[at];
            if let Some((stream, Item::Filed { span, .. })) = lane.items.front() {
                lane.place = Place::Reading;
                self.reading += 1;
                return Some((*stream, *span));
            }
            lane.place = Place::Queue;
            self.queue.push_back(at);
        }
        None
    }

    /// Reading from `from` on has ended: the lane stands in the queue again, before all others.
    /// `None` when nobody waits for that any more.
    pub(crate) fn end_reading(&mut self, stream: StreamId, from: Offset) -> Option<Item> {
        let at = self.lane(stream);
        let lane = &mut self.lanes[at];
        let is_wanted = lane.place == Place::Reading
            && matches!(lane.items.front(), Some((of, Item::Filed { span, .. })) if *of == stream && span.from == from);
        if !is_wanted {
            return None;
        }
        self.reading -= 1;
        lane.place = Place::Nowhere;
        lane.items.pop_front().map(|(_, item)| item)
    }

    /// The item whose turn it is, with its stream.
    pub(crate) fn front(&self) -> Option<(StreamId, &Item)> {
        let lane = &self.lanes[*self.queue.front()?];
        lane.items.front().map(|(stream, item)| (*stream, item))
    }

    /// Takes that item out; its lane goes to the end of the queue while it has more.
    pub(crate) fn pop(&mut self) -> Option<Item> {
        let at = self.queue.pop_front()?;
        let lane = &mut self.lanes[at];
        let item = lane.items.pop_front().map(|(_, item)| item);
        if let Some(Item::Held(chunk, _)) = &item {
            self.held_bytes -= cost(chunk);
        }
        lane.place = if lane.items.is_empty() { Place::Nowhere } else { Place::Queue };
        if lane.place == Place::Queue {
            self.queue.push_back(at);
        }
        item
    }

    /// Puts an item before everything else: it could not be sent.
    pub(crate) fn put_back(&mut self, stream: StreamId, item: Item) {
        let at = self.lane(stream);
        if let Item::Held(chunk, _) = &item {
            self.held_bytes += cost(chunk);
        }
        let lane = &mut self.lanes[at];
        lane.items.push_front((stream, item));
        match lane.place {
            Place::Nowhere => {}
            Place::Queue => self.queue.retain(|&other| other != at),
            Place::Files => self.files.retain(|&other| other != at),
            // What was read of it will not stand at its front.
            Place::Reading => self.reading -= 1,
        }
        lane.place = Place::Queue;
        self.queue.push_front(at);
    }

    fn lane(&mut self, stream: StreamId) -> usize {
        *self.by_output.entry(output(stream)).or_insert_with(|| {
            self.lanes.push(Lane { items: VecDeque::new(), place: Place::Nowhere });
            self.lanes.len() - 1
        })
    }
}

/// What has a lane: an output of a rank, whichever of its starts says something.
fn output(stream: StreamId) -> (u32, Stream) {
    (stream.rank, stream.stream)
}

fn push_mark(items: &mut VecDeque<(StreamId, Item)>, stream: StreamId, message: Message) {
    if let Message::Skip { span: next, cause: ref why, .. } = message
        && let Some((of, Item::Mark(Message::Skip { span, cause, .. }))) = items.back_mut()
        && *of == stream
        && span.to == next.from
        && cause == why
    {
        span.to = next.to;
        return;
    }
    items.push_back((stream, Item::Mark(message)));
}

fn push_filed(kept: &mut VecDeque<(StreamId, Item)>, stream: StreamId, item: Item, exact: bool) {
    let Item::Filed { span: next, time: arrived, .. } = item else {
        return kept.push_back((stream, item));
    };
    match kept.back_mut() {
        Some((of, Item::Filed { span, time, .. }))
            if *of == stream && span.to == next.from && (!exact || *time == arrived) =>
        {
            span.to = next.to;
        }
        _ => kept.push_back((stream, item)),
    }
}

#[cfg(test)]
mod tests;
