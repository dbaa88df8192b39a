//! What can be chosen.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::Note;

/// When file data is forced to stable storage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fsync {
    /// Never: the system writes it when it sees fit. Survives a crash of lastline, not of the
    /// machine.
    #[default]
    Never,
    /// When a stream ends, when a file is rotated, and at the close.
    End,
    /// As at the end, and this often while there is something new.
    Every(Duration),
}

/// How rotated files are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// As `rank-3.stdout.0001.log.zst`, which `zstd -d` reads. Needs the feature `zstd`.
    #[cfg(feature = "zstd")]
    Zstd,
}

/// Is told each [`Note`], on a thread of the appender's: it must not block.
pub type OnNote = Arc<dyn Fn(Note) + Send + Sync>;

/// The bounds and habits of an [`Appender`](crate::Appender).
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// The most writer threads; they start when they are needed. By default one a core, at most
    /// four. At least one.
    pub threads: usize,
    /// The most that all queues hold together, in bytes. 8 MiB by default.
    pub queue_bytes: usize,
    /// The size at which a new file begins; `None`, the default, for never. A file ends with a
    /// whole line unless one line is longer than a file.
    pub rotate_bytes: Option<u64>,
    /// The size of all files together at which the oldest rotated ones are removed; `None`, the
    /// default, for never. Those that a reader [keeps](lastline_line::ReadBack::keep) stay, up to half
    /// of it. Without `rotate_bytes`, files are rotated at an eighth of it.
    pub max_bytes: Option<u64>,
    /// How rotated files are compressed, one after the other, on a thread of low priority; `None`, the
    /// default, for not at all. The plain file goes once the compressed one is whole and forced to disk,
    /// whatever `fsync` says; `max_bytes` counts what files take then. One that would not be smaller stays
    /// plain, and so does what is not compressed when the appender is closed, and the newest file.
    pub compress: Option<Compression>,
    /// What must stay free on the disk: filing stops, declared, below it. By default
    /// [`DEFAULT_MIN_FREE_BYTES`](crate::DEFAULT_MIN_FREE_BYTES), at most a twentieth of the file
    /// system; zero for no minimum.
    pub min_free_bytes: Option<u64>,
    /// When file data is forced to stable storage.
    pub fsync: Fsync,
    /// The time between two tries of a storage that failed. 100 ms by default.
    pub retry_after: Duration,
    /// Whether to write the index. It is needed to find bytes again after a gap once the appender
    /// is gone, and for arrival times. On by default.
    pub index: bool,
    /// Who is told what a person should know.
    pub on_note: Option<OnNote>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().map_or(1, |cores| cores.get().min(4)),
            queue_bytes: 8 << 20,
            rotate_bytes: None,
            max_bytes: None,
            compress: None,
            min_free_bytes: None,
            fsync: Fsync::Never,
            retry_after: Duration::from_millis(100),
            index: true,
            on_note: None,
        }
    }
}

impl Options {
    /// The size at which files are rotated, if they are.
    pub(crate) fn rotate_at(&self) -> Option<u64> {
        let share = self.max_bytes.map(|bytes| bytes / 8);
        self.rotate_bytes.or(share).map(|bytes| bytes.max(1))
    }

    /// Calls `on_note` with each note.
    pub fn on_note(mut self, on_note: impl Fn(Note) + Send + Sync + 'static) -> Self {
        self.on_note = Some(Arc::new(on_note));
        self
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("threads", &self.threads)
            .field("queue_bytes", &self.queue_bytes)
            .field("rotate_bytes", &self.rotate_bytes)
            .field("max_bytes", &self.max_bytes)
            .field("compress", &self.compress)
            .field("min_free_bytes", &self.min_free_bytes)
            .field("fsync", &self.fsync)
            .field("retry_after", &self.retry_after)
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_that_are_written_down() {
        let options = Options::default();
        assert!((1..=4).contains(&options.threads));
        assert_eq!(options.queue_bytes, 8 << 20);
        assert_eq!((options.rotate_bytes, options.max_bytes), (None, None));
        assert_eq!(options.compress, None);
        assert_eq!(options.min_free_bytes, None);
        assert_eq!(options.fsync, Fsync::Never);
        assert_eq!(options.retry_after, Duration::from_millis(100));
        assert!(options.index);
    }

    #[test]
    fn a_bound_on_all_files_implies_rotation() {
        let table = [
            (None, None, None),
            (Some(10), None, Some(10)),
            (None, Some(80), Some(10)),
            (Some(7), Some(80), Some(7)),
            (None, Some(3), Some(1)),
        ];
        for (rotate_bytes, max_bytes, expected) in table {
            let options = Options { rotate_bytes, max_bytes, ..Options::default() };
            assert_eq!(options.rotate_at(), expected);
        }
    }
}
