//! Rows that a stream draws over by moving the cursor up, as nested progress bars do. Pure.
//!
//! A line of such a stream is a state until it is drawn over, and then it was one, or until the stream
//! goes on below it, and then it is a line. A cursor that went up once may be anything, binary output
//! say; who draws does it again and again.

use std::collections::VecDeque;
use std::ops::Range;

use lastline_line::Offset;

use crate::canvas::Canvas;
use crate::piece::Out;

/// A cursor that went up so often draws.
const DRAWING_UPS: u32 = 2;
/// So many lines are held at most.
const MAX_HELD: usize = 100;

/// What a stream draws over by moving the cursor up.
#[derive(Debug, Default)]
pub(crate) struct Drawing {
    canvas: Canvas,
    /// Lines that may be drawn over, in the order in which they came.
    held: VecDeque<Held>,
}

#[derive(Debug)]
struct Held {
    start: Offset,
    bytes: u64,
    text: Vec<u8>,
    row: i64,
    /// Something was drawn in its place.
    erased: bool,
}

impl Drawing {
    /// Draws `bytes`, which are part of a line.
    pub(crate) fn feed(&mut self, bytes: &[u8], out: &mut impl FnMut(Out<'_>)) {
        let held = &mut self.held;
        self.canvas.feed(bytes, &mut |row| {
            held.iter_mut().filter(|line| line.row == row).for_each(|line| line.erased = true);
        });
        if self.draws() {
            self.held.retain(|line| {
                if line.erased {
                    out(Out::Redrawn(line.bytes));
                }
                !line.erased
            });
        }
    }

    /// A line is complete, with all its bytes drawn but the newline.
    pub(crate) fn hold(
        &mut self,
        start: Offset,
        bytes: u64,
        text: &[u8],
        out: &mut impl FnMut(Out<'_>),
    ) {
        let row = self.canvas.written();
        self.held.push_back(Held { start, bytes, text: text.to_vec(), row, erased: false });
        self.feed(b"\n", out);
        let above = self.canvas.first_live();
        while self.held.front().is_some_and(|line| line.row < above && self.draws())
            || self.held.len() > MAX_HELD
        {
            self.give_first(out);
        }
    }

    /// Whether nothing that was drawn is drawn over any more.
    pub(crate) fn is_over(&self) -> bool {
        self.canvas.is_over()
    }

    /// Nothing of it is drawn over any more: all that is held was a line.
    pub(crate) fn finish(&mut self, out: &mut impl FnMut(Out<'_>)) {
        while !self.held.is_empty() {
            self.give_first(out);
        }
    }

    /// What is seen of it.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &[u8]> {
        self.canvas.live_rows()
    }

    /// Whether lines are held, and nothing shows yet that the stream draws.
    pub(crate) fn is_in_doubt(&self) -> bool {
        !self.held.is_empty() && !self.draws()
    }

    fn draws(&self) -> bool {
        self.canvas.ups() >= DRAWING_UPS
    }

    fn give_first(&mut self, out: &mut impl FnMut(Out<'_>)) {
        let Some(Held { start, bytes, text, .. }) = self.held.pop_front() else {
            return;
        };
        // A line that nothing was drawn over keeps its bytes.
        let text = if self.draws() { without_moves(&text) } else { &text };
        let (filed, continuation, partial, redrawn) = (0, false, false, false);
        out(Out::Line { start, bytes, text, filed, continuation, partial, redrawn });
    }
}

/// Where the last state stands in `text` that says anything: behind the last carriage return that
/// something follows, without what erases or moves the cursor at its ends.
pub(crate) fn newest_state(text: &[u8]) -> Range<usize> {
    let state = strip_returns(text);
    let from = memchr::memrchr(b'\r', state).map_or(0, |at| at + 1);
    let (inner, _) = without_sequences(&state[from..]);
    if state[from..][inner.clone()].trim_ascii().is_empty() {
        return from..from;
    }
    from + inner.start..from + inner.end
}

/// Where the last part of `text` stands that says anything, of those between carriage returns; those
/// behind it erase it. `None` where none does.
pub fn last_part(text: &[u8]) -> Option<Range<usize>> {
    let mut end = strip_returns(text).len();
    while end > 0 {
        let from = memchr::memrchr(b'\r', &text[..end]).map_or(0, |at| at + 1);
        let (inner, _) = without_sequences(&text[from..end]);
        if !text[from..end][inner].trim_ascii().is_empty() {
            return Some(from..end);
        }
        end = strip_returns(&text[..from]).len();
    }
    None
}

/// `text` without the carriage returns at its end.
pub(crate) fn strip_returns(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|&byte| byte != b'\r').map_or(0, |at| at + 1);
    &text[..end]
}

/// Whether lines of `text` may be drawn over by what follows, or draw over what came before: one that
/// ends, or begins, by moving the cursor up. In the middle of a line it is content.
pub(crate) fn moves_up(text: &[u8]) -> bool {
    if memchr::memchr(0x1b, text).is_none() {
        return false;
    }
    let pieces = text.split(|byte| matches!(byte, b'\r' | b'\n'));
    pieces.into_iter().any(|piece| without_moves(piece).len() < piece.len())
}

/// `line` without the sequences at its ends that move the cursor or erase, if one of them moves it
/// up; otherwise as it is.
fn without_moves(line: &[u8]) -> &[u8] {
    let (inner, up) = without_sequences(line);
    if up { &line[inner] } else { line }
}

/// What is between the sequences at the ends of `line` that move the cursor or erase, and whether one
/// of them moves it up.
fn without_sequences(line: &[u8]) -> (Range<usize>, bool) {
    let (mut start, mut end, mut up) = (0, line.len(), false);
    let moves: Vec<_> = sequences(line).filter(|(_, _, last)| *last != b'm').collect();
    for &(from, to, last) in &moves {
        if from == start {
            (start, up) = (to, up || is_up(last));
        }
    }
    for &(from, to, last) in moves.iter().rev() {
        if to == end && from >= start {
            (end, up) = (from, up || is_up(last));
        }
    }
    (start..end, up)
}

/// Cursor up, or to the start of a line above.
fn is_up(last: u8) -> bool {
    matches!(last, b'A' | b'F')
}

/// The control sequences `ESC [ parameters letter`: where each starts and ends, and its letter.
fn sequences(text: &[u8]) -> impl Iterator<Item = (usize, usize, u8)> + '_ {
    memchr::memmem::find_iter(text, b"\x1b[").filter_map(|start| {
        let rest = &text[start + 2..];
        let length = rest.iter().position(|byte| !(0x20..=0x3f).contains(byte))?;
        let last = Some(rest[length]).filter(|last| (0x40..=0x7e).contains(last))?;
        Some((start, start + 2 + length + 1, last))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_and_colours_are_different_things() {
        assert!(moves_up(b" 10%\x1b[A"));
        assert!(moves_up(b"\x1b[1A\x1b[2K building"));
        assert!(moves_up(b"inner\x1b[A\r outer"));
        assert!(!moves_up(b"\x1b[31mred\x1b[0m A"));
        assert!(!moves_up(b"some \x1b[A bytes"), "in the middle it is content");
        assert!(!moves_up(b"\x1b["));
        let text = b"\x1b[1A\x1b[2K\x1b[32mbuilding\x1b[0m 3 s\x1b[A";
        assert_eq!(without_moves(text), b"\x1b[32mbuilding\x1b[0m 3 s");
        assert_eq!(without_moves(b"a \x1b[A b"), b"a \x1b[A b");
    }
}
