//! Doubles with handles, and the laws of Lastline's traits as functions.
//!
//! A law is a function that takes an implementation (or something that makes one) and panics with
//! the law's number when it is broken. Whoever writes a sink, a transport, a storage, a fold, a
//! printer or a spawner of their own calls them from a test:
//!
//! ```
//! lastline_testing::laws::fold::all(|| lastline_line::Off);
//! ```

pub mod disk;
mod files;
mod gate;
pub mod laws;
mod printer;
pub mod rank;
mod sink;
pub mod soak;
mod spawner;
pub mod storage;
mod terminal;

pub use files::Files;
pub use gate::{Gate, PATIENCE, until, wait_until};
pub use printer::{PrintRecorder, Printed, Screen};
pub use sink::Recorder;
pub use spawner::{RankDouble, SpawnerDouble, SpecDouble};
pub use terminal::terminal;

use bytes::Bytes;
use lastline_line::{Chunk, Launch, Offset, Stream, StreamId, Timestamp};

/// The stdout of `rank` in launch 1.
pub fn stdout(rank: u32) -> StreamId {
    StreamId::new(Launch(1), rank, Stream::Stdout)
}

/// A chunk of `stream` that starts at `start` and was read at that many microseconds.
pub fn chunk(stream: StreamId, start: u64, text: &[u8]) -> Chunk {
    Chunk::new(stream, Offset(start), Timestamp(start), Bytes::copy_from_slice(text))
}

// The program of the README runs with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
