//! What is drawn below the lines on a terminal. Pure, but for the lock.
//!
//! The cursor is left at the first place of the area, not behind it. So to wipe it takes no count of
//! rows, which a terminal that was made narrower may have more of; and what another program writes
//! stands above what is drawn next.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use unicode_width::UnicodeWidthChar as _;

/// Wipes the area: all from the cursor on. It ends as what is drawn does, at the start of a row.
const WIPE: &[u8] = b"\r\x1b[J\r";
const RESET: &[u8] = b"\x1b[0m";
const ESCAPE: char = '\x1b';

/// The rows that are drawn below the lines on a terminal, shared by all who write to it.
///
/// Clones are handles to the same one. Whoever writes whole lines to the terminal writes what
/// [`around`](Self::around) makes of them.
#[derive(Clone, Debug, Default)]
pub struct Area(Arc<Mutex<Drawn>>);

#[derive(Debug, Default)]
struct Drawn {
    /// What draws it; nothing when there is nothing to draw.
    bytes: Vec<u8>,
    /// It is on the terminal, and the cursor is at its first place.
    stands: bool,
    /// Nothing is drawn any more.
    closed: bool,
}

impl Area {
    fn drawn(&self) -> MutexGuard<'_, Drawn> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lines with what has to be written before them, and after them so that the area stands below.
    pub fn around(&self, lines: &[u8]) -> Vec<u8> {
        self.compose(lines, true)
    }

    /// Lines with what wipes the area before them; it is drawn with the next that are written.
    pub fn wiped(&self, lines: &[u8]) -> Vec<u8> {
        self.compose(lines, false)
    }

    fn compose(&self, lines: &[u8], below: bool) -> Vec<u8> {
        let mut drawn = self.drawn();
        let wipe = if drawn.stands { WIPE } else { b"" };
        drawn.stands = below && !drawn.bytes.is_empty();
        [wipe, lines, if drawn.stands { &drawn.bytes } else { b"" }].concat()
    }

    /// Nothing is drawn from now on; what stands is wiped by whoever writes next.
    pub fn close(&self) {
        let mut drawn = self.drawn();
        drawn.bytes.clear();
        drawn.closed = true;
    }

    /// Whether it is on the terminal now.
    pub fn stands(&self) -> bool {
        self.drawn().stands
    }

    /// What is drawn from now on; whether that has to be written.
    pub(crate) fn set(&self, rows: &[Vec<u8>]) -> bool {
        let bytes = draw(rows);
        let mut drawn = self.drawn();
        if drawn.closed {
            return drawn.stands;
        }
        let changed = drawn.bytes != bytes || drawn.stands == bytes.is_empty();
        drawn.bytes = bytes;
        changed
    }
}

/// What draws rows at the cursor, and moves it back.
fn draw(rows: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = rows.join(&b"\r\n"[..]);
    if rows.len() > 1 {
        bytes.extend_from_slice(format!("\x1b[{}A", rows.len() - 1).as_bytes());
    }
    if !rows.is_empty() {
        bytes.push(b'\r');
    }
    bytes
}

/// Rows as they fit on a terminal of this size: in the lower half of it, the others counted.
pub(crate) fn fit(rows: Vec<Vec<u8>>, height: u16, width: u16) -> Vec<Vec<u8>> {
    let most = usize::from(height / 2).max(1);
    // Not in the last column: some terminals begin a new row at once when that is filled.
    let width = usize::from(width).saturating_sub(1).max(1);
    let all = rows.len();
    let shown = if all > most { (most - 1).max(1) } else { all };
    let mut rows = rows;
    rows.truncate(shown);
    if most > 1 && all > most {
        rows.push(format!("… and {} more", all - shown).into_bytes());
    }
    rows.iter().map(|row| cut(row, width)).collect()
}

/// The start of a row that is so many columns wide; colours take none. What is left out is marked.
fn cut(row: &[u8], width: usize) -> Vec<u8> {
    let text = String::from_utf8_lossy(row);
    let (mut used, mut coloured, mut fits) = (0, false, 0);
    let mut chars = text.char_indices();
    while let Some((at, next)) = chars.next() {
        if next == ESCAPE {
            coloured = true;
            chars.by_ref().find(|(_, next)| next.is_ascii_alphabetic());
            continue;
        }
        // A tab is as wide as the terminal makes it.
        let wide = if next == '\t' { 8 } else { next.width().unwrap_or(0) };
        if used + wide > width {
            let reset = if coloured { RESET } else { b"" };
            return [&text.as_bytes()[..fits], "…".as_bytes(), reset].concat();
        }
        used += wide;
        if used < width {
            fits = at + next.len_utf8();
        }
    }
    text.into_owned().into_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(rows: &[&str]) -> Vec<Vec<u8>> {
        rows.iter().map(|row| row.as_bytes().to_vec()).collect()
    }

    fn screen(parser: &vt100::Parser) -> Vec<String> {
        let (_, width) = parser.screen().size();
        let mut rows: Vec<String> = parser.screen().rows(0, width).collect();
        while rows.last().is_some_and(String::is_empty) {
            rows.pop();
        }
        rows
    }

    #[test]
    fn lines_scroll_above_and_nothing_is_left() {
        let (area, mut terminal) = (Area::default(), vt100::Parser::new(6, 20, 0));
        assert!(area.set(&rows(&["bar 1", "bar 2"])));
        terminal.process(&area.around(b"one\r\n"));
        assert_eq!(screen(&terminal), ["one", "bar 1", "bar 2"]);
        assert!(!area.set(&rows(&["bar 1", "bar 2"])), "it stands");
        assert!(area.set(&rows(&["bar 3"])));
        terminal.process(&area.around(b""));
        assert_eq!(screen(&terminal), ["one", "bar 3"]);
        for line in 2..9 {
            terminal.process(&area.around(format!("line {line}\r\n").as_bytes()));
        }
        let wanted = ["line 4", "line 5", "line 6", "line 7", "line 8", "bar 3"];
        assert_eq!(screen(&terminal), wanted);
        terminal.process(&area.wiped(b"words\r\n"));
        assert_eq!(screen(&terminal)[3..], ["line 8", "words"]);
        assert!(area.set(&rows(&["bar 3"])), "it is to be drawn again");
        terminal.process(&area.around(b""));
        area.close();
        assert!(area.set(&rows(&["never"])), "what stands is to be wiped");
        terminal.process(&area.around(b""));
        assert_eq!(screen(&terminal).last().unwrap(), "words");
        assert_eq!(area.around(b"end\n"), b"end\n");
    }

    #[test]
    fn rows_are_cut_to_the_terminal() {
        let fitted = |texts: &[&str], height, width| -> Vec<String> {
            let fitted = fit(rows(texts), height, width).into_iter();
            fitted.map(|row| String::from_utf8(row).unwrap()).collect()
        };
        assert_eq!(fitted(&["1234567", "12345678"], 24, 8), ["1234567", "123456…"]);
        assert_eq!(fitted(&["漢字漢字"], 24, 6), ["漢字…"]);
        assert_eq!(fitted(&["漢字漢字"], 24, 7), ["漢字…"]);
        assert_eq!(fitted(&["\x1b[31mred and\x1b[0m more"], 24, 6), ["\x1b[31mred …\x1b[0m"]);
        assert_eq!(fitted(&["a"; 14], 6, 20), ["a", "a", "… and 12 more"]);
        assert_eq!(fitted(&["a", "b"], 2, 20), ["a"]);
        assert_eq!(fitted(&["ab", "b"], 0, 0), ["…"]);
    }

    proptest! {
        /// Whatever is printed and drawn: the terminal has the lines that were printed, and below
        /// them what was drawn last.
        #[test]
        fn the_screen_is_lines_and_what_was_drawn_last(
            acts in prop::collection::vec((0..4_usize, 0..3_u8), 1..40),
            height in 4..12_u16,
            width in 3..30_u16,
        ) {
            let (area, mut terminal) = (Area::default(), vt100::Parser::new(height, width, 0));
            let (mut lines, mut drawn) = (Vec::new(), Vec::new());
            for (at, (count, act)) in acts.into_iter().enumerate() {
                let mut text = String::new();
                if act == 0 {
                    let wide = vec![format!("\x1b[1m状態 {at} of many").into_bytes(); count];
                    drawn = fit(wide, height, width);
                    area.set(&drawn);
                } else {
                    let new = (0..count).map(|line| format!("{at}{line}"));
                    let new: Vec<String> = new.map(|l| l[l.len().saturating_sub(3)..].into()).collect();
                    text = new.iter().map(|line| format!("{line}\r\n")).collect();
                    lines.extend(new);
                }
                terminal.process(&area.around(text.as_bytes()));
            }
            let plain = |row: &Vec<u8>| {
                let mut one = vt100::Parser::new(1, width, 0);
                one.process(row);
                one.screen().rows(0, width).next().unwrap()
            };
            lines.extend(drawn.iter().map(plain));
            let shown = screen(&terminal);
            // The last row is the cursor's where nothing is drawn.
            prop_assert!(lines.ends_with(&shown), "{:?} {:?}", shown, lines);
            // Rows that were drawn and are wiped are not filled from above.
            prop_assert!(shown.len() >= lines.len().min(usize::from(height - height / 2 - 1)));
        }
    }
}
