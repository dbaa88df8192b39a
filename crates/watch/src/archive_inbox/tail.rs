//! Only the last lines.

use std::collections::VecDeque;

use lastline_line::{Offset, Span, StreamId};

use super::ArchiveInbox;
use crate::last_lines::{LastLines, line_ends};

impl ArchiveInbox {
    /// Leaves out all but the last `lines` lines of what is queued. What is left out counts as
    /// given: it does not come back when the job is looked at again.
    pub(super) fn skip_to_tail(&mut self, lines: u64) {
        let (mut last, mut kept) = (LastLines::new(lines), VecDeque::new());
        while last.wants_more()
            && let Some(mut extent) = self.queue.pop_back()
        {
            let line_ends = self.line_ends(extent.stream, extent.span);
            extent.span.from = last.take(extent.stream, extent.span, line_ends);
            kept.push_front(extent);
        }
        let left_out = self.queue.drain(..).map(|extent| (extent.stream, extent.span.to));
        self.given.extend(left_out);
        // What is missing before the first line that is kept is left out as well.
        self.given.extend(last.into_places());
        self.queue = kept;
    }

    /// Where lines end in a span: one past each newline.
    fn line_ends(&self, stream: StreamId, span: Span) -> Vec<Offset> {
        let (mut at, mut found) = (span.from, Vec::new());
        while at < span.to {
            match self.read(stream, Span::new(at, span.to)) {
                Ok(bytes) => {
                    found.extend(line_ends(at, &bytes));
                    at += bytes.len() as u64;
                }
                Err(missing) => at = missing.to,
            }
        }
        found
    }
}
