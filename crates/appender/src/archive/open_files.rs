//! Files that stay open.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use crate::names::FamilyId;
use crate::{Append, Storage, compressed};

/// The most files that stay open: few beside what a process may have, many enough that a job of so
/// many ranks is read without opening a file twice.
const OPEN_FILES: usize = 64;
/// Of the descriptors that this process may have, one in so many is for files that stay open. The
/// others are for whoever opens something now: the directory, the index, what the program reads.
const SHARE: u64 = 4;

/// Files of families by their number, of which the least recently used are closed.
pub(super) struct OpenFiles {
    files: HashMap<(FamilyId, u32), (u64, Arc<dyn Append>)>,
    /// How many files stay open.
    most: usize,
    /// How often files were used, by which the least recently used are told.
    uses: u64,
}

impl Default for OpenFiles {
    fn default() -> Self {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let share = limit.map_or(u64::MAX, |limit| limit / SHARE);
        Self::keeping(usize::try_from(share).unwrap_or(usize::MAX).clamp(1, OPEN_FILES))
    }
}

impl OpenFiles {
    fn keeping(most: usize) -> Self {
        Self { files: HashMap::new(), most, uses: 0 }
    }

    /// Closes what only stays open; false when there was nothing.
    pub(super) fn close_all(&mut self) -> bool {
        let any = !self.files.is_empty();
        self.files.clear();
        any
    }

    /// A file that is open.
    pub(super) fn get(&mut self, family: FamilyId, number: u32) -> Option<Arc<dyn Append>> {
        let (used, file) = self.files.get_mut(&(family, number))?;
        self.uses += 1;
        *used = self.uses;
        Some(Arc::clone(file))
    }

    /// Keeps a file open.
    pub(super) fn put(&mut self, family: FamilyId, number: u32, file: Arc<dyn Append>) {
        if self.files.len() >= self.most {
            let oldest = self.files.iter().min_by_key(|(_, (used, _))| *used);
            if let Some(key) = oldest.map(|(key, _)| *key) {
                self.files.remove(&key);
            }
        }
        self.uses += 1;
        self.files.insert((family, number), (self.uses, file));
    }

    /// Opens a file of the storage. Where there are too many open files, those that only stay open
    /// are closed.
    pub(super) fn open(
        &mut self,
        storage: &dyn Storage,
        name: &str,
    ) -> io::Result<Arc<dyn Append>> {
        self.making_room(|| storage.open(name))
    }

    /// As [`open`](Self::open), of a file that was rotated: it may be compressed since.
    pub(super) fn open_rotated(
        &mut self,
        storage: &dyn Storage,
        name: &str,
    ) -> io::Result<Arc<dyn Append>> {
        self.making_room(|| compressed::open(storage, name))
    }

    fn making_room(
        &mut self,
        open: impl Fn() -> io::Result<Arc<dyn Append>>,
    ) -> io::Result<Arc<dyn Append>> {
        match open() {
            Err(error) if is_too_many(&error) && self.close_all() => open(),
            opened => opened,
        }
    }
}

/// Whether this process, or the system, has too many files open.
pub(super) fn is_too_many(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
    matches!(code, Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use lastline_line::Stream;

    use super::*;

    /// A storage whose files count against a limit while they are open.
    struct Limited {
        token: Arc<()>,
        most: usize,
        opened: Mutex<Vec<String>>,
    }

    struct Counted(#[expect(dead_code, reason = "it is counted")] Arc<()>);

    impl Append for Counted {
        fn append(&self, _bytes: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::Unsupported.into())
        }
        fn read_at(&self, _position: u64, _buffer: &mut [u8]) -> io::Result<usize> {
            Ok(0)
        }
        fn sync(&self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Storage for Limited {
        fn create(&self, _name: &str) -> io::Result<Arc<dyn Append>> {
            Err(io::ErrorKind::Unsupported.into())
        }
        fn open(&self, name: &str) -> io::Result<Arc<dyn Append>> {
            if Arc::strong_count(&self.token) > self.most {
                return Err(rustix::io::Errno::MFILE.into());
            }
            self.opened.lock().unwrap().push(name.to_owned());
            Ok(Arc::new(Counted(Arc::clone(&self.token))))
        }
        fn rename(&self, _from: &str, _to: &str) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    fn limited(most: usize) -> Limited {
        Limited { token: Arc::default(), most, opened: Mutex::default() }
    }

    fn family(rank: u32) -> FamilyId {
        FamilyId { rank, stream: Stream::Stdout }
    }

    #[test]
    fn so_many_files_stay_open_and_the_least_recently_used_is_closed() {
        let (storage, mut files) = (limited(usize::MAX), OpenFiles::keeping(OPEN_FILES));
        for rank in 0..=64 {
            let file = files.open(&storage, "").unwrap();
            files.put(family(rank), 1, file);
            assert!(files.get(family(0), 1).is_some());
        }
        assert_eq!(Arc::strong_count(&storage.token), 1 + OPEN_FILES);
        assert!(files.get(family(1), 1).is_none());
        assert!(files.get(family(2), 1).is_some());
    }

    #[test]
    fn too_few_descriptors_close_what_only_stays_open() {
        let (storage, mut files) = (limited(8), OpenFiles::keeping(OPEN_FILES));
        for rank in 0..100 {
            let file = files.open(&storage, &rank.to_string()).unwrap();
            files.put(family(rank), 1, file);
        }
        assert_eq!(storage.opened.lock().unwrap().len(), 100);
    }

    #[test]
    fn where_none_is_to_be_had_that_is_an_error() {
        let (storage, mut files) = (limited(0), OpenFiles::default());
        assert!(is_too_many(&files.open(&storage, "").err().unwrap()));
    }
}
