//! The appender itself.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lastline_line::{Gaps, Offset, ReadBack, StreamId};

use crate::reader::Reader;
use crate::state::{AppenderState, Pruned};
use crate::{AppenderError, FileSink, FiledTo, Fsync, Note, Options, Reason, Storage, names};

/// How long a drop waits for the writers.
const DROP_DEADLINE: Duration = Duration::from_secs(2);
/// How long, when the writers have ended, whoever compresses files is waited for at most: it stops within
/// one frame, unless a disk keeps it.
const COMPRESSOR_DEADLINE: Duration = Duration::from_millis(250);

/// Files the streams of a job.
///
/// Dropping it without [`close`](Self::close) empties its queues as a last resort, for two seconds
/// at most.
pub struct Appender {
    shared: Arc<AppenderState>,
    abandoned_threads: AtomicUsize,
}

/// What became of everything that the sinks took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Stream by stream.
    pub streams: BTreeMap<StreamId, StreamWritten>,
    /// Writer threads that hung at the deadline and were given up.
    pub abandoned_threads: usize,
    /// Why the index could not be forced to disk, when that was wanted and failed.
    pub index_not_synced: Option<Reason>,
    /// Why the directory could not be: files made in it may not outlive a crash of the machine.
    pub directory_not_synced: Option<Reason>,
}

/// What became of one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamWritten {
    /// Put into its files, in bytes; those included that were removed again to keep within
    /// [`Options::max_bytes`].
    pub filed_bytes: u64,
    /// What its files never had, or lost.
    pub not_filed: Gaps,
    /// What is gone with files that were removed to keep within [`Options::max_bytes`].
    pub pruned: Gaps,
    /// In its files, but not forced to disk although that was wanted: it may not outlive a crash
    /// of the machine.
    pub not_synced: Gaps,
}

impl fmt::Debug for Appender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queued_bytes = self.queued_bytes();
        f.debug_struct("Appender").field("queued_bytes", &queued_bytes).finish_non_exhaustive()
    }
}

impl Appender {
    /// An appender of files in `storage`. Starts nothing, and makes no file, before the first
    /// chunk. Blocks for the disk, to see what is there.
    ///
    /// One run has a storage for itself: files of another one are never appended to, nor replaced.
    /// Names that are none of a run's, such as a report, are left alone.
    ///
    /// # Errors
    ///
    /// [`AppenderError::Occupied`] when the index or a rank's file is there. A storage that cannot
    /// say its [names](Storage::names) is not asked further: what is in the way is then found when a
    /// file is made, and what was to go there is a gap with that cause. So is what comes in the way
    /// after the start.
    pub fn start(storage: Arc<dyn Storage>, options: Options) -> Result<Self, AppenderError> {
        if let Some(name) = names::of_a_run(&*storage) {
            return Err(AppenderError::Occupied { name });
        }
        let shared = Arc::new(AppenderState::new(storage, options));
        shared.pool.prepare(&shared).map_err(|source| AppenderError::Thread { source })?;
        Ok(Self { shared, abandoned_threads: AtomicUsize::new(0) })
    }

    /// The end that a tee feeds with `stream`.
    pub fn sink(&self, stream: StreamId) -> FileSink {
        FileSink::new(Arc::clone(&self.shared), self.shared.stream(stream))
    }

    /// Gives back, by offset, what was filed. Outlives the appender, and keeps the files open.
    pub fn read_back(&self) -> Arc<dyn ReadBack> {
        Arc::new(Reader::new(Arc::clone(&self.shared)))
    }

    /// Waits until it is known what became of every byte of `stream` below `offset`: until each is
    /// in a file, or one is known not to be, whichever is first. Cancel-safe, and needs no runtime;
    /// any number may wait.
    ///
    /// Filed is what [`read_back`](Self::read_back) gives: written, and not forced to disk, which is
    /// for [`Options::fsync`]. It waits for as long as the stream goes on and the bytes do not come;
    /// [`close`](Self::close), or a drop, ends that. A stream of which nothing came yet is waited
    /// for, and is among those of [`written`](Self::written) from here on.
    ///
    /// ```
    /// use lastline_appender::{Appender, Settled};
    /// use lastline_line::{Offset, StreamId};
    ///
    /// /// Whether a checkpoint's line, which ends at `end`, and all before it are in the file.
    /// async fn is_filed(appender: &Appender, stream: StreamId, end: Offset) -> bool {
    ///     appender.filed_to(stream, end).await == Settled::Filed
    /// }
    /// ```
    pub fn filed_to(&self, stream: StreamId, offset: Offset) -> FiledTo {
        FiledTo::new(self.shared.stream(stream), offset)
    }

    /// What is queued now, in bytes.
    pub fn queued_bytes(&self) -> usize {
        self.shared.budget.held_bytes()
    }

    /// How long the writer that has been at it longest has not come back for more: much more than a
    /// moment means that the disk does not answer. Zero while all wait for something to write.
    pub fn busy_for(&self) -> Duration {
        self.shared.pool.busy_for()
    }

    /// What became of everything until now. What is queued is in neither.
    pub fn written(&self) -> Written {
        let streams = self.shared.all_streams().into_iter().map(|stream| {
            let map = stream.map();
            let layout = &map.layout;
            let written = StreamWritten {
                filed_bytes: layout.filed_bytes(),
                not_filed: layout.gaps(|reason| !reason.was_filed()),
                pruned: layout.gaps(Reason::was_filed),
                not_synced: map.durable.gaps(layout),
            };
            (stream.id, written)
        });
        let abandoned_threads = self.abandoned_threads.load(Ordering::Relaxed);
        let unsynced = self.shared.unsynced();
        Written {
            streams: streams.collect(),
            abandoned_threads,
            index_not_synced: unsynced.index,
            directory_not_synced: unsynced.directory,
        }
    }

    /// Empties the queues, finishes the files and joins the writers; what is not compressed by then
    /// stays plain. Blocks until then, or until
    /// the deadline: a writer that hangs is abandoned, and what it had not filed is declared, even
    /// if it is written later. Sinks take everything from here on, and declare it.
    ///
    /// A second call gives what became of everything until then.
    pub fn close(&self, deadline: Duration) -> Written {
        if self.shared.closed.swap(true, Ordering::AcqRel) {
            return self.written();
        }
        // Who waits for room need not wait any more.
        let streams = self.shared.all_streams();
        streams.iter().for_each(|stream| stream.wake());
        self.shared.compressor.stop();
        let begun = Instant::now();
        let abandoned_threads = self.shared.pool.close(deadline);
        let left = deadline.saturating_sub(begun.elapsed());
        self.shared.compressor.wait(left.min(COMPRESSOR_DEADLINE));
        self.abandoned_threads.store(abandoned_threads, Ordering::Relaxed);
        let reason = if abandoned_threads > 0 { Reason::Abandoned } else { Reason::Closed };
        for stream in self.shared.settle_streams() {
            let mut map = stream.map();
            stream.declare_rest(&mut map, reason);
            if self.shared.options.fsync != Fsync::Never {
                // Whoever ended well has tried.
                let end = map.layout.end();
                map.durable.tried(end, Err(reason));
            }
            map.is_settled = true;
            stream.wake_all(map);
            stream.wake();
        }
        let over = self.shared.outages().over(Instant::now(), true);
        self.shared.note(over);
        let Pruned { files, bytes, .. } = *self.shared.pruned();
        self.shared.note((files > 1).then_some(Note::PrunedInAll { files, bytes }));
        if abandoned_threads > 0 {
            self.shared.note([Note::Abandoned { threads: abandoned_threads }]);
        }
        self.written()
    }
}

impl Drop for Appender {
    fn drop(&mut self) {
        self.close(DROP_DEADLINE);
    }
}
