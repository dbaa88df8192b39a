//! What a person should be told.

use std::fmt;
use std::time::Duration;

use lastline_line::{Span, StreamId};

use crate::Reason;

/// Something about the files that a person should be told. Its text is one line.
///
/// However long an outage is, and however many streams it has hit, it is told once when it begins
/// and once when it is over; one that comes and goes is told ever more seldom, at most once a
/// minute in the end. When it hits the index first, and files later, it is told of both.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// Bytes are not filed from here on, of this stream and maybe of others.
    Stopped {
        /// The first stream that is hit.
        stream: StreamId,
        /// Why.
        reason: Reason,
    },
    /// The index is not written: arrival times, and the places of bytes after a gap, are kept in
    /// memory until it is.
    IndexStopped {
        /// Why.
        reason: Reason,
    },
    /// An outage is over.
    Resumed {
        /// Why it was.
        reason: Reason,
        /// How many bytes, of all streams, are not filed because of it.
        missing_bytes: u64,
        /// How long it was.
        lasted: Duration,
    },
    /// A file cannot be rotated, and grows on.
    NotRotated {
        /// Whose file.
        stream: StreamId,
        /// Why.
        reason: Reason,
    },
    /// The oldest rotated file was removed to stay within the bound on all files. Of those that go
    /// after it, it is told how many they were, at the end.
    Pruned {
        /// Whose file.
        stream: StreamId,
        /// Its name.
        name: String,
        /// The bytes that it held; a file after an outage may have held less.
        span: Span,
    },
    /// At the end: so much was removed in all, where it was more than one file.
    PrunedInAll {
        /// How many files.
        files: u64,
        /// What they held.
        bytes: u64,
    },
    /// The oldest rotated file should go, and cannot be removed. It is treated as gone, and it is not
    /// told of others.
    NotPruned {
        /// Its name.
        name: String,
        /// Why.
        reason: Reason,
    },
    /// A rotated file cannot be compressed, and stays as it is; where the storage takes nothing it is
    /// tried again. It is not told of others.
    NotCompressed {
        /// Its name.
        name: String,
        /// Why.
        reason: Reason,
    },
    /// A file could not be forced to disk: what is in it may not outlive a crash of the machine.
    NotSynced {
        /// Why.
        reason: Reason,
    },
    /// Writer threads hung at the end and were given up.
    Abandoned {
        /// How many.
        threads: usize,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped { stream, reason } => {
                write!(f, "output is not filed, of {stream} first: {}", reason.words())
            }
            Self::IndexStopped { reason } => {
                write!(f, "the index is not written: {}", reason.words())
            }
            Self::Resumed { reason, missing_bytes, lasted } => write!(
                f,
                "output is filed again after {:.1} s; {missing_bytes} bytes are not in the files: {}",
                lasted.as_secs_f64(),
                reason.words(),
            ),
            Self::NotRotated { stream, reason } => {
                write!(f, "the file of {stream} grows past its size: {}", reason.words())
            }
            Self::Pruned { stream, name, span } => {
                write!(
                    f,
                    "removed {name} to keep within the maximum size: bytes {span} of {stream}; \
                     others follow as need be"
                )
            }
            Self::PrunedInAll { files, bytes } => {
                write!(f, "removed {files} files to keep within the maximum size: {bytes} bytes")
            }
            Self::NotPruned { name, reason } => {
                write!(f, "cannot remove {name}: {}", reason.words())
            }
            Self::NotCompressed { name, reason } => {
                write!(f, "{name} is not compressed: {}; nothing of it is lost", reason.words())
            }
            Self::NotSynced { reason } => {
                write!(f, "cannot force files to disk: {}", reason.words())
            }
            Self::Abandoned { threads } => {
                write!(f, "the disk hangs: gave up {threads} of the threads that write files")
            }
        }
    }
}
