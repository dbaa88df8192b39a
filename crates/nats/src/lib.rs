//! The output of processes through a NATS JetStream broker: in order, once, and resumed where it was
//! after every failure.
//!
//! [`connect`] gives a [`Broker`], which has one stream for each job. [`Broker::host`] claims ranks and
//! gives a [`NatsTransport`] that stores what they print; [`Broker::driver`] gives a [`NatsInbox`] that
//! receives all of it. Hosts and drivers need not be there at the same time, and of each there may
//! be several: every driver gets everything. [`Broker::read`] is for who takes no part in a job, and wants
//! what is stored of it ([`Reading`]).
//!
//! ```no_run
//! use lastline_line::{Inbox, Received};
//! use lastline_nats::{From, HostClaim, NatsOptions, connect};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! // On each host, for its ranks; here 8 to 15 of 32.
//! let broker = connect(NatsOptions::new("nats://broker:4222", "train-7")).await?;
//! let transport = broker.host(HostClaim::new(8..16, 32, "node-1")).await?;
//! let sender = lastline_sender::Sender::start(transport, lastline_sender::Options::default());
//!
//! // And anywhere, as often as wanted:
//! let mut inbox = broker.driver(From::Start).await?;
//! while let Some(message) = inbox.recv().await {
//!     println!("{message:?}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Theory of operation
//!
//! **A subject for each rank's stream** ([`Names`]). On each, one message at a time is under way, and
//! what comes meanwhile is joined to the next one, up to
//! [`max_message_bytes`](NatsOptions::max_message_bytes): a slow answer makes messages larger, not
//! fewer bytes per second. Subjects do not wait for each other.
//!
//! **Once, and in order.** A message has an id, and names the sequence of the one before it on its
//! subject (`Nats-Expected-Last-Subject-Sequence`). When its answer is lost the same message is sent
//! again, cut as it was: the broker knows its id, or refuses it since the subject has gone on, and is
//! asked for the subject's last message; that is this one, or the one before it. Only when a message
//! is known to be stored is the next one made. So nothing is doubled, also when the broker's
//! memory of ids (two minutes) is over.
//!
//! **What is stored** is what the broker has acknowledged, and is told to the sender as such, with
//! a driver or without one. While the broker is away the transport is full at
//! [`window_bytes`](NatsOptions::window_bytes), and the sender's files are the buffer. When the
//! broker's disk is full, or [`max_bytes`](NatsOptions::max_bytes) is reached, it is the same.
//!
//! **Events before output.** A host's events have a subject and a connection of their own. Output waits
//! until the events before it are stored, and says which was the last; an inbox, which receives the
//! two by consumers of their own, hands on that event first.
//!
//! **Each driver has its own place.** An ordered consumer that is made again, behind the last message
//! that came, whenever the connection or the broker was lost. At most about
//! [`inbox_bytes`](NatsOptions::inbox_bytes) are asked for at a time. [`NatsInbox::position`] tells the
//! place, from which [`From::After`] goes on in another process.
//!
//! **Who only reads** has consumers of its own, too, and has nobody hear of it: what it asks of hosts goes
//! nowhere. It may want one subject's output alone, of which the broker then sends no other's; it is at the
//! end when it has passed the last message that was stored there when it asked, or when the job was over.
//!
//! **Claims.** A rank belongs to the host whose claim is the last one on the rank's subject. Another one
//! may have it when that host has left, or answers nobody for
//! [`claim_patience`](NatsOptions::claim_patience). A host that finds that it was taken over stores
//! nothing more.
//!
//! **A job's id that is used again.** A host may come to a job of which all hosts have left, and says what that
//! means ([`WhenOver`]): further launches of the same job, nothing, or that the job begins anew. Then it stores a mark,
//! and has the broker remove what is before it; an inbox that has seen the job before ends at the mark.
//!
//! **Controls** are not stored, but one: that the ranks are to be stopped, which a host that is cut off
//! finds when it is back. Each has a number, so that one which comes twice counts once.
//!
//! # Laws
//!
//! Those of [`Transport`](lastline_sender::Transport) and [`Inbox`](lastline_line::Inbox), which run on a
//! real server. The far side of the transport is the broker: it is gone for good when the job's
//! stream is, or when another host has taken over a rank.
//!
//! # How to tune
//!
//! | | |
//! |---|---|
//! | many ranks that say little | nothing: a lone line costs one message |
//! | a distant broker | a larger `max_message_bytes`, up to the server's `max_payload`, and a `window_bytes` of as many for each busy stream |
//! | readers that have their memory from a pool | a `window_bytes` well below it: what the transport holds while the broker is away is not read into |
//! | little memory | a smaller `window_bytes`, but not below `max_message_bytes` |
//! | output may be lost with the broker | [`Storage::Memory`] |
//! | a broker may be lost | [`replicas`](NatsOptions::replicas): 3 |
//! | a broker that others use, too | [`max_bytes`](NatsOptions::max_bytes) and [`max_age`](NatsOptions::max_age) |
//!
//! Which permissions a job's client needs, and how far they confine it, stands in `docs/nats.md`.
//!
//! # What it does not do
//!
//! It starts no broker, and removes no job's stream, unless the job begins anew: [`max_age`](NatsOptions::max_age) empties it. A
//! broker that has lost what it had acknowledged (its files, its memory) has lost it: a driver
//! sees the hole.

mod anew;
mod asking;
mod attempt;
mod away;
mod broker;
mod claim;
mod driver;
mod ended;
mod error;
mod host;
mod names;
mod options;
mod publish;
mod stream;
mod wire;

pub use anew::WhenOver;
pub use broker::{Broker, connect};
pub use claim::HostClaim;
pub use driver::{From, NatsInbox, PendingStop, Position, Positions, Reading};
pub use error::{ClaimError, NatsError};
pub use host::NatsTransport;
pub use names::Names;
pub use options::{Auth, NatsOptions, Storage, Tls};
pub use wire::without_user;

// The program of the README is compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
