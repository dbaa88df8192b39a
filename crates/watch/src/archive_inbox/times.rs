//! Only what arrived in a while.

use lastline_line::{Offset, Span, StreamId};

use super::{ArchiveInbox, READ_BYTES};
use crate::last_lines::line_ends;

impl ArchiveInbox {
    /// Leaves out of what is queued what arrived before and after the time that is wanted. What was before
    /// counts as given: it does not come back when the job is looked at again. So does what has no time.
    pub(super) fn keep_within_times(&mut self) {
        let (since, before) = (self.wanted.since, self.wanted.before);
        if since.is_none() && before.is_none() {
            return;
        }
        let mut queue = std::mem::take(&mut self.queue);
        queue.retain_mut(|extent| {
            let Some(time) = extent.time.filter(|time| since.is_none_or(|since| *time >= since))
            else {
                self.leave_out(extent);
                return false;
            };
            if before.is_some_and(|before| time >= before) {
                return false;
            }
            let at = extent.span.from;
            if self.given.get(&extent.stream) == Some(&at) {
                // A line is given out whole.
                extent.span.from = self.start_of_line(extent.stream, at);
                self.given.insert(extent.stream, extent.span.from);
            }
            true
        });
        self.queue = queue;
    }

    /// Where the line starts that a place is in; the place itself where that is too far back.
    fn start_of_line(&self, stream: StreamId, at: Offset) -> Offset {
        let from = Offset(at.0.saturating_sub(READ_BYTES));
        let before = self.read(stream, Span::new(from, at)).unwrap_or_default();
        match line_ends(from, &before).last() {
            _ if before.len() as u64 != at - from => at,
            Some(start) => start,
            None if from == Offset(0) => from,
            None => at,
        }
    }
}
