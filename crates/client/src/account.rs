//! What the client knows of one stream: how far it has come, and what became of its bytes.

use lastline_line::{Gap, Gaps, Offset, Span, Timestamp, Withheld, WithheldBytes};

/// One stream's side of the ledger that the client keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Account {
    /// Every byte below has come, or is known not to.
    pub received: Offset,
    /// The newlines that have come, where they are counted ([`Options::count_lines`](crate::Options::count_lines)).
    pub received_lines: u64,
    /// On the console, in bytes of the stream.
    pub shown_bytes: u64,
    /// Not on the console, as asked for.
    pub withheld: WithheldBytes,
    /// Not on the console, and should be.
    pub lost: Gaps,
    /// Where the stream ended, once it has.
    pub ended: Option<Offset>,
    /// Why nothing more of it came, where that is not because it had ended.
    pub interrupted: Option<String>,
    /// The last mark of a barrier that has come.
    pub mark: Option<Offset>,
    /// When its last bytes were read.
    pub last_arrival: Option<Timestamp>,
    /// Pieces that came with bytes missing before them.
    pub gaps: u64,
    /// Pieces of which a part had come before.
    pub overlaps: u64,
    /// Pieces that had come before as a whole.
    pub repeats: u64,
}

impl Account {
    /// A piece that covers `span` has come: what of it is new. Bytes that are missing before it
    /// are declared lost.
    pub(crate) fn arrive(&mut self, span: Span) -> Span {
        if span.to <= self.received {
            self.repeats += u64::from(!span.is_empty());
            return Span::new(self.received, self.received);
        }
        let fresh = Span::new(span.from.max(self.received), span.to);
        if span.from < self.received {
            self.overlaps += 1;
        }
        if span.from > self.received {
            self.gaps += 1;
            self.lose(Span::new(self.received, span.from), "never arrived");
        }
        self.received = span.to;
        fresh
    }

    /// Declares lost a span of which nothing was said before.
    pub(crate) fn lose(&mut self, span: Span, cause: &str) {
        let gaps = self.lost.as_slice();
        let at = gaps.partition_point(|gap| gap.span.from < span.from);
        if at == gaps.len() {
            return self.lost.declare(span, cause);
        }
        let mut sorted = Gaps::default();
        let (before, after) = gaps.split_at(at);
        before.iter().for_each(|gap| sorted.declare(gap.span, &gap.cause));
        sorted.declare(span, cause);
        after.iter().for_each(|gap| sorted.declare(gap.span, &gap.cause));
        self.lost = sorted;
    }

    /// Counts bytes that were withheld.
    pub(crate) fn withhold(&mut self, reason: Withheld, bytes: u64) {
        self.withheld.add(reason, bytes);
    }

    /// Bytes below `received` of which nothing is said yet.
    pub(crate) fn unaccounted(&self) -> u64 {
        let said = self.shown_bytes + self.withheld.total() + self.lost.bytes();
        self.received.0.saturating_sub(said)
    }

    /// Declares lost what came and was not shown, which is the end of what came, and what did not
    /// come of the `read` bytes.
    pub fn settle(&mut self, read: Offset, cause: &str) {
        for span in self.last_free(self.unaccounted()) {
            self.lose(span, cause);
        }
        self.lose(Span::new(self.received, read), cause);
        self.received = self.received.max(read);
    }

    /// The same of a stream that is not to be shown: nothing of it is missed.
    pub fn settle_hidden(&mut self, read: Offset) {
        let rest = self.unaccounted() + read.0.saturating_sub(self.received.0);
        self.withhold(Withheld::Show, rest);
        self.received = self.received.max(read);
    }

    /// The last `bytes` received that are in no gap.
    fn last_free(&self, mut bytes: u64) -> Vec<Span> {
        let (mut spans, mut to) = (Vec::new(), self.received);
        let gaps = self.lost.as_slice().iter().rev().map(|gap| gap.span);
        for gap in gaps.chain([Span::default()]) {
            let free = bytes.min(to - gap.to);
            spans.push(Span::new(Offset(to.0 - free), to));
            bytes -= free;
            to = to.min(gap.from);
        }
        spans
    }

    /// What was lost of a stream of which nothing more comes, if anything was: the first of it. What
    /// is missing of one that broke off may be of unknown length.
    pub(crate) fn loss_at_end(&self) -> Option<Gap> {
        let unknown = |cause: &String| Gap {
            span: Span::new(self.received, self.received),
            cause: cause.clone(),
        };
        let known = self.lost.first_below(self.received).cloned();
        known.or_else(|| self.interrupted.as_ref().map(unknown))
    }

    /// Up to where everything has been decided.
    pub fn shown(&self) -> Offset {
        Offset(self.received.0 - self.unaccounted())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(from: u64, to: u64) -> Span {
        Span::new(Offset(from), Offset(to))
    }

    #[test]
    fn gaps_overlaps_and_repeats_are_seen_and_counted() {
        let mut account = Account::default();
        assert_eq!(account.arrive(span(0, 10)), span(0, 10));
        assert!(account.arrive(span(2, 10)).is_empty());
        assert_eq!(account.arrive(span(5, 15)), span(10, 15));
        assert_eq!(account.arrive(span(20, 22)), span(20, 22));
        assert_eq!((account.gaps, account.overlaps, account.repeats), (1, 1, 1));
        assert_eq!(account.lost.bytes(), 5);
        assert_eq!(account.received, Offset(22));
    }

    #[test]
    fn settling_leaves_out_what_is_declared_already() {
        let mut account = Account::default();
        account.arrive(span(0, 10));
        account.arrive(span(20, 30));
        account.shown_bytes = 5;
        account.settle(Offset(30), "console closed");
        let lost: Vec<_> = account.lost.as_slice().iter().map(|gap| gap.span).collect();
        assert_eq!(lost, [span(5, 10), span(10, 20), span(20, 30)]);
        assert_eq!(account.unaccounted(), 0);
    }

    #[test]
    fn of_what_is_not_to_be_shown_nothing_is_lost() {
        let mut account = Account::default();
        account.arrive(span(0, 10));
        account.withhold(Withheld::Show, 10);
        account.arrive(span(10, 14));
        account.settle_hidden(Offset(30));
        assert_eq!((account.withheld.total(), account.lost.bytes()), (30, 0));
        assert_eq!((account.unaccounted(), account.received), (0, Offset(30)));
    }

    #[test]
    fn settling_declares_what_nobody_spoke_of() {
        let mut account = Account::default();
        account.arrive(span(0, 10));
        account.shown_bytes = 6;
        account.settle(Offset(12), "console closed");
        assert_eq!(account.lost.bytes(), 6);
        assert_eq!(account.lost.as_slice().len(), 1);
        assert_eq!((account.unaccounted(), account.received), (0, Offset(12)));
    }
}
