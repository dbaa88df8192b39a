//! The sums of a report.

use lastline_appender::Reason;
use lastline_line::StreamLedger;

use crate::Report;

/// The sums of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// Lines read.
    pub lines: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Bytes not shown that should have been.
    pub lost_bytes: u64,
    /// Those of `lost_bytes` that no file has either, nor had when they were to be shown.
    pub gone_bytes: u64,
    /// Bytes that no file has.
    pub not_filed_bytes: u64,
    /// Bytes of which it is [not known](FILING_UNKNOWN) whether a file has them; they are not among `not_filed_bytes`.
    pub filing_unknown_bytes: u64,
    /// Bytes that are filed and could not be forced to disk.
    pub not_synced_bytes: u64,
}

/// Why a report has bytes as not filed whose host was lost before it said what it had filed.
pub const FILING_UNKNOWN: &str = "its host is lost: what it filed is not known here";

impl Report {
    /// The sums over all streams.
    pub fn totals(&self) -> Totals {
        let streams = self.ranks.iter().flat_map(|rank| rank.streams.values());
        streams.fold(Totals::default(), |sum, stream| Totals {
            lines: sum.lines + stream.ledger.read_lines,
            bytes: sum.bytes + stream.ledger.read_bytes,
            lost_bytes: sum.lost_bytes + stream.ledger.lost.bytes(),
            gone_bytes: sum.gone_bytes + gone_bytes(&stream.ledger),
            not_filed_bytes: sum.not_filed_bytes + stream.ledger.not_filed.bytes()
                - filing_unknown_bytes(&stream.ledger),
            filing_unknown_bytes: sum.filing_unknown_bytes + filing_unknown_bytes(&stream.ledger),
            not_synced_bytes: sum.not_synced_bytes + stream.not_synced.bytes(),
        })
    }
}

fn filing_unknown_bytes(ledger: &StreamLedger) -> u64 {
    let gaps = ledger.not_filed.as_slice().iter();
    gaps.filter(|gap| gap.cause == FILING_UNKNOWN).map(|gap| gap.span.len()).sum()
}

fn gone_bytes(ledger: &StreamLedger) -> u64 {
    let pruned = Reason::Pruned.words();
    let gone = ledger.lost.as_slice().iter().map(|gap| match gap.cause == pruned {
        // They count as filed, since they were.
        true => gap.span.len(),
        false => ledger.not_filed.bytes_within(gap.span),
    });
    gone.sum()
}

#[cfg(test)]
mod tests {
    use lastline_line::{Offset, Span};

    use super::*;

    #[test]
    fn what_is_on_no_console_and_in_no_file_is_gone() {
        let mut ledger = StreamLedger::default();
        let span = |from, to| Span::new(Offset(from), Offset(to));
        ledger.lost.declare(span(0, 10), "console closed");
        ledger.lost.declare(span(20, 25), "removed to keep within the maximum size");
        assert_eq!(gone_bytes(&ledger), 5);
        ledger.not_filed.declare(span(8, 12), "no space left on device");
        assert_eq!(gone_bytes(&ledger), 7);
        ledger.not_filed.declare(span(12, 30), FILING_UNKNOWN);
        assert_eq!(filing_unknown_bytes(&ledger), 18);
    }
}
