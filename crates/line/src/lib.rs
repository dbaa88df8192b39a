//! The vocabulary of Lastline: every byte that a rank writes has an address.
//!
//! A [`Chunk`] is a piece of a stream: shared bytes, the [`StreamId`] of who wrote them, and the
//! [`Offset`] of the first one. A tee makes chunks, and [`Message`]s carry them, in order, through
//! [`Sink`]s. Everything else is said in offsets: the barrier's marks, the acknowledgements, the
//! four [`Watermark`]s of a stream (read, filed, stored, shown), and the [`StreamLedger`] that
//! proves at the end what became of each byte.
//!
//! ```
//! use bytes::Bytes;
//! use lastline_line::{Chunk, Launch, Offset, Stream, StreamId, Timestamp};
//!
//! let id = StreamId::new(Launch(7), 3, Stream::Stdout);
//! let chunk = Chunk::new(id, Offset(100), Timestamp(0), Bytes::from("step 1\nstep"));
//! assert_eq!(chunk.end(), Offset(111));
//! assert!(chunk.unterminated);
//!
//! // A receiver that has everything below 107 keeps the rest, and its address.
//! let rest = chunk.trim_before(Offset(107)).expect("four bytes are new");
//! assert_eq!((rest.start, &rest.bytes[..]), (Offset(107), &b"step"[..]));
//! ```
//!
//! # Theory of operation
//!
//! Two chunks of a stream that meet at an offset are one piece; a chunk cut differently the second
//! time is still the same bytes. So a receiver keeps one number per stream, trims what it has, and
//! sees what is missing; a sender that lost its memory starts again from what the other side has;
//! and a ledger is a sum. Nothing may be dropped without a [`Span`] and a [`Cause`].
//!
//! # Traits
//!
//! Only those on which two crates meet: [`Sink`] (a tee feeds an appender, a sender), [`ReadBack`]
//! (a sender and a client read what an appender filed), [`Fold`] (a client uses one), [`Inbox`] (a
//! client receives from a transport). Their laws are numbered in their docs and run on any
//! implementation from `lastline-testing`.
//!
//! # What it does not do
//!
//! No IO, no runtime, no clock: times are parameters. [`Budget`] wakes tasks by the standard
//! library's wakers alone.

mod address;
mod budget;
mod chunk;
mod field;
mod fold;
mod host;
mod job;
mod ledger;
mod message;
mod names;
mod plain;
mod ranks;
mod readback;
mod resume;
mod sink;
mod streams;
mod who;
pub mod wire;

pub use address::{HostId, Launch, Offset, Span, Stream, StreamId, Timestamp};
pub use budget::{Acquire, Budget, Lease};
pub use chunk::Chunk;
pub use field::{Field, FieldSource, Outlier};
pub use fold::{Address, Emit, Entry, Fold, Folded, Line, Member, Off};
pub use host::{Capture, Heard, Heartbeat, HostEvent, HostMessage, Listener, PingId};
pub use job::{
    BarrierOutcome, Exit, Holder, MemoryKills, Stage, StageReport, StopCause, StopCauseError,
    StreamEnd, signal_text,
};
pub use ledger::{Cause, Gap, Gaps, Imbalance, StreamLedger, Watermark, Withheld, WithheldBytes};
pub use message::{Control, ControlSender, Inbox, Message, Received, Version};
pub use names::{RankNames, RankNumbers};
pub use plain::{Colours, Controls, colour_marks, is_plain, is_reset, plain_text, visible_text};
pub use ranks::{MAX_RANK, RankSet, RankSetError};
pub use readback::{ReadBack, ReadOutcome};
pub use resume::Resume;
pub use sink::{Accept, Sink};
pub use streams::{StreamSet, StreamSetError};
pub use who::{MAX_LIST_COLUMNS, Who, exceptions, rank_list, short_list};

// The program of the README runs with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
