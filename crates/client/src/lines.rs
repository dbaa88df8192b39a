//! From a stream's bytes to the lines that a console shows. Pure.
//!
//! A trailing carriage return belongs to the line ending; before that, what follows the last
//! carriage return is what a terminal would show, and the rest was redrawn: states of a progress bar.
//! A state that blanks erase is drawn over by what comes after them, and stays the last one where
//! nothing does.
//! The newest state can be had at any time, and be given out before it is drawn over or ended; then
//! its bytes are not counted again.

use lastline_line::{Offset, Timestamp};

use crate::bar::{Drawing, last_part, moves_up, newest_state, strip_returns};
use crate::piece::Out;

mod state;

pub(crate) use self::state::OpenSince;

/// A line that is longer moves the cursor for other reasons than to draw, in bytes.
const MAX_DRAWN_LINE_BYTES: usize = 4 << 10;
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
    /// How many bytes of `text`, from its start, were given out as a state.
    given: usize,
    /// An earlier part of the line was given out.
    continues: bool,
    /// What was given out has been drawn over since.
    redraws: bool,
    /// A part of the line was drawn over.
    drawn: bool,
    /// `text` ends with what erases a state, up to where that is.
    erased: Option<usize>,
    /// Rows that are drawn over by moving the cursor up.
    drawing: Option<Box<Drawing>>,
    progress: state::Progress,
    /// When the last of it arrived.
    pub(crate) time: Timestamp,
    /// Since when it is open, and whether that was said.
    pub(crate) open: Option<OpenSince>,
}

impl OpenLine {
    pub(crate) fn new(raw: bool) -> Self {
        Self { raw, ..Self::default() }
    }

    /// Whether nothing is held and nothing of the line was given out.
    pub(crate) fn is_fresh(&self) -> bool {
        self.is_empty() && !self.continues && self.drawing.is_none()
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
    /// decides what they are. What was given out as a state is not released.
    pub(crate) fn release(&mut self) {
        if self.given > 0 {
            return;
        }
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
            self.end_line(out);
        }
        if at < bytes.len() {
            self.append(start + at as u64, &bytes[at..], out);
        }
    }

    /// Gives out what is held, if anything, without its newline.
    pub(crate) fn give_partial(&mut self, out: &mut impl FnMut(Out<'_>)) {
        self.settle(out);
        if self.is_empty() || self.given > 0 && self.given == self.text.len() {
            return;
        }
        if self.is_given() {
            // Carriage returns behind a state that was shown.
            out(Out::Redrawn((self.text.len() - self.given) as u64));
            self.given = self.text.len();
        } else {
            self.give(true, out);
        }
    }

    /// The stream goes on at another place: what comes next continues the line, if one is open.
    pub(crate) fn interrupt(&mut self, out: &mut impl FnMut(Out<'_>)) {
        self.give_partial(out);
    }

    /// Lines that may have been drawn over are taken for lines.
    pub(crate) fn settle(&mut self, out: &mut impl FnMut(Out<'_>)) {
        if let Some(mut drawing) = self.drawing.take() {
            drawing.finish(out);
        }
    }

    fn append(&mut self, start: Offset, piece: &[u8], out: &mut impl FnMut(Out<'_>)) {
        if self.is_empty() {
            self.start = start;
        }
        let had_return = self.text.last() == Some(&b'\r');
        self.text.extend_from_slice(piece);
        self.draw(piece, out);
        if had_return || self.erased.is_some() || memchr::memchr(b'\r', piece).is_some() {
            self.look_for_returns(out);
        }
    }

    /// Hides what is drawn over, but for a state that was only erased.
    fn look_for_returns(&mut self, out: &mut impl FnMut(Out<'_>)) {
        self.erased = None;
        let Some(at) = memchr::memrchr(b'\r', strip_returns(&self.text)) else { return };
        let states = !self.raw && self.text.len() <= MAX_DRAWN_LINE_BYTES;
        match last_part(&self.text).filter(|_| states) {
            Some(last) if last.end <= at => {
                if last.start > 0 {
                    self.draw_over(last.start, out);
                }
                (self.drawn, self.erased) = (true, Some(last.len()));
            }
            _ => self.draw_over(at + 1, out),
        }
    }

    /// Draws a piece of the line, where one of its parts moves the cursor up.
    fn draw(&mut self, piece: &[u8], out: &mut impl FnMut(Out<'_>)) {
        if let Some(drawing) = &mut self.drawing {
            drawing.feed(piece, out);
        } else if !self.raw && self.text.len() <= MAX_DRAWN_LINE_BYTES && moves_up(&self.text) {
            let mut drawing = Box::<Drawing>::default();
            drawing.feed(&self.text, out);
            self.drawing = Some(drawing);
        }
    }

    /// What stands before `hidden` is drawn over.
    fn draw_over(&mut self, hidden: usize, out: &mut impl FnMut(Out<'_>)) {
        let shown = self.given.min(hidden);
        out(Out::Redrawn(self.filed + (hidden - shown) as u64));
        self.text.drain(..hidden);
        self.start += hidden as u64;
        self.filed = 0;
        self.given -= shown;
        self.drawn = true;
        self.redraws = self.continues && self.raw;
    }

    fn end_line(&mut self, out: &mut impl FnMut(Out<'_>)) {
        if self.erased.take().is_some()
            && let Some(at) = memchr::memrchr(b'\r', strip_returns(&self.text))
        {
            self.draw_over(at + 1, out);
        }
        if self.is_given() {
            // The state that was shown last was the end of its line.
            out(Out::Redrawn((self.text.len() - self.given) as u64 + 1));
            self.text.clear();
            (self.given, self.continues) = (0, false);
            if let Some(drawing) = &mut self.drawing {
                drawing.feed(b"\n", out);
            }
        } else {
            self.give(false, out);
        }
        if self.is_bar() {
            self.progress.ended();
        }
        if self.drawing.as_ref().is_some_and(|drawing| drawing.is_over()) {
            self.settle(out);
        }
        (self.drawn, self.open) = (false, None);
    }

    fn give(&mut self, partial: bool, out: &mut impl FnMut(Out<'_>)) {
        let whole = self.len() + u64::from(!partial);
        let bytes = whole - self.given as u64;
        let start = Offset(self.start.0 - self.filed);
        let mut text = std::mem::take(&mut self.text);
        if let Some(seen) = self.erased.take() {
            text.truncate(seen);
        } else if !(partial && self.raw) {
            text.truncate(strip_returns(&text).len());
        }
        if self.redraws {
            text.insert(0, b'\r');
        }
        let (filed, continuation, redrawn) = (self.filed, self.continues, false);
        match self.drawing.as_mut().filter(|_| filed == 0 && !partial) {
            Some(drawing) => drawing.hold(start, bytes, &text, out),
            None => {
                self.settle(out);
                out(Out::Line { start, bytes, text: &text, filed, continuation, partial, redrawn });
            }
        }
        self.start = start + whole;
        (self.filed, self.given) = (0, 0);
        self.continues = partial;
        self.redraws = false;
        self.open = None;
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
