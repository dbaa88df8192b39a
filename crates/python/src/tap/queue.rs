//! What waits for one consumer.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use lastline_line::{Chunk, Offset, StreamId, Timestamp};
use tokio::sync::Notify;

use crate::wait::lock;

/// What a batch costs beside its bytes, in bytes.
pub(super) const BATCH_BYTES: usize = 128;
/// So much of what was missed has one time, in bytes.
const NOTE_BYTES: u64 = 64 << 10;

/// When what was missed of a stream was read, every [`NOTE_BYTES`] of it.
#[derive(Debug, Default)]
pub(super) struct Times(pub(super) VecDeque<(Offset, Timestamp)>);

impl Times {
    pub(super) fn note(&mut self, at: Offset, time: Timestamp) {
        if self.0.back().is_none_or(|(last, _)| *last + NOTE_BYTES <= at) {
            self.0.push_back((at, time));
        }
    }

    /// When the byte at `at` was read, and up to where that holds. What is before it is forgotten.
    pub(super) fn find(&mut self, at: Offset) -> Option<(Timestamp, Option<Offset>)> {
        while self.0.get(1).is_some_and(|(from, _)| *from <= at) {
            self.0.pop_front();
        }
        let (_, time) = *self.0.front().filter(|(from, _)| *from <= at)?;
        Some((time, self.0.get(1).map(|(until, _)| *until)))
    }
}

#[derive(Debug)]
pub(super) struct Queued {
    pub(super) batches: VecDeque<Chunk>,
    pub(super) missed: BTreeMap<StreamId, Times>,
    pub(super) bytes: usize,
    pub(super) limit: usize,
    /// Nobody takes what is queued yet: it is kept, as far as there is room, and nobody waits for it.
    pub(super) idle: bool,
    pub(super) ended: bool,
    pub(super) closed: bool,
}

/// A consumer's queue.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) queued: Mutex<Queued>,
    pub(super) ready: Notify,
}

impl Queue {
    pub(super) fn new(limit: usize, idle: bool, ended: bool) -> Arc<Self> {
        let (batches, bytes, closed) = (VecDeque::new(), 0, false);
        let missed = BTreeMap::new();
        let queued = Queued { batches, missed, bytes, limit, idle, ended, closed };
        Arc::new(Self { queued: Mutex::new(queued), ready: Notify::new() })
    }

    /// Whether it has no room; one that nobody takes from is full only where `idle` ones count.
    pub(super) fn is_full(&self, idle: bool) -> bool {
        let queued = lock(&self.queued);
        queued.bytes >= queued.limit && (idle || !queued.idle) && !queued.closed
    }

    pub(super) fn has_room(&self) -> bool {
        let queued = lock(&self.queued);
        queued.bytes < queued.limit && !queued.closed
    }

    pub(super) fn offer(&self, chunk: &Chunk, copy: &Bytes) {
        let mut queued = lock(&self.queued);
        if queued.closed {
            return;
        }
        if queued.bytes >= queued.limit {
            queued.missed.entry(chunk.stream).or_default().note(chunk.start, chunk.time);
        } else {
            queued.bytes += copy.len() + BATCH_BYTES;
            queued.batches.push_back(Chunk { bytes: copy.clone(), ..*chunk });
        }
        drop(queued);
        self.ready.notify_one();
    }
}
