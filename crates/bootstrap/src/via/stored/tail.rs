//! The last lines of what is read from the front. Pure.

use std::collections::{BTreeMap, VecDeque};

use lastline_line::{Chunk, Offset, Span, StreamId};
use lastline_nats::Positions;
use lastline_watch::{LastLines, line_ends};

/// Where the last lines are.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tail {
    /// They are behind this place.
    pub(super) after: Positions,
    /// And in each stream behind this one.
    pub(super) places: BTreeMap<StreamId, Offset>,
    /// They are as many as were wanted.
    pub(super) is_whole: bool,
}

/// Holds of chunks that come one after the other where the last lines are: their bytes are let go.
#[derive(Debug)]
pub(super) struct Window {
    lines: u64,
    pieces: VecDeque<Piece>,
    /// How many newlines are in them.
    newlines: u64,
    /// Up to where each stream has come.
    ends: BTreeMap<StreamId, Offset>,
}

#[derive(Debug)]
struct Piece {
    stream: StreamId,
    span: Span,
    line_ends: Vec<Offset>,
    after: Positions,
}

impl Window {
    pub(super) fn new(lines: u64) -> Self {
        Self { lines, pieces: VecDeque::new(), newlines: 0, ends: BTreeMap::new() }
    }

    /// Takes the next chunk, which is behind the place `after`.
    pub(super) fn push(&mut self, chunk: &Chunk, after: Positions) {
        let (stream, span) = (chunk.stream, chunk.span());
        let line_ends: Vec<Offset> = line_ends(chunk.start, &chunk.bytes).collect();
        self.newlines += line_ends.len() as u64;
        self.ends.insert(stream, span.to);
        self.pieces.push_back(Piece { stream, span, line_ends, after });
        self.let_go();
    }

    /// What is before enough lines, whatever comes, is not wanted.
    fn let_go(&mut self) {
        while let Some(first) = self.pieces.front() {
            let rest = self.newlines - first.line_ends.len() as u64;
            if rest < self.lines {
                break;
            }
            self.newlines = rest;
            self.pieces.pop_front();
        }
    }

    /// Where the last lines are; behind `end` where there is none.
    pub(super) fn tail(mut self, end: Positions) -> Tail {
        let (mut last, mut after) = (LastLines::new(self.lines), end);
        while last.wants_more()
            && let Some(piece) = self.pieces.pop_back()
        {
            last.take(piece.stream, piece.span, piece.line_ends);
            after = piece.after;
        }
        let (is_whole, mut places) = (!last.wants_more(), self.ends);
        places.extend(last.into_places());
        Tail { after, places, is_whole }
    }
}

#[cfg(test)]
mod tests {
    use lastline_testing::{chunk, stdout};

    use super::*;

    /// The tail of chunks at the places 1, 2, 3, …: behind which place it is, from where each of two ranks.
    fn tail(lines: u64, chunks: &[(u32, u64, &str)]) -> (u64, Vec<u64>, bool) {
        let mut window = Window::new(lines);
        for (output, (rank, at, text)) in (0..).zip(chunks) {
            window.push(&chunk(stdout(*rank), *at, text.as_bytes()), Positions { output });
        }
        let end = Positions { output: chunks.len() as u64 };
        let Tail { after, places, is_whole } = window.tail(end);
        let from = [0, 1].map(|rank| places.get(&stdout(rank)).map_or(0, |place| place.0));
        (after.output, from.to_vec(), is_whole)
    }

    const CHUNKS: [(u32, u64, &str); 4] =
        [(0, 0, "a\nb\n"), (1, 0, "c\n"), (0, 4, "d\ne\n"), (1, 2, "f\n")];

    #[test]
    fn it_begins_at_the_first_line_that_is_wanted() {
        assert_eq!(tail(0, &CHUNKS), (4, vec![8, 4], true));
        assert_eq!(tail(1, &CHUNKS), (3, vec![8, 2], true));
        assert_eq!(tail(2, &CHUNKS), (2, vec![6, 2], true));
        assert_eq!(tail(4, &CHUNKS), (1, vec![4, 0], true));
        assert_eq!(tail(5, &CHUNKS), (0, vec![2, 0], true));
        assert_eq!(tail(6, &CHUNKS), (0, vec![0, 0], true));
        assert_eq!(tail(7, &CHUNKS), (0, vec![0, 0], false));
        assert_eq!(tail(3, &[]), (0, vec![0, 0], false));
    }

    #[test]
    fn a_line_that_no_newline_ends_is_a_line() {
        let chunks = [(0, 0, "a\n"), (0, 2, "b\n"), (1, 0, "c"), (0, 4, "d")];
        assert_eq!(tail(1, &chunks), (3, vec![4, 1], true));
        assert_eq!(tail(2, &chunks), (2, vec![4, 0], true));
        assert_eq!(tail(3, &chunks), (1, vec![2, 0], true));
    }

    #[test]
    fn what_is_not_wanted_is_let_go() {
        let mut window = Window::new(3);
        for output in 0..1_000 {
            let line = chunk(stdout(0), 2 * output, b"a\n");
            window.push(&line, Positions { output });
            assert!(window.pieces.len() <= 3);
        }
    }
}
