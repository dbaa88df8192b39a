//! What can go wrong before there is anything to declare.

use std::io;
use std::path::PathBuf;

/// What can go wrong before there is anything to declare. What goes wrong with files later is a
/// gap with its cause, not an error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppenderError {
    /// The directory cannot be made or opened.
    #[error("cannot open the directory {}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The storage holds files of another run. None of them is appended to or replaced: another
    /// directory is needed, or [`DirStorage::clear`](crate::DirStorage::clear) first.
    #[error("the storage holds a file of another run: `{name}`")]
    Occupied {
        /// One of the files, the first by name.
        name: String,
    },
    /// No thread is to be had that writes.
    #[error("no thread is to be had for the files of a job")]
    Thread {
        /// Why.
        source: io::Error,
    },
    /// The directory cannot be listed.
    #[error("cannot list the files of a job")]
    List {
        /// Why.
        source: io::Error,
    },
    /// The index is there and cannot be read.
    #[error("cannot read the index of a job")]
    Index {
        /// Why.
        source: io::Error,
    },
}
