//! The sums of a report.

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
    /// Bytes that no file has.
    pub not_filed_bytes: u64,
    /// Bytes that are filed and could not be forced to disk.
    pub not_synced_bytes: u64,
}

impl Report {
    /// The sums over all streams.
    pub fn totals(&self) -> Totals {
        let streams = self.ranks.iter().flat_map(|rank| rank.streams.values());
        streams.fold(Totals::default(), |sum, stream| Totals {
            lines: sum.lines + stream.ledger.read_lines,
            bytes: sum.bytes + stream.ledger.read_bytes,
            lost_bytes: sum.lost_bytes + stream.ledger.lost.bytes(),
            not_filed_bytes: sum.not_filed_bytes + stream.ledger.not_filed.bytes(),
            not_synced_bytes: sum.not_synced_bytes + stream.not_synced.bytes(),
        })
    }
}
