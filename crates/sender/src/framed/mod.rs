//! The transport between two processes, over anything that reads and writes bytes: a Unix socket, a
//! TCP connection, a pipe each way.
//!
//! Written with what this crate and `lastline_line` make public, and nothing else: the one to copy
//! for a transport of your own.
//!
//! ```
//! use lastline_line::{HostEvent, HostMessage, Message, Received};
//! use lastline_sender::{Transport, framed};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let (near, far) = tokio::io::duplex(1 << 10);
//! let mut transport = framed::transport(near, 1 << 20);
//! let mut inbox = framed::inbox(far, 1 << 20);
//! # use lastline_line::{Chunk, Launch, Offset, Stream, StreamId, Timestamp};
//! # let id = StreamId::new(Launch(1), 0, Stream::Stdout);
//! # let chunk = Chunk::new(id, Offset::ZERO, Timestamp(0), "hello\n".into());
//! transport.try_send(Message::Data(chunk.clone())).expect("there is room");
//! drop(transport); // What it took is delivered all the same.
//! assert_eq!(inbox.recv().await, Some(Message::Data(chunk)));
//! assert_eq!(inbox.recv().await, None);
//! # Ok::<_, std::io::Error>(()) })?;
//! # Ok::<_, std::io::Error>(())
//! ```
//!
//! # Theory of operation
//!
//! Frames are those of [`wire`](lastline_line::wire). Each side has one task per connection, which
//! writes and reads at the same time and never stops reading.
//!
//! The receiver's first frame is a credit: how many bytes of output it is willing to hold for this
//! peer. The sender keeps what is on the way within that window, and one message above it passes
//! alone. As the consumer of the inbox asks for the next message, the one before is credited back.
//! So unread output stops at the window and never fills the connection: events of hosts,
//! heartbeats and controls always get through, however far behind the client is.
//!
//! A transport that is dropped delivers what it took, then closes its direction; an inbox that is
//! dropped sends the controls that it took, then closes. A peer that ends without having sent
//! [`HostEvent::Down`](lastline_line::HostEvent::Down), or that sends what is no frame, is reported
//! to the listener as [`HostEvent::Lost`](lastline_line::HostEvent::Lost), for each host that sent an
//! event through it.
//!
//! A host that has several drivers, one after the other, has a [`reconnecting`] transport: whoever
//! comes is told all that was said, and says with its first frames of which job it is, where it is of one
//! ([`InboxHandle::of_job`]), and from where it wants output ([`Resume`](lastline_line::Resume)). On one machine they meet at a socket: a [`LocalListener`], and
//! [`connect_local`].

mod connection;
mod inbox;
mod link;
mod local;
mod peer;
mod reconnecting;
mod replay;
mod serve;
mod session;
mod transport;
mod window;

pub use inbox::{FramedInbox, InboxHandle, inbox, shared_inbox};
pub use local::{LocalError, LocalListener, connect_local};
pub use reconnecting::{ReconnectingOptions, ReconnectingTransport, reconnecting};
pub use serve::serve;
pub use transport::{FramedTransport, transport};
