//! Output of several streams as one frame, which says once what their lines have alike.
//!
//! The frame is a number of chunks. A chunk is its stream, offset, time, whether it is unterminated, and a
//! number of lines. A line is one of three, by its tag: 0 is a new one, its length and its text;
//! 2k + 1 is the same as the k-th new one of the frame; 2k + 2 differs from that one in its numbers
//! alone, which follow, each with its length. A number is a run of ASCII digits. Counts, lengths,
//! offsets, times and tags are LEB128.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::ops::Range;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use super::{
    MAX_FRAME_BYTES, Reader, WireError, encode_folded, encode_message, put_stream, window_bytes,
};
use crate::{Chunk, Message, Offset, Timestamp};

/// A chunk has at least its stream, an offset, a time, a flag and a count.
const LEAST_CHUNK_BYTES: usize = 13 + 4;

/// How much [`encode_folded`] may be given, as [`window_bytes`] counts it: the frame is then below
/// [`MAX_FRAME_BYTES`], whatever is said, since no line takes more than four times its length.
pub const MAX_FOLDED_BYTES: usize = MAX_FRAME_BYTES / 4;

/// Appends messages in their order: data that follows data as one folded frame ([`encode_folded`]) where
/// that is shorter, all else as frames of their own.
pub fn encode_output(messages: &[Message], out: &mut BytesMut) {
    let mut rest = messages;
    while !rest.is_empty() {
        let (mut chunks, mut taken) = (Vec::new(), 0);
        for message in rest {
            taken += window_bytes(message);
            match message {
                Message::Data(chunk) if taken <= MAX_FOLDED_BYTES => chunks.push(chunk.clone()),
                _ => break,
            }
        }
        let (run, behind) = rest.split_at(chunks.len().max(1));
        let from = out.len();
        run.iter().for_each(|message| encode_message(message, out));
        if chunks.len() > 1 {
            let mut folded = BytesMut::new();
            encode_folded(&chunks, &mut folded);
            if folded.len() < out.len() - from {
                out.truncate(from);
                out.put(folded);
            }
        }
        rest = behind;
    }
}

/// Appends what a frame of `chunks` has behind its kind.
pub(super) fn put(out: &mut BytesMut, chunks: &[Chunk]) {
    let mut templates = Templates::default();
    put_count(out, chunks.len());
    for chunk in chunks {
        put_stream(out, chunk.stream);
        put_number(out, chunk.start.0);
        put_number(out, chunk.time.0);
        out.put_u8(u8::from(chunk.unterminated));
        put_count(out, chunk.bytes.split_inclusive(|byte| *byte == b'\n').count());
        for line in chunk.bytes.split_inclusive(|byte| *byte == b'\n') {
            templates.put(out, line);
        }
    }
}

/// The lines that were new so far.
#[derive(Default)]
struct Templates<'a> {
    lines: Vec<&'a [u8]>,
    /// By what they are without their numbers; the first one of each.
    known: HashMap<u64, usize>,
    hasher: RandomState,
}

impl<'a> Templates<'a> {
    fn put(&mut self, out: &mut BytesMut, line: &'a [u8]) {
        let mut hasher = self.hasher.build_hasher();
        for (text, _) in Pieces(line) {
            hasher.write(text);
            hasher.write_u8(b'0');
        }
        let new = self.lines.len();
        let at = *self.known.entry(hasher.finish()).or_insert(new);
        let alike = self.lines.get(at).filter(|template| differ_in_numbers_alone(template, line));
        match alike {
            Some(template) if *template == line => put_count(out, 2 * at + 1),
            Some(_) => {
                put_count(out, 2 * at + 2);
                for (_, number) in Pieces(line).filter(|(_, number)| !number.is_empty()) {
                    put_bytes(out, number);
                }
            }
            None => {
                put_count(out, 0);
                put_bytes(out, line);
                self.lines.push(line);
            }
        }
    }
}

fn differ_in_numbers_alone(one: &[u8], other: &[u8]) -> bool {
    let skeleton =
        |line| Pieces(line).map(|(text, number): (&[u8], &[u8])| (text, number.is_empty()));
    skeleton(one).eq(skeleton(other))
}

/// A line as texts, each with the number behind it; only the last one's may be empty.
struct Pieces<'a>(&'a [u8]);

impl<'a> Iterator for Pieces<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let until = |is_end: fn(&u8) -> bool, bytes: &'a [u8]| {
            bytes.split_at(bytes.iter().position(is_end).unwrap_or(bytes.len()))
        };
        let (text, rest) = until(u8::is_ascii_digit, self.0);
        let (number, rest) = until(|byte| !byte.is_ascii_digit(), rest);
        self.0 = rest;
        Some((text, number))
    }
}

/// The chunks of a frame. Together they have at most [`MAX_FRAME_BYTES`].
pub(super) fn take(mut body: Reader) -> Result<Vec<Chunk>, WireError> {
    let mut text = BytesMut::new();
    let mut templates = Vec::new();
    let count = body.count()?;
    if count > body.rest.len() / LEAST_CHUNK_BYTES {
        return Err(body.malformed());
    }
    let mut chunks = Vec::with_capacity(count);
    for _ in 0..count {
        let (stream, start) = (body.stream()?, Offset(body.number()?));
        let (time, unterminated) = (Timestamp(body.number()?), body.u8()? != 0);
        let from = text.len();
        for _ in 0..body.count()? {
            take_line(&mut body, &mut templates, &mut text)?;
        }
        if text.len() == from || start.0.checked_add((text.len() - from) as u64).is_none() {
            return Err(body.malformed());
        }
        chunks.push((
            Chunk { stream, start, time, bytes: Bytes::new(), unterminated },
            from..text.len(),
        ));
    }
    if !body.rest.is_empty() {
        return Err(body.malformed());
    }
    let text = text.freeze();
    let filled = |(chunk, at): (Chunk, Range<usize>)| Chunk { bytes: text.slice(at), ..chunk };
    Ok(chunks.into_iter().map(filled).collect())
}

fn take_line(
    body: &mut Reader,
    templates: &mut Vec<Bytes>,
    text: &mut BytesMut,
) -> Result<(), WireError> {
    let from = text.len();
    match body.count()? {
        0 => {
            let line = body.bytes()?;
            text.put_slice(&line);
            templates.push(line);
        }
        tag => {
            let template = templates.get((tag - 1) / 2).ok_or_else(|| body.malformed())?;
            if tag % 2 == 1 {
                text.put_slice(template);
            } else {
                for (between, number) in Pieces(template) {
                    text.put_slice(between);
                    if !number.is_empty() {
                        text.put_slice(&body.bytes()?);
                    }
                }
            }
        }
    }
    let is_within = text.len() > from && text.len() <= MAX_FRAME_BYTES;
    is_within.then_some(()).ok_or_else(|| body.malformed())
}

fn put_count(out: &mut BytesMut, count: usize) {
    put_number(out, count as u64);
}

fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    put_count(out, bytes.len());
    out.put_slice(bytes);
}

fn put_number(out: &mut BytesMut, mut number: u64) {
    while number >= 0x80 {
        out.put_u8(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.put_u8(number.to_le_bytes()[0]);
}

impl Reader {
    fn number(&mut self) -> Result<u64, WireError> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(self.malformed())
    }

    fn count(&mut self) -> Result<usize, WireError> {
        usize::try_from(self.number()?).map_err(|_| self.malformed())
    }

    /// Its length and so many bytes.
    fn bytes(&mut self) -> Result<Bytes, WireError> {
        let length = self.count()?;
        if length > self.rest.remaining() {
            return Err(self.malformed());
        }
        Ok(self.rest.split_to(length))
    }
}
