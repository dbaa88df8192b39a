//! What became of each stream on the way.

use std::collections::HashMap;

use lastline_line::{Cause, Gaps, Message, Offset, Span, StreamId, Watermark};

/// The cause of what had no route any more.
const NO_ROUTE: &str = "no route: the far side of the transport is gone";

/// What became of one stream on the way.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// Acknowledged by the transport up to here.
    pub stored: Watermark,
    /// What could not be sent, and why. A transport that did not acknowledge a range may have
    /// delivered some of it all the same.
    pub no_route: Gaps,
    /// Up to where the transport has taken it.
    pub(crate) taken: Offset,
}

impl Sent {
    /// Taken by the transport, and not known to be stored.
    pub(crate) fn unacknowledged(&self) -> Span {
        Span::new(self.stored.get(), self.taken)
    }
}

/// Declares that `span` had no route, and gives the skip for it.
pub(crate) fn declare(
    streams: &mut HashMap<StreamId, Sent>,
    stream: StreamId,
    span: Span,
) -> Message {
    streams.entry(stream).or_default().no_route.declare(span, NO_ROUTE);
    Message::Skip { stream, span, cause: Cause::lost(NO_ROUTE) }
}
