//! From a stream's bytes to the lines that a console shows. Pure.
//!
//! A trailing carriage return belongs to the line ending; before that, what follows the last
//! carriage return is what a terminal would show, and the rest was redrawn: states of a progress bar,
//! a few of which are lines too.

use lastline_line::{Offset, Timestamp};

use crate::bar::{Bars, moves_up, newest_state, strip_returns};
use crate::piece::Out;

/// A line's buffer that grew beyond this is released with the line, in bytes.
const KEPT_BYTES: usize = 1 << 10;

/// The open line of a stream.
#[derive(Debug, Default)]
pub(crate) struct OpenLine {
    /// A line's parts are printed one after the other as they are, on a console of their own, so
    /// that a carriage return between them still redraws.
    raw: bool,
    /// The visible text so far, but for what was released.
    text: Vec<u8>,
    /// Where `text` starts in the stream.
    start: Offset,
    /// How many bytes right before `start` belong to the visible text and were released.
    filed: u64,
    /// An earlier part of the line was given out.
    continues: bool,
    /// What was given out has been drawn over since.
    redraws: bool,
    /// A part of the line moves the cursor up.
    moves: bool,
    bars: Bars,
    /// When the last of it arrived.
    pub(crate) time: Timestamp,
}

impl OpenLine {
    pub(crate) fn new(raw: bool) -> Self {
        Self { raw, ..Self::default() }
    }

    /// Whether nothing is held and nothing of the line was given out.
    pub(crate) fn is_fresh(&self) -> bool {
        self.is_empty() && !self.continues && self.bars.is_empty()
    }

    fn is_empty(&self) -> bool {
        self.text.is_empty() && self.filed == 0
    }

    /// Bytes held in memory.
    pub(crate) fn held_bytes(&self) -> usize {
        self.text.len()
    }

    /// Bytes of the visible text so far.
    pub(crate) fn len(&self) -> u64 {
        self.filed + self.text.len() as u64
    }

    /// The first byte held.
    pub(crate) fn held_from(&self) -> Offset {
        self.start
    }

    /// One past the last byte held.
    pub(crate) fn end(&self) -> Offset {
        self.start + self.text.len() as u64
    }

    /// Releases what is held: it can be read back. Returns at the end are kept: what follows
    /// decides what they are.
    pub(crate) fn release(&mut self) {
        let visible = strip_returns(&self.text).len();
        let returns = self.text.split_off(visible);
        self.filed += visible as u64;
        self.start += visible as u64;
        self.text = returns;
    }

    /// Takes the next bytes of the stream, which start at `start`, and gives out whole lines.
    pub(crate) fn push(&mut self, start: Offset, bytes: &[u8], out: &mut impl FnMut(Out<'_>)) {
        let mut at = 0;
        for end in memchr::memchr_iter(b'\n', bytes) {
            let (piece, piece_start) = (&bytes[at..end], start + at as u64);
            at = end + 1;
            if self.is_fresh() && (self.raw || !moves_up(piece)) {
                whole_line(piece_start, piece, out);
                continue;
            }
            self.append(piece_start, piece, out);
            self.give(false, out);
        }
        if at < bytes.len() {
            self.append(start + at as u64, &bytes[at..], out);
        }
    }

    /// Gives out what is held, if anything, without its newline.
    pub(crate) fn give_partial(&mut self, out: &mut impl FnMut(Out<'_>)) {
        if !self.is_empty() {
            self.give(true, out);
        }
    }

    /// The stream goes on at another place: what comes next continues the line, if one is open.
    pub(crate) fn interrupt(&mut self, out: &mut impl FnMut(Out<'_>)) {
        self.bars.end(out);
        self.give_partial(out);
    }

    fn append(&mut self, start: Offset, piece: &[u8], out: &mut impl FnMut(Out<'_>)) {
        if self.is_empty() {
            self.start = start;
            self.bars.begin(self.time);
        }
        let had_return = self.text.last() == Some(&b'\r');
        self.moves |= !self.raw && moves_up(piece);
        self.text.extend_from_slice(piece);
        if !had_return && memchr::memchr(b'\r', piece).is_none() {
            return;
        }
        if let Some(at) = memchr::memrchr(b'\r', strip_returns(&self.text)) {
            self.draw_over(at + 1, out);
        }
    }

    /// What stands before `hidden` is drawn over. Its newest state is shown when it is time.
    fn draw_over(&mut self, hidden: usize, out: &mut impl FnMut(Out<'_>)) {
        let state = if self.raw { 0..0 } else { newest_state(&self.text[..hidden]) };
        // A state whose start was released is no state of a bar.
        let whole = self.filed == 0 || self.text[..state.start].contains(&b'\r');
        if !state.is_empty() && whole && self.bars.is_due(self.time) {
            self.bars.draw_over(out);
            out(Out::Redrawn(self.filed + state.start as u64));
            out(Out::Line {
                start: self.start + state.start as u64,
                bytes: (hidden - state.start) as u64,
                text: &self.text[state],
                filed: 0,
                continuation: self.continues,
                partial: false,
                redrawn: true,
            });
        } else {
            out(Out::Redrawn(self.filed + hidden as u64));
        }
        self.text.drain(..hidden);
        self.start += hidden as u64;
        self.filed = 0;
        self.redraws = self.continues && self.raw;
    }

    fn give(&mut self, partial: bool, out: &mut impl FnMut(Out<'_>)) {
        let bytes = self.len() + u64::from(!partial);
        let start = Offset(self.start.0 - self.filed);
        let mut text = std::mem::take(&mut self.text);
        if !(partial && self.raw) {
            text.truncate(strip_returns(&text).len());
        }
        if self.redraws {
            text.insert(0, b'\r');
        }
        let (filed, continuation) = (self.filed, self.continues);
        if self.moves && filed == 0 && !partial {
            self.bars.offer(start, bytes, &text, self.time, out);
        } else {
            self.bars.end(out);
            let redrawn = false;
            out(Out::Line { start, bytes, text: &text, filed, continuation, partial, redrawn });
        }
        self.start = start + bytes;
        self.filed = 0;
        self.continues = partial;
        self.redraws = false;
        self.moves &= partial;
        // A stream that is quiet holds no buffer worth speaking of.
        if text.capacity() <= KEPT_BYTES {
            text.clear();
            self.text = text;
        }
    }
}

fn whole_line(start: Offset, raw: &[u8], out: &mut impl FnMut(Out<'_>)) {
    let text = strip_returns(raw);
    let hidden = memchr::memrchr(b'\r', text).map_or(0, |at| at + 1);
    if hidden > 0 {
        out(Out::Redrawn(hidden as u64));
    }
    out(Out::Line {
        start: start + hidden as u64,
        bytes: (raw.len() - hidden) as u64 + 1,
        text: &text[hidden..],
        filed: 0,
        continuation: false,
        partial: false,
        redrawn: false,
    });
}

#[cfg(test)]
mod tests;
