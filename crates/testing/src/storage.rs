//! A storage in memory that fails as it is told to.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use lastline_appender::{Append, Attributes, FileId, Space, Storage};

/// What the next write does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Takes so many bytes, at least one, and no more.
    Take(usize),
    /// Fails with this error number of the system.
    Fail(i32),
}

/// A storage in memory. Clones share it: one goes to who is tested, one is the handle.
#[derive(Clone, Default)]
pub struct MemoryStorage {
    shared: Arc<SharedStorage>,
}

impl fmt::Debug for MemoryStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = lock(&self.shared.state).names.keys().cloned().collect();
        f.debug_struct("MemoryStorage").field("names", &names).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct SharedStorage {
    state: Mutex<StorageState>,
    changed: Condvar,
}

#[derive(Default)]
struct StorageState {
    names: BTreeMap<String, Arc<Mutex<Content>>>,
    steps: VecDeque<Step>,
    failing: Option<i32>,
    failing_renames: Option<i32>,
    failing_syncs: Option<i32>,
    /// How much it holds, and how much of that is used.
    room: Option<(u64, u64)>,
    hangs: bool,
    hanging: usize,
    writes: usize,
    syncs: usize,
}

#[derive(Default)]
struct Content {
    bytes: Vec<u8>,
    is_removed: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryStorage {
    /// An empty one that takes everything.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, StorageState> {
        lock(&self.shared.state)
    }

    /// What the next writes do, one after the other; those of the index do not count.
    pub fn script(&self, steps: impl IntoIterator<Item = Step>) {
        self.state().steps.extend(steps);
    }

    /// From now on every write and every new file fails with this error number, or none does.
    pub fn fail(&self, number: Option<i32>) {
        self.state().failing = number;
    }

    /// From now on every renaming fails with this error number, or none does.
    pub fn fail_renames(&self, number: Option<i32>) {
        self.state().failing_renames = number;
    }

    /// From now on nothing can be forced to stable storage, with this error number, or all can.
    pub fn fail_syncs(&self, number: Option<i32>) {
        self.state().failing_syncs = number;
    }

    /// From now on it holds so many bytes, removed files not counted; a write that does not fit
    /// is taken in part, the next one fails for lack of space.
    pub fn set_room(&self, bytes: u64) {
        let mut state = self.state();
        let used = state.names.values().map(|content| lock(content).bytes.len() as u64).sum();
        state.room = Some((bytes, used));
    }

    /// From now on every write hangs until [`release`](Self::release).
    pub fn hang(&self) {
        self.state().hangs = true;
    }

    /// Lets hanging writes go on.
    pub fn release(&self) {
        self.state().hangs = false;
        self.shared.changed.notify_all();
    }

    /// Waits until so many writes hang. Blocks.
    pub fn wait_until_hanging(&self, writes: usize) {
        let mut state = self.state();
        while state.hanging < writes {
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The bytes of a file.
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        self.state().names.get(name).map(|content| lock(content).bytes.clone())
    }

    /// Cuts a file to its first `bytes`.
    pub fn truncate(&self, name: &str, bytes: usize) {
        if let Some(content) = self.state().names.get(name) {
            lock(content).bytes.truncate(bytes);
        }
    }

    /// How many writes were tried.
    pub fn writes(&self) -> usize {
        self.state().writes
    }

    /// How many times anything was forced to stable storage.
    pub fn syncs(&self) -> usize {
        self.state().syncs
    }

    fn handle(&self, name: &str, content: Arc<Mutex<Content>>) -> Arc<dyn Append> {
        let is_index = name == lastline_appender::INDEX_NAME;
        Arc::new(MemoryFile { storage: self.clone(), content, is_index })
    }
}

fn os(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}

/// The system's number for "no space left on device".
pub const NO_SPACE: i32 = 28;
/// The system's number for "input/output error".
pub const BAD_DISK: i32 = 5;

impl Storage for MemoryStorage {
    fn create(&self, name: &str) -> io::Result<Arc<dyn Append>> {
        let mut state = self.state();
        if let Some(number) = state.failing {
            return Err(os(number));
        }
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let content = Arc::<Mutex<Content>>::default();
        state.names.insert(name.to_owned(), Arc::clone(&content));
        drop(state);
        Ok(self.handle(name, content))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn Append>> {
        let content = self.state().names.get(name).cloned();
        let content = content.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(self.handle(name, content))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        if let Some(number) = state.failing_renames {
            return Err(os(number));
        }
        if state.names.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let content = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), content);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        let content = state.names.remove(name).ok_or(io::ErrorKind::NotFound)?;
        let mut content = lock(&content);
        content.is_removed = true;
        if let Some((_, used)) = &mut state.room {
            *used = used.saturating_sub(content.bytes.len() as u64);
        }
        Ok(())
    }

    fn file_of(&self, name: &str) -> io::Result<Option<FileId>> {
        let state = self.state();
        let content = state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Some(id_of(content)))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.state().names.keys().cloned().collect())
    }

    fn space(&self) -> io::Result<Option<Space>> {
        let room = self.state().room;
        Ok(room.map(|(all, used)| Space { free_bytes: all.saturating_sub(used), total_bytes: all }))
    }

    fn sync(&self) -> io::Result<()> {
        self.state().sync()
    }
}

/// Who knows a file keeps it where it is in memory.
fn id_of(content: &Arc<Mutex<Content>>) -> FileId {
    FileId { device: 0, number: Arc::as_ptr(content).addr() as u64 }
}

struct MemoryFile {
    storage: MemoryStorage,
    content: Arc<Mutex<Content>>,
    is_index: bool,
}

impl StorageState {
    fn sync(&mut self) -> io::Result<()> {
        self.syncs += 1;
        self.failing_syncs.map_or(Ok(()), |number| Err(os(number)))
    }

    /// How many of so many bytes are taken now.
    fn take(&mut self, bytes: usize, is_index: bool) -> io::Result<usize> {
        self.writes += 1;
        if let Some(number) = self.failing {
            return Err(os(number));
        }
        let step = if is_index { None } else { self.steps.pop_front() };
        let mut taken = match step {
            Some(Step::Fail(number)) => return Err(os(number)),
            Some(Step::Take(most)) => bytes.min(most.max(1)),
            None => bytes,
        };
        if let Some((all, used)) = &mut self.room {
            taken = taken.min(usize::try_from(all.saturating_sub(*used)).unwrap_or(usize::MAX));
            *used += taken as u64;
        }
        if taken == 0 { Err(os(NO_SPACE)) } else { Ok(taken) }
    }
}

impl Append for MemoryFile {
    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        let shared = &self.storage.shared;
        let mut state = lock(&shared.state);
        state.hanging += 1;
        shared.changed.notify_all();
        while state.hangs {
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.hanging -= 1;
        let taken = state.take(bytes.len(), self.is_index)?;
        lock(&self.content).bytes.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let content = lock(&self.content);
        let from = usize::try_from(position).unwrap_or(usize::MAX);
        let there = content.bytes.get(from..).unwrap_or_default();
        let bytes = there.len().min(buffer.len());
        buffer[..bytes].copy_from_slice(&there[..bytes]);
        Ok(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.storage.state().sync()
    }

    fn attributes(&self) -> io::Result<Attributes> {
        let content = lock(&self.content);
        let bytes = Some(content.bytes.len() as u64);
        Ok(Attributes { bytes, removed: content.is_removed, file: Some(id_of(&self.content)) })
    }
}

/// A storage that takes everything and keeps nothing: the no-op neighbour for benches.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoStorage;

impl Storage for NoStorage {
    fn create(&self, _name: &str) -> io::Result<Arc<dyn Append>> {
        Ok(Arc::new(NoStorage))
    }
    fn open(&self, _name: &str) -> io::Result<Arc<dyn Append>> {
        Err(io::ErrorKind::NotFound.into())
    }
    fn rename(&self, _from: &str, _to: &str) -> io::Result<()> {
        Ok(())
    }
}

impl Append for NoStorage {
    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }
    fn append_vectored(&self, pieces: &[io::IoSlice<'_>]) -> io::Result<usize> {
        Ok(pieces.iter().map(|piece| piece.len()).sum())
    }
    fn read_at(&self, _position: u64, _buffer: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
