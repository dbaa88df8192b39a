//! What a regular expression finds in the files of a job.
//!
//! Files are read in large pieces and looked through as a whole, not line by line; only what is found is
//! looked at closer. A piece ends at a newline, so that a line is seen whole, unless it is longer than
//! a piece: then it is looked through in pieces that overlap, and what is longer than the overlap may
//! be missed where they meet.

use std::io;
use std::ops::ControlFlow;

use lastline_line::{Offset, ReadBack, ReadOutcome, StreamId};
use regex::bytes::{Regex, RegexBuilder};

/// How much is looked through at once, in bytes: large enough that what a piece costs does not count,
/// small enough to stay in a processor's cache.
const PIECE_BYTES: usize = 1 << 20;
/// By how much pieces of a line that is longer than one overlap.
const OVERLAP_BYTES: usize = 4 << 10;
/// How much of a line is shown before and behind what was found, in bytes.
const BESIDE_BYTES: usize = 200;
/// How much of what was found itself is shown.
const FOUND_BYTES: usize = 400;
/// The most memory that an expression may take, in bytes: one of a few characters can ask for any.
const REGEX_BYTES: usize = 4 << 20;

/// A line in which something was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    /// Where the line begins, as far as it was looked at.
    pub(crate) line: Offset,
    /// What stands before that which was found, as much as is shown.
    pub(crate) before: Vec<u8>,
    /// What was found.
    pub(crate) found: Vec<u8>,
    /// What stands behind it.
    pub(crate) after: Vec<u8>,
}

/// What is looked for.
#[derive(Clone, Debug)]
pub(crate) struct Pattern(Regex);

impl Pattern {
    /// A regular expression, or a text as it is. In a line `^` and `$` are its start and end.
    pub(crate) fn new(text: &str, literal: bool, ignore_case: bool) -> Result<Self, regex::Error> {
        let escaped;
        let text = match literal {
            true => {
                escaped = regex::escape(text);
                &escaped
            }
            false => text,
        };
        RegexBuilder::new(text)
            .case_insensitive(ignore_case)
            .multi_line(true)
            .crlf(true)
            .size_limit(REGEX_BYTES)
            .dfa_size_limit(REGEX_BYTES)
            .build()
            .map(Self)
    }

    /// Tells of each line of `text`, which stands at `start` in its stream, in which something is found.
    fn hits(
        &self,
        text: &[u8],
        start: Offset,
        tell: &mut dyn FnMut(Hit) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut at = 0;
        while at < text.len() {
            let Some(found) = self.0.find_at(text, at) else { break };
            let line_start = memchr::memrchr(b'\n', &text[..found.start()]).map_or(0, |n| n + 1);
            let rest = &text[found.start()..];
            let line_end = memchr::memchr(b'\n', rest).map_or(text.len(), |n| found.start() + n);
            at = line_end + 1;
            // What goes beyond a line may be found within it, too; behind the last newline is no line.
            let line = &text[line_start..line_end];
            let within = match found.end() <= line_end {
                true => Some(found.start() - line_start..found.end() - line_start),
                false => self.0.find(line).map(|found| found.range()),
            };
            if line_start == text.len() {
                break;
            }
            if let Some(found) = within {
                tell(hit(line, start + line_start as u64, found))?;
            }
        }
        ControlFlow::Continue(())
    }
}

fn hit(line: &[u8], at: Offset, found: std::ops::Range<usize>) -> Hit {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let found = found.start.min(line.len())..found.end.min(line.len());
    let end = found.end.min(found.start + FOUND_BYTES);
    let before = found.start.saturating_sub(BESIDE_BYTES)..found.start;
    let after = end..line.len().min(end + BESIDE_BYTES);
    Hit {
        line: at,
        before: line[before].to_vec(),
        found: line[found.start..end].to_vec(),
        after: line[after].to_vec(),
    }
}

/// Who is told of a search in one stream.
pub(crate) trait Finder {
    /// A line was found; breaks when no more are wanted.
    fn found(&mut self, hit: Hit) -> ControlFlow<()>;
    /// So many bytes more were looked through; breaks when the search is given up.
    fn looked_through(&mut self, bytes: u64) -> ControlFlow<()>;
}

/// Looks through a stream, to where it ended when the search began. Blocks for the disk.
pub(crate) fn search(
    files: &dyn ReadBack,
    stream: StreamId,
    pattern: &Pattern,
    finder: &mut dyn Finder,
) -> io::Result<ControlFlow<()>> {
    let end = files.filed(stream);
    let mut piece = vec![0; PIECE_BYTES];
    // What is in front of the piece from before, and where its first byte stands.
    let (mut kept, mut at) = (0, Offset::ZERO);
    while at < end {
        let bytes = match files.read_back(stream, at, &mut piece[kept..])? {
            ReadOutcome::Read(bytes) => bytes,
            gone => {
                let start = Offset(at.0 - kept as u64);
                if pattern.hits(&piece[..kept], start, &mut |hit| finder.found(hit)).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
                match gone {
                    ReadOutcome::Gone { to, .. } if to > at => (kept, at) = (0, to),
                    _ => return Ok(ControlFlow::Continue(())),
                }
                continue;
            }
        };
        let start = Offset(at.0 - kept as u64);
        let filled = kept + bytes;
        at += bytes as u64;
        let whole = match memchr::memrchr(b'\n', &piece[kept..filled]) {
            _ if at >= end => filled,
            Some(newline) => kept + newline + 1,
            // A line that is longer than a piece; otherwise there is room for more of it.
            None if filled == piece.len() => filled,
            None => 0,
        };
        let mut tell = |hit| finder.found(hit);
        if pattern.hits(&piece[..whole], start, &mut tell).is_break()
            || finder.looked_through(bytes as u64).is_break()
        {
            return Ok(ControlFlow::Break(()));
        }
        let is_open = whole == filled && piece[filled - 1] != b'\n';
        let keep_from = if is_open { filled.saturating_sub(OVERLAP_BYTES) } else { whole };
        piece.copy_within(keep_from..filled, 0);
        kept = filled - keep_from;
    }
    Ok(ControlFlow::Continue(()))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use lastline_line::{Launch, Stream};
    use proptest::prelude::*;

    use super::*;

    /// A stream that is read in parts of any size.
    struct Bytes(Vec<u8>, Mutex<Vec<usize>>);

    impl ReadBack for Bytes {
        fn read_back(&self, _: StreamId, from: Offset, into: &mut [u8]) -> io::Result<ReadOutcome> {
            let rest = &self.0[(from.0 as usize).min(self.0.len())..];
            let most = self.1.lock().unwrap().pop().unwrap_or(usize::MAX);
            let bytes = rest.len().min(into.len()).min(most);
            into[..bytes].copy_from_slice(&rest[..bytes]);
            Ok(if bytes == 0 { ReadOutcome::NotYet } else { ReadOutcome::Read(bytes) })
        }
        fn filed(&self, _: StreamId) -> Offset {
            Offset(self.0.len() as u64)
        }
    }

    #[derive(Default)]
    struct All(Vec<(u64, String)>, u64);

    impl Finder for All {
        fn found(&mut self, hit: Hit) -> ControlFlow<()> {
            self.0.push((hit.line.0, String::from_utf8_lossy(&hit.found).into_owned()));
            ControlFlow::Continue(())
        }
        fn looked_through(&mut self, bytes: u64) -> ControlFlow<()> {
            self.1 += bytes;
            ControlFlow::Continue(())
        }
    }

    fn all(text: &[u8], pattern: &Pattern, parts: Vec<usize>) -> All {
        let id = StreamId::new(Launch(1), 0, Stream::Stdout);
        let mut found = All::default();
        let files = Bytes(text.to_vec(), Mutex::new(parts));
        assert!(search(&files, id, pattern, &mut found).unwrap().is_continue());
        found
    }

    #[test]
    fn each_line_is_a_hit_once_and_anchors_are_those_of_lines() {
        let regex = |text: &str| Pattern::new(text, false, false).unwrap();
        let text = b"one two\r\nerror: one\n\nlast error";
        let hits = |pattern: &str| all(text, &regex(pattern), Vec::new()).0;
        assert_eq!(hits("one"), [(0, "one".into()), (9, "one".into())]);
        assert_eq!(hits("^error"), [(9, "error".into())]);
        assert_eq!(hits("two$"), [(0, "two".into())]);
        assert_eq!(hits("error$"), [(21, "error".into())]);
        // Nothing is found across lines, and what is found within them is.
        assert_eq!(hits("one\\s+two|one\\s+last"), [(0, "one two".into())]);
        assert_eq!(hits("one[^x]*"), [(0, "one two".into()), (9, "one".into())]);
        assert_eq!(hits("^$"), [(20, String::new())]);
        assert_eq!(hits("").len(), 4);
        let literal = Pattern::new("ERROR: O", true, true).unwrap();
        assert_eq!(all(text, &literal, Vec::new()).0, [(9, "error: o".into())]);
        assert!(Pattern::new("(", false, false).is_err());
        assert!(Pattern::new("(a{1000}){1000}", false, false).is_err());
    }

    #[test]
    fn what_is_in_a_line_longer_than_a_piece_is_found() {
        let mut text = vec![b'x'; 3 * PIECE_BYTES];
        let at = PIECE_BYTES - 3;
        text[at..at + 6].copy_from_slice(b"needle");
        text.extend_from_slice(b"\nneedle\n");
        let pattern = Pattern::new("needle", false, false).unwrap();
        let found = all(&text, &pattern, Vec::new());
        assert_eq!(found.0.len(), 2);
        assert_eq!(found.0[1].0, 3 * PIECE_BYTES as u64 + 1);
        assert_eq!(found.1, text.len() as u64);
    }

    proptest! {
        /// However it is read, the lines found are those that the expression is in.
        #[test]
        fn hits_are_the_lines_that_match(
            text in "[ab\n]{0,300}",
            pattern in prop::sample::select(vec!["a+b", "^b", "a$", "ba\\s*", "b\\n*a", "^$"]),
            parts in prop::collection::vec(1usize..20, 0..60),
        ) {
            let pattern = Pattern::new(pattern, false, false).unwrap();
            let mut expected = Vec::new();
            let mut at = 0;
            for line in text.split_inclusive('\n') {
                let plain = line.strip_suffix('\n').unwrap_or(line);
                if pattern.0.is_match(plain.as_bytes()) { expected.push(at); }
                at += line.len() as u64;
            }
            let found: Vec<u64> = all(text.as_bytes(), &pattern, parts).0.into_iter().map(|(at, _)| at).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
