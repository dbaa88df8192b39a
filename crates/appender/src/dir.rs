//! Files in a directory.

use std::fs::DirBuilder;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;

use crate::names::is_of_a_run;
use crate::{Append, AppenderError, Attributes, FileId, Space, Storage};

const DIR_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const FILE_FLAGS: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC).union(OFlags::NOCTTY);

/// Real files in one directory, of mode 0600.
///
/// The directory is opened once, and names are looked up in what was opened: whatever happens to
/// the path, or is planted in the directory, no file outside of it is made, opened or removed. A
/// name that is taken, by a link too, is not used; only regular files are opened. When the
/// directory was removed and one of the same owner stands at its path again, that one is used.
///
/// Either constructor opens a directory that holds files, of an earlier run too, so that they can be
/// read or [cleared](Self::clear); [`Appender::start`](crate::Appender::start) refuses those of a run.
#[derive(Debug)]
pub struct DirStorage {
    path: PathBuf,
    dir: RwLock<Arc<OwnedFd>>,
}

impl DirStorage {
    /// Opens `dir`, and makes it first, with mode 0700, when there is none.
    pub fn new(dir: impl Into<PathBuf>) -> Result<Self, AppenderError> {
        let path = dir.into();
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        match made {
            Ok(()) => Self::existing(path),
            Err(source) => Err(AppenderError::Directory { path, source }),
        }
    }

    /// Opens `dir`, which is there.
    pub fn existing(dir: impl Into<PathBuf>) -> Result<Self, AppenderError> {
        let path = dir.into();
        match rustix::fs::openat(CWD, &path, DIR_FLAGS, Mode::empty()) {
            Ok(dir) => Ok(Self { path, dir: RwLock::new(Arc::new(dir)) }),
            Err(error) => Err(AppenderError::Directory { path, source: error.into() }),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the files of an earlier job: ranks' files and the index, nothing else. Gives how
    /// many those were.
    pub fn clear(&self) -> io::Result<usize> {
        let names = self.names()?;
        let ours = names.iter().filter(|name| is_of_a_run(name));
        ours.map(|name| self.remove(name)).try_fold(0, |count, removed| removed.map(|()| count + 1))
    }

    fn dir(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.dir.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Opens the directory at the path again when the one that is open was removed.
    fn reopen(&self) -> io::Result<()> {
        let before = rustix::fs::fstat(&*self.dir())?;
        if before.st_nlink > 0 {
            return Err(Errno::NOENT.into());
        }
        let dir = rustix::fs::openat(CWD, &self.path, DIR_FLAGS | OFlags::NOFOLLOW, Mode::empty())?;
        if rustix::fs::fstat(&dir)?.st_uid != before.st_uid {
            return Err(Errno::ACCESS.into());
        }
        *self.dir.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(dir);
        Ok(())
    }

    fn open_at(&self, name: &str, flags: OFlags) -> io::Result<OwnedFd> {
        let mode = Mode::RUSR | Mode::WUSR;
        Ok(rustix::fs::openat(&*self.dir(), plain(name)?, flags | FILE_FLAGS, mode)?)
    }
}

/// The name, unless it could lead out of the directory.
fn plain(name: &str) -> io::Result<&str> {
    let is_plain = !name.is_empty() && name != "." && name != ".." && !name.contains('/');
    is_plain.then_some(name).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

impl Storage for DirStorage {
    fn create(&self, name: &str) -> io::Result<Arc<dyn Append>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let file = match self.open_at(name, flags) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.reopen()?;
                self.open_at(name, flags)?
            }
            opened => opened?,
        };
        Ok(Arc::new(DirFile { file, position: AtomicU64::new(0) }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn Append>> {
        // What was planted may be a FIFO: opening one must not wait for its other end.
        let file = self.open_at(name, OFlags::RDONLY | OFlags::NONBLOCK)?;
        let stat = rustix::fs::fstat(&file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let end = u64::try_from(stat.st_size).unwrap_or_default();
        Ok(Arc::new(DirFile { file, position: AtomicU64::new(end) }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (dir, from, to) = (self.dir(), plain(from)?, plain(to)?);
        match rustix::fs::renameat_with(&*dir, from, &*dir, to, RenameFlags::NOREPLACE) {
            // Some network file systems cannot rename without replacing: look first then.
            Err(Errno::INVAL | Errno::NOSYS) => {
                match rustix::fs::statat(&*dir, to, AtFlags::SYMLINK_NOFOLLOW) {
                    Err(Errno::NOENT) => Ok(rustix::fs::renameat(&*dir, from, &*dir, to)?),
                    Ok(_) => Err(Errno::EXIST.into()),
                    Err(error) => Err(error.into()),
                }
            }
            renamed => Ok(renamed?),
        }
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&*self.dir(), plain(name)?, AtFlags::empty())?)
    }

    fn file_of(&self, name: &str) -> io::Result<Option<FileId>> {
        let stat = rustix::fs::statat(&*self.dir(), plain(name)?, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(Some(id_of(&stat)))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&*self.dir())? {
            let entry = entry?;
            // A name that is not text is none of ours.
            if let Ok(name) = entry.file_name().to_str()
                && plain(name).is_ok()
            {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    fn space(&self) -> io::Result<Option<Space>> {
        let stat = rustix::fs::fstatvfs(&*self.dir())?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        // A file system without blocks, such as an overlay of the network, does not count them.
        Ok((stat.f_blocks > 0)
            .then(|| Space { free_bytes: bytes(stat.f_bavail), total_bytes: bytes(stat.f_blocks) }))
    }

    fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&*self.dir())?)
    }
}

fn id_of(stat: &Stat) -> FileId {
    FileId { device: stat.st_dev, number: stat.st_ino }
}

/// Writes at a position that it keeps itself: whatever a failed write left behind the end is
/// written over by the next one.
struct DirFile {
    file: OwnedFd,
    position: AtomicU64,
}

impl DirFile {
    fn wrote(&self, bytes: usize) -> usize {
        self.position.fetch_add(bytes as u64, Ordering::Relaxed);
        bytes
    }
}

impl Append for DirFile {
    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        let position = self.position.load(Ordering::Relaxed);
        Ok(self.wrote(rustix::io::pwrite(self.file.as_fd(), bytes, position)?))
    }

    fn append_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let position = self.position.load(Ordering::Relaxed);
        Ok(self.wrote(rustix::io::pwritev(self.file.as_fd(), pieces, position)?))
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::pread(self.file.as_fd(), buffer, position)?)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fdatasync(self.file.as_fd())?)
    }

    fn begin_sync(&self, position: u64) {
        let from = i64::try_from(position).unwrap_or(i64::MAX);
        #[expect(unsafe_code, reason = "rustix has no sync_file_range")]
        // SAFETY: a plain call on a file that is open; zero bytes are all to its end.
        unsafe {
            libc::sync_file_range(self.file.as_raw_fd(), from, 0, libc::SYNC_FILE_RANGE_WRITE);
        }
    }

    fn attributes(&self) -> io::Result<Attributes> {
        let stat = rustix::fs::fstat(self.file.as_fd())?;
        let bytes = u64::try_from(stat.st_size).ok();
        Ok(Attributes { bytes, removed: stat.st_nlink == 0, file: Some(id_of(&stat)) })
    }
}
