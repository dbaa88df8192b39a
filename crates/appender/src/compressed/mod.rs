//! Rotated files that are compressed: making them, and reading them as if they were not.

#[cfg(feature = "zstd")]
mod compressor;
#[cfg(feature = "zstd")]
mod file;
#[cfg(feature = "zstd")]
mod one;
#[cfg(feature = "zstd")]
mod packer;
#[cfg(feature = "zstd")]
mod table;
#[cfg(not(feature = "zstd"))]
mod without;

use std::io;
use std::sync::Arc;

use crate::names::COMPRESSED;
use crate::{Append, Storage};

#[cfg(feature = "zstd")]
pub(crate) use compressor::Compressor;
#[cfg(feature = "zstd")]
use file::open_compressed;
#[cfg(not(feature = "zstd"))]
pub(crate) use without::Compressor;
#[cfg(not(feature = "zstd"))]
use without::open_compressed;

/// Opens the rotated file of this name for reading, or what it was compressed to: the plain one is there until
/// the other one is. Blocks for the disk.
///
/// This stands before every storage and not in one, so that a storage is nothing but files by their names.
pub(crate) fn open(storage: &dyn Storage, name: &str) -> io::Result<Arc<dyn Append>> {
    match storage.open(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            open_compressed(storage, &format!("{name}{COMPRESSED}"))
        }
        opened => opened,
    }
}

/// Whether a file is there, and what it holds cannot be known.
pub(crate) fn is_unreadable(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::Unsupported)
}
