//! What happens to bytes, on its way into the index.

use lastline_line::{Span, StreamId, Timestamp};

use crate::layout::{Piece, Place};
use crate::record::MAX_EXTENT_BYTES;

/// Bytes of a stream of one time whose place is known now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    pub(crate) stream: StreamId,
    pub(crate) piece: Piece,
    /// When the first of them was read.
    pub(crate) time: Timestamp,
}

impl IndexEntry {
    /// Takes `next` in when it goes on where this one ends, within `within_us` microseconds.
    pub(crate) fn absorb(&mut self, next: &Self, within_us: u64) -> bool {
        let span = Span::new(self.piece.span.from, next.piece.span.to);
        let meets = self.stream == next.stream
            && self.piece.span.to == next.piece.span.from
            && self.piece.since(next.piece.span.from).place == next.piece.place
            && next.time.0.saturating_sub(self.time.0) <= within_us
            && span.len() <= MAX_EXTENT_BYTES;
        if meets {
            self.piece.span = span;
        }
        meets
    }

    pub(crate) fn is_filed(&self) -> bool {
        matches!(self.piece.place, Place::Filed { .. })
    }
}

#[cfg(test)]
mod tests {
    use lastline_line::{Launch, Offset, Stream};

    use super::*;

    fn entry(from: u64, to: u64, position: u64, time: u64) -> IndexEntry {
        IndexEntry {
            stream: StreamId::new(Launch(1), 0, Stream::Stdout),
            piece: Piece {
                span: Span::new(Offset(from), Offset(to)),
                place: Place::Filed { file: 1, position },
            },
            time: Timestamp(time),
        }
    }

    #[test]
    fn what_goes_on_at_once_is_one_entry() {
        let table = [
            (entry(10, 15, 10, 100), true),
            (entry(10, 15, 10, 1000), true),
            (entry(10, 15, 10, 1001), false),
            (entry(10, 15, 11, 0), false),
            (entry(11, 15, 11, 0), false),
            (entry(10, MAX_EXTENT_BYTES, 10, 0), true),
            (entry(10, MAX_EXTENT_BYTES + 1, 10, 0), false),
        ];
        for (next, taken) in table {
            let mut first = entry(0, 10, 0, 0);
            assert_eq!(first.absorb(&next, 1000), taken, "{next:?}");
            assert_eq!(first.piece.span.to == next.piece.span.to, taken);
        }
    }
}
