//! The rows of a stream around an offset: what a page that is scrolled shows. As much is read for a
//! stream of 10 GB as for a short one.

use std::io;

use lastline_line::{Offset, ReadBack, Span, StreamId};

use crate::files::{Part, read_span};
use crate::rows::{ROW_BYTES, Row, rows};

/// How much is read for one window, in bytes.
const WINDOW_BYTES: u64 = 256 << 10;

/// Up to `most` rows from the line on that holds the byte at `at`. Blocks for the disk.
pub(crate) fn forward(
    files: &dyn ReadBack,
    stream: StreamId,
    at: Offset,
    most: usize,
) -> io::Result<Vec<Row>> {
    let from = line_start(files, stream, at)?;
    let parts = read_span(files, stream, Span::new(from, from + WINDOW_BYTES))?;
    let begins = is_line_start(files, stream, from)?;
    let mut found = rows(parts, begins);
    let is_cut = found.last().is_some_and(|row| row.span().to == from + WINDOW_BYTES);
    // What stands at the edge is the next window's, unless it is all there is.
    if is_cut && found.len() > 1 && matches!(found.last(), Some(Row::Line { open: true, .. })) {
        found.pop();
    }
    found.truncate(most);
    Ok(found)
}

/// Up to `most` rows that end before `to`, which is where a row begins.
pub(crate) fn backward(
    files: &dyn ReadBack,
    stream: StreamId,
    to: Offset,
    most: usize,
) -> io::Result<Vec<Row>> {
    let from = line_start(files, stream, Offset(to.0.saturating_sub(WINDOW_BYTES)))?;
    let from = Offset(from.0.max(to.0.saturating_sub(WINDOW_BYTES + ROW_BYTES as u64)));
    let begins = is_line_start(files, stream, from)?;
    let mut found = rows(read_span(files, stream, Span::new(from, to))?, begins);
    let surplus = found.len().saturating_sub(most);
    found.drain(..surplus);
    Ok(found)
}

/// Where the line of a byte begins, or a row of it not far before: no more than a row is looked at.
fn line_start(files: &dyn ReadBack, stream: StreamId, at: Offset) -> io::Result<Offset> {
    let from = Offset(at.0.saturating_sub(ROW_BYTES as u64));
    let mut start = from;
    for part in read_span(files, stream, Span::new(from, at))? {
        match part {
            Part::Gone(span, _) => start = span.to,
            Part::Bytes(begin, bytes) => {
                if let Some(newline) = memchr::memrchr(b'\n', &bytes) {
                    start = begin + newline as u64 + 1;
                }
            }
        }
    }
    // A row that begins in the middle of a character would show half of it.
    let is_middle = start == from && from > Offset::ZERO;
    Ok(if is_middle { at } else { start })
}

fn is_line_start(files: &dyn ReadBack, stream: StreamId, at: Offset) -> io::Result<bool> {
    if at == Offset::ZERO {
        return Ok(true);
    }
    let before = Span::new(Offset(at.0 - 1), at);
    Ok(match read_span(files, stream, before)?.first() {
        Some(Part::Bytes(_, bytes)) => bytes.first() == Some(&b'\n'),
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use lastline_line::{Launch, ReadOutcome, Stream};

    use super::*;

    struct Bytes(Vec<u8>);

    impl ReadBack for Bytes {
        fn read_back(
            &self,
            _: StreamId,
            from: Offset,
            buffer: &mut [u8],
        ) -> io::Result<ReadOutcome> {
            let rest = &self.0[(from.0 as usize).min(self.0.len())..];
            let bytes = rest.len().min(buffer.len()).min(1000);
            buffer[..bytes].copy_from_slice(&rest[..bytes]);
            Ok(if bytes == 0 { ReadOutcome::NotYet } else { ReadOutcome::Read(bytes) })
        }
        fn filed(&self, _: StreamId) -> Offset {
            Offset(self.0.len() as u64)
        }
    }

    const ID: StreamId = StreamId::new(Launch(1), 0, Stream::Stdout);

    fn numbered(lines: u32) -> Bytes {
        Bytes((0..lines).flat_map(|n| format!("line {n:07}\n").into_bytes()).collect())
    }

    fn first(rows: &[Row]) -> String {
        let Some(Row::Line { text, .. }) = rows.first() else { panic!("{rows:?}") };
        String::from_utf8(text.clone()).unwrap()
    }

    #[test]
    fn a_window_begins_with_the_line_of_its_offset() {
        let files = numbered(100_000);
        for at in [13 * 70_000, 13 * 70_000 + 12] {
            let found = forward(&files, ID, Offset(at), 100).unwrap();
            assert_eq!((found.len(), first(&found).as_str()), (100, "line 0070000"));
        }
    }

    #[test]
    fn going_back_gives_the_rows_before_and_all_of_them_in_the_end() {
        let files = numbered(50_000);
        let (mut at, mut seen) = (files.filed(ID), 0);
        while at > Offset::ZERO {
            let found = backward(&files, ID, at, 900).unwrap();
            assert_eq!(found.last().unwrap().span().to, at);
            assert!(found.iter().all(|row| row.span().len() == 13));
            seen += found.len();
            at = found[0].span().from;
        }
        assert_eq!(seen, 50_000);
    }

    #[test]
    fn going_on_gives_all_rows_one_after_the_other() {
        let files = numbered(50_000);
        let (mut at, mut seen) = (Offset::ZERO, 0);
        loop {
            let found = forward(&files, ID, at, 900).unwrap();
            let Some(last) = found.last() else { break };
            assert_eq!(found[0].span().from, at);
            seen += found.len();
            at = last.span().to;
        }
        assert_eq!(seen, 50_000);
    }

    #[test]
    fn a_line_without_an_end_is_read_in_rows_both_ways() {
        let files = Bytes(vec![b'x'; 3 << 20]);
        let (mut at, mut rows) = (Offset::ZERO, 0);
        while let Some(last) = forward(&files, ID, at, 100).unwrap().last() {
            rows += 1;
            assert!(last.span().to > at);
            at = last.span().to;
        }
        assert_eq!(at.0, 3 << 20);
        assert!(rows <= 14, "{rows}");
        while at > Offset::ZERO {
            let found = backward(&files, ID, at, 100).unwrap();
            assert_eq!(found.last().unwrap().span().to, at);
            at = found[0].span().from;
        }
    }
}
