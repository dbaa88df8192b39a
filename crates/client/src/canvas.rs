//! What a terminal would show of the rows that a stream draws over. Pure.
//!
//! A terminal without a width: rows of text, and a cursor that goes up, down and back to the start of
//! its row. Text at the start of a row takes the place of what the row held.

use std::collections::VecDeque;

/// So many rows are known at most.
const MAX_ROWS: usize = 100;
/// So much of a row is known at most, in bytes.
const MAX_ROW_BYTES: usize = 4 << 10;
/// A control sequence that is longer is none.
const MAX_SEQUENCE_BYTES: usize = 64;

const ESCAPE: u8 = 0x1b;

/// The rows that a stream has drawn, and where its cursor is.
#[derive(Debug, Default)]
pub(crate) struct Canvas {
    /// From row `top` to the lowest; there is one as soon as something was drawn.
    rows: VecDeque<Vec<u8>>,
    top: i64,
    at: i64,
    /// The cursor is in the middle of its row: what comes is appended.
    mid_row: bool,
    /// Colours that the next text of a row begins with.
    colours: Vec<u8>,
    /// How far above the lowest row the cursor has been.
    reach: i64,
    /// How often it went up.
    ups: u32,
    /// Rows that were begun below all others since it went up last.
    begun: i64,
    /// The last row in which something was written.
    written: i64,
    /// A control sequence that is not complete.
    sequence: Vec<u8>,
}

impl Canvas {
    /// Draws `bytes`; `erased` is told of each row whose text was drawn over or erased.
    pub(crate) fn feed(&mut self, bytes: &[u8], erased: &mut impl FnMut(i64)) {
        if self.rows.is_empty() {
            self.rows.push_back(Vec::new());
        }
        let mut rest = bytes;
        while let Some((&first, after)) = rest.split_first() {
            if !self.sequence.is_empty() || first == ESCAPE {
                self.extend_sequence(first, erased);
                rest = after;
                continue;
            }
            rest = match first {
                b'\r' => {
                    self.mid_row = false;
                    after
                }
                b'\n' => {
                    self.new_line();
                    after
                }
                0..=0x1f if first != b'\t' => after,
                _ => {
                    let is_control = |byte: &u8| *byte < 0x20 && *byte != b'\t';
                    let end = rest.iter().position(is_control).unwrap_or(rest.len());
                    self.write(&rest[..end], erased);
                    &rest[end..]
                }
            };
        }
    }

    /// How often the cursor went up.
    pub(crate) fn ups(&self) -> u32 {
        self.ups
    }

    /// Whether the stream goes on below, farther than the cursor ever went up: nothing that it drew is
    /// drawn over any more, as far as can be told.
    pub(crate) fn is_over(&self) -> bool {
        self.begun > self.reach
    }

    /// The last row in which something was written.
    pub(crate) fn written(&self) -> i64 {
        self.written
    }

    /// The first row that the cursor may come back to.
    pub(crate) fn first_live(&self) -> i64 {
        (self.bottom() - self.reach).max(self.top)
    }

    /// The rows that the cursor may come back to, without those that say nothing.
    pub(crate) fn live_rows(&self) -> impl Iterator<Item = &[u8]> {
        let above = usize::try_from(self.first_live() - self.top).unwrap_or_default();
        let rows = self.rows.iter().skip(above).map(|row| row.trim_ascii_end());
        rows.filter(|row| !row.is_empty())
    }

    fn bottom(&self) -> i64 {
        self.top + self.rows.len() as i64 - 1
    }

    /// The row of the cursor.
    fn row(&mut self) -> &mut Vec<u8> {
        let at = usize::try_from(self.at - self.top).unwrap_or_default();
        self.rows.get_mut(at).expect("BUG: the cursor is between the first row and the last")
    }

    fn write(&mut self, text: &[u8], erased: &mut impl FnMut(i64)) {
        if !self.mid_row {
            self.erase(self.at, erased);
            let mut colours = std::mem::take(&mut self.colours);
            self.row().append(&mut colours);
            self.mid_row = true;
        }
        self.written = self.at;
        let row = self.row();
        let room = MAX_ROW_BYTES.saturating_sub(row.len());
        row.extend_from_slice(&text[..text.len().min(room)]);
    }

    fn erase(&mut self, number: i64, erased: &mut impl FnMut(i64)) {
        let at = usize::try_from(number - self.top).unwrap_or_default();
        if let Some(row) = self.rows.get_mut(at).filter(|row| !row.is_empty()) {
            row.clear();
            erased(number);
        }
    }

    fn new_line(&mut self) {
        self.mid_row = false;
        self.at += 1;
        if self.at > self.bottom() {
            self.rows.push_back(Vec::new());
            self.begun += 1;
            if self.rows.len() > MAX_ROWS {
                self.rows.pop_front();
                self.top += 1;
            }
        }
    }

    fn go_up(&mut self, rows: i64) {
        self.mid_row = false;
        self.at -= rows.min(MAX_ROWS as i64 - 1);
        while self.at < self.top {
            self.rows.push_front(Vec::new());
            self.top -= 1;
        }
        self.rows.truncate(MAX_ROWS);
        self.reach = self.reach.max(self.bottom() - self.at);
        self.ups = self.ups.saturating_add(1);
        self.begun = 0;
    }

    fn extend_sequence(&mut self, byte: u8, erased: &mut impl FnMut(i64)) {
        self.sequence.push(byte);
        let goes_on = self.sequence.len() < MAX_SEQUENCE_BYTES && (0x20..=0x3f).contains(&byte);
        match self.sequence[..] {
            [ESCAPE] | [ESCAPE, b'['] => return,
            [ESCAPE, b'[', ..] if goes_on => return,
            [ESCAPE, b'[', .., last] => self.act(last, erased),
            _ => {}
        }
        self.sequence.clear();
    }

    /// Does what a complete control sequence says.
    fn act(&mut self, last: u8, erased: &mut impl FnMut(i64)) {
        let digits = self.sequence[2..].iter().take_while(|byte| byte.is_ascii_digit());
        let number = digits.fold(0_i64, |n, digit| (n * 10 + i64::from(digit - b'0')).min(9999));
        match last {
            b'A' | b'F' => self.go_up(number.max(1)),
            b'B' | b'E' => {
                self.mid_row = false;
                self.at = (self.at + number.max(1)).min(self.bottom());
            }
            b'G' if number <= 1 => self.mid_row = false,
            b'K' if number > 0 || !self.mid_row => self.erase(self.at, erased),
            b'J' => {
                let from = match (number, self.mid_row) {
                    (0, true) => self.at + 1,
                    (0, false) => self.at,
                    _ => self.top,
                };
                (from..=self.bottom()).for_each(|row| self.erase(row, erased));
            }
            b'm' if self.mid_row => {
                let mut sequence = self.sequence.clone();
                self.row().append(&mut sequence);
            }
            b'm' if self.colours.len() < MAX_SEQUENCE_BYTES => {
                self.colours.extend_from_slice(&self.sequence);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn drawn(text: &str) -> Vec<String> {
        let mut canvas = Canvas::default();
        canvas.feed(text.as_bytes(), &mut |_| {});
        canvas.live_rows().map(|row| String::from_utf8_lossy(row).into_owned()).collect()
    }

    #[test]
    fn the_newest_state_of_each_row_is_seen() {
        assert_eq!(drawn("\r 10%\r 20%"), [" 20%"]);
        assert_eq!(drawn("10%\r"), ["10%"]);
        assert_eq!(drawn("10%\r\x1b[2K"), [""; 0]);
        assert_eq!(
            drawn("\x1b[?25l\x1b[32mBuilding\x1b[0m\x1b[K 3"),
            ["\x1b[32mBuilding\x1b[0m 3"]
        );
        assert_eq!(drawn("a\nb\nc\n\x1b[3A\x1b[2Kd\n"), ["d", "b", "c"]);
        assert_eq!(drawn("a\nb\nc\n\x1b[3A\x1b[Jd\n"), ["d"]);
        let nested = "\router 1\n\rinner 1\x1b[A\n\rinner 2\x1b[A\router 2";
        assert_eq!(drawn(nested), ["outer 2", "inner 2"]);
    }

    #[test]
    fn what_goes_on_below_is_drawn_over_no_more() {
        let mut canvas = Canvas::default();
        canvas.feed(b"a\nb\x1b[A\rc\n", &mut |_| {});
        assert!(!canvas.is_over());
        canvas.feed(b"\nlines\n", &mut |_| {});
        assert!(canvas.is_over());
    }

    proptest! {
        /// The rows are those of a terminal, however the bytes are cut.
        #[test]
        fn rows_are_those_of_a_terminal(
            acts in prop::collection::vec(prop_oneof![
                4 => (100..999_u32).prop_map(|number| format!("\r{number}")),
                2 => Just("\n".to_owned()),
                2 => (1..4_u8).prop_map(|rows| format!("\x1b[{rows}A\r")),
                1 => Just("\x1b[2A\x1b[B\r".to_owned()),
                1 => Just("\x1b[2K".to_owned()),
                1 => Just("\r\x1b[J".to_owned()),
            ], 0..40),
            cut in 1..9_usize,
        ) {
            let text = acts.concat();
            let mut canvas = Canvas::default();
            for piece in text.as_bytes().chunks(cut) {
                canvas.feed(piece, &mut |_| {});
            }
            let mut terminal = vt100::Parser::new(400, 20, 0);
            terminal.process("\r\n".repeat(200).as_bytes());
            terminal.process(text.replace('\n', "\r\n").as_bytes());
            let rows = terminal.screen().rows(0, 20).filter(|row| !row.is_empty());
            let drawn = canvas.rows.iter().filter(|row| !row.is_empty());
            let drawn: Vec<String> = drawn.map(|row| String::from_utf8(row.clone()).unwrap()).collect();
            prop_assert_eq!(drawn, rows.collect::<Vec<_>>());
        }
    }
}
