//! Chunks of many streams as lines.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use lastline_line::{Chunk, Offset, StreamId, Timestamp};
use memchr::memchr;

use crate::record::Record;

/// The longest text of a record, in bytes: 256 KiB.
pub const MAX_LINE_BYTES: usize = 256 << 10;
/// How much may be held of lines that are open, of all streams together: 8 MiB.
const MAX_OPEN_BYTES: usize = 8 << 20;

/// Cuts chunks into lines, and holds the starts of those that are open.
///
/// Law: the records of a stream, each with its newline unless it is partial, are its bytes, each once and in
/// order; what is held is bounded.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    open: BTreeMap<StreamId, Open>,
    /// Bytes in all of them.
    held: usize,
}

#[derive(Debug)]
struct Open {
    start: Offset,
    time: Timestamp,
    text: BytesMut,
}

impl Lines {
    /// Takes a chunk, and gives the records that it completes.
    pub(crate) fn push(&mut self, chunk: &Chunk, to: &mut Vec<Record>) {
        let mut rest = chunk.bytes.clone();
        while !rest.is_empty() {
            let at = chunk.end().0 - rest.len() as u64;
            let held = self.open.get(&chunk.stream).map_or(0, |open| open.text.len());
            let room = MAX_LINE_BYTES.saturating_sub(held);
            // A newline behind the last byte that there is room for ends the line all the same.
            match memchr(b'\n', &rest[..rest.len().min(room + 1)]) {
                Some(newline) => {
                    let text = rest.split_to(newline);
                    drop(rest.split_to(1));
                    to.push(self.close(chunk, at, text, false));
                }
                None if rest.len() > room => {
                    let text = rest.split_to(room);
                    to.push(self.close(chunk, at, text, true));
                }
                None => self.hold(chunk, at, std::mem::take(&mut rest), to),
            }
        }
    }

    /// Nothing follows what is open of this stream: it is given as it is.
    pub(crate) fn end(&mut self, stream: StreamId, to: &mut Vec<Record>) {
        if let Some(open) = self.open.remove(&stream) {
            self.held -= open.text.len();
            to.push(Record::new(stream, open.start, open.time, open.text.freeze(), true));
        }
    }

    /// What is open of the stream, and behind it these bytes, which are at `at`.
    fn close(&mut self, chunk: &Chunk, at: u64, text: Bytes, partial: bool) -> Record {
        let Some(mut open) = self.open.remove(&chunk.stream) else {
            return Record::new(chunk.stream, Offset(at), chunk.time, text, partial);
        };
        self.held -= open.text.len();
        open.text.extend_from_slice(&text);
        Record::new(chunk.stream, open.start, open.time, open.text.freeze(), partial)
    }

    fn hold(&mut self, chunk: &Chunk, at: u64, text: Bytes, to: &mut Vec<Record>) {
        let (start, time) = (Offset(at), chunk.time);
        let begin = || Open { start, time, text: BytesMut::new() };
        self.open.entry(chunk.stream).or_insert_with(begin).text.extend_from_slice(&text);
        self.held += text.len();
        if self.held > MAX_OPEN_BYTES {
            self.end(chunk.stream, to);
        }
    }
}

#[cfg(test)]
mod tests {
    use lastline_line::{Launch, Stream};
    use proptest::prelude::*;

    use super::*;

    fn stream(rank: u32) -> StreamId {
        StreamId::new(Launch(1), rank, Stream::Stdout)
    }

    fn chunk(rank: u32, start: u64, bytes: &[u8]) -> Chunk {
        Chunk::new(stream(rank), Offset(start), Timestamp(start), Bytes::copy_from_slice(bytes))
    }

    /// The records' bytes, which stand one behind the other.
    fn joined(records: &[Record]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for record in records {
            assert_eq!(record.span.from.0, bytes.len() as u64);
            bytes.extend_from_slice(&record.text);
            bytes.extend(if record.partial { None } else { Some(b'\n') });
            assert_eq!(record.span.to.0, bytes.len() as u64);
        }
        bytes
    }

    proptest! {
        #[test]
        fn any_chunks_of_any_bytes_are_these_lines(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 1..200),
            cuts in proptest::collection::vec(1..20_usize, 1..50),
        ) {
            let (mut lines, mut records) = (Lines::default(), Vec::new());
            let (mut at, mut cuts) = (0, cuts.into_iter().cycle());
            while at < bytes.len() {
                let to = bytes.len().min(at + cuts.next().unwrap());
                lines.push(&chunk(0, at as u64, &bytes[at..to]), &mut records);
                at = to;
            }
            lines.end(stream(0), &mut records);
            prop_assert_eq!(joined(&records), bytes.clone());
            let mut expected: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
            expected.pop_if(|last| last.is_empty());
            let texts: Vec<&[u8]> = records.iter().map(|record| &record.text[..]).collect();
            prop_assert_eq!(texts, expected);
            prop_assert_eq!(lines.held, 0);
        }
    }

    #[test]
    fn a_long_line_is_cut_and_one_that_just_fits_is_not() {
        for (len, pieces) in [(MAX_LINE_BYTES, 1), (MAX_LINE_BYTES + 1, 2), (2 * MAX_LINE_BYTES, 2)]
        {
            let mut bytes = vec![b'x'; len];
            bytes.push(b'\n');
            let (mut lines, mut records) = (Lines::default(), Vec::new());
            for (at, part) in bytes.chunks(100_000).enumerate() {
                lines.push(&chunk(0, at as u64 * 100_000, part), &mut records);
            }
            assert_eq!(joined(&records), bytes);
            assert_eq!(records.len(), pieces, "{len}");
            let partial = records.iter().filter(|record| record.partial).count();
            assert_eq!(partial, pieces - 1, "{len}");
        }
    }

    #[test]
    fn what_is_held_of_all_ranks_is_bounded() {
        let (mut lines, mut records) = (Lines::default(), Vec::new());
        let text = vec![b'x'; MAX_LINE_BYTES - 1];
        for rank in 0..200 {
            lines.push(&chunk(rank, 0, &text), &mut records);
            assert!(lines.held <= MAX_OPEN_BYTES);
        }
        assert!(records.iter().all(|record| record.partial) && records.len() > 100);
    }
}
