//! Which lines are the last ones. No IO.

use std::collections::BTreeMap;

use lastline_line::{Offset, Span, StreamId};

/// Chooses the last lines of several streams, whose pieces are in one order and are taken from the last
/// to the first. A line counts where it ends; the last one of a stream is a line without a newline, too.
#[derive(Debug)]
pub struct LastLines {
    left: u64,
    /// From where each stream is wanted of which something was taken.
    from: BTreeMap<StreamId, Offset>,
}

impl LastLines {
    /// So many lines.
    pub fn new(lines: u64) -> Self {
        Self { left: lines, from: BTreeMap::new() }
    }

    /// Whether there are too few lines yet.
    pub fn wants_more(&self) -> bool {
        self.left > 0
    }

    /// Takes the piece before those that were taken, in which lines end at these places
    /// ([`line_ends`]): from where it is wanted.
    pub fn take(&mut self, stream: StreamId, span: Span, mut line_ends: Vec<Offset>) -> Offset {
        let is_its_last = !self.from.contains_key(&stream);
        if is_its_last && line_ends.last() != Some(&span.to) {
            line_ends.push(span.to);
        }
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX);
        let from = match line_ends.len().saturating_sub(wanted).checked_sub(1) {
            Some(last_unwanted) => line_ends[last_unwanted],
            None => span.from,
        };
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
            if last.wants_more() {
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
}
