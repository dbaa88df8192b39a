//! Reads one stream of one child process to its end, and hands every byte to every sink.
//!
//! [`Tee::start`] takes any `AsyncRead`, [`Tee::start_pipe`] a pipe, [`Tee::start_pty`] the master
//! of a pseudo terminal; all give a [`Tee`], the handle of a task that reads whole lines into [`Chunk`](lastline_line::Chunk)s and offers them to
//! its [`Sink`](lastline_line::Sink)s. [`Options`] hold the buffers' [`Pool`] and the bounds.
//!
//! ```
//! use lastline_line::{Accept, Launch, Message, Sink, Stream, StreamId};
//! use lastline_tee::{Options, Tee};
//!
//! struct Print;
//! impl Sink for Print {
//!     fn accept(&mut self, message: &Message) -> Accept {
//!         if let Message::Data(chunk) = message {
//!             println!("{} {}: {:?}", chunk.stream, chunk.start, chunk.bytes);
//!         }
//!         Accept::Taken
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let id = StreamId::new(Launch(1), 0, Stream::Stdout);
//! let tee = Tee::start(id, &b"one\ntwo"[..], vec![Box::new(Print)], Options::default());
//! let outcome = tee.join().await?;
//! assert_eq!((outcome.read_bytes, outcome.read_lines), (7, 2));
//! assert_eq!(tee.recent(), [b"one".to_vec(), b"two".to_vec()]);
//! # Ok::<_, Box<dyn std::error::Error>>(()) })?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # Theory of operation
//!
//! The kernel says how much waits in a pipe (`FIONREAD`); a buffer of that size is taken from the
//! pool, filled by one read, cut at its last newline, and shared by all sinks without copying. The
//! rest, the start of a line, is copied in front of the next read; after 100 ms it goes without
//! waiting for its end, after 20 ms where the pool has no other buffer. So a pipe or a terminal that is
//! idle holds no buffer; an `AsyncRead` has one of 16 KiB, since it cannot say what waits.
//!
//! A barrier's mark is what has been read plus what waits, taken in one step by the reading task
//! itself; it reads on to the mark whatever the reactor says, so a line that was written before the
//! barrier was asked for is in front of the barrier's message, and a child that goes on writing
//! cannot hold it.
//!
//! Of a terminal `FIONREAD` tells less than what waits. There the barrier is reached when the kernel
//! says that nothing waits, or when more has been read than a terminal can hold.
//!
//! # Laws
//!
//! 1. Every sink gets every byte once, in order; chunks of a stream meet at their offsets.
//! 2. A chunk ends with a newline unless it is marked unterminated.
//! 3. `Flush` of a barrier comes after every byte below its mark; `End` comes once, last.
//! 4. A stop is remembered, and drains what is there when it is seen.
//! 5. A sink that is full is offered the message again; the others are not.
//!
//! # What it does not do
//!
//! It parses no line, opens no file, knows no process. It does not see what a child holds in its
//! own buffers, and what it takes back from a terminal's (`tcflush`).

mod framing;
mod handle;
mod on_its_way;
mod options;
mod pipe_size;
mod pool;
mod pty;
mod recent;
mod source;
mod task;

pub use handle::{End, Outcome, Tee};
pub use options::Options;
pub use pool::Pool;
pub use task::BoxSink;

use lastline_line::StreamId;

/// What can go wrong with a tee.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TeeError {
    /// The descriptor cannot be watched for readiness.
    #[error("cannot watch the pipe of {stream}")]
    Watch {
        /// Whose pipe.
        stream: StreamId,
        /// Why.
        source: std::io::Error,
    },
    /// The task did not end by itself.
    #[error("the reader of {stream} was ended before it was done")]
    Ended {
        /// Whose reader.
        stream: StreamId,
    },
}

// The program of the README runs with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
