//! The way from a host to the client.

use std::task::{Context, Poll};

use lastline_line::{Control, Message, Offset, StreamId};

/// The far side is gone for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the far side of the transport is gone")]
pub struct Closed;

/// Why a transport did not take a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No room now; there will be.
    Full,
    /// The far side is gone for good.
    Closed,
}

/// A message that was not taken, given back.
#[derive(Debug)]
pub struct Refused {
    /// The message, as it was.
    pub message: Message,
    /// Why.
    pub reason: Reason,
}

/// Carries messages to the client, in order, and brings back its controls.
///
/// # Laws
///
/// 1. **Order.** Messages of one stream arrive as they were sent; none is doubled.
/// 2. **Bounded.** What was taken and not received yet is bounded in bytes; over the bound
///    `try_send` is refused as `Full`, which gives the message back.
/// 3. **Progress.** After `Full`, `poll_ready` becomes ready once there is room or the far side is
///    gone.
/// 4. **Remembered end.** Once one method has returned that the far side is gone, all do; only
///    `poll_control` first gives what the client had sent before.
/// 5. **No blocking.** No method waits.
/// 6. **Beside data.** An event of a host ([`Message::Host`]) is never refused as `Full` and
///    never waits for output that nobody takes.
/// 7. **Delivery.** What was taken arrives, also when the transport is dropped right after, unless
///    the far side is gone.
///
/// `lastline_testing::laws::transport` runs them against any implementation.
pub trait Transport: Send {
    /// Takes a message, or gives it back.
    fn try_send(&mut self, message: Message) -> Result<(), Box<Refused>>;

    /// Ready when `try_send` is worth another try. Cancel-safe.
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Closed>>;

    /// The next control of the client's. Cancel-safe.
    fn poll_control(&mut self, context: &mut Context<'_>) -> Poll<Result<Control, Closed>>;

    /// Whether what `try_send` took counts as stored at once, without an acknowledgement.
    fn stores_on_send(&self) -> bool {
        false
    }

    /// Below here nobody wants the output of `stream`: it counts as withheld, and is not read again
    /// to be sent. Default: all is wanted.
    fn unwanted_below(&self, _stream: StreamId) -> Offset {
        Offset::ZERO
    }
}

/// Sends one message, waiting for room.
///
/// # Errors
///
/// When the far side is gone.
pub async fn send(transport: &mut impl Transport, message: Message) -> Result<(), Closed> {
    let mut message = message;
    loop {
        match transport.try_send(message) {
            Ok(()) => return Ok(()),
            Err(refused) => message = refused.message,
        }
        std::future::poll_fn(|context| transport.poll_ready(context)).await?;
    }
}

impl<T: Transport + ?Sized> Transport for Box<T> {
    fn try_send(&mut self, message: Message) -> Result<(), Box<Refused>> {
        (**self).try_send(message)
    }
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        (**self).poll_ready(context)
    }
    fn poll_control(&mut self, context: &mut Context<'_>) -> Poll<Result<Control, Closed>> {
        (**self).poll_control(context)
    }
    fn stores_on_send(&self) -> bool {
        (**self).stores_on_send()
    }
    fn unwanted_below(&self, stream: StreamId) -> Offset {
        (**self).unwanted_below(stream)
    }
}
