//! Finding lines by the offset of one of their bytes.

use std::io;

use lastline_line::{Offset, ReadBack, ReadOutcome, Span, StreamId};

use crate::last_lines::line_ends;

/// How much is read at once, in bytes.
const READ_BYTES: usize = 64 << 10;

/// Where so many lines stand of which the first has the byte at `at`; fewer where the stream has no more.
/// What is missing of a stream ends a line.
///
/// # Errors
///
/// What reading failed with.
pub fn lines_from(
    files: &dyn ReadBack,
    stream: StreamId,
    at: Offset,
    lines: u64,
) -> io::Result<Span> {
    let from = line_start(files, stream, at)?;
    let mut pieces = Pieces::new(files, stream, Span::new(from, files.filed(stream)));
    let (mut to, mut left) = (from, lines);
    while left > 0
        && let Some((start, bytes)) = pieces.next()?
    {
        let ends = line_ends(start, bytes).take(usize::try_from(left).unwrap_or(usize::MAX));
        let ends: Vec<Offset> = ends.collect();
        left -= ends.len() as u64;
        to = match ends.last() {
            Some(end) if left == 0 => *end,
            _ => start + bytes.len() as u64,
        };
    }
    Ok(Span::new(from, to))
}

/// Where the line starts that has the byte at `at`.
fn line_start(files: &dyn ReadBack, stream: StreamId, at: Offset) -> io::Result<Offset> {
    let mut to = at;
    while to > Offset::ZERO {
        let from = Offset(to.0.saturating_sub(READ_BYTES as u64));
        let mut pieces = Pieces::new(files, stream, Span::new(from, to));
        // A piece that is not where the one before ended is behind something that is missing.
        let (mut start, mut expected) = (None, from);
        while let Some((begin, bytes)) = pieces.next()? {
            let last = line_ends(begin, bytes).last();
            start = last.or((begin > expected).then_some(begin)).or(start);
            expected = begin + bytes.len() as u64;
        }
        if expected < to {
            return Ok(at);
        }
        if let Some(start) = start {
            return Ok(start);
        }
        to = from;
    }
    Ok(Offset::ZERO)
}

/// What can be read of a span, piece by piece.
struct Pieces<'a> {
    files: &'a dyn ReadBack,
    stream: StreamId,
    left: Span,
    buffer: Vec<u8>,
}

impl<'a> Pieces<'a> {
    fn new(files: &'a dyn ReadBack, stream: StreamId, span: Span) -> Self {
        Self { files, stream, left: span, buffer: vec![0; READ_BYTES] }
    }

    /// The next piece, and where it starts.
    fn next(&mut self) -> io::Result<Option<(Offset, &[u8])>> {
        while self.left.from < self.left.to {
            let wanted = usize::try_from(self.left.len()).unwrap_or(usize::MAX).min(READ_BYTES);
            let from = self.left.from;
            match self.files.read_back(self.stream, from, &mut self.buffer[..wanted])? {
                ReadOutcome::Read(bytes) if bytes > 0 => {
                    self.left.from = from + bytes as u64;
                    return Ok(Some((from, &self.buffer[..bytes])));
                }
                ReadOutcome::Gone { to, .. } if to > from => self.left.from = to,
                _ => break,
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use lastline_testing::stdout;

    use super::*;

    /// Bytes of which some are gone.
    struct File(Vec<u8>, Span);

    impl ReadBack for File {
        fn read_back(&self, _: StreamId, from: Offset, to: &mut [u8]) -> io::Result<ReadOutcome> {
            let Self(all, gone) = self;
            if gone.from <= from && from < gone.to {
                return Ok(ReadOutcome::Gone { to: gone.to, cause: String::from("gone") });
            }
            let end = if from < gone.from { gone.from.0 } else { all.len() as u64 };
            let rest = &all[(from.0.min(end) as usize)..end as usize];
            let bytes = rest.len().min(to.len()).min(1000);
            to[..bytes].copy_from_slice(&rest[..bytes]);
            Ok(if bytes == 0 { ReadOutcome::NotYet } else { ReadOutcome::Read(bytes) })
        }

        fn filed(&self, _: StreamId) -> Offset {
            Offset(self.0.len() as u64)
        }
    }

    fn file(bytes: impl Into<Vec<u8>>) -> File {
        let bytes = bytes.into();
        let end = Offset(bytes.len() as u64);
        File(bytes, Span::new(end, end))
    }

    fn found(file: &File, at: u64, lines: u64) -> (u64, u64) {
        let span = lines_from(file, stdout(0), Offset(at), lines).unwrap();
        (span.from.0, span.to.0)
    }

    #[test]
    fn lines_begin_with_the_one_of_the_byte() {
        let table = [
            ((0, 1), (0, 4)),
            ((3, 1), (0, 4)),
            ((4, 1), (4, 6)),
            ((5, 2), (4, 9)),
            ((6, 9), (6, 9)),
            ((8, 0), (6, 6)),
        ];
        let file = file("one\n2\nend");
        for ((at, lines), span) in table {
            assert_eq!(found(&file, at, lines), span, "{at} {lines}");
        }
    }

    #[test]
    fn lines_may_be_longer_than_what_is_read_at_once() {
        let long = vec![b'x'; 3 * READ_BYTES];
        let file = file([b"first\n", &long[..], b"\nlast\n"].concat());
        let end = 6 + long.len() as u64 + 1;
        assert_eq!(found(&file, end - 2, 1), (6, end));
        assert_eq!(found(&file, end - 2, 2), (6, end + 5));
    }

    #[test]
    fn what_is_missing_ends_a_line() {
        let mut file = file("one two\nthree four\nfive\n");
        file.1 = Span::new(Offset(10), Offset(14));
        assert_eq!(found(&file, 17, 1), (14, 19), "it begins behind the gap");
        assert_eq!(found(&file, 9, 1), (8, 19));
    }
}
