//! Only the last lines.

use std::collections::VecDeque;

use lastline_appender::Extent;
use lastline_line::{Offset, Span, StreamId};

use super::ArchiveInbox;
use crate::last_lines::{LastLines, line_ends};

impl ArchiveInbox {
    /// Leaves out all but the last `lines` lines of what is queued. What is left out counts as
    /// given: it does not come back when the job is looked at again.
    pub(super) fn skip_to_tail(&mut self, lines: u64) {
        let (mut last, mut kept) = (LastLines::new(lines), VecDeque::new());
        while !last.is_complete()
            && let Some(mut extent) = self.queue.pop_back()
        {
            if !last.wants(extent.stream) {
                self.leave_out(&extent);
                continue;
            }
            let line_ends = self.line_ends(extent.stream, extent.span);
            extent.span.from = last.take(extent.stream, extent.span, line_ends);
            if !extent.span.is_empty() {
                kept.push_front(extent);
            }
        }
        std::mem::take(&mut self.queue).iter().for_each(|extent| self.leave_out(extent));
        // What is missing before the first line that is kept is left out as well.
        self.given.extend(last.into_places());
        self.queue = kept;
    }

    pub(super) fn leave_out(&mut self, extent: &Extent) {
        let given = self.given.entry(extent.stream).or_default();
        *given = extent.span.to.max(*given);
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
