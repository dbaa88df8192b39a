//! What is known of one stream, shared by its sink, its writer and its readers.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::time::Instant;

use async_channel::Sender;
use bytes::Bytes;
use lastline_line::{Lease, Offset, Span, StreamId, Timestamp, Watermark};

use crate::durable::Durable;
use crate::filed::{Settled, Waiters};
use crate::files::Segment;
use crate::layout::{Layout, Piece, Place};
use crate::{Append, Reason};

/// What waits in a writer's queue. Its lease is given back when it is dropped.
pub(crate) struct Item {
    pub(crate) stream: Arc<StreamState>,
    pub(crate) payload: Payload,
    pub(crate) lease: Lease,
}

pub(crate) enum Payload {
    Data { start: Offset, time: Timestamp, bytes: Bytes },
    End { at: Offset },
}

/// What is known of one stream.
pub(crate) struct StreamState {
    pub(crate) id: StreamId,
    /// One past the last byte that a sink took.
    pub(crate) accepted: Watermark,
    /// Up to where bytes are filed, or known not to be.
    pub(crate) filed: Watermark,
    /// The queue of the one thread that writes it, from its first chunk on.
    pub(crate) queue: OnceLock<Sender<Item>>,
    /// Who waits for room.
    pub(crate) waiting: Mutex<Option<Waker>>,
    /// Never held while a disk is waited for.
    map: Mutex<StreamMap>,
    /// Held by the writing thread only, while it writes.
    writer: Mutex<StreamWriter>,
}

/// Where the bytes of a stream are.
#[derive(Default)]
pub(crate) struct StreamMap {
    pub(crate) layout: Layout,
    /// The files that it names, by ascending number.
    pub(crate) segments: Vec<Arc<Segment>>,
    /// What is not removed: it will be read back. Counted in the appender's `kept_bytes`.
    pub(crate) kept: Span,
    pub(crate) durable: Durable,
    /// Nothing is filed from here on.
    pub(crate) is_settled: bool,
    /// Who waits for more to be known. None of them waits for what is known.
    pub(crate) waiters: Waiters,
}

impl StreamMap {
    /// Says what became of the next `bytes`; `None` when it was settled before.
    pub(crate) fn push(&mut self, bytes: u64, place: Place) -> Option<Span> {
        (!self.is_settled).then(|| self.layout.push(bytes, place))
    }

    /// The file of a piece.
    pub(crate) fn segment(&self, number: u32) -> Option<Arc<Segment>> {
        let found = self.segments.binary_search_by_key(&number, |segment| segment.number);
        found.ok().map(|at| Arc::clone(&self.segments[at]))
    }

    /// Whether the file of this number has something that is kept.
    fn keeps_file(&self, number: u32) -> bool {
        let is_in = |place: Place| matches!(place, Place::Filed { file, .. } if file == number);
        let mut pieces = self.layout.pieces().iter().filter(|piece| is_in(piece.place));
        pieces.any(|piece| !piece.span.intersection(&self.kept).is_empty())
    }

    /// What became of the bytes below `to`; `None` while it is not known.
    pub(crate) fn settled(&self, to: Offset) -> Option<Settled> {
        if let Some((span, reason)) = self.layout.first_gap(to) {
            return Some(Settled::Missing { span, reason });
        }
        let at = self.layout.end();
        if at >= to {
            return Some(Settled::Filed);
        }
        self.is_settled.then_some(Settled::Closed { at })
    }
}

/// How much of a file has to be new before it is begun to force it to disk: 4 MiB.
const SYNC_AHEAD_BYTES: u64 = 4 << 20;

/// How the writing of a stream stands.
pub(crate) struct StreamWriter {
    pub(crate) segment: Option<(Arc<Segment>, Arc<dyn Append>)>,
    /// The end of that file.
    pub(crate) position: u64,
    /// Set while it cannot be filed.
    pub(crate) paused: Option<Reason>,
    /// When it was last checked whether the file still has its name.
    pub(crate) name_checked_at: Option<Instant>,
    /// The file cannot be rotated before.
    pub(crate) rotate_at: Option<Instant>,
    pub(crate) is_unsynced: bool,
    /// Nothing more comes of it.
    pub(crate) has_ended: bool,
    /// Up to where forcing it to disk has begun.
    pub(crate) sync_begun: u64,
    /// Its thread has it among its streams.
    pub(crate) is_known: bool,
    /// Its last entry: in which batch of entries, and its place there.
    pub(crate) last_entry: Option<(u64, usize)>,
}

impl StreamWriter {
    /// Begins to force to disk what is new, if it is much, or in any case.
    pub(crate) fn begin_sync(&mut self, however_little: bool) {
        let new = self.position - self.sync_begun;
        let enough = if however_little { new > 0 } else { new >= SYNC_AHEAD_BYTES };
        if let Some((_, handle)) = self.segment.as_ref().filter(|_| enough) {
            handle.begin_sync(self.sync_begun);
            self.sync_begun = self.position;
        }
    }

    /// The next write makes another file.
    pub(crate) fn leave_file(&mut self) {
        self.segment = None;
        self.position = 0;
        self.sync_begun = 0;
    }
}

impl StreamState {
    /// A stream of which nothing came, nor will when it `is_settled`.
    pub(crate) fn new(id: StreamId, is_settled: bool) -> Self {
        let writer = StreamWriter {
            segment: None,
            position: 0,
            paused: None,
            name_checked_at: None,
            rotate_at: None,
            is_unsynced: false,
            has_ended: false,
            sync_begun: 0,
            is_known: false,
            last_entry: None,
        };
        Self {
            id,
            accepted: Watermark::default(),
            filed: Watermark::default(),
            queue: OnceLock::new(),
            waiting: Mutex::default(),
            map: Mutex::new(StreamMap { is_settled, ..StreamMap::default() }),
            writer: Mutex::new(writer),
        }
    }

    pub(crate) fn map(&self) -> MutexGuard<'_, StreamMap> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn writer(&self) -> MutexGuard<'_, StreamWriter> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_waiting(&self, waker: Option<Waker>) {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = waker;
    }

    pub(crate) fn wake(&self) {
        let waker = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Says what became of the next `bytes`, and gives the piece.
    pub(crate) fn place(&self, bytes: u64, place: Place) -> Option<Piece> {
        let mut map = self.map();
        let span = map.push(bytes, place)?;
        self.filed.raise(span.to);
        let woken = match place.gap() {
            None => map.waiters.take_to(span.to),
            Some(_) => map.waiters.take_all(),
        };
        drop(map);
        woken.wake();
        Some(Piece { span, place })
    }

    /// Everything in a file is missing from now on: gives what that is.
    pub(crate) fn lose_file(&self, number: u32, reason: Reason) -> Vec<Span> {
        self.lose_file_of(self.map(), number, reason)
    }

    /// The same for a file that has nothing which is kept; `None` for any other.
    pub(crate) fn lose_unkept_file(&self, number: u32, reason: Reason) -> Option<Vec<Span>> {
        let map = self.map();
        (!map.keeps_file(number)).then(|| self.lose_file_of(map, number, reason))
    }

    fn lose_file_of(
        &self,
        mut map: MutexGuard<'_, StreamMap>,
        number: u32,
        reason: Reason,
    ) -> Vec<Span> {
        map.segments.retain(|segment| segment.number != number);
        let lost = map.layout.lose_file(number, reason);
        self.wake_all(map);
        lost
    }

    /// Wakes who waits for more to be known, after a change that may have said it to all.
    pub(crate) fn wake_all(&self, mut map: MutexGuard<'_, StreamMap>) {
        let woken = map.waiters.take_all();
        drop(map);
        woken.wake();
    }

    /// Declares what was taken and will not be filed.
    pub(crate) fn declare_rest(&self, map: &mut StreamMap, reason: Reason) {
        let accepted = self.accepted.get();
        map.layout.push(accepted - map.layout.end(), Place::Missing(reason));
        self.filed.raise(accepted);
    }
}
