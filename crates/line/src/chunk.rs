//! Bytes with their address.

use bytes::Bytes;

use crate::{Offset, Span, StreamId, Timestamp};

/// A piece of a stream: shared bytes, where they stand, and when they were read.
///
/// Cloning shares the bytes. A chunk holds whole lines, each with its newline, unless it is
/// `unterminated`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Whose bytes.
    pub stream: StreamId,
    /// The offset of the first byte.
    pub start: Offset,
    /// When they were taken from the pipe.
    pub time: Timestamp,
    /// The bytes as they were written; never empty.
    pub bytes: Bytes,
    /// The last byte is not a newline: the line goes on in the next chunk, or the stream ended.
    pub unterminated: bool,
}

impl Chunk {
    /// A chunk that finds out by itself whether it is unterminated.
    pub fn new(stream: StreamId, start: Offset, time: Timestamp, bytes: Bytes) -> Self {
        let unterminated = bytes.last() != Some(&b'\n');
        Self { stream, start, time, bytes, unterminated }
    }

    /// How many bytes.
    pub fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// One past the last byte.
    pub fn end(&self) -> Offset {
        self.start + self.len()
    }

    /// From the first byte to one past the last.
    pub fn span(&self) -> Span {
        Span::new(self.start, self.end())
    }

    /// The chunk without what lies before `from`; `None` when nothing is left.
    ///
    /// The receiver uses it to trim what it has already.
    pub fn trim_before(mut self, from: Offset) -> Option<Self> {
        let cut = usize::try_from(from - self.start).unwrap_or(usize::MAX);
        if cut >= self.bytes.len() {
            return None;
        }
        self.bytes = self.bytes.slice(cut..);
        self.start += cut as u64;
        Some(self)
    }

    /// Cuts behind the first newline at or behind `bytes`: this chunk ends there, and the rest is
    /// returned. `None`, and nothing changes, when nothing would be left.
    pub fn split_after_line(&mut self, bytes: usize) -> Option<Self> {
        let newline = memchr::memchr(b'\n', self.bytes.get(bytes..)?)?;
        let rest = self.clone().trim_before(self.start + (bytes + newline + 1) as u64)?;
        self.bytes.truncate(bytes + newline + 1);
        self.unterminated = false;
        Some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Launch, Stream};

    fn chunk(text: &'static str) -> Chunk {
        let id = StreamId::new(Launch(1), 0, Stream::Stdout);
        Chunk::new(id, Offset(10), Timestamp(5), Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn a_chunk_knows_whether_its_last_line_ends() {
        assert!(!chunk("a\nb\n").unterminated);
        assert!(chunk("a\nb").unterminated);
    }

    #[test]
    fn trimming_keeps_the_address_of_every_byte() {
        let trimmed = chunk("abcdef").trim_before(Offset(13)).unwrap();
        assert_eq!((trimmed.start, &trimmed.bytes[..]), (Offset(13), &b"def"[..]));
        assert_eq!(trimmed.end(), Offset(16));
        assert_eq!(chunk("abc").trim_before(Offset(13)), None);
        assert_eq!(chunk("abc").trim_before(Offset(2)), Some(chunk("abc")));
    }

    #[test]
    fn a_chunk_is_cut_between_lines() {
        let mut first = chunk("ab\ncd\nef");
        let rest = first.split_after_line(2).unwrap();
        assert_eq!((&first.bytes[..], first.unterminated), (&b"ab\n"[..], false));
        assert_eq!((&rest.bytes[..], rest.unterminated), (&b"cd\nef"[..], true));
        assert_eq!(first.end(), rest.start);
        for (text, bytes) in [("ab\ncd\n", 3), ("abc", 0), ("ab\n", 9)] {
            let mut whole = chunk(text);
            assert_eq!((whole.split_after_line(bytes), whole), (None, chunk(text)), "{text:?}");
        }
    }
}
