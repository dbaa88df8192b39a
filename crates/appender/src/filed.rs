//! Waiting until a stream is filed up to an offset.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use lastline_line::{Offset, Span};

use crate::Reason;
use crate::stream::StreamState;

/// What became of a stream's bytes below an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Settled {
    /// Each was put into a file. Those count that were removed again to keep within
    /// [`Options::max_bytes`](crate::Options::max_bytes).
    Filed,
    /// Not all: the first ones that are in no file. Of those behind them nothing is said.
    Missing {
        /// Which, as far as is known yet; they may go on beyond the offset.
        span: Span,
        /// Why.
        reason: Reason,
    },
    /// Each that came was put into a file, and the appender was closed before the others came.
    Closed {
        /// One past the last byte that came.
        at: Offset,
    },
}

/// Waits until it is known what became of a stream's bytes below an offset: made by
/// [`Appender::filed_to`](crate::Appender::filed_to).
///
/// Needs no runtime. Its waker is called on a writer thread, or by who closes the appender. Dropping
/// it is cancelling it; it outlives the appender, and keeps no file open. Polled again after it was
/// ready, it says what is known then.
#[must_use = "a future does nothing until it is polled"]
pub struct FiledTo {
    stream: Arc<StreamState>,
    to: Offset,
    /// Under which number it waits.
    ticket: Option<u64>,
}

impl FiledTo {
    pub(crate) fn new(stream: Arc<StreamState>, to: Offset) -> Self {
        Self { stream, to, ticket: None }
    }
}

impl Future for FiledTo {
    type Output = Settled;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Settled> {
        let this = self.get_mut();
        // Looking and being known are one step: whatever is placed later wakes it.
        let mut map = this.stream.map();
        match map.settled(this.to) {
            Some(settled) => Poll::Ready(settled),
            None => {
                map.waiters.wait(this.to, &mut this.ticket, context.waker());
                Poll::Pending
            }
        }
    }
}

impl Drop for FiledTo {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let left = self.stream.map().waiters.leave(self.to, ticket);
            // Not under the lock: what a waker does when it is dropped is not known here.
            drop(left);
        }
    }
}

impl fmt::Debug for FiledTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FiledTo")
            .field("stream", &self.stream.id)
            .field("to", &self.to)
            .finish_non_exhaustive()
    }
}

/// Who waits for a stream to be filed. Without anybody, it costs a comparison with zero.
#[derive(Default)]
pub(crate) struct Waiters {
    by_offset: BTreeMap<(Offset, u64), Waker>,
    next_ticket: u64,
}

impl Waiters {
    fn wait(&mut self, to: Offset, ticket: &mut Option<u64>, waker: &Waker) {
        let ticket = *ticket.get_or_insert_with(|| {
            self.next_ticket += 1;
            self.next_ticket
        });
        self.by_offset
            .entry((to, ticket))
            .and_modify(|known| known.clone_from(waker))
            .or_insert_with(|| waker.clone());
    }

    fn leave(&mut self, to: Offset, ticket: u64) -> Option<Waker> {
        self.by_offset.remove(&(to, ticket))
    }

    /// Takes out those who wait for `end` or less.
    pub(crate) fn take_to(&mut self, end: Offset) -> Woken {
        if self.by_offset.first_key_value().is_none_or(|((to, _), _)| *to > end) {
            return Woken::default();
        }
        let later = self.by_offset.split_off(&(end, u64::MAX));
        Woken(std::mem::replace(&mut self.by_offset, later))
    }

    /// Takes out all.
    pub(crate) fn take_all(&mut self) -> Woken {
        Woken(std::mem::take(&mut self.by_offset))
    }
}

/// Those who are woken, once no lock is held.
#[derive(Default)]
#[must_use]
pub(crate) struct Woken(BTreeMap<(Offset, u64), Waker>);

impl Woken {
    pub(crate) fn wake(self) {
        self.0.into_values().for_each(Waker::wake);
    }
}
