//! Every line of a running job to somewhere else, from its files.
//!
//! An [`Exporter`] reads a job's files as they grow, as `lastline logs --follow` does, and gives its lines to a
//! [`Destination`], a batch at a time, as [`Record`]s. There are two, [`Journald`] and [`Otlp`].
//!
//! ```
//! use std::time::Duration;
//!
//! use lastline_export::{Destination, ExportError, Record, Refused};
//!
//! /// Counts lines.
//! struct Count(usize);
//!
//! impl Destination for Count {
//!     fn export(&mut self, batch: &[Record], _: Duration) -> Result<Refused, ExportError> {
//!         self.0 += batch.len();
//!         Ok(Refused::default())
//!     }
//! }
//! ```
//!
//! # Theory of operation
//!
//! The files are the queue. What a destination does not take now is on the disk, and is read when it takes
//! something again; so an exporter holds a batch and the starts of open lines, and neither the ranks nor the
//! console wait for it. It has a position for each stream, which goes on when lines were taken. A destination
//! that takes nothing is asked again after 100 ms, and twice that, up to 10 s, or when it says.
//!
//! When the job is over, [`Exporter::finish`] gives it a bounded time for what is left, and tells what was not
//! exported: of which stream, from which offset, how many lines, and why.
//!
//! # Laws
//!
//! 1. **Nothing unsaid.** Every byte that was read of a stream was in a record that a destination took, or is
//!    in the [`Outcome`], with the cause.
//! 2. **In order.** Records of a stream come in the order of their offsets. Between streams they come by the
//!    time at which they were read, as far as the job's index knows it.
//! 3. **At least once.** A line that was taken while that could not be said comes again; the address of a
//!    record, its stream and offset, tells.
//! 4. **Bounded.** A batch is at most 1,024 records and 512 KiB and one record more; a record's text at most
//!    256 KiB, and a longer line several that are partial; open lines at most 8 MiB together.
//! 5. **In time.** [`Exporter::finish`] returns in the time that it is given, and a quarter of a second.
//!
//! # Your own destination
//!
//! Implement [`Destination::export`]: send the batch, wait for the answer for `within` at most, and say which
//! of its records were taken. Whether to try again is the exporter's; whether that can help is yours
//! ([`ExportError::Later`], [`ExportError::Never`]).
//!
//! # What it does not do
//!
//! It keeps no position beyond the process: what was not exported when a job ended is in its files alone. It
//! reads nothing where a job keeps no files.

mod backoff;
mod destination;
mod exporter;
mod exporting;
#[cfg(feature = "journald")]
mod journald;
mod lines;
#[cfg(feature = "otlp")]
mod otlp;
mod progress;
mod record;

pub use destination::{Destination, ExportError, Refused};
pub use exporter::{Exporter, Say};
#[cfg(feature = "journald")]
pub use journald::{JOURNAL_SOCKET, Journald};
pub use lines::MAX_LINE_BYTES;
#[cfg(feature = "otlp")]
pub use otlp::{BadPlace, Headers, Otlp, Place};
pub use progress::{NotExported, Outcome, ReadOf};
pub use record::Record;

// The program of the README runs with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
