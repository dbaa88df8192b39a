//! Only the last lines.

use std::collections::{BTreeMap, VecDeque};

use lastline_appender::Extent;
use lastline_line::{Offset, Span, StreamId};

use super::ArchiveInbox;

impl ArchiveInbox {
    /// Leaves out all but the last `lines` lines of what is queued. What is left out counts as
    /// given: it does not come back when the job is looked at again.
    pub(super) fn skip_to_tail(&mut self, lines: u64) {
        let ends: BTreeMap<StreamId, Offset> =
            self.queue.iter().map(|extent| (extent.stream, extent.span.to)).collect();
        let mut left = lines;
        let mut kept = VecDeque::new();
        while left > 0
            && let Some(mut extent) = self.queue.pop_back()
        {
            let Extent { stream, ref mut span, .. } = extent;
            let mut line_ends = self.newlines(stream, *span, span.to);
            // A last line that no newline ends is a line.
            if ends.get(&stream) == Some(&span.to) && line_ends.last() != Some(&span.to) {
                line_ends.push(span.to);
            }
            let count = line_ends.len() as u64;
            if count > left {
                let first = line_ends.len() - usize::try_from(left).unwrap_or(usize::MAX);
                span.from = line_ends[first - 1];
            }
            left = left.saturating_sub(count);
            kept.push_front(extent);
        }
        let left_out = self.queue.drain(..).map(|extent| (extent.stream, extent.span.to));
        self.given.extend(left_out);
        // What is missing before the first line that is kept is left out as well.
        let first = kept.iter().rev().map(|extent| (extent.stream, extent.span.from));
        self.given.extend(first);
        self.queue = kept;
    }

    /// Where lines end in a span: one past each newline.
    fn newlines(&self, stream: StreamId, span: Span, end: Offset) -> Vec<Offset> {
        let (mut at, mut found) = (span.from, Vec::new());
        while at < end {
            match self.read(stream, Span::new(at, end)) {
                Ok(bytes) => {
                    let newlines = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
                    found.extend(newlines.map(|(index, _)| at + index as u64 + 1));
                    at += bytes.len() as u64;
                }
                Err(missing) => at = missing.to,
            }
        }
        found
    }
}
