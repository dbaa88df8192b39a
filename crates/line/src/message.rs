//! What travels from a tee to the client, and back.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Cause, Chunk, Offset, Span, StreamId, Timestamp};

/// Numbers barriers; never reused in a job.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Version(pub u64);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a stream sends, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Bytes.
    Data(Chunk),
    /// A barrier's mark: everything below `mark` has been sent before it.
    Flush {
        /// Whose mark.
        stream: StreamId,
        /// Of which barrier.
        version: Version,
        /// What the barrier waits for.
        mark: Offset,
    },
    /// The one last flush of a stream: nothing follows.
    End {
        /// Which stream ended.
        stream: StreamId,
        /// Where: its whole length.
        at: Offset,
    },
    /// Bytes that will not come, and why.
    Skip {
        /// Whose bytes.
        stream: StreamId,
        /// Which bytes.
        span: Span,
        /// Why.
        cause: Cause,
    },
    /// The host is alive. Belongs to no stream.
    Heartbeat {
        /// The node rank of the host.
        node: u32,
        /// When it was sent.
        time: Timestamp,
    },
}

impl Message {
    /// The stream that it belongs to, if any.
    pub fn stream(&self) -> Option<StreamId> {
        match self {
            Self::Data(chunk) => Some(chunk.stream),
            Self::Flush { stream, .. } | Self::End { stream, .. } | Self::Skip { stream, .. } => {
                Some(*stream)
            }
            Self::Heartbeat { .. } => None,
        }
    }

    /// Bytes of output that it holds in memory.
    pub fn payload_bytes(&self) -> usize {
        match self {
            Self::Data(chunk) => chunk.bytes.len(),
            _ => 0,
        }
    }
}

/// What the client says to a host. It has its own lane and never waits behind data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Everything of `stream` below `through` has arrived.
    Acknowledge {
        /// Which stream.
        stream: StreamId,
        /// Up to where.
        through: Offset,
    },
    /// Take a barrier's marks.
    Flush {
        /// Which barrier.
        version: Version,
    },
    /// Send what is read to the client, or only file it.
    SetMode {
        /// Whether to send.
        stream_to_client: bool,
    },
}

/// The client's side of a transport, as the client sees it.
///
/// Messages of one stream come in the order in which they were sent.
pub trait Inbox: Send {
    /// The next message. Waits for `wait` at most, or for as long as it takes when `None`;
    /// `Some(Duration::ZERO)` does not wait. Blocks the calling thread.
    fn next(&mut self, wait: Option<std::time::Duration>) -> Received;

    /// Tells the far side something. Does not block.
    fn reply(&mut self, _control: Control) {}
}

/// What an [`Inbox`] had.
#[derive(Debug)]
pub enum Received {
    /// A message.
    Message(Message),
    /// None in the time given.
    TimedOut,
    /// All senders are gone: no message will come.
    Closed,
}

impl<I: Inbox + ?Sized> Inbox for Box<I> {
    fn next(&mut self, wait: Option<std::time::Duration>) -> Received {
        (**self).next(wait)
    }
    fn reply(&mut self, control: Control) {
        (**self).reply(control);
    }
}
