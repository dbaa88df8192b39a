//! Writing the index. One file that all writer threads share.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lastline_line::StreamId;

use crate::index_entry::IndexEntry;
use crate::layout::Place;
use crate::names::INDEX_NAME;
use crate::record::{HEADER, MAX_EXTENT_BYTES, Record};
use crate::{Append, Reason, Storage};

/// How often it is checked whether the index still has its name.
const CHECK_EVERY: Duration = Duration::from_millis(500);

/// The index of a job, made at its first record.
pub(crate) struct Index {
    storage: Arc<dyn Storage>,
    retry_after: Duration,
    state: Mutex<IndexFile>,
}

#[derive(Default)]
struct IndexFile {
    file: Option<Arc<dyn Append>>,
    numbers: HashMap<StreamId, u32>,
    /// Records that are on their way into the file; the first may be written in part.
    encoded: Vec<u8>,
    /// What happened while the file took nothing, as coarse as it goes; bounded by the number of
    /// gaps and files, not by time.
    held: Vec<IndexEntry>,
    /// The last of those of each stream.
    last_held: HashMap<StreamId, usize>,
    /// Set while the file takes nothing: when to try again.
    failing_until: Option<Instant>,
    checked_at: Option<Instant>,
}

/// What came of writing to the index.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything stands in it.
    Written,
    /// It failed; what there is to write is held.
    Failed(Reason),
    /// It failed a moment ago, and was not tried.
    Waiting,
}

impl Index {
    pub(crate) fn new(storage: Arc<dyn Storage>, retry_after: Duration) -> Self {
        Self { storage, retry_after, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, IndexFile> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes `entries`, and empties them. Blocks for the disk. `restate` gives everything that
    /// is known, for an index whose file was removed.
    pub(crate) fn write(
        &self,
        entries: &mut Vec<IndexEntry>,
        now: Instant,
        restate: impl FnOnce() -> Vec<IndexEntry>,
    ) -> Outcome {
        let mut state = self.state();
        if let Some(until) = state.failing_until {
            entries.drain(..).for_each(|entry| state.hold(entry));
            if now < until {
                return Outcome::Waiting;
            }
        }
        if state.is_removed(now) {
            *state = IndexFile::default();
            restate().into_iter().for_each(|entry| state.hold(entry));
        }
        match state.put_all(&*self.storage, entries) {
            Ok(()) => {
                state.failing_until = None;
                Outcome::Written
            }
            Err(error) => {
                entries.drain(..).for_each(|entry| state.hold(entry));
                state.failing_until = Some(now + self.retry_after);
                Outcome::Failed(Reason::from(&error))
            }
        }
    }

    /// Forces the index to stable storage.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let file = self.state().file.clone();
        file.map_or(Ok(()), |file| file.sync())
    }
}

impl IndexFile {
    fn hold(&mut self, entry: IndexEntry) {
        let last = self.last_held.get(&entry.stream).copied();
        if last.is_some_and(|last| self.held[last].absorb(&entry, u64::MAX)) {
            return;
        }
        self.last_held.insert(entry.stream, self.held.len());
        self.held.push(entry);
    }

    fn is_removed(&mut self, now: Instant) -> bool {
        let Some(file) = &self.file else { return false };
        if self.checked_at.is_some_and(|checked_at| now < checked_at + CHECK_EVERY) {
            return false;
        }
        self.checked_at = Some(now);
        file.attributes().is_ok_and(|attributes| attributes.removed)
    }

    /// What was encoded before goes first, so that no record is torn; nothing more is encoded
    /// until that is in the file.
    fn put_all(&mut self, storage: &dyn Storage, entries: &mut Vec<IndexEntry>) -> io::Result<()> {
        self.put(storage)?;
        self.last_held.clear();
        for entry in std::mem::take(&mut self.held) {
            self.encode(entry);
        }
        for entry in entries.drain(..) {
            self.encode(entry);
        }
        self.put(storage)
    }

    fn put(&mut self, storage: &dyn Storage) -> io::Result<()> {
        if self.encoded.is_empty() {
            return Ok(());
        }
        let file = match &self.file {
            Some(file) => Arc::clone(file),
            None => {
                let file = storage.create(INDEX_NAME)?;
                self.encoded.splice(0..0, HEADER);
                Arc::clone(self.file.insert(file))
            }
        };
        let mut written = 0;
        let outcome = loop {
            if written == self.encoded.len() {
                break Ok(());
            }
            match file.append(&self.encoded[written..]) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => written += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        self.encoded.drain(..written);
        outcome
    }

    fn encode(&mut self, entry: IndexEntry) {
        let stream = self.number(entry.stream);
        let (span, time) = (entry.piece.span, entry.time);
        let (file, position) = match entry.piece.place {
            Place::Filed { file, position } => (file, position),
            Place::Missing(reason) => {
                return self.append(Record::Missing { stream, span, reason, time });
            }
        };
        let mut done = 0;
        while done < span.len() {
            let part = (span.len() - done).min(MAX_EXTENT_BYTES);
            let bytes = u32::try_from(part).expect("BUG: an extent is at most 2 GiB");
            let (start, position) = (span.from + done, position + done);
            self.append(Record::Filed { stream, start, bytes, file, position, time });
            done += part;
        }
    }

    fn number(&mut self, id: StreamId) -> u32 {
        if let Some(number) = self.numbers.get(&id) {
            return *number;
        }
        let number =
            u32::try_from(self.numbers.len()).expect("BUG: more streams than a u32 counts");
        self.numbers.insert(id, number);
        self.append(Record::Stream { number, id });
        number
    }

    fn append(&mut self, record: Record) {
        self.encoded.extend_from_slice(&record.encode());
    }
}
