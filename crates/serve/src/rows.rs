//! A part of a stream as rows: lines, and pieces of lines that are too long for one. Pure.

use lastline_line::{Offset, Span};

use crate::files::Part;

/// The longest row, in bytes; a longer line is several. As long as anybody reads in one piece.
pub(crate) const ROW_BYTES: usize = 16 << 10;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    /// A line, or a piece of one.
    Line {
        /// Where it stands, its newline included.
        span: Span,
        /// Its bytes, without a newline.
        text: Vec<u8>,
        /// The line has begun before.
        continued: bool,
        /// The line goes on after this, or has no newline.
        open: bool,
    },
    /// What no file has.
    Gone {
        /// Which bytes.
        span: Span,
        /// Why.
        cause: String,
    },
}

impl Row {
    /// Where it stands.
    pub(crate) fn span(&self) -> Span {
        match self {
            Self::Line { span, .. } | Self::Gone { span, .. } => *span,
        }
    }
}

/// The rows of these parts, which follow each other; `begins` says that a line begins with the first.
pub(crate) fn rows(parts: Vec<Part>, begins: bool) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut continued = !begins;
    for part in parts {
        match part {
            Part::Gone(span, cause) => {
                rows.push(Row::Gone { span, cause });
                continued = false;
            }
            Part::Bytes(start, bytes) => continued = split(start, &bytes, continued, &mut rows),
        }
    }
    rows
}

/// Cuts bytes into rows; whether the last line is open.
fn split(start: Offset, bytes: &[u8], mut continued: bool, rows: &mut Vec<Row>) -> bool {
    let mut at = 0;
    while at < bytes.len() {
        let end = memchr::memchr(b'\n', &bytes[at..]).map(|found| at + found);
        let limit = (at + ROW_BYTES).min(bytes.len());
        let (text_end, next, open) = match end {
            Some(end) if end <= limit => (end, end + 1, false),
            _ => {
                let cut = if limit == bytes.len() { limit } else { whole_char(bytes, at, limit) };
                (cut, cut, true)
            }
        };
        let span = Span::new(start + at as u64, start + next as u64);
        let text = bytes[at..text_end].to_vec();
        rows.push(Row::Line { span, text, continued, open });
        (at, continued) = (next, open);
    }
    continued
}

/// Where to cut at `limit` at the latest, so that no character of UTF-8 is cut.
fn whole_char(bytes: &[u8], from: usize, limit: usize) -> usize {
    let is_inside = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    let back = (0..4).find(|back| limit - back > from && !is_inside(limit - back));
    limit - back.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(rows: &[Row]) -> Vec<(u64, u64, String, bool, bool)> {
        let tell = |row: &Row| match row {
            Row::Line { span, text, continued, open } => {
                let text = String::from_utf8_lossy(text).into_owned();
                (span.from.0, span.to.0, text, *continued, *open)
            }
            Row::Gone { span, cause } => (span.from.0, span.to.0, cause.clone(), false, false),
        };
        rows.iter().map(tell).collect()
    }

    #[test]
    fn lines_and_gaps_are_rows() {
        let parts = vec![
            Part::Bytes(Offset(5), b"rest\nwhole\n".to_vec()),
            Part::Gone(Span::new(Offset(16), Offset(20)), "no space left".into()),
            Part::Bytes(Offset(20), b"tail\n\nopen".to_vec()),
        ];
        let expected = [
            (5, 10, "rest", true, false),
            (10, 16, "whole", false, false),
            (16, 20, "no space left", false, false),
            (20, 25, "tail", false, false),
            (25, 26, "", false, false),
            (26, 30, "open", false, true),
        ];
        let found = texts(&rows(parts, false));
        let expected = expected.map(|(from, to, text, a, b)| (from, to, text.to_owned(), a, b));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_long_line_is_several_rows_and_no_character_is_cut() {
        let text = "ä".repeat(ROW_BYTES) + "\n";
        let long = format!("x{text}");
        let found = rows(vec![Part::Bytes(Offset(0), long.clone().into_bytes())], true);
        assert_eq!(found.len(), 3);
        for row in &found {
            let Row::Line { text, .. } = row else { panic!("{row:?}") };
            assert!(text.len() <= ROW_BYTES && std::str::from_utf8(text).is_ok());
        }
        let open: Vec<_> = texts(&found).into_iter().map(|(.., c, o)| (c, o)).collect();
        assert_eq!(open, [(false, true), (true, true), (true, false)]);
    }

    proptest! {
        /// Rows follow each other without a hole, and together are the bytes.
        #[test]
        fn rows_are_the_bytes(bytes in prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..2000), start in 0u64..1000) {
            let found = rows(vec![Part::Bytes(Offset(start), bytes.clone())], true);
            let mut joined = Vec::new();
            let mut at = start;
            for row in found {
                prop_assert_eq!(row.span().from.0, at);
                at = row.span().to.0;
                let Row::Line { text, open, .. } = row else { panic!() };
                joined.extend_from_slice(&text);
                if !open { joined.push(b'\n'); }
            }
            prop_assert_eq!(at, start + bytes.len() as u64);
            prop_assert_eq!(joined, bytes);
        }
    }
}
