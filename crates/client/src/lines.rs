//! From a stream's bytes to the lines that a console shows. Pure.
//!
//! A trailing carriage return belongs to the line ending; before that, what follows the last
//! carriage return is what a terminal would show, and the rest was redrawn: states of a progress bar,
//! a few of which are lines too.

use lastline_line::{Offset, Timestamp};

use crate::bar::{Bars, moves_up, newest_state, strip_returns};

/// What came out of a stream's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Out<'a> {
    /// Bytes that a later part of the line was drawn over.
    Redrawn(u64),
    /// A line, or a part of one.
    Line {
        /// Where the visible text starts.
        start: Offset,
        /// Bytes of the stream that it stands for.
        bytes: u64,
        /// The text that is in memory: all but the first `filed` bytes.
        text: &'a [u8],
        /// How many bytes before `text` were let go and stand in the file.
        filed: u64,
        continuation: bool,
        partial: bool,
        /// A state that a later part of the line was drawn over.
        redrawn: bool,
    },
}

/// The open line of a stream.
#[derive(Debug, Default)]
pub(crate) struct OpenLine {
    /// A line's parts are printed one after the other as they are, on a console of their own, so
    /// that a carriage return between them still redraws.
    raw: bool,
    /// The visible text so far, but for what was let go.
    text: Vec<u8>,
    /// Where `text` starts in the stream.
    start: Offset,
    /// How many bytes right before `start` belong to the visible text and were let go.
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

    /// Lets go of what is held: it can be read back. Returns at the end are kept: what follows
    /// decides what they are.
    pub(crate) fn let_go(&mut self) {
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
        // A state whose start was let go is no state of a bar.
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
        text.clear();
        self.text = text;
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a console shows of `pieces`, line by line.
    fn shown(pieces: &[&str]) -> Vec<String> {
        shown_on(OpenLine::default(), pieces)
    }

    fn shown_on(mut line: OpenLine, pieces: &[&str]) -> Vec<String> {
        let (mut at, mut lines) = (0, Vec::new());
        let mut out = |out: Out<'_>| {
            if let Out::Line { text, continuation, partial, .. } = out {
                let text = String::from_utf8(text.to_vec()).unwrap();
                let more = if continuation { "+" } else { "" };
                lines.push(format!("{more}{text}{}", if partial { "~" } else { "" }));
            }
        };
        for piece in pieces {
            if *piece == "<barrier>" {
                line.give_partial(&mut out);
                continue;
            }
            line.push(Offset(at), piece.as_bytes(), &mut out);
            at += piece.len() as u64;
        }
        line.give_partial(&mut out);
        lines
    }

    #[test]
    fn lines_are_shown_as_a_terminal_would() {
        assert_eq!(shown(&["a\nb\n"]), ["a", "b"]);
        assert_eq!(shown(&["a\r\nb\r\r\n"]), ["a", "b"]);
        assert_eq!(shown(&["10%\r20%\r30%\n"]), ["30%"]);
        assert_eq!(shown(&["10%\r", "20%\r", "30%", "\nnext\n"]), ["30%", "next"]);
        assert_eq!(shown(&["10%\r", "\n"]), ["10%"]);
        assert_eq!(shown(&["\r\n", "\n"]), ["", ""]);
        assert_eq!(shown(&["no end"]), ["no end~"]);
        assert_eq!(
            shown(&["half", "<barrier>", " and half\nnext\n"]),
            ["half~", "+ and half", "next"]
        );
        assert_eq!(shown(&["half", "<barrier>", "\n", "next\n"]), ["half~", "+", "next"]);
        assert_eq!(shown(&["10%", "<barrier>", "\r20%\n"]), ["10%~", "+20%"]);
        assert_eq!(shown(&["10%\r", "<barrier>", "20%\n"]), ["10%~", "+20%"]);
    }

    /// What is shown of pieces that arrive a tenth of a second apart.
    fn shown_slowly(pieces: &[&str]) -> Vec<String> {
        let (mut line, mut at, mut lines) = (OpenLine::default(), 0, Vec::new());
        let mut out = |out: Out<'_>| {
            if let Out::Line { text, continuation, partial, .. } = out {
                assert!(!continuation && !partial);
                lines.push(String::from_utf8(text.to_vec()).unwrap());
            }
        };
        for piece in pieces {
            line.time = line.time.after(std::time::Duration::from_millis(100));
            line.push(Offset(at), piece.as_bytes(), &mut out);
            at += piece.len() as u64;
        }
        line.interrupt(&mut out);
        lines
    }

    #[test]
    fn a_bar_is_shown_now_and_then_and_when_it_ends() {
        let percents: Vec<String> = (0..10).map(|at| format!("\r{at}0%")).collect();
        let mut pieces: Vec<&str> = percents.iter().map(String::as_str).collect();
        pieces.push("\ndone\n");
        assert_eq!(shown_slowly(&pieces), ["30%", "60%", "90%", "done"]);
        let pieces = ["1%\r", "2%\r", "3%\r", "4%\r", "5%\r", "\n"];
        assert_eq!(shown_slowly(&pieces), ["4%", "5%"]);
    }

    #[test]
    fn a_bar_that_is_wiped_away_leaves_no_empty_line() {
        let mut pieces = vec!["\r10%"; 5];
        pieces.extend(["\r    ", "\r\x1b[2K", "\r", "done\n"]);
        assert_eq!(shown_slowly(&pieces), ["10%", "done"]);
    }

    #[test]
    fn a_state_after_a_barrier_goes_on_with_the_line() {
        let (mut line, mut lines) = (OpenLine::default(), Vec::new());
        let mut out = |out: Out<'_>| {
            if let Out::Line { start, text, continuation, redrawn, .. } = out {
                let text = String::from_utf8(text.to_vec()).unwrap();
                lines.push((start.0, text, continuation, redrawn));
            }
        };
        line.push(Offset(0), b"\r10%", &mut out);
        line.give_partial(&mut out);
        for (at, state) in ["\r20%", "\r30%", "\r40%", "\r50%"].iter().enumerate() {
            line.time = line.time.after(std::time::Duration::from_millis(200));
            line.push(Offset(4 + 4 * at as u64), state.as_bytes(), &mut out);
        }
        line.push(Offset(20), b"\n", &mut out);
        let line = |start, text: &str, continuation, redrawn| {
            (start, text.to_owned(), continuation, redrawn)
        };
        assert_eq!(
            lines,
            [
                line(1, "10%", false, false),
                line(13, "40%", true, true),
                line(17, "50%", true, false)
            ]
        );
    }

    #[test]
    fn nested_bars_are_states_too() {
        let inner: Vec<String> = (0..10).map(|at| format!("\n\rinner {at}0%\x1b[A")).collect();
        let mut pieces = vec!["\router 1/3"];
        pieces.extend(inner.iter().map(String::as_str));
        pieces.push("\n\nend\n");
        let shown = shown_slowly(&pieces);
        assert_eq!(shown[..4], ["outer 1/3", "inner 30%", "inner 60%", "inner 90%"]);
        assert_eq!(shown[4..], ["", "end"]);
    }

    #[test]
    fn a_console_of_its_own_is_redrawn() {
        let shown = |pieces| shown_on(OpenLine::new(true), pieces);
        assert_eq!(shown(&["10%", "<barrier>", "\r20%\n"]), ["10%~", "+\r20%"]);
        assert_eq!(shown(&["10%\r", "<barrier>", "20%\n"]), ["10%\r~", "+20%"]);
        assert_eq!(shown(&["name? ", "<barrier>", "\n"]), ["name? ~", "+"]);
    }

    #[test]
    fn a_return_at_the_end_of_what_was_let_go_still_redraws() {
        let (mut line, mut seen) = (OpenLine::default(), Vec::new());
        line.push(Offset(0), b"10%\r", &mut |_| unreachable!("the line is open"));
        line.let_go();
        line.push(Offset(4), b"20%\n", &mut |out| match out {
            Out::Redrawn(bytes) => seen.push((bytes, Vec::new())),
            Out::Line { filed, text, .. } => seen.push((filed, text.to_vec())),
        });
        assert_eq!(seen, [(4, Vec::new()), (0, b"20%".to_vec())]);
    }

    proptest! {
        /// Any bytes in any pieces, given out early or let go at any time: lines are in order and do
        /// not overlap, and what is in none of them is counted as redrawn, so that no byte is
        /// missing or in two.
        #[test]
        fn every_byte_is_given_out_or_redrawn_once(
            bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'x'), Just(0x1b), Just(b'['), Just(b'A')], 0..200),
            cuts in prop::collection::vec((1_usize..20, 0_u8..4), 1..40),
        ) {
            let (mut line, mut at, mut next) = (OpenLine::default(), 0_usize, 0_u64);
            let (mut redrawn, mut between) = (0_u64, 0_u64);
            let mut out = |out: Out<'_>| match out {
                Out::Redrawn(bytes) => redrawn += bytes,
                Out::Line { start, bytes, text, filed, .. } => {
                    assert!(start.0 >= next, "a line starts inside the one before it");
                    assert!(text.len() as u64 + filed <= bytes + 1);
                    between += start.0 - next;
                    next = start.0 + bytes;
                }
            };
            let mut cuts = cuts.into_iter().cycle();
            while at < bytes.len() {
                let (most, action) = cuts.next().unwrap();
                let end = bytes.len().min(at + most);
                line.time = line.time.after(std::time::Duration::from_millis(60));
                line.push(Offset(at as u64), &bytes[at..end], &mut out);
                at = end;
                match action {
                    0 => line.give_partial(&mut out),
                    1 => line.let_go(),
                    _ => {}
                }
            }
            line.interrupt(&mut out);
            between += bytes.len() as u64 - next;
            prop_assert_eq!(redrawn, between);
        }
    }
}
