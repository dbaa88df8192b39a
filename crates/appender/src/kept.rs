//! What is read back later, and not removed before that.

use std::sync::atomic::Ordering;

use lastline_line::{Offset, Span};

use crate::state::AppenderState;
use crate::stream::StreamState;

/// This share of the bound on all files may be kept: the others are those that are written to, and
/// the parts of kept ones that nobody wants any more.
const KEPT_SHARE: u64 = 2;

impl AppenderState {
    /// Whether there may be room to keep so many bytes more: who has to wait asks again and again.
    pub(crate) fn may_keep(&self, bytes: u64) -> bool {
        let kept = self.kept_bytes.load(Ordering::Relaxed);
        self.options.max_bytes.is_none_or(|max_bytes| kept + bytes <= max_bytes / KEPT_SHARE)
    }

    /// Keeps `span` of a stream, with what lies between it and what is kept of it already. False when
    /// it is not all filed, or too much is kept.
    pub(crate) fn keep(&self, stream: &StreamState, span: Span) -> bool {
        let mut map = stream.map();
        if !map.layout.holds(span) {
            return false;
        }
        let Some(max_bytes) = self.options.max_bytes else { return true };
        let kept = map.kept;
        let wider = match kept.is_empty() {
            true => span,
            false => Span::new(kept.from.min(span.from), kept.to.max(span.to)),
        };
        let more = wider.len() - kept.len();
        let fits = |all: u64| Some(all + more).filter(|all| *all <= max_bytes / KEPT_SHARE);
        let is_taken =
            self.kept_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok();
        if is_taken {
            map.kept = wider;
        }
        is_taken
    }

    /// Nothing of a stream below `below` is kept any more.
    pub(crate) fn let_go(&self, stream: &StreamState, below: Offset) {
        let mut map = stream.map();
        let left = Span::new(map.kept.from.max(below), map.kept.to);
        let less = map.kept.len() - left.len();
        map.kept = left;
        self.kept_bytes.fetch_sub(less, Ordering::Relaxed);
    }
}
