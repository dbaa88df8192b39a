//! A storage in memory that takes all but what is compressed.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use lastline_appender::{Append, Attributes, FileId, Space, Storage};
use lastline_testing::storage::{MemoryStorage, NO_SPACE};

/// What is done to a compressed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// It cannot be made.
    Create,
    /// It takes so many bytes and no more.
    Append(usize),
    /// It cannot be forced to disk.
    Sync,
    /// It cannot get its name.
    Rename,
    /// It is there, and the plain one cannot be removed.
    Remove,
    /// Every write to it hangs.
    Hang,
}

/// Clones share it.
#[derive(Clone)]
pub(super) struct Picky {
    pub(super) memory: MemoryStorage,
    state: Arc<(Mutex<State>, Condvar)>,
}

struct State {
    fault: Fault,
    met: usize,
}

impl Picky {
    pub(super) fn new(fault: Fault) -> Self {
        let state = State { fault, met: 0 };
        Self { memory: MemoryStorage::new(), state: Arc::new((Mutex::new(state), Condvar::new())) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().unwrap()
    }

    pub(super) fn set(&self, fault: Fault) {
        self.state().fault = fault;
        self.state.1.notify_all();
    }

    /// How often the fault was met.
    pub(super) fn met(&self) -> usize {
        self.state().met
    }

    /// Fails where this is the fault.
    fn meet(&self, fault: Fault) -> io::Result<()> {
        let mut state = self.state();
        if state.fault == fault {
            state.met += 1;
            return Err(io::Error::from_raw_os_error(NO_SPACE));
        }
        Ok(())
    }
}

fn is_unfinished(name: &str) -> bool {
    name.ends_with(".unfinished")
}

impl Storage for Picky {
    fn create(&self, name: &str) -> io::Result<Arc<dyn Append>> {
        if !is_unfinished(name) {
            return self.memory.create(name);
        }
        self.meet(Fault::Create)?;
        Ok(Arc::new(PickyFile { storage: self.clone(), file: self.memory.create(name)? }))
    }
    fn open(&self, name: &str) -> io::Result<Arc<dyn Append>> {
        self.memory.open(name)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        if is_unfinished(from) {
            self.meet(Fault::Rename)?;
        }
        self.memory.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        if name.ends_with(".log") {
            self.meet(Fault::Remove)?;
        }
        self.memory.remove(name)
    }
    fn file_of(&self, name: &str) -> io::Result<Option<FileId>> {
        self.memory.file_of(name)
    }
    fn names(&self) -> io::Result<Vec<String>> {
        self.memory.names()
    }
    fn space(&self) -> io::Result<Option<Space>> {
        self.memory.space()
    }
}

/// A compressed file.
struct PickyFile {
    storage: Picky,
    file: Arc<dyn Append>,
}

impl Append for PickyFile {
    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.storage.state();
        state.met += usize::from(state.fault == Fault::Hang);
        while state.fault == Fault::Hang {
            state = self.storage.state.1.wait(state).unwrap();
        }
        let Fault::Append(most) = state.fault else { return self.file.append(bytes) };
        let there = self.file.attributes()?.bytes.unwrap() as usize;
        if there < most {
            return self.file.append(&bytes[..bytes.len().min(most - there)]);
        }
        state.met += 1;
        Err(io::Error::from_raw_os_error(NO_SPACE))
    }
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(position, buffer)
    }
    fn sync(&self) -> io::Result<()> {
        self.storage.meet(Fault::Sync)
    }
    fn attributes(&self) -> io::Result<Attributes> {
        self.file.attributes()
    }
}
