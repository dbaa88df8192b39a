//! What a writer thread does between two writes: wait, write the index, force files to disk.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use async_channel::{Receiver, TryRecvError};

use crate::busy::Busy;
use crate::index::Outcome;
use crate::index_entry::IndexEntry;
use crate::outage::Hit;
use crate::record::RECORD_BYTES;
use crate::state::{AppenderState, Unsynced};
use crate::stream::{Item, StreamState};
use crate::{Fsync, Reason};

/// The most items that are taken from the queue before they are written.
const BATCH_ITEMS: usize = 64;
/// And the most bytes, one item more or less: what is taken gives back its room when all of it is
/// written.
const BATCH_BYTES: usize = 512 << 10;
/// So many records go into the index without waiting for an empty queue: 64 KiB.
const INDEX_RECORDS: usize = (64 << 10) / RECORD_BYTES;
/// How often the index is written at most while fewer wait.
const INDEX_AFTER: Duration = Duration::from_millis(20);

/// One writer thread.
pub(crate) struct Writer {
    pub(crate) shared: Arc<AppenderState>,
    queue: Receiver<Item>,
    busy: Arc<Busy>,
    /// The time of the current batch.
    pub(crate) now: Instant,
    /// What happened since the index was written.
    pub(crate) entries: Vec<IndexEntry>,
    /// Counts how often the index was written: entries of another batch are out of reach.
    pub(crate) batch: u64,
    index_written: Option<Instant>,
    index_failed: Option<Reason>,
    /// Every stream that it has written.
    pub(crate) streams: Vec<Arc<StreamState>>,
    pub(crate) unsynced: Vec<Arc<StreamState>>,
    sync_at: Option<Instant>,
}

impl Writer {
    pub(crate) fn new(shared: Arc<AppenderState>, queue: Receiver<Item>, busy: Arc<Busy>) -> Self {
        Self {
            shared,
            queue,
            busy,
            now: Instant::now(),
            entries: Vec::new(),
            batch: 0,
            index_written: None,
            index_failed: None,
            streams: Vec::new(),
            unsynced: Vec::new(),
            sync_at: None,
        }
    }

    /// Writes until the queue is closed and empty, then finishes every file.
    pub(crate) fn run(&mut self) {
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut items = Vec::with_capacity(BATCH_ITEMS);
        loop {
            let closed = self.take(&mut items);
            self.now = Instant::now();
            self.busy.begin(self.now);
            if !items.is_empty() {
                self.file(&mut items);
            } else if closed {
                break;
            }
            self.run_maintenance();
            self.busy.end();
            if self.queue.is_empty() {
                items.extend(self.wait(&waker));
            }
        }
        self.finish();
    }

    /// Takes what is queued, up to a batch; whether nothing will come any more.
    fn take(&self, items: &mut Vec<Item>) -> bool {
        let mut bytes = 0;
        while items.len() < BATCH_ITEMS && bytes < BATCH_BYTES {
            match self.queue.try_recv() {
                Ok(item) => {
                    bytes += item.lease.bytes();
                    items.push(item);
                }
                Err(TryRecvError::Empty) => return false,
                Err(TryRecvError::Closed) => return true,
            }
        }
        false
    }

    /// Waits for an item, or until there is something else to do.
    fn wait(&self, waker: &Waker) -> Option<Item> {
        let until = self.next_due();
        let mut receive = pin!(self.queue.recv());
        let mut context = Context::from_waker(waker);
        loop {
            if let Poll::Ready(item) = receive.as_mut().poll(&mut context) {
                return item.ok();
            }
            match until.map(|until| until.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => return None,
                Some(left) => std::thread::park_timeout(left),
                None => std::thread::park(),
            }
        }
    }

    fn next_due(&self) -> Option<Instant> {
        let index = match self.index_failed {
            Some(_) => {
                let retry_after = self.shared.options.retry_after;
                Some(self.now + retry_after.max(Duration::from_millis(1)))
            }
            None if self.entries.is_empty() => None,
            None => Some(self.index_written.unwrap_or(self.now) + INDEX_AFTER),
        };
        let over = self.shared.outages().next();
        [index, over, self.sync_at].into_iter().flatten().min()
    }

    /// Does what is due.
    fn run_maintenance(&mut self) {
        let full = self.entries.len() >= INDEX_RECORDS;
        let aged = self.index_written.is_none_or(|last| self.now >= last + INDEX_AFTER);
        if full || self.index_failed.is_some() || (aged && self.queue.is_empty()) {
            self.write_index(self.now);
        }
        if self.sync_at.is_some_and(|at| self.now >= at) {
            self.sync_all();
        }
        self.note_ended_outages();
    }

    fn note_ended_outages(&self) {
        let mut outages = self.shared.outages();
        if outages.is_empty() {
            return;
        }
        let over = outages.over(self.now, false);
        drop(outages);
        self.shared.note(over);
    }

    /// Writes what happened into the index, as of `now`.
    pub(crate) fn write_index(&mut self, now: Instant) {
        let Some(index) = &self.shared.index else {
            return self.entries.clear();
        };
        if self.entries.is_empty() && self.index_failed.is_none() {
            return;
        }
        self.batch += 1;
        self.index_written = Some(self.now);
        let hit = Hit::Index;
        match index.write(&mut self.entries, now, || self.shared.restate()) {
            Outcome::Failed(reason) => {
                let before = self.index_failed.replace(reason);
                let note = self.shared.outages().failed(hit, before, reason, self.now);
                self.shared.note(note);
            }
            Outcome::Written => {
                if let Some(reason) = self.index_failed.take() {
                    self.shared.outages().recovered(reason, self.now);
                }
            }
            Outcome::Waiting => {}
        }
    }

    /// A stream's file has something new.
    pub(crate) fn is_unsynced(&mut self, stream: &Arc<StreamState>) {
        if let Fsync::Every(period) = self.shared.options.fsync {
            self.unsynced.push(Arc::clone(stream));
            self.sync_at.get_or_insert(self.now + period);
        }
    }

    /// Forces everything new to disk: files first, then what says where bytes are.
    fn sync_all(&mut self) {
        self.sync_at = None;
        for stream in std::mem::take(&mut self.unsynced) {
            self.sync(&stream, &mut stream.writer());
        }
        self.write_index(self.now);
        if let Some(index) = &self.shared.index {
            self.synced(index.sync(), |unsynced| &mut unsynced.index);
        }
        self.synced(self.shared.storage.sync(), |unsynced| &mut unsynced.directory);
    }

    fn synced(&self, outcome: io::Result<()>, what: fn(&mut Unsynced) -> &mut Option<Reason>) {
        if let Err(error) = outcome {
            let reason = Reason::from(&error);
            what(&mut self.shared.unsynced()).get_or_insert(reason);
            self.shared.not_synced(reason);
        }
    }

    /// The end: what is paused is not waited for.
    fn finish(&mut self) {
        self.now = Instant::now();
        if self.shared.options.fsync != Fsync::Never {
            // All at once, before any of them is waited for.
            self.streams.iter().for_each(|stream| stream.writer().begin_sync(true));
        }
        for stream in std::mem::take(&mut self.streams) {
            self.end(&stream, &mut stream.writer());
        }
        // What was kept may have been read since the last write.
        self.prune();
        // Whatever happened a moment ago: this is the last try.
        self.write_index(self.now + self.shared.options.retry_after);
        if self.shared.options.fsync != Fsync::Never {
            self.sync_all();
        }
        if let Some(reason) = self.index_failed.take() {
            self.shared.outages().ended(reason);
        }
    }
}

/// Wakes a thread that parks.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}
