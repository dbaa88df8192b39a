//! What a tee feeds.

use std::task::{Context, Poll};

use crate::Message;

/// Whether a sink took what it was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Accept {
    /// The sink has it now.
    Taken,
    /// The sink is full and took nothing: offer the same again after [`Sink::poll_ready`].
    Full,
}

/// Takes the messages of streams, in order.
///
/// # Laws
///
/// 1. **No blocking.** `accept` returns at once, whatever the sink's far side does.
/// 2. **All or nothing.** `Full` means that nothing of the message was taken.
/// 3. **Order.** Messages of one stream come out as they went in.
/// 4. **Progress.** After `Full`, `poll_ready` becomes ready once there is room; an `accept`
///    after it may still say `Full` when somebody else was quicker.
/// 5. **No hang at the end.** A sink whose far side is gone takes everything and counts what it
///    could not deliver; it never stays full.
///
/// `lastline_testing::laws::sink` runs them against any implementation.
pub trait Sink {
    /// Offers a message. Never blocks; cheap, since a message shares its bytes.
    fn accept(&mut self, message: &Message) -> Accept;

    /// Ready when `accept` is worth another try. Cancel-safe: nothing is consumed.
    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

impl<S: Sink + ?Sized> Sink for &mut S {
    fn accept(&mut self, message: &Message) -> Accept {
        (**self).accept(message)
    }
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        (**self).poll_ready(context)
    }
}

impl<S: Sink + ?Sized> Sink for Box<S> {
    fn accept(&mut self, message: &Message) -> Accept {
        (**self).accept(message)
    }
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        (**self).poll_ready(context)
    }
}
