//! A job's files, read without the appender that wrote them.

mod catalogue;
mod log;
mod open_files;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lastline_line::{Gaps, Offset, ReadBack, ReadOutcome, Span, StreamId, Timestamp};

use crate::layout::{Piece, Place};
use crate::reader::{gone, read_some, within};
use crate::{AppenderError, DirStorage, Reason, Storage};
use catalogue::Catalogue;

/// Bytes of a stream that are together in one file and were read at about one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Whose bytes.
    pub stream: StreamId,
    /// Which ones.
    pub span: Span,
    /// The number of their file among those of the rank's stream.
    pub file: u32,
    /// Where the first one stands in it.
    pub position: u64,
    /// When the first one was read, if that is known; the others were within a millisecond.
    pub time: Option<Timestamp>,
}

/// How the index was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IndexState {
    /// Whole.
    Whole,
    /// With something behind its last whole record: it is being written, or its writer was killed.
    Torn,
    /// There is none.
    #[default]
    Missing,
    /// Of another version, or no index at all. It is not used.
    Foreign,
}

/// A job's files, read without the appender that wrote them, while it runs or afterwards.
///
/// The index says where bytes are. Without one, a stream is the bytes of its files in the order of
/// their numbers; with one that ends early, what the files hold behind its last record follows,
/// without times. Those streams that only files tell of have launch 0, unless the rank's other
/// stream is in the index.
pub struct Archive {
    storage: Arc<dyn Storage>,
    catalogue: Mutex<Catalogue>,
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archive")
            .field("index_state", &self.index_state())
            .field("streams", &self.streams().len())
            .finish_non_exhaustive()
    }
}

impl Archive {
    /// Reads the job in `dir`.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, AppenderError> {
        Self::new(Arc::new(DirStorage::existing(dir)?))
    }

    /// Reads the job in `storage`.
    pub fn new(storage: Arc<dyn Storage>) -> Result<Self, AppenderError> {
        let archive = Self { storage, catalogue: Mutex::default() };
        archive.refresh()?;
        Ok(archive)
    }

    /// Takes in what was written since. Reads only what is new of the index, and looks at the size of
    /// every file.
    pub fn refresh(&self) -> Result<(), AppenderError> {
        self.catalogue().refresh(&*self.storage, true)
    }

    /// As [`refresh`](Self::refresh), only of what the index says: no file is opened. What files hold
    /// behind its last record is left out until `refresh` finds it again. That is all there is to look
    /// at often while the job's appender writes the index.
    pub fn refresh_recorded(&self) -> Result<(), AppenderError> {
        self.catalogue().refresh(&*self.storage, false)
    }

    fn catalogue(&self) -> MutexGuard<'_, Catalogue> {
        self.catalogue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the index was found.
    pub fn index_state(&self) -> IndexState {
        self.catalogue().index_state
    }

    /// All streams, by launch, rank and stream.
    pub fn streams(&self) -> Vec<StreamId> {
        self.catalogue().logs.keys().copied().collect()
    }

    /// Whether anything of a stream is there.
    pub fn has(&self, stream: StreamId) -> bool {
        self.catalogue().logs.contains_key(&stream)
    }

    /// Up to where the index knows of a stream: what files hold behind that has no times.
    pub fn recorded(&self, stream: StreamId) -> Offset {
        self.catalogue().logs.get(&stream).map_or(Offset::ZERO, |log| log.recorded.end())
    }

    /// The bytes of a stream that are filed, in bytes; those included that were pruned.
    pub fn filed_bytes(&self, stream: StreamId) -> u64 {
        self.catalogue().logs.get(&stream).map_or(0, |log| {
            let tail = log.tail.iter().map(|piece| piece.span.len()).sum::<u64>();
            log.recorded.filed_bytes() + tail
        })
    }

    /// What a stream's files do not have, those bytes included that were pruned.
    pub fn gaps(&self, stream: StreamId) -> Gaps {
        let catalogue = self.catalogue();
        let log = catalogue.logs.get(&stream);
        log.map(|log| log.recorded.gaps(|_| true)).unwrap_or_default()
    }

    /// All bytes that can be read, in the order in which they arrived; those of one stream stay in
    /// the order of their offsets whatever the clock did. Where the time is not known, they come
    /// with what is before them in their stream.
    pub fn extents(&self) -> Vec<Extent> {
        self.extents_after(&BTreeMap::new())
    }

    /// As [`extents`](Self::extents), only of what is at or behind the offset that `from` has for
    /// a stream. To follow a job: refresh, print these, and remember where each stream ended.
    pub fn extents_after(&self, from: &BTreeMap<StreamId, Offset>) -> Vec<Extent> {
        let catalogue = self.catalogue();
        let mut extents = Vec::new();
        for (stream, log) in &catalogue.logs {
            let from = from.get(stream).copied().unwrap_or_default();
            log.extents(*stream, from, &mut extents);
        }
        extents.sort_by_key(|(arrived, _)| *arrived);
        extents.into_iter().map(|(_, extent)| extent).collect()
    }

    /// When the byte of a stream at `offset` was read; the chunk that it came in is told by its first
    /// byte, and is at most a millisecond long. `None` where the index does not say.
    pub fn time_of(&self, stream: StreamId, offset: Offset) -> Option<Timestamp> {
        self.catalogue().logs.get(&stream)?.time_of(offset)
    }

    /// Where the first byte of a stream stands that had not arrived before `time`; its end where all
    /// had, as far as the index knows. A chunk counts as arrived when it was read, or when what is
    /// before it in its stream was, whatever the clock did.
    pub fn arrived_since(&self, stream: StreamId, time: Timestamp) -> Offset {
        let catalogue = self.catalogue();
        catalogue.logs.get(&stream).map_or(Offset::ZERO, |log| log.arrived_since(time))
    }

    fn read_piece(
        &self,
        catalogue: &mut Catalogue,
        stream: StreamId,
        piece: &Piece,
        buffer: &mut [u8],
    ) -> io::Result<Option<usize>> {
        let Place::Filed { file, position } = piece.place else { return Ok(None) };
        match catalogue.file(&*self.storage, stream, file) {
            Ok(handle) => read_some(&*handle, position, within(piece, buffer)).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl ReadBack for Archive {
    fn read_back(
        &self,
        stream: StreamId,
        from: Offset,
        buffer: &mut [u8],
    ) -> io::Result<ReadOutcome> {
        let mut catalogue = self.catalogue();
        let find = |catalogue: &Catalogue| catalogue.logs.get(&stream).and_then(|l| l.find(from));
        let Some(piece) = find(&catalogue) else { return Ok(ReadOutcome::NotYet) };
        let read = self.read_piece(&mut catalogue, stream, &piece, buffer)?;
        // Opening a file takes in the newest records: they may say that the bytes are gone.
        let piece = find(&catalogue).unwrap_or(piece);
        Ok(match (piece.place, read) {
            (Place::Missing(reason), _) => gone(&piece, reason),
            (Place::Filed { .. }, Some(bytes)) if bytes > 0 => ReadOutcome::Read(bytes),
            (Place::Filed { .. }, Some(_)) => gone(&piece, Reason::Truncated),
            (Place::Filed { .. }, None) => gone(&piece, Reason::Removed),
        })
    }

    fn filed(&self, stream: StreamId) -> Offset {
        self.catalogue().logs.get(&stream).map_or(Offset::ZERO, log::Log::end)
    }
}
