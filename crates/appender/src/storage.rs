//! Where files live.

use std::io::{self, IoSlice};
use std::sync::Arc;

/// How much a storage holds, and how much of that is free for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Free for who runs this, in bytes.
    pub free_bytes: u64,
    /// All there is, in bytes.
    pub total_bytes: u64,
}

/// Which file it is, whatever its name: no two that there are at once are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId {
    /// Of which device.
    pub device: u64,
    /// Its number there.
    pub number: u64,
}

/// What an open file is like now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// How long it is; `None` when the storage does not know.
    pub bytes: Option<u64>,
    /// No name leads to it any more.
    pub removed: bool,
    /// Which file it is; `None` when the storage does not know.
    pub file: Option<FileId>,
}

/// Makes and opens named files.
///
/// Every method may block for a disk. None is called from [`Sink::accept`](lastline_line::Sink).
///
/// # Laws
///
/// 1. **Fresh.** `create` makes an empty file, or fails with `AlreadyExists` when the name is
///    taken, by whatever it is. It never opens what was there, and follows no link.
/// 2. **Same file.** A handle goes on meaning its file when that is renamed or removed. Where both are
///    known, [`file_of`](Storage::file_of) the name that leads to it is what its [`Attributes`] say.
/// 3. **No replacing.** `rename` fails when the new name is taken.
/// 4. **Visible.** What `append` took is there for every handle of the file at once.
///
/// `lastline_testing::laws::storage` runs them against any implementation.
pub trait Storage: Send + Sync {
    /// Makes the file `name`, for appending and reading.
    fn create(&self, name: &str) -> io::Result<Arc<dyn Append>>;

    /// Opens the file `name`, which is there, for reading only.
    fn open(&self, name: &str) -> io::Result<Arc<dyn Append>>;

    /// Gives the file `from` the name `to`.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes the file `name`. Needed for a bound on the bytes of all files.
    fn remove(&self, _name: &str) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Which file has the name, which nothing follows; `None` when that is not known. Needed to see
    /// that somebody has renamed a file.
    fn file_of(&self, _name: &str) -> io::Result<Option<FileId>> {
        Ok(None)
    }

    /// The names of all files, in any order. Needed to read a directory without an index, and to
    /// see at the start that another run's files are there.
    fn names(&self) -> io::Result<Vec<String>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// How much room there is; `None` when that is not known. Needed for a minimum of free space.
    fn space(&self) -> io::Result<Option<Space>> {
        Ok(None)
    }

    /// Forces the names of files to stable storage.
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// An open file that only grows at its end.
///
/// One thread appends; any number read meanwhile.
///
/// # Laws
///
/// 1. **Exact.** `append` that gives `Ok(n)` has put exactly the first `n` bytes at the end, at
///    least one; one that fails has put none.
/// 2. **Readable.** `read_at` gives what was appended there, from the same handle as well; nothing
///    only at the end.
pub trait Append: Send + Sync {
    /// Puts bytes, of which there is at least one, at the end, and says how many.
    fn append(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Reads from `position` on, and says how many bytes; none only at the end.
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Forces what was appended to stable storage.
    fn sync(&self) -> io::Result<()>;

    /// Begins to force to stable storage what was appended from `position` on, and waits for nothing:
    /// `sync` will have less to do. A hint; what comes of it `sync` says.
    fn begin_sync(&self, _position: u64) {}

    /// As [`append`](Self::append), from several pieces in one go.
    fn append_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match pieces.iter().find(|piece| !piece.is_empty()) {
            Some(piece) => self.append(piece),
            None => Ok(0),
        }
    }

    /// How long it is, and whether it still has a name.
    fn attributes(&self) -> io::Result<Attributes> {
        Ok(Attributes::default())
    }
}

macro_rules! forward_storage {
    ($($holder:ident),*) => {$(
        impl<S: Storage + ?Sized> Storage for $holder<S> {
            fn create(&self, name: &str) -> io::Result<Arc<dyn Append>> {
                (**self).create(name)
            }
            fn open(&self, name: &str) -> io::Result<Arc<dyn Append>> {
                (**self).open(name)
            }
            fn rename(&self, from: &str, to: &str) -> io::Result<()> {
                (**self).rename(from, to)
            }
            fn remove(&self, name: &str) -> io::Result<()> {
                (**self).remove(name)
            }
            fn file_of(&self, name: &str) -> io::Result<Option<FileId>> {
                (**self).file_of(name)
            }
            fn names(&self) -> io::Result<Vec<String>> {
                (**self).names()
            }
            fn space(&self) -> io::Result<Option<Space>> {
                (**self).space()
            }
            fn sync(&self) -> io::Result<()> {
                (**self).sync()
            }
        }

        impl<A: Append + ?Sized> Append for $holder<A> {
            fn append(&self, bytes: &[u8]) -> io::Result<usize> {
                (**self).append(bytes)
            }
            fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
                (**self).read_at(position, buffer)
            }
            fn sync(&self) -> io::Result<()> {
                (**self).sync()
            }
            fn begin_sync(&self, position: u64) {
                (**self).begin_sync(position);
            }
            fn append_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
                (**self).append_vectored(pieces)
            }
            fn attributes(&self) -> io::Result<Attributes> {
                (**self).attributes()
            }
        }
    )*};
}

forward_storage!(Arc, Box);
