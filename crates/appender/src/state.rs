//! What sinks, writers and readers of one appender share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use lastline_line::{Budget, Offset, StreamId, Timestamp};

use crate::compressed::Compressor;
use crate::files::Files;
use crate::index::Index;
use crate::index_entry::IndexEntry;
use crate::outage::Outages;
use crate::pool::Pool;
use crate::space::Gate;
use crate::stream::StreamState;
use crate::{Note, Options, Reason, Storage};

/// What beside the streams' files could not be forced to disk.
#[derive(Clone, Copy, Default)]
pub(crate) struct Unsynced {
    pub(crate) index: Option<Reason>,
    pub(crate) directory: Option<Reason>,
    pub(crate) is_noted: bool,
}

/// What was removed to stay within the bound on all files.
#[derive(Clone, Copy, Default)]
pub(crate) struct Pruned {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// It was told that one could not be.
    pub(crate) failed: bool,
}

/// What sinks, writers and readers of one appender share.
pub(crate) struct AppenderState {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) options: Options,
    pub(crate) budget: Budget,
    pub(crate) files: Files,
    pub(crate) index: Option<Index>,
    pub(crate) gate: Gate,
    pub(crate) pool: Pool,
    pub(crate) compressor: Compressor,
    /// What is kept of all streams, in bytes.
    pub(crate) kept_bytes: AtomicU64,
    /// Nothing is taken into queues from here on.
    pub(crate) closed: AtomicBool,
    outages: Mutex<Outages>,
    unsynced: Mutex<Unsynced>,
    pruned: Mutex<Pruned>,
    streams: RwLock<Streams>,
}

/// The streams by id.
#[derive(Default)]
struct Streams {
    by_id: HashMap<StreamId, Arc<StreamState>>,
    /// Nothing is filed of a stream that is new from here on.
    are_settled: bool,
}

impl AppenderState {
    pub(crate) fn new(storage: Arc<dyn Storage>, options: Options) -> Self {
        let index = || Index::new(Arc::clone(&storage), options.retry_after);
        Self {
            budget: Budget::new(options.queue_bytes),
            files: Files::new(Arc::clone(&storage)),
            index: options.index.then(index),
            gate: Gate::new(options.min_free_bytes, Instant::now()),
            pool: Pool::new(options.threads),
            compressor: Compressor::default(),
            kept_bytes: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            outages: Mutex::new(Outages::new(options.retry_after)),
            unsynced: Mutex::default(),
            pruned: Mutex::default(),
            streams: RwLock::default(),
            storage,
            options,
        }
    }

    /// The stream of this id, new or known.
    pub(crate) fn stream(&self, id: StreamId) -> Arc<StreamState> {
        if let Some(known) = self.known(id) {
            return known;
        }
        let mut streams = self.streams.write().unwrap_or_else(PoisonError::into_inner);
        let is_settled = streams.are_settled;
        let new = || Arc::new(StreamState::new(id, is_settled));
        Arc::clone(streams.by_id.entry(id).or_insert_with(new))
    }

    pub(crate) fn known(&self, id: StreamId) -> Option<Arc<StreamState>> {
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        streams.by_id.get(&id).cloned()
    }

    pub(crate) fn all_streams(&self) -> Vec<Arc<StreamState>> {
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        streams.by_id.values().cloned().collect()
    }

    /// All streams, of which who calls says that nothing is filed any more. It is so of those that
    /// are new after this.
    pub(crate) fn settle_streams(&self) -> Vec<Arc<StreamState>> {
        let mut streams = self.streams.write().unwrap_or_else(PoisonError::into_inner);
        streams.are_settled = true;
        streams.by_id.values().cloned().collect()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn outages(&self) -> MutexGuard<'_, Outages> {
        self.outages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn unsynced(&self) -> MutexGuard<'_, Unsynced> {
        self.unsynced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn pruned(&self) -> MutexGuard<'_, Pruned> {
        self.pruned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells, once, that something cannot be forced to disk.
    pub(crate) fn not_synced(&self, reason: Reason) {
        if !std::mem::replace(&mut self.unsynced().is_noted, true) {
            self.note([Note::NotSynced { reason }]);
        }
    }

    pub(crate) fn note(&self, notes: impl IntoIterator<Item = Note>) {
        if let Some(on_note) = &self.options.on_note {
            notes.into_iter().for_each(|note| on_note(note));
        }
    }

    /// A sink took bytes of `stream` up to `end` that no writer will see.
    pub(crate) fn declare_late(&self, stream: &StreamState, end: Offset) {
        stream.accepted.raise(end);
        let mut map = stream.map();
        // What is in a queue comes before it: then the close declares both.
        if map.is_settled || stream.queue.get().is_none() {
            stream.declare_rest(&mut map, self.pool.failure().unwrap_or(Reason::Closed));
            stream.wake_all(map);
        }
    }

    /// Everything that is known of all streams, without times.
    pub(crate) fn restate(&self) -> Vec<IndexEntry> {
        let mut entries = Vec::new();
        for stream in self.all_streams() {
            entries.extend(stream.map().layout.pieces().iter().map(|piece| IndexEntry {
                stream: stream.id,
                piece: *piece,
                time: Timestamp::default(),
            }));
        }
        entries
    }
}
