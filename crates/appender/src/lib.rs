//! Files every byte of a job's streams, and gives it back by offset.
//!
//! An [`Appender`] has a [`FileSink`] for each stream, which a tee feeds, and a few threads that
//! write one file for each rank and stream into a [`Storage`]; [`DirStorage`] is the one of real
//! files. While it runs, [`Appender::read_back`] reads what is filed; afterwards, or from another
//! process, an [`Archive`] does. What cannot be filed is declared: [`Written`] says of every byte
//! whether it is in a file, and why not.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use bytes::Bytes;
//! use lastline_appender::{Appender, Archive, DirStorage, Options};
//! use lastline_line::{Accept, Chunk, Launch, Message, Offset, ReadBack, ReadOutcome};
//! use lastline_line::{Sink, Stream, StreamId, Timestamp};
//!
//! let dir = tempfile::tempdir()?;
//! let id = StreamId::new(Launch(7), 3, Stream::Stdout);
//! let appender = Appender::start(Arc::new(DirStorage::new(dir.path())?), Options::default())?;
//! let mut sink = appender.sink(id);
//! let chunk = Chunk::new(id, Offset(0), Timestamp(1), Bytes::from("step 1\nstep 2\n"));
//! assert_eq!(sink.accept(&Message::Data(chunk)), Accept::Taken);
//! let written = appender.close(Duration::from_secs(10));
//! assert_eq!(written.streams[&id].filed_bytes, 14);
//! assert_eq!(std::fs::read(dir.path().join("rank-3.stdout.log"))?, b"step 1\nstep 2\n");
//!
//! let mut line = [0; 7];
//! let archive = Archive::open(dir.path())?;
//! assert_eq!(archive.read_back(id, Offset(7), &mut line)?, ReadOutcome::Read(7));
//! assert_eq!(&line, b"step 2\n");
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # Theory of operation
//!
//! **Queues.** A sink puts a chunk, whose bytes are shared, into the queue of its stream's thread,
//! with a lease of the one budget that bounds all queues; without room it says so, and never
//! blocks. A stream has one thread, so its order holds. Threads start at the first chunk. A thread
//! takes what is queued, up to a batch, and writes the chunks of a stream with one call and without
//! copying; it sleeps only when its queue is empty.
//!
//! **Offsets and positions.** An offset counts bytes of the stream; a position counts bytes of a
//! file. They differ after a rotation and after a gap. Each stream has a map of pieces, `offset →
//! file and position` or `offset → missing, and why`, that has as many entries as there were files
//! and gaps, not chunks. Reading back looks there and reads through the handle that was written
//! through; a file that was rotated long ago is opened again by its name, which does not change any
//! more.
//!
//! **Waiting.** [`Appender::filed_to`] waits for a stream to be filed up to an offset. Who waits is
//! noted in the stream's map, under the lock under which its writer says what it has written: a
//! writer for whom nobody waits looks at one number more.
//!
//! **The index** is the same on disk, with arrival times: fixed records, appended, at most every
//! 20 ms or 64 KiB. Chunks of a stream that follow each other within a millisecond share one, so a
//! flood costs a few kilobytes a second; a quiet stream has one for each chunk. Files never wait
//! for it, with one exception: before a file goes on after a gap, the gap is put into the index, so
//! that who reads a job that was killed does not take one byte for another. What a file holds
//! behind its last record is found by its length.
//!
//! **Bounds.** Past [`Options::max_bytes`] the oldest rotated file goes that holds nothing which its
//! reader has asked to [`keep`](lastline_line::ReadBack::keep). At most half of the bound is kept: who
//! wants more has to wait with it.
//!
//! **Compressing.** With [`Options::compress`] a thread of its own takes the oldest rotated file, writes a
//! compressed one under a name that nobody reads, forces that to disk, gives it its name and removes the plain
//! one: at any moment one of the two is whole and has its name, and who does not find the plain one finds
//! the other. A reader that has the plain one open goes on with it. It is zstd's [seekable format]: frames
//! of 256 KiB of content, each with a checksum, and a table of them at the end, so that a position is read by
//! decoding one frame, and `zstd -d` gives the file back. Writers neither wait for it nor know of it.
//! A file that somebody has removed or changed meanwhile is left as it is.
//!
//! [seekable format]: https://github.com/facebook/zstd/blob/dev/contrib/seekable_format/zstd_seekable_compression_format.md
//!
//! **Failure.** A write that fails, or a disk with less free space than the minimum, makes the
//! stream's bytes a gap with that cause, at once: the pipeline goes on. Every 100 ms one of the
//! streams that are hit tries again with what it has then; when that works, all go on. An outage is
//! noted once. Before each write a file is looked at, and twice a second whether it has its name: one
//! that was removed, cut or renamed is declared, with all that it held, and the next one begun. A cut
//! between that look and the write is not seen. The writer positions each write itself, so a failed
//! one leaves nothing behind that the next does not write over.
//! What could not be forced to disk although that was wanted is in [`StreamWritten::not_synced`], and
//! stays there: the system may throw away what it failed to write, and succeed the next time.
//!
//! **The end.** [`Appender::close`] empties the queues and joins the threads. One that hangs in the
//! system is abandoned at the deadline, and what it had taken is declared.
//!
//! # Laws
//!
//! 1. For every stream, what was taken = filed + not filed, to the byte.
//! 2. A file holds the stream's bytes as they were, in order, and nothing else.
//! 3. What is read back at an offset is what the stream held there; else it is a gap with a cause.
//! 4. `filed` never decreases, and everything below it can be read or is a gap.
//! 5. `accept` never waits for a disk.
//! 6. What [`Appender::filed_to`] says is true when it says it, and it says something at the latest
//!    when the appender is closed.
//! 7. An [`Archive`] of a closed job reads what the appender read.
//!
//! Those of [`Storage`], [`Append`] and of every [`Sink`](lastline_line::Sink) are in their
//! documentation, and run from `lastline-testing`.
//!
//! # Writing a storage
//!
//! 1. A type that is an open file: [`Append::append`] puts bytes at its end and may take less than
//!    it was given, [`Append::read_at`] reads them, [`Append::sync`] forces them to disk.
//! 2. A type that makes them: [`Storage::create`] for a name that is free, [`Storage::open`] for one
//!    that is there, [`Storage::rename`] for rotation. That is enough.
//! 3. [`Storage::remove`] for [`Options::max_bytes`], [`Storage::space`] for
//!    [`Options::min_free_bytes`], [`Storage::names`] and [`Append::attributes`] to read without an
//!    index, and to see another run's files at the start; `attributes` also tells that a file was
//!    removed or cut, and with [`Storage::file_of`] that it was renamed.
//! 4. [`Append::append_vectored`] when several pieces can go at once.
//! 5. Errors with the system's number keep their words in the ledger.
//! 6. `lastline_testing::laws::storage::all(YourStorage::new)` in a test.
//!
//! # What it does not do
//!
//! It does not go on where another run stopped: [`Appender::start`] refuses a storage that holds
//! files of one, and [`DirStorage::clear`] removes them.
//!
//! It knows no process and no console, keeps nothing in memory that it could not file, and does
//! not decide what a sender does then. It does not remove files except for [`Options::max_bytes`], and
//! plain ones that it has compressed. It reads no compressed files but its own: what `zstd` alone makes of a
//! file has no table. A file longer than the limit of the process (`RLIMIT_FSIZE`) is a signal
//! that the process has to ignore to see an error here. What a removed file held is given up even
//! though an open handle could still read it: the room is given back.

mod appender;
mod archive;
mod busy;
mod compressed;
mod dir;
mod durable;
mod error;
mod filed;
mod files;
mod filing;
#[cfg_attr(
    not(any(feature = "zstd", test)),
    expect(dead_code, reason = "all files stay as they were written")
)]
mod form;
mod index;
mod index_entry;
mod kept;
mod layout;
mod maintenance;
mod names;
mod note;
mod options;
mod outage;
mod pool;
mod reader;
mod reason;
mod record;
mod rotate;
mod sink;
mod space;
mod state;
mod storage;
mod stream;
mod writer;

pub use appender::{Appender, StreamWritten, Written};
pub use archive::{Archive, Extent, IndexState};
pub use dir::DirStorage;
pub use error::AppenderError;
pub use filed::{FiledTo, Settled};
pub use files::OPEN_ROTATED;
pub use names::{FamilyId, INDEX_NAME, is_of_a_run};
pub use note::Note;
pub use options::{Compression, Fsync, OnNote, Options};
pub use reason::Reason;
pub use sink::FileSink;
pub use space::DEFAULT_MIN_FREE_BYTES;
pub use storage::{Append, Attributes, FileId, Space, Storage};

// The program of the README runs with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
