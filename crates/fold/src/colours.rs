//! The colours of an entry whose lines agree on them.

use lastline_line::{colour_marks, is_reset};

use crate::place::Place;
use crate::statement::hash::{mix, word};

const RESET: &[u8] = b"\x1b[0m";

/// The same for texts that have the same colours at the same places, seen from their variables; zero
/// for none. `places` are those of the plain text.
pub(crate) fn key(text: &[u8], places: &[Place]) -> u64 {
    let mut key = 0;
    let mut before = 0;
    colour_marks(text, |at, mark| {
        while places.get(before).is_some_and(|place| place.end as usize <= at) {
            before += 1;
        }
        let from = before.checked_sub(1).map_or(0, |last| places[last].end as usize);
        let inside = places.get(before).is_some_and(|place| (place.start as usize) < at);
        // Within a variable the distance says nothing: it may have any length.
        let distance = if inside { usize::MAX } else { at - from };
        let place = mix(before as u64 + 1, distance as u64 ^ 0x9e37_79b9_7f4a_7c15);
        key = mix(key ^ place ^ 1, word(mark, 0, mark.len()) | 1);
    });
    key
}

/// Writes parts of a plain text from left to right, with the colours of the text it is of.
pub(crate) struct Painter<'t> {
    plain: &'t [u8],
    marks: Vec<(usize, &'t [u8])>,
    next: usize,
    coloured: bool,
}

impl<'t> Painter<'t> {
    /// Of `plain`, with the colours of `text` if it is given.
    pub(crate) fn new(plain: &'t [u8], text: Option<&'t [u8]>) -> Self {
        let mut marks = Vec::new();
        colour_marks(text.unwrap_or_default(), |at, mark| marks.push((at, mark)));
        Self { plain, marks, next: 0, coloured: false }
    }

    /// Writes the plain text from one place to another, and the colours before each part of it.
    pub(crate) fn copy(&mut self, mut from: usize, to: usize, into: &mut Vec<u8>) {
        while let Some(&(at, _)) = self.marks.get(self.next).filter(|(at, _)| *at < to) {
            into.extend_from_slice(&self.plain[from..at.max(from)]);
            from = at.max(from);
            self.mark(at, into);
        }
        into.extend_from_slice(&self.plain[from..to]);
    }

    /// Writes the colours up to a place, that included.
    pub(crate) fn mark(&mut self, at: usize, into: &mut Vec<u8>) {
        while let Some(&(_, mark)) = self.marks.get(self.next).filter(|(of, _)| *of <= at) {
            into.extend_from_slice(mark);
            self.coloured = !is_reset(mark);
            self.next += 1;
        }
    }

    /// Writes what is left of the colours, and sets them back.
    pub(crate) fn finish(&mut self, into: &mut Vec<u8>) {
        self.mark(usize::MAX, into);
        if self.coloured {
            into.extend_from_slice(RESET);
        }
    }
}
