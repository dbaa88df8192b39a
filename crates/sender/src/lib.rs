//! Sends chunks over a transport: bounded in bytes, in order, catching up from the file.
//!
//! A [`Sender`] owns one [`Transport`] and gives out [`SenderSink`]s, one per tee or as many as
//! are wanted. [`channel`](fn@channel) is the transport inside one process, [`framed`] the one
//! between two, over any connection; both end in an [`Inbox`](lastline_line::Inbox), the client's side.
//!
//! ```
//! use std::time::Duration;
//! use lastline_line::{Chunk, Launch, Message, Offset, Sink, Stream, StreamId, Timestamp};
//! use lastline_sender::{Options, Sender, channel};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let (transport, mut inbox) = channel(1 << 20);
//! let sender = Sender::start(transport, Options::default());
//! let id = StreamId::new(Launch(1), 0, Stream::Stdout);
//! let chunk = Chunk::new(id, Offset::ZERO, Timestamp(0), "hello\n".into());
//! let _taken = sender.sink().accept(&Message::Data(chunk.clone()));
//! assert_eq!(inbox.recv().await, Some(Message::Data(chunk)));
//! let sent = sender.close(Duration::from_secs(1)).await;
//! assert_eq!(sent[0].1.stored.get(), Offset(6));
//! # Ok::<_, std::io::Error>(()) })?;
//! # Ok::<_, std::io::Error>(())
//! ```
//!
//! # Theory of operation
//!
//! A message goes straight to the transport while nothing waits before it. When the transport is
//! full it waits in the backlog, a lane per stream, and a worker task moves it on as room comes.
//! Above [`Options::held_bytes`] the policy holds ([`WhenFull`]): by default the chunk's memory is
//! spilled as soon as its file has it, and its bytes are read back when their turn comes, so a
//! stopped client costs no memory and stops no rank. What is in no file stays in memory, and the
//! pool of read buffers is the bound.
//!
//! Marks of barriers and ends stand in the lanes behind the data that they cover. When the far
//! side is gone, what was not acknowledged is declared to have had no route, no data is sent any
//! more, and the detour, if there is one, takes skips for that, the marks and the ends, as it has
//! room, so that a barrier ends with a verdict and not with its deadline. What was delivered and
//! not acknowledged is declared, too; a client that has it shows it, and trims the declaration.
//!
//! # Laws
//!
//! Those of [`Transport`], and: a stream's messages leave in the order in which they came; every
//! byte taken is sent, withheld by mode, or declared; `accept` never waits.
//!
//! # Your own transport
//!
//! [`framed`] uses nothing that is not public: it is the one to copy.
//!
//! 1. Implement [`Transport::try_send`]: take the message or give it back with a reason.
//! 2. Implement [`Transport::poll_ready`]: register the waker while there is no room.
//! 3. Implement [`Transport::poll_control`]: hand on acknowledgements; return [`Closed`] when the far
//!    side is gone.
//! 4. On the far side implement [`Inbox`](lastline_line::Inbox); [`EventLane`] is its lane for the
//!    events of hosts.
//! 5. Run `lastline_testing::laws::transport::all` on it.
//!
//! # What it does not do
//!
//! It frames no lines and opens no files; only [`framed::reconnecting`] sends again on a new
//! connection.

mod backlog;
mod channel;
mod events;
mod forwarder;
pub mod framed;
mod options;
mod reading;
mod reads;
mod sender;
mod sent;
mod state;
mod transport;
mod worker;

pub use channel::{ChannelInbox, ChannelTransport, channel};
pub use events::EventLane;
pub use options::{ControlHandler, Options, WhenFull};
pub use sender::{Sender, SenderSink};
pub use sent::Sent;
pub use transport::{Closed, Reason, Refused, Transport, send};

// The program of the README runs with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
