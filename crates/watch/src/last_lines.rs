//! Which lines are the last ones. No IO.

use std::collections::{BTreeMap, BTreeSet};

use lastline_line::{Offset, Span, StreamId};

/// Chooses the last lines of several streams, whose pieces are in one order and are taken from the last
/// to the first. A line counts where it ends; the last one of a stream is a line without a newline, too.
/// It is wanted from where it begins, however many pieces before that is.
#[derive(Debug)]
pub struct LastLines {
    left: u64,
    /// From where each stream is wanted of which something was taken.
    from: BTreeMap<StreamId, Offset>,
    /// Those whose first line that is wanted may begin before that.
    begin_before: BTreeSet<StreamId>,
}

impl LastLines {
    /// So many lines.
    pub fn new(lines: u64) -> Self {
        Self { left: lines, from: BTreeMap::new(), begin_before: BTreeSet::new() }
    }

    /// Whether there are too few lines yet.
    pub fn wants_more(&self) -> bool {
        self.left > 0
    }

    /// Whether the piece of a stream before those that were taken is to be taken.
    pub fn wants(&self, stream: StreamId) -> bool {
        self.wants_more() || self.begin_before.contains(&stream)
    }

    /// Whether no piece of any stream is to be taken any more.
    pub fn is_complete(&self) -> bool {
        !self.wants_more() && self.begin_before.is_empty()
    }

    /// Takes the piece before those that were taken, which [is wanted](Self::wants) and in which lines
    /// end at these places ([`line_ends`]): from where it is wanted.
    pub fn take(&mut self, stream: StreamId, span: Span, mut line_ends: Vec<Offset>) -> Offset {
        let is_its_last = !self.from.contains_key(&stream);
        if is_its_last && line_ends.last() != Some(&span.to) {
            line_ends.push(span.to);
        }
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX);
        let last_unwanted = line_ends.len().saturating_sub(wanted).checked_sub(1);
        let begins = last_unwanted.map(|at| line_ends[at]);
        let from = begins.unwrap_or(span.from);
        if begins.is_some() || from == Offset::ZERO {
            self.begin_before.remove(&stream);
        } else {
            self.begin_before.insert(stream);
        }
        self.left = self.left.saturating_sub(line_ends.len() as u64);
        self.from.insert(stream, from);
        from
    }

    /// From where each stream is wanted of which something was taken.
    pub fn into_places(self) -> BTreeMap<StreamId, Offset> {
        self.from
    }
}

/// Where lines end in bytes of a stream that begin at `start`: one past each newline.
pub fn line_ends(start: Offset, bytes: &[u8]) -> impl Iterator<Item = Offset> {
    let newlines = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    newlines.map(move |(index, _)| start + index as u64 + 1)
}

#[cfg(test)]
mod tests {
    use lastline_testing::stdout;

    use super::*;

    /// Takes pieces, each of a rank, from the last to the first, while lines are wanted.
    fn choose(lines: u64, pieces: &[(u32, u64, &str)]) -> (Vec<(u32, u64)>, bool) {
        let mut last = LastLines::new(lines);
        for (rank, start, text) in pieces.iter().rev() {
            if last.wants(stdout(*rank)) {
                let (start, bytes) = (Offset(*start), text.as_bytes());
                let span = Span::new(start, start + bytes.len() as u64);
                last.take(stdout(*rank), span, line_ends(start, bytes).collect());
            }
        }
        let wants_more = last.wants_more();
        let places = last.into_places().into_iter();
        (places.map(|(stream, from)| (stream.rank, from.0)).collect(), wants_more)
    }

    #[test]
    fn lines_are_counted_from_the_end_over_all_streams() {
        let pieces = [(0, 0, "a\nb\n"), (1, 0, "c\n"), (0, 4, "d\ne\n"), (1, 2, "f\n")];
        assert_eq!(choose(0, &pieces), (vec![], false));
        assert_eq!(choose(1, &pieces), (vec![(1, 2)], false));
        assert_eq!(choose(2, &pieces), (vec![(0, 6), (1, 2)], false));
        assert_eq!(choose(4, &pieces), (vec![(0, 4), (1, 0)], false));
        assert_eq!(choose(5, &pieces), (vec![(0, 2), (1, 0)], false));
        assert_eq!(choose(6, &pieces), (vec![(0, 0), (1, 0)], false));
        assert_eq!(choose(7, &pieces), (vec![(0, 0), (1, 0)], true));
    }

    #[test]
    fn the_last_line_of_a_stream_needs_no_newline() {
        let pieces = [(0, 0, "a\nb"), (1, 0, "c\nd")];
        assert_eq!(choose(1, &pieces), (vec![(1, 2)], false));
        assert_eq!(choose(2, &pieces), (vec![(1, 0)], false));
        assert_eq!(choose(3, &pieces), (vec![(0, 2), (1, 0)], false));
        // It is one line in three pieces.
        let pieces = [(0, 0, "a\nb"), (0, 3, "c"), (0, 4, "d")];
        assert_eq!(choose(2, &pieces), (vec![(0, 0)], false));
        assert_eq!(choose(3, &pieces), (vec![(0, 0)], true));
    }

    #[test]
    fn a_line_is_wanted_from_where_it_begins() {
        let pieces = [(0, 0, "a\nb"), (1, 0, "x\n"), (0, 3, "c"), (1, 2, "y\n"), (0, 4, "d\n")];
        assert_eq!(choose(1, &pieces), (vec![(0, 2)], false));
        assert_eq!(choose(2, &pieces), (vec![(0, 2), (1, 2)], false));
        assert_eq!(choose(3, &pieces), (vec![(0, 2), (1, 0)], false));
        // What is before the first piece is not there any more.
        assert_eq!(choose(1, &[(0, 7, "b"), (0, 8, "c\n")]), (vec![(0, 7)], false));
        // A line may have a hole.
        assert_eq!(choose(1, &[(0, 0, "a\nb"), (0, 8, "c\n")]), (vec![(0, 2)], false));
    }
}
