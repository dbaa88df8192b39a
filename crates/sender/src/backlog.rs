//! What has been taken from tees and not yet sent. Pure: no clock, no task, no IO.
//!
//! Each stream has a lane of its own, in order; lanes with something to send stand in a queue, in
//! the order in which something came. A chunk that its stream's file has can be spilled: its lane
//! keeps the span, and reads it back when its turn comes.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use lastline_line::{Chunk, Message, Span, StreamId, Timestamp};

/// Beyond this many items a lane joins spans whose arrival times differ.
const EXACT_ITEMS: usize = 64;

/// What a chunk in a lane costs beside its payload, in bytes.
const ITEM_BYTES: usize = size_of::<Item>() + 64;

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
    stream: StreamId,
    items: VecDeque<Item>,
    /// It stands in the queue of lanes.
    waits: bool,
}

/// The lanes of all streams.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    lanes: Vec<Lane>,
    by_stream: HashMap<StreamId, usize>,
    queue: VecDeque<usize>,
    held_bytes: usize,
}

impl Backlog {
    /// Nothing waits in any lane.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
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
                lane.items.push_back(Item::Held(chunk, now));
            }
            message => push_mark(&mut lane.items, message),
        }
        if !lane.waits {
            lane.waits = true;
            self.queue.push_back(at);
        }
    }

    /// Releases the chunks of `stream` that `filed` says can be read back, keeping their address.
    pub(crate) fn release(&mut self, stream: StreamId, filed: impl Fn(Span) -> bool) {
        let at = self.lane(stream);
        let items = &mut self.lanes[at].items;
        let is_held = |item: &Item| matches!(item, Item::Held(chunk, _) if filed(chunk.span()));
        if !items.iter().any(is_held) {
            return;
        }
        let mut kept: VecDeque<Item> = VecDeque::with_capacity(items.len());
        for item in items.drain(..) {
            match item {
                Item::Held(chunk, since) if filed(chunk.span()) => {
                    self.held_bytes -= cost(&chunk);
                    let exact = kept.len() < EXACT_ITEMS;
                    let item = Item::Filed { span: chunk.span(), time: chunk.time, since };
                    push_filed(&mut kept, item, exact);
                }
                other => kept.push_back(other),
            }
        }
        *items = kept;
    }

    /// The same for every stream, as far as `filed` says.
    pub(crate) fn release_all(&mut self, filed: impl Fn(StreamId, Span) -> bool) {
        for at in 0..self.lanes.len() {
            let Lane { stream, waits, .. } = self.lanes[at];
            if waits {
                self.release(stream, |span| filed(stream, span));
            }
        }
    }

    /// Forgets all bytes for good, held or filed; `instead` may give a skip to stand for them.
    pub(crate) fn forget(&mut self, mut instead: impl FnMut(StreamId, Span) -> Option<Message>) {
        self.held_bytes = 0;
        for lane in &mut self.lanes {
            for item in std::mem::take(&mut lane.items) {
                let message = match item {
                    Item::Held(chunk, _) => instead(lane.stream, chunk.span()),
                    Item::Filed { span, .. } => instead(lane.stream, span),
                    Item::Mark(message) => Some(message),
                };
                if let Some(message) = message {
                    push_mark(&mut lane.items, message);
                }
            }
            lane.waits = !lane.items.is_empty();
        }
        self.queue.retain(|&at| self.lanes[at].waits);
    }

    /// The item whose turn it is, with its stream.
    pub(crate) fn front(&self) -> Option<(StreamId, &Item)> {
        let lane = &self.lanes[*self.queue.front()?];
        lane.items.front().map(|item| (lane.stream, item))
    }

    /// Takes that item out; its lane goes to the end of the queue while it has more.
    pub(crate) fn pop(&mut self) -> Option<Item> {
        let at = self.queue.pop_front()?;
        let lane = &mut self.lanes[at];
        let item = lane.items.pop_front();
        if let Some(Item::Held(chunk, _)) = &item {
            self.held_bytes -= cost(chunk);
        }
        lane.waits = !lane.items.is_empty();
        if lane.waits {
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
        lane.items.push_front(item);
        if lane.waits {
            self.queue.retain(|&other| other != at);
        }
        lane.waits = true;
        self.queue.push_front(at);
    }

    fn lane(&mut self, stream: StreamId) -> usize {
        *self.by_stream.entry(stream).or_insert_with(|| {
            self.lanes.push(Lane { stream, items: VecDeque::new(), waits: false });
            self.lanes.len() - 1
        })
    }
}

fn push_mark(items: &mut VecDeque<Item>, message: Message) {
    if let Message::Skip { span: next, cause: ref why, .. } = message
        && let Some(Item::Mark(Message::Skip { span, cause, .. })) = items.back_mut()
        && span.to == next.from
        && cause == why
    {
        span.to = next.to;
        return;
    }
    items.push_back(Item::Mark(message));
}

fn push_filed(kept: &mut VecDeque<Item>, item: Item, exact: bool) {
    let Item::Filed { span: next, time: arrived, .. } = item else {
        return kept.push_back(item);
    };
    match kept.back_mut() {
        Some(Item::Filed { span, time, .. })
            if span.to == next.from && (!exact || *time == arrived) =>
        {
            span.to = next.to;
        }
        _ => kept.push_back(item),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use lastline_line::{Launch, Offset, Stream};
    use proptest::prelude::*;

    use super::*;

    fn id(rank: u32) -> StreamId {
        StreamId::new(Launch(0), rank, Stream::Stdout)
    }

    fn data(rank: u32, start: u64, bytes: usize) -> Message {
        let bytes = Bytes::from(vec![b'x'; bytes]);
        Message::Data(Chunk::new(id(rank), Offset(start), Timestamp(start), bytes))
    }

    fn span_of(item: &Item) -> Option<Span> {
        match item {
            Item::Held(chunk, _) => Some(chunk.span()),
            Item::Filed { span, .. } => Some(*span),
            Item::Mark(_) => None,
        }
    }

    proptest! {
        /// Whatever is released and when: each stream's bytes come out once, in order, and what
        /// is held is counted.
        #[test]
        fn a_lane_gives_every_byte_once_in_order(
            steps in prop::collection::vec((0_u32..3, 1_usize..9, 0_u8..4), 1..200),
        ) {
            let (mut backlog, mut read, mut sent) = (Backlog::default(), [0_u64; 3], [0_u64; 3]);
            let mut take = |backlog: &mut Backlog| -> Result<(), TestCaseError> {
                let Some((stream, _)) = backlog.front() else { return Ok(()) };
                let item = backlog.pop().unwrap();
                let span = span_of(&item).unwrap();
                let at = &mut sent[stream.rank as usize];
                prop_assert_eq!(span.from, Offset(*at));
                *at = span.to.0;
                Ok(())
            };
            for (rank, bytes, action) in steps {
                let at = &mut read[rank as usize];
                match action {
                    0 => take(&mut backlog)?,
                    1 => backlog.release(id(rank), |span| span.to.0 <= at.saturating_sub(5)),
                    2 => if let Some((stream, item)) = backlog.front().map(|(s, i)| (s, i.clone())) {
                        backlog.pop();
                        backlog.put_back(stream, item);
                    },
                    _ => {
                        backlog.push(id(rank), data(rank, *at, bytes), Moment::ZERO);
                        *at += bytes as u64;
                    }
                }
            }
            while !backlog.is_empty() {
                take(&mut backlog)?;
            }
            prop_assert_eq!(sent, read);
            prop_assert_eq!(backlog.held_bytes(), 0);
        }
    }

    #[test]
    fn what_is_spilled_costs_no_memory_however_much_it_is() {
        let mut backlog = Backlog::default();
        for at in 0..10_000 {
            backlog.push(id(0), data(0, at * 10, 10), Moment::ZERO);
            backlog.release(id(0), |span| span.to.0 <= (at + 1) * 10);
        }
        assert_eq!(backlog.held_bytes(), 0);
        assert!(backlog.lanes[0].items.len() <= EXACT_ITEMS + 1);
    }

    #[test]
    fn lanes_take_turns() {
        let mut backlog = Backlog::default();
        for rank in [0, 0, 0, 1] {
            let end = Message::End { stream: id(rank), at: Offset(0) };
            backlog.push(id(rank), end, Moment::ZERO);
        }
        let mut order = Vec::new();
        while let Some((stream, _)) = backlog.front() {
            order.push(stream.rank);
            backlog.pop();
        }
        assert_eq!(order, [0, 1, 0, 0]);
    }
}
