//! What of a stream was forced to disk, and what could not be.

use lastline_line::{Gaps, Offset, Span};

use crate::Reason;
use crate::layout::{Layout, Place};

/// What of a stream was forced to disk, and what could not be. Pure.
///
/// A failure stays: after it the system may have thrown away what it could not write, and says
/// nothing of that the next time.
#[derive(Debug, Default)]
pub(crate) struct Durable {
    /// Up to where it was tried.
    tried: Offset,
    /// What failed, ascending; neighbours of one reason are joined.
    failed: Vec<(Span, Reason)>,
}

impl Durable {
    /// Everything filed below `to`, and not tried before, was forced to disk, or could not be.
    pub(crate) fn tried(&mut self, to: Offset, outcome: Result<(), Reason>) {
        let span = Span::new(self.tried, to.max(self.tried));
        self.tried = span.to;
        let Err(reason) = outcome else { return };
        match self.failed.last_mut() {
            Some((last, because)) if last.to == span.from && *because == reason => {
                last.to = span.to
            }
            _ => self.failed.push((span, reason)),
        }
    }

    /// What is in the files and may not be on disk.
    pub(crate) fn gaps(&self, layout: &Layout) -> Gaps {
        let mut gaps = Gaps::default();
        for (failed, reason) in &self.failed {
            let filed = |place| matches!(place, Place::Filed { .. });
            for piece in layout.pieces().iter().filter(|piece| filed(piece.place)) {
                gaps.declare(piece.span.intersection(failed), &reason.words());
            }
        }
        gaps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BAD: Reason = Reason::Os(5);

    #[test]
    fn what_failed_stays_so_and_only_what_is_filed_counts() {
        let mut layout = Layout::default();
        layout.push(10, Place::Filed { file: 1, position: 0 });
        layout.push(5, Place::Missing(Reason::MinFree));
        layout.push(15, Place::Filed { file: 2, position: 0 });
        let mut durable = Durable::default();
        durable.tried(Offset(4), Ok(()));
        durable.tried(Offset(8), Err(BAD));
        durable.tried(Offset(20), Err(BAD));
        durable.tried(Offset(25), Ok(()));
        // Nothing new was tried.
        durable.tried(Offset(25), Err(BAD));
        durable.tried(Offset(7), Err(BAD));
        durable.tried(Offset(30), Err(Reason::Abandoned));
        let gaps = durable.gaps(&layout);
        let spans: Vec<(u64, u64)> =
            gaps.as_slice().iter().map(|gap| (gap.span.from.0, gap.span.to.0)).collect();
        assert_eq!(spans, [(4, 10), (15, 20), (25, 30)]);
        assert_eq!(gaps.as_slice()[2].cause, Reason::Abandoned.words());
        layout.lose_file(2, Reason::Removed);
        assert_eq!(durable.gaps(&layout).bytes(), 6);
    }
}
