//! Progress bars: text that is drawn again and again is a state, not a line. Pure.
//!
//! A state is shown a few times a second, and once when it ends; the ones between were drawn over.
//! Within a line, where `\r` redraws, only a state that has been drawn over is known to be complete, so
//! what is shown is one behind what was drawn last; the end of the line shows that.

use std::ops::Range;
use std::time::Duration;

use lastline_line::{Offset, Timestamp};

use crate::piece::Out;

/// A stream's states are shown at most so often: four times a second.
const STATE_EVERY: Duration = Duration::from_millis(250);

/// What a stream draws again and again.
#[derive(Debug, Default)]
pub(crate) struct Bars {
    /// When a state was shown last, or the first one began.
    shown: Option<Timestamp>,
    /// The newest state that was not shown: it is when it turns out to be the last.
    held: Option<Held>,
}

#[derive(Debug)]
struct Held {
    start: Offset,
    bytes: u64,
    text: Vec<u8>,
}

impl Bars {
    /// Whether nothing is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_none()
    }

    /// The first state may begin at `now`. It is not shown at once: a bar that is done in a moment is
    /// shown by its end alone.
    pub(crate) fn begin(&mut self, now: Timestamp) {
        self.shown.get_or_insert(now);
    }

    /// Whether a state is to be shown at `now`; if so it counts as shown.
    pub(crate) fn is_due(&mut self, now: Timestamp) -> bool {
        let shown = *self.shown.get_or_insert(now);
        let due = now.since(shown) >= STATE_EVERY;
        if due {
            self.shown = Some(now);
        }
        due
    }

    /// A line that moves the cursor up, as nested bars do: it will be drawn over, or is the last.
    pub(crate) fn offer(
        &mut self,
        start: Offset,
        bytes: u64,
        text: &[u8],
        now: Timestamp,
        out: &mut impl FnMut(Out<'_>),
    ) {
        self.draw_over(out);
        self.held = Some(Held { start, bytes, text: without_moves(text).to_vec() });
        if self.is_due(now) {
            self.end(out);
        }
    }

    /// Something else follows: the newest state was the last one.
    pub(crate) fn end(&mut self, out: &mut impl FnMut(Out<'_>)) {
        let Some(Held { start, bytes, text }) = self.held.take() else {
            return;
        };
        let (filed, continuation, partial, redrawn) = (0, false, false, false);
        out(Out::Line { start, bytes, text: &text, filed, continuation, partial, redrawn });
    }

    /// A newer state is shown instead of the one that is held.
    pub(crate) fn draw_over(&mut self, out: &mut impl FnMut(Out<'_>)) {
        if let Some(held) = self.held.take() {
            out(Out::Redrawn(held.bytes));
        }
    }
}

/// Where, in text that ends with a carriage return, the last state stands that says anything: without
/// the returns after it, and without what erases or moves the cursor at its ends.
pub(crate) fn newest_state(text: &[u8]) -> Range<usize> {
    let state = strip_returns(text);
    let from = memchr::memrchr(b'\r', state).map_or(0, |at| at + 1);
    let (inner, _) = without_sequences(&state[from..]);
    if state[from..][inner.clone()].trim_ascii().is_empty() {
        return from..from;
    }
    from + inner.start..from + inner.end
}

/// `text` without the carriage returns at its end.
pub(crate) fn strip_returns(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|&byte| byte != b'\r').map_or(0, |at| at + 1);
    &text[..end]
}

/// Whether lines of `text` are drawn over by what follows, or draw over what came before: one that
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
