//! From a stream's bytes to the lines that subscribers are given: split at newlines, and as they
//! are. Pure.

use std::collections::HashMap;

use bytes::Bytes;
use lastline_line::{Chunk, Offset, StreamId, Timestamp};

use crate::subscribe::SubscribedLine;

/// A line whose newline has not come is given in pieces of at least this many bytes.
const PIECE_BYTES: usize = 64 << 10;

/// The open lines of all streams.
#[derive(Debug, Default)]
pub(crate) struct LineTap {
    open: HashMap<StreamId, Open>,
}

#[derive(Debug)]
struct Open {
    text: Vec<u8>,
    start: Offset,
    time: Timestamp,
    continuation: bool,
}

impl Open {
    fn line(&mut self, stream: StreamId, bytes: Bytes, partial: bool) -> SubscribedLine {
        let continuation = std::mem::replace(&mut self.continuation, partial);
        SubscribedLine { stream, start: self.start, time: self.time, bytes, continuation, partial }
    }

    fn take_text(&mut self) -> Bytes {
        std::mem::take(&mut self.text).into()
    }
}

impl LineTap {
    /// Nobody wants lines any more.
    pub(crate) fn clear(&mut self) {
        if !self.open.is_empty() {
            self.open = HashMap::new();
        }
    }

    /// Takes the next bytes of a stream; `mid_line` says whether its first ones start in a line.
    pub(crate) fn push(
        &mut self,
        chunk: &Chunk,
        mid_line: bool,
        out: &mut impl FnMut(SubscribedLine),
    ) {
        let Chunk { stream, start, time, ref bytes, .. } = *chunk;
        // The chunk's own buffer is wanted back, however slow a subscriber is.
        let bytes = Bytes::copy_from_slice(bytes);
        let open = self.open.entry(stream).or_insert(Open {
            text: Vec::new(),
            start,
            time,
            continuation: mid_line,
        });
        open.time = time;
        let mut at = 0;
        for end in memchr::memchr_iter(b'\n', &bytes) {
            let text = if open.text.is_empty() {
                open.start = start + at as u64;
                bytes.slice(at..end)
            } else {
                open.text.extend_from_slice(&bytes[at..end]);
                open.take_text()
            };
            at = end + 1;
            out(open.line(stream, text, false));
        }
        if at < bytes.len() {
            if open.text.is_empty() {
                open.start = start + at as u64;
            }
            open.text.extend_from_slice(&bytes[at..]);
        }
        if open.text.len() >= PIECE_BYTES {
            let text = open.take_text();
            out(open.line(stream, text, true));
        }
    }

    /// The stream goes on at another place, or has ended.
    pub(crate) fn interrupt(&mut self, stream: StreamId, out: &mut impl FnMut(SubscribedLine)) {
        if let Some(open) = self.open.get_mut(&stream)
            && !open.text.is_empty()
        {
            let text = open.take_text();
            out(open.line(stream, text, true));
        }
    }

    /// Everything has ended.
    pub(crate) fn finish(&mut self, out: &mut impl FnMut(SubscribedLine)) {
        let mut streams: Vec<StreamId> = self.open.keys().copied().collect();
        streams.sort();
        streams.into_iter().for_each(|stream| self.interrupt(stream, out));
    }
}
