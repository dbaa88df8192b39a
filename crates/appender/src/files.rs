//! The files of all streams: made, rotated, opened again, counted.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lastline_line::StreamId;

use crate::form::{Form, FormCell};
use crate::names::FamilyId;
use crate::{Append, FileId, Storage, compressed};

/// The most rotated files that an appender keeps open for reading back, of all streams together.
pub const OPEN_ROTATED: usize = 64;

/// One file of a stream.
pub(crate) struct Segment {
    pub(crate) stream: StreamId,
    /// Its place among the files of its family, from 1; its name has it once it is rotated.
    pub(crate) number: u32,
    /// What it takes on the disk.
    bytes: AtomicU64,
    /// Always there until the file is rotated.
    handle: Mutex<Option<Arc<dyn Append>>>,
    pub(crate) form: FormCell,
}

impl Segment {
    fn handle(&self) -> MutexGuard<'_, Option<Arc<dyn Append>>> {
        self.handle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn family(&self) -> FamilyId {
        family_of(self.stream)
    }

    /// What it is called once it is rotated.
    pub(crate) fn rotated_name(&self) -> String {
        self.family().rotated_name(self.number)
    }

    /// Removes one that was rotated, by the name that it has now, and gives that. Blocks for the disk.
    pub(crate) fn remove(&self, storage: &dyn Storage) -> (String, io::Result<()>) {
        let form = self.form.give_up();
        let name = match form {
            Form::Compressed => self.family().compressed_name(self.number),
            _ => self.rotated_name(),
        };
        let removed = match storage.remove(&name) {
            // Who has just compressed it did that, and removes the compressed one then.
            Err(error) if form == Form::Changing && error.kind() == io::ErrorKind::NotFound => {
                Ok(())
            }
            removed => removed,
        };
        (name, removed)
    }
}

fn family_of(stream: StreamId) -> FamilyId {
    FamilyId { rank: stream.rank, stream: stream.stream }
}

/// The files of one rank's stream, over all launches.
#[derive(Default)]
struct Family {
    /// The number of the newest file.
    last: u32,
    /// The newest file, unless it is gone.
    newest: Option<Arc<Segment>>,
}

/// Why there is no new file.
pub(crate) enum OpenError {
    /// The one before cannot be renamed; it goes on being the newest.
    Rotate(io::Error),
    /// It cannot be made.
    Create(io::Error),
}

/// All files of a job.
pub(crate) struct Files {
    storage: Arc<dyn Storage>,
    families: Mutex<HashMap<FamilyId, Arc<Mutex<Family>>>>,
    /// Those that may be removed, the oldest first.
    rotated: Mutex<VecDeque<Arc<Segment>>>,
    /// Those of them that are open, the one opened first in front.
    open: Mutex<VecDeque<Arc<Segment>>>,
    total_bytes: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Files {
    pub(crate) fn new(storage: Arc<dyn Storage>) -> Self {
        Self {
            storage,
            families: Mutex::default(),
            rotated: Mutex::default(),
            open: Mutex::default(),
            total_bytes: AtomicU64::new(0),
        }
    }

    fn family(&self, stream: StreamId) -> Arc<Mutex<Family>> {
        Arc::clone(lock(&self.families).entry(family_of(stream)).or_default())
    }

    /// The stream that has the newest file of a family, of whichever start of its rank.
    pub(crate) fn newest_of(&self, stream: StreamId) -> Option<StreamId> {
        let family = self.family(stream);
        let family = lock(&family);
        family.newest.as_ref().map(|newest| newest.stream)
    }

    /// Makes the next file of a stream, after rotating the newest one of its family. Blocks for
    /// the disk.
    pub(crate) fn open_next(
        &self,
        stream: StreamId,
    ) -> Result<(Arc<Segment>, Arc<dyn Append>), OpenError> {
        let (id, family) = (family_of(stream), self.family(stream));
        let mut family = lock(&family);
        if let Some(newest) = &family.newest {
            self.storage
                .rename(&id.newest_name(), &newest.rotated_name())
                .map_err(OpenError::Rotate)?;
            self.keep_open(newest);
            lock(&self.rotated).extend(family.newest.take());
        }
        let handle = self.storage.create(&id.newest_name()).map_err(OpenError::Create)?;
        family.last += 1;
        let segment = Arc::new(Segment {
            stream,
            number: family.last,
            bytes: AtomicU64::new(0),
            handle: Mutex::new(Some(Arc::clone(&handle))),
            form: FormCell::new(),
        });
        family.newest = Some(Arc::clone(&segment));
        Ok((segment, handle))
    }

    /// Whether a file of this id is the newest of its family, and does not have that name any more. One
    /// that is not was rotated, by another launch perhaps. Blocks for the disk.
    pub(crate) fn is_renamed(&self, segment: &Arc<Segment>, file: FileId) -> bool {
        let family = self.family(segment.stream);
        let family = lock(&family);
        let is_newest = family.newest.as_ref().is_some_and(|newest| Arc::ptr_eq(newest, segment));
        is_newest
            && match self.storage.file_of(&segment.family().newest_name()) {
                Ok(there) => there.is_some_and(|there| there != file),
                Err(error) => error.kind() == io::ErrorKind::NotFound,
            }
    }

    /// A file lost its name: the next one is made beside it.
    pub(crate) fn forget(&self, segment: &Arc<Segment>) {
        let family = self.family(segment.stream);
        let mut family = lock(&family);
        if family.newest.as_ref().is_some_and(|newest| Arc::ptr_eq(newest, segment)) {
            family.newest = None;
        }
        self.total_bytes.fetch_sub(segment.bytes.swap(0, Ordering::Relaxed), Ordering::Relaxed);
        segment.handle().take();
    }

    /// Counts bytes that a file got.
    pub(crate) fn grew(&self, segment: &Segment, bytes: u64) {
        segment.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.total_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes out the oldest rotated file that `give_up` gives something for, when all files together
    /// are above `max_bytes`.
    pub(crate) fn take_oldest<T>(
        &self,
        max_bytes: u64,
        give_up: impl Fn(&Segment) -> Option<T>,
    ) -> Option<(Arc<Segment>, T)> {
        if self.total_bytes.load(Ordering::Relaxed) <= max_bytes {
            return None;
        }
        let mut rotated = lock(&self.rotated);
        let mut segments = rotated.iter().enumerate();
        let (at, given) = segments.find_map(|(at, segment)| Some((at, give_up(segment)?)))?;
        let oldest = rotated.remove(at)?;
        drop(rotated);
        let bytes = oldest.bytes.swap(0, Ordering::Relaxed);
        self.total_bytes.fetch_sub(bytes, Ordering::Relaxed);
        lock(&self.open).retain(|open| !Arc::ptr_eq(open, &oldest));
        oldest.handle().take();
        Some((oldest, given))
    }

    /// A file for reading: the handle that it was written through, or one opened again when it
    /// was rotated long ago, or compressed. Blocks for the disk.
    pub(crate) fn reader(&self, segment: &Arc<Segment>) -> io::Result<Arc<dyn Append>> {
        let mut handle = segment.handle();
        if let Some(handle) = &*handle {
            return Ok(Arc::clone(handle));
        }
        let opened = compressed::open(&*self.storage, &segment.rotated_name())?;
        *handle = Some(Arc::clone(&opened));
        drop(handle);
        self.keep_open(segment);
        Ok(opened)
    }

    fn keep_open(&self, segment: &Arc<Segment>) {
        let mut open = lock(&self.open);
        open.push_back(Arc::clone(segment));
        let oldest = if open.len() > OPEN_ROTATED { open.pop_front() } else { None };
        drop(open);
        if let Some(oldest) = oldest {
            oldest.handle().take();
        }
    }
}

/// For who compresses files.
#[cfg(feature = "zstd")]
impl Files {
    /// The oldest rotated file that is to be compressed.
    pub(crate) fn next_plain(&self) -> Option<Arc<Segment>> {
        let rotated = lock(&self.rotated);
        rotated.iter().find(|segment| segment.form.get() == Form::Plain).cloned()
    }

    /// Counts bytes of a file that is beside those of the streams.
    pub(crate) fn take(&self, bytes: u64) {
        self.total_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// They are gone.
    pub(crate) fn give_back(&self, bytes: u64) {
        self.total_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// A file was compressed to so many bytes, which were [taken](Self::take), and the plain one is gone.
    pub(crate) fn shrank(&self, segment: &Arc<Segment>, bytes: u64) {
        let shrunk = segment.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |plain| {
            // Without any it was given up meanwhile.
            (plain > 0).then_some(bytes)
        });
        self.give_back(shrunk.unwrap_or(bytes));
        // Whoever reads it on opens the other one; what is open holds the room of a file that is removed.
        lock(&self.open).retain(|open| !Arc::ptr_eq(open, segment));
        let closed = segment.handle().take();
        drop(closed);
    }
}

#[cfg(feature = "zstd")]
impl Segment {
    /// What it takes on the disk, in bytes; none where it is given up.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// What it is called once it is compressed.
    pub(crate) fn compressed_name(&self) -> String {
        self.family().compressed_name(self.number)
    }
}
