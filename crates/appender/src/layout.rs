//! Where each byte of a stream stands, and which ones stand nowhere.

use lastline_line::{Gaps, Offset, Span};

use crate::Reason;

/// Where bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the stream's file of this number, from this position on.
    Filed { file: u32, position: u64 },
    /// In none.
    Missing(Reason),
}

impl Place {
    /// The place of a byte that stands `bytes` behind.
    fn advanced(self, bytes: u64) -> Self {
        match self {
            Self::Filed { file, position } => Self::Filed { file, position: position + bytes },
            missing @ Self::Missing(_) => missing,
        }
    }

    /// Why bytes that have this place were never in a file, or were lost with it.
    pub(crate) fn gap(self) -> Option<Reason> {
        match self {
            Self::Missing(reason) if !reason.was_filed() => Some(reason),
            _ => None,
        }
    }
}

/// Bytes that are together in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) span: Span,
    pub(crate) place: Place,
}

impl Piece {
    /// What is left of it from `from` on.
    pub(crate) fn since(self, from: Offset) -> Self {
        let span = Span::new(from.max(self.span.from), self.span.to);
        Self { span, place: self.place.advanced(span.from - self.span.from) }
    }
}

/// The map of one stream, from its first byte to where it is settled.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout {
    /// In order, without holes and overlaps, from offset 0 on; neighbours that are one are joined.
    pieces: Vec<Piece>,
}

impl Layout {
    /// Up to where bytes are filed, or known not to be.
    pub(crate) fn end(&self) -> Offset {
        self.pieces.last().map_or(Offset::ZERO, |piece| piece.span.to)
    }

    /// Says what became of the next `bytes` of the stream, and which those are.
    pub(crate) fn push(&mut self, bytes: u64, place: Place) -> Span {
        let span = Span::new(self.end(), self.end() + bytes);
        self.join(Piece { span, place });
        span
    }

    fn join(&mut self, next: Piece) {
        if next.span.is_empty() {
            return;
        }
        match self.pieces.last_mut() {
            Some(last)
                if last.span.to == next.span.from
                    && last.place.advanced(last.span.len()) == next.place =>
            {
                last.span.to = next.span.to;
            }
            _ => self.pieces.push(next),
        }
    }

    /// The piece that holds the byte at `offset`, from there on; `None` when it is not settled.
    pub(crate) fn find(&self, offset: Offset) -> Option<Piece> {
        let after = self.pieces.partition_point(|piece| piece.span.to <= offset);
        self.pieces.get(after).map(|piece| piece.since(offset))
    }

    /// Whether every byte of `span` stands in a file.
    pub(crate) fn holds(&self, span: Span) -> bool {
        let first = self.pieces.partition_point(|piece| piece.span.to <= span.from);
        let over = self.pieces[first..].iter().take_while(|piece| piece.span.from < span.to);
        self.end() >= span.to
            && over.into_iter().all(|piece| matches!(piece.place, Place::Filed { .. }))
    }

    /// The first bytes below `to` that were never in a file, or were lost with it.
    pub(crate) fn first_gap(&self, to: Offset) -> Option<(Span, Reason)> {
        let below = self.pieces.iter().take_while(|piece| piece.span.from < to);
        below.into_iter().find_map(|piece| Some((piece.span, piece.place.gap()?)))
    }

    /// Everything that stood in a file is missing from now on, because of `reason`.
    pub(crate) fn lose_file(&mut self, lost: u32, reason: Reason) -> Vec<Span> {
        let is_lost =
            |piece: &Piece| matches!(piece.place, Place::Filed { file, .. } if file == lost);
        let spans: Vec<Span> =
            self.pieces.iter().filter(|piece| is_lost(piece)).map(|piece| piece.span).collect();
        for piece in std::mem::take(&mut self.pieces) {
            let place = if is_lost(&piece) { Place::Missing(reason) } else { piece.place };
            self.join(Piece { place, ..piece });
        }
        spans
    }

    /// Puts `place` over what was said about the part of `span` that is settled; nothing else
    /// changes.
    pub(crate) fn replace(&mut self, span: Span, place: Place) {
        for piece in std::mem::take(&mut self.pieces) {
            let over = piece.span.intersection(&span);
            if over.is_empty() {
                self.join(piece);
                continue;
            }
            let before = Span::new(piece.span.from, over.from);
            self.join(Piece { span: before, place: piece.place });
            self.join(Piece { span: over, place: place.advanced(over.from - span.from) });
            self.join(piece.since(over.to));
        }
    }

    /// All pieces, in order.
    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The bytes that were filed, those included that lastline itself removed later.
    pub(crate) fn filed_bytes(&self) -> u64 {
        let filed = self.pieces.iter().filter(|piece| match piece.place {
            Place::Filed { .. } => true,
            Place::Missing(reason) => reason.was_filed(),
        });
        filed.map(|piece| piece.span.len()).sum()
    }

    /// The gaps for which `wanted` holds.
    pub(crate) fn gaps(&self, wanted: impl Fn(Reason) -> bool) -> Gaps {
        let mut gaps = Gaps::default();
        for piece in &self.pieces {
            if let Place::Missing(reason) = piece.place
                && wanted(reason)
            {
                gaps.declare(piece.span, &reason.words());
            }
        }
        gaps
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filed(file: u32, position: u64) -> Place {
        Place::Filed { file, position }
    }

    fn span(from: u64, to: u64) -> Span {
        Span::new(Offset(from), Offset(to))
    }

    #[test]
    fn bytes_after_a_gap_stand_before_their_offset() {
        let mut layout = Layout::default();
        layout.push(10, filed(1, 0));
        layout.push(5, Place::Missing(Reason::Os(28)));
        layout.push(3, filed(1, 10));
        layout.push(3, filed(1, 13));
        assert_eq!(layout.pieces().len(), 3);
        assert_eq!(layout.find(Offset(17)).unwrap().place, filed(1, 12));
        assert_eq!(layout.find(Offset(12)).unwrap().span, span(12, 15));
        assert_eq!(layout.find(Offset(21)), None);
        assert_eq!(layout.filed_bytes(), 16);
        assert_eq!(layout.gaps(|_| true).bytes(), 5);
    }

    #[test]
    fn a_span_is_held_when_no_byte_of_it_is_missing() {
        let mut layout = Layout::default();
        layout.push(10, filed(1, 0));
        layout.push(5, Place::Missing(Reason::Pruned));
        layout.push(10, filed(2, 0));
        let held = [(0, 10), (3, 7), (15, 25), (20, 25), (7, 7)];
        let not_held = [(0, 11), (9, 16), (10, 15), (12, 13), (14, 16), (0, 25), (20, 26)];
        let holds = |(from, to)| layout.holds(Span::new(Offset(from), Offset(to)));
        assert!(held.into_iter().all(holds));
        assert!(!not_held.into_iter().any(holds));
    }

    #[test]
    fn a_file_that_was_pruned_was_filed_and_one_that_was_removed_was_not() {
        let mut layout = Layout::default();
        layout.push(10, filed(1, 0));
        layout.push(10, filed(2, 0));
        layout.push(10, filed(3, 0));
        assert_eq!(layout.lose_file(1, Reason::Pruned), [span(0, 10)]);
        assert_eq!(layout.lose_file(2, Reason::Removed), [span(10, 20)]);
        assert_eq!(layout.filed_bytes(), 20);
        assert_eq!(layout.gaps(|reason| !reason.was_filed()).bytes(), 10);
    }

    #[test]
    fn replacing_touches_nothing_else() {
        let mut layout = Layout::default();
        layout.push(10, filed(1, 0));
        layout.push(10, filed(2, 0));
        layout.replace(span(5, 15), Place::Missing(Reason::Pruned));
        assert_eq!(layout.find(Offset(4)).unwrap().span, span(4, 5));
        assert_eq!(layout.find(Offset(5)).unwrap().span, span(5, 15));
        assert_eq!(layout.find(Offset(15)).unwrap().place, filed(2, 5));
        layout.replace(span(18, 40), Place::Missing(Reason::Removed));
        assert_eq!(layout.end(), Offset(20));
    }

    proptest! {
        /// A layout says of every byte what was said of it last.
        #[test]
        fn a_layout_is_a_map_of_bytes(
            pushes in proptest::collection::vec((1_u64..9, 0_u32..4), 1..20),
            replaced in proptest::collection::vec((0_u64..80, 0_u64..20, 0_u32..4), 0..6),
        ) {
            let place = |kind: u32, position: u64| match kind {
                0 => Place::Missing(Reason::Failed),
                1 => Place::Missing(Reason::Removed),
                file => filed(file, position),
            };
            let (mut layout, mut model) = (Layout::default(), Vec::new());
            for (bytes, kind) in pushes {
                let position = model.len() as u64;
                layout.push(bytes, place(kind, position));
                model.extend((position..position + bytes).map(|at| place(kind, at)));
            }
            for (from, bytes, kind) in replaced {
                layout.replace(span(from, from + bytes), place(kind, 7));
                for at in from..(from + bytes).min(model.len() as u64) {
                    model[at as usize] = place(kind, 7 + at - from);
                }
            }
            prop_assert_eq!(layout.end().0, model.len() as u64);
            for (at, place) in model.iter().enumerate() {
                let found = layout.find(Offset(at as u64)).unwrap();
                prop_assert_eq!(&found.place, place);
            }
        }
    }
}
