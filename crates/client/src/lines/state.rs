//! What is seen of a line that is open: a state of a progress bar, or a line without its end.

use std::borrow::Cow;

use lastline_line::Timestamp;

use super::{OpenLine, newest_state, strip_returns};
use crate::canvas::Canvas;
use crate::piece::Out;
use crate::progress::tenth_of;

/// More of a line than this is on no screen, in bytes.
const SEEN_BYTES: usize = 4 << 10;

/// Since when a line is open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenSince {
    pub(crate) time: Timestamp,
    /// It was said that the line stands.
    pub(crate) told: bool,
}

/// Which progress bar of its stream is drawn, and how far it is.
#[derive(Debug, Default)]
pub(super) struct Progress {
    bar: u32,
    tenth: u8,
}

impl Progress {
    /// The bar has ended.
    pub(super) fn ended(&mut self) {
        *self = Self { bar: self.bar.saturating_add(1), tenth: 0 };
    }
}

impl OpenLine {
    /// Whether what is open is drawn over again and again; otherwise it waits for its end.
    pub(crate) fn is_bar(&self) -> bool {
        self.drawn || self.drawing.is_some() || self.text.last() == Some(&b'\r')
    }

    /// Whether lines are held that nothing has shown to be states yet.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.drawing.as_ref().is_some_and(|drawing| drawing.is_in_doubt())
    }

    /// Whether something is open that can be seen.
    pub(crate) fn is_open(&self) -> bool {
        !self.text.is_empty() || self.drawing.is_some()
    }

    /// The rows that are seen of it; none of a line whose start was released, which is no state.
    pub(crate) fn rows(&self) -> Vec<Cow<'_, [u8]>> {
        if let Some(drawing) = &self.drawing {
            return drawing.rows().map(Cow::Borrowed).collect();
        }
        if self.filed > 0 {
            return Vec::new();
        }
        let state = newest_state(&self.text);
        let state = &self.text[state.start..state.end.min(state.start + SEEN_BYTES)];
        if memchr::memchr(0x1b, state).is_none() {
            let text = state.trim_ascii_end();
            return if text.is_empty() { Vec::new() } else { vec![Cow::Borrowed(text)] };
        }
        let mut canvas = Canvas::default();
        canvas.feed(state, &mut |_| {});
        canvas.live_rows().map(|row| Cow::Owned(row.to_vec())).collect()
    }

    /// Which bar of its stream it is, and how many tenths of it are done, where its state says so.
    pub(crate) fn progress(&mut self) -> (u32, Option<u8>) {
        let tenth = self.rows().last().and_then(|row| tenth_of(row));
        if let Some(tenth) = tenth {
            // Another bar in the place of one that left nothing behind.
            if tenth.saturating_add(1) < self.progress.tenth {
                self.progress.ended();
            }
            self.progress.tenth = tenth;
        }
        (self.progress.bar, tenth)
    }

    /// Whether there is a state that was not given out.
    pub(crate) fn has_news(&self) -> bool {
        !self.is_given() && self.filed == 0 && !newest_state(&self.text).is_empty()
    }

    /// Whether all that is seen of the line was given out as a state.
    pub(super) fn is_given(&self) -> bool {
        let seen = self.erased.unwrap_or_else(|| strip_returns(&self.text).len());
        self.given > 0 && seen <= self.given
    }

    /// Gives out the newest state; its bytes are shown with it, whether it is drawn over or not.
    pub(crate) fn give_state(&mut self, out: &mut impl FnMut(Out<'_>)) {
        if !self.has_news() {
            return;
        }
        let state = newest_state(&self.text);
        if state.start > self.given {
            out(Out::Redrawn((state.start - self.given) as u64));
        }
        out(Out::Line {
            start: self.start + state.start as u64,
            bytes: (self.text.len() - self.given.max(state.start)) as u64,
            text: &self.text[state],
            filed: 0,
            continuation: self.continues,
            partial: false,
            redrawn: true,
        });
        self.given = self.text.len();
    }
}
