//! Progress bars: text that is drawn again and again is a state, not a line. Pure.
//!
//! A state is shown a few times a second, and once when it ends; the ones between were drawn over.

use std::time::Duration;

use lastline_line::{Offset, Timestamp};

use crate::lines::Out;

/// A stream's states are shown at most so often: four times a second.
const STATE_EVERY: Duration = Duration::from_millis(250);

/// What a stream draws again and again.
#[derive(Debug, Default)]
pub(crate) struct Bars {
    /// When a state was shown last, or the first one came.
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

    /// Whether a state that arrives at `now` is to be shown; if so it counts as shown. The first
    /// one is not: a bar that is done in a moment is shown by its end alone.
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
        if let Some(held) = self.held.take() {
            out(Out::Redrawn(held.bytes));
        }
        self.held = Some(Held { start, bytes, text: without_moves(text) });
        if self.is_due(now) {
            self.end(out);
        }
    }

    /// Something else follows: the newest state was the last one.
    pub(crate) fn end(&mut self, out: &mut impl FnMut(Out<'_>)) {
        let Some(Held { start, bytes, text }) = self.held.take() else {
            return;
        };
        let (filed, continuation, partial) = (0, false, false);
        out(Out::Line { start, bytes, text: &text, filed, continuation, partial });
    }
}

/// Whether a terminal would move the cursor up somewhere in `text`.
pub(crate) fn moves_up(text: &[u8]) -> bool {
    sequences(text).any(|(_, _, last)| matches!(last, b'A' | b'F'))
}

/// `text` without the sequences that move the cursor or erase; colours stay.
fn without_moves(text: &[u8]) -> Vec<u8> {
    let (mut kept, mut from) = (Vec::with_capacity(text.len()), 0);
    for (start, end, last) in sequences(text) {
        if last != b'm' {
            kept.extend_from_slice(&text[from..start]);
            from = end;
        }
    }
    kept.extend_from_slice(&text[from..]);
    kept
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
    fn moves_are_told_from_colours() {
        assert!(moves_up(b" 10%\x1b[A"));
        assert!(moves_up(b"\x1b[1A\x1b[2K building"));
        assert!(!moves_up(b"\x1b[31mred\x1b[0m A"));
        assert!(!moves_up(b"\x1b["));
        assert_eq!(without_moves(b"\x1b[\x1b[Ax"), b"\x1b[x");
        let text = b"\x1b[1A\x1b[2K\x1b[32mbuilding\x1b[0m 3 s\x1b[A";
        assert_eq!(without_moves(text), b"\x1b[32mbuilding\x1b[0m 3 s");
    }
}
