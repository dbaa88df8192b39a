//! What travels from a tee to the client, and back.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    Cause, Chunk, Heartbeat, HostId, HostMessage, Listener, Offset, PingId, Span, StopCause,
    StreamId,
};

/// Numbers barriers; never reused by a driver. Where a job may have several drivers, each begins at a
/// random number.
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

/// What a host sends: its streams' output, in order, and events of its own.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
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
    /// The host is alive. Belongs to no stream, and never waits behind output.
    Heartbeat(Heartbeat),
    /// An event of a host or its ranks. Belongs to no stream, never waits behind output,
    /// and arrives before whatever the host sent after it.
    Host(HostMessage),
}

impl Message {
    /// The stream that it belongs to, if any.
    pub fn stream(&self) -> Option<StreamId> {
        match self {
            Self::Data(chunk) => Some(chunk.stream),
            Self::Flush { stream, .. } | Self::End { stream, .. } | Self::Skip { stream, .. } => {
                Some(*stream)
            }
            Self::Heartbeat(_) | Self::Host(_) => None,
        }
    }

    /// Up to where it settles which stream: all before has come, or has been declared.
    pub fn settles(&self) -> Option<(StreamId, Offset)> {
        match self {
            Self::Data(chunk) => Some((chunk.stream, chunk.end())),
            Self::Skip { stream, span, .. } => Some((*stream, span.to)),
            _ => None,
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

/// What a driver asks of hosts. It has its own lane and never waits behind data.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Control {
    /// Everything of `stream` below `through` has arrived.
    Acknowledge {
        /// Which stream.
        stream: StreamId,
        /// Up to where.
        through: Offset,
    },
    /// Take a barrier's marks. The host answers with
    /// [`HostEvent::Barrier`](crate::HostEvent::Barrier) and a heartbeat.
    Flush {
        /// Which barrier.
        version: Version,
    },
    /// Send what is read to the client, or only file it.
    SetMode {
        /// Whether to send.
        stream_to_client: bool,
    },
    /// Read nothing of a stream for a while, but what a barrier or the end of reading takes: it is
    /// ahead of others whom somebody compares it with. Zero: go on. A host whose ranks wait for no driver
    /// does not heed it.
    Pause {
        /// Which stream.
        stream: StreamId,
        /// For how long; to the millisecond.
        lasts: std::time::Duration,
    },
    /// Answer with a heartbeat.
    Ping {
        /// What the heartbeat bears, when its sender looks for the answer.
        id: Option<PingId>,
    },
    /// End the ranks. Sent again it ends the grace.
    Stop {
        /// Why.
        cause: StopCause,
    },
    /// Send a signal to the group of a rank.
    Signal {
        /// Which rank; all when `None`.
        rank: Option<u32>,
        /// The number of the signal.
        signal: i32,
    },
    /// The driver has all that the host had to send: the host may go.
    Dismiss,
    /// A host is no part of the job: it starts no rank, or stops those that it has. Others do not feel
    /// spoken to.
    Refuse {
        /// Which host.
        host: HostId,
        /// Why, in words for whoever started it.
        why: String,
    },
}

/// Sends controls to hosts, from any thread and without blocking. Clones reach the same hosts.
#[derive(Clone)]
pub struct ControlSender(Arc<dyn Fn(Control) + Send + Sync>);

impl ControlSender {
    /// Every control is given to `send`, which must not block.
    pub fn new(send: impl Fn(Control) + Send + Sync + 'static) -> Self {
        Self(Arc::new(send))
    }

    /// Nobody listens.
    pub fn none() -> Self {
        Self::new(drop)
    }

    /// Sends `control` to every host.
    pub fn send(&self, control: Control) {
        (self.0)(control);
    }
}

impl fmt::Debug for ControlSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlSender").finish_non_exhaustive()
    }
}

/// The driver's side of a transport.
///
/// # Laws
///
/// 1. **Order.** Messages of one stream come in the order in which they were sent.
/// 2. **Beside data.** Events of hosts go to the listener and never come out of
///    `next`. They wait for nobody to call `next`, and come before whatever the host sent after it.
///    Heartbeats go to the listener in the same way, and come out of `next` as well.
/// 3. **Nothing is missed.** Events that come before there is a listener are kept for it; heartbeats
///    are not.
/// 4. **The end.** Once all senders are gone, `next` gives what is left and then `Closed`, and the
///    listener gets `Closed` once, last.
///
/// `lastline_testing::laws::transport` runs them against any implementation.
pub trait Inbox: Send {
    /// The next message. Waits for `wait` at most, or for as long as it takes when `None`;
    /// `Some(Duration::ZERO)` does not wait. Blocks the calling thread.
    fn next(&mut self, wait: Option<std::time::Duration>) -> Received;

    /// A way to send controls, while somebody else waits in `next`. Default: nobody
    /// listens.
    fn control_sender(&self) -> ControlSender {
        ControlSender::none()
    }

    /// From now on `listener` gets the events of hosts. Default: there are none.
    fn listen(&mut self, _listener: Listener) {}
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
    fn control_sender(&self) -> ControlSender {
        (**self).control_sender()
    }
    fn listen(&mut self, listener: Listener) {
        (**self).listen(listener);
    }
}
