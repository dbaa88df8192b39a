//! A window on one rank's own log, read from its file by offset: of gigabytes as much as is shown.

use std::io;

use lastline_line::Stream;

use crate::clean::clean;
use crate::feed::{OwnLogs, Part};

/// How much is read at once, in bytes.
const READ_BYTES: u64 = 64 << 10;
/// The longest line that is shown as one, in bytes: the rest stands below it.
const LINE_BYTES: usize = 4 << 10;
/// How often it is read on before a window is given as it is.
const MAX_READS: usize = 64;

/// Which part is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Want {
    pub(crate) rank: u32,
    pub(crate) stream: Stream,
    pub(crate) rows: usize,
    pub(crate) at: At,
}

/// Where a window begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// So that the last line is its last.
    End,
    /// At this byte.
    From(u64),
    /// So many lines before this byte.
    Before(u64, usize),
}

/// A line of a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The offset of its first byte.
    pub start: u64,
    /// What is shown of it.
    pub text: String,
    /// It says that bytes are missing here.
    pub missing: bool,
}

/// Lines of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Whose.
    pub rank: u32,
    /// Which of its streams was wanted.
    pub stream: Stream,
    /// Of which one the lines are.
    pub shown: Stream,
    /// The lines.
    pub lines: Vec<Line>,
    /// How long the stream is by now, in bytes.
    pub length: u64,
    /// The last line of the stream is among them.
    pub at_end: bool,
    /// Why it could not be read.
    pub error: Option<String>,
}

/// Reads a window.
pub(crate) fn read(logs: &mut dyn OwnLogs, want: &Want) -> Window {
    let shown = logs.shown(want.rank, want.stream);
    let length = logs.length(want.rank, shown);
    let mut file = File { logs, rank: want.rank, stream: shown, length };
    // One line more than has room says whether there is one.
    let more = want.rows + 1;
    let read = match want.at {
        At::End => file.before(length, want.rows),
        At::From(from) => file.from(from.min(length), more),
        At::Before(end, lines) => file
            .before(end.min(length), lines)
            .and_then(|above| file.from(above.first().map_or(0, |line| line.start), more)),
    };
    let (mut lines, error) = match read {
        Ok(lines) => (lines, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let at_end = lines.len() <= want.rows;
    lines.truncate(want.rows);
    Window { rank: want.rank, stream: want.stream, shown, lines, length, at_end, error }
}

/// What there is from a byte on.
enum Found {
    Bytes(Vec<u8>),
    Missing { to: u64, cause: String },
}

struct File<'a> {
    logs: &'a mut dyn OwnLogs,
    rank: u32,
    stream: Stream,
    length: u64,
}

impl File<'_> {
    /// The bytes of a range, or what is missing at its start.
    fn part(&mut self, from: u64, to: u64) -> io::Result<Found> {
        let bytes = usize::try_from(to.saturating_sub(from).min(READ_BYTES)).unwrap_or(0);
        let (mut buffer, mut filled) = (vec![0; bytes], 0);
        while filled < buffer.len() {
            let at = from + filled as u64;
            match self.logs.read(self.rank, self.stream, at, &mut buffer[filled..])? {
                Part::Bytes(0) => break,
                Part::Bytes(more) => filled += more,
                Part::Missing { to, cause } if filled == 0 => {
                    return Ok(Found::Missing { to: to.max(from + 1), cause });
                }
                Part::Missing { .. } => break,
            }
        }
        buffer.truncate(filled);
        Ok(Found::Bytes(buffer))
    }

    /// So many lines from a byte on.
    fn from(&mut self, from: u64, rows: usize) -> io::Result<Vec<Line>> {
        let (mut lines, mut at) = (Vec::new(), from);
        for _ in 0..MAX_READS {
            if lines.len() >= rows || at >= self.length {
                break;
            }
            let bytes = match self.part(at, self.length)? {
                Found::Bytes(bytes) if bytes.is_empty() => break,
                Found::Bytes(bytes) => bytes,
                Found::Missing { to, cause } => {
                    lines.push(missing_line(at, to, &cause));
                    at = to;
                    continue;
                }
            };
            let is_last = at + bytes.len() as u64 >= self.length;
            let read = split(at, &bytes, is_last || bytes.len() < READ_BYTES as usize);
            at = read.1;
            lines.extend(read.0);
        }
        lines.truncate(rows);
        Ok(lines)
    }

    /// The last lines, so many, before a byte.
    fn before(&mut self, end: u64, rows: usize) -> io::Result<Vec<Line>> {
        let (mut lines, mut end): (Vec<Line>, u64) = (Vec::new(), end);
        for _ in 0..MAX_READS {
            if lines.len() >= rows || end == 0 {
                break;
            }
            let from = end.saturating_sub(READ_BYTES);
            let mut read = Vec::new();
            let mut at = from;
            while at < end {
                match self.part(at, end)? {
                    Found::Bytes(bytes) if bytes.is_empty() => break,
                    Found::Bytes(bytes) => {
                        read.extend(split(at, &bytes, true).0);
                        at += bytes.len() as u64;
                    }
                    Found::Missing { to, cause } => {
                        read.push(missing_line(at, to.min(end), &cause));
                        at = to.min(end);
                    }
                }
            }
            // The first one may be the end of a longer line: it is read with what is before it.
            if from > 0 && read.len() > 1 {
                read.remove(0);
            }
            let Some(first) = read.first().map(|line| line.start) else { break };
            if first >= end {
                break;
            }
            end = first;
            read.append(&mut lines);
            lines = read;
        }
        let surplus = lines.len().saturating_sub(rows);
        lines.drain(..surplus);
        Ok(lines)
    }
}

fn missing_line(from: u64, to: u64, cause: &str) -> Line {
    let text = clean(&format!("bytes {from} to {to} are missing: {cause}"));
    Line { start: from, text, missing: true }
}

/// The lines of a piece of a stream that begins at `at`, and where the next one begins. The last is
/// given although its newline is not there only when it `is_all`.
fn split(at: u64, bytes: &[u8], is_all: bool) -> (Vec<Line>, u64) {
    let (mut lines, mut start) = (Vec::new(), 0);
    while start < bytes.len() {
        let rest = &bytes[start..];
        let newline = rest.iter().take(LINE_BYTES).position(|byte| *byte == b'\n');
        let end = match newline {
            Some(end) => end,
            None if rest.len() > LINE_BYTES => LINE_BYTES,
            None if is_all => rest.len(),
            None => break,
        };
        let text = clean(&String::from_utf8_lossy(&rest[..end]));
        lines.push(Line { start: at + start as u64, text, missing: false });
        start += end + usize::from(newline.is_some());
    }
    (lines, at + start as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Memory {
        bytes: Vec<u8>,
        /// What is missing.
        hole: Option<(u64, u64)>,
    }

    impl OwnLogs for Memory {
        fn length(&mut self, _rank: u32, _stream: Stream) -> u64 {
            self.bytes.len() as u64
        }

        fn read(&mut self, _: u32, _: Stream, from: u64, buffer: &mut [u8]) -> io::Result<Part> {
            let mut end = (from as usize + buffer.len()).min(self.bytes.len());
            if let Some((hole, to)) = self.hole {
                if (hole..to).contains(&from) {
                    return Ok(Part::Missing { to, cause: String::from("rotated") });
                }
                if from < hole {
                    end = end.min(hole as usize);
                }
            }
            let bytes = &self.bytes[from as usize..end];
            // As a disk may, in pieces.
            let bytes = &bytes[..bytes.len().min(10_000)];
            buffer[..bytes.len()].copy_from_slice(bytes);
            Ok(Part::Bytes(bytes.len()))
        }
    }

    fn texts(logs: &mut Memory, at: At) -> (Vec<String>, bool) {
        let want = Want { rank: 0, stream: Stream::Stdout, rows: 3, at };
        let window = read(logs, &want);
        (window.lines.into_iter().map(|line| line.text).collect(), window.at_end)
    }

    #[test]
    fn a_window_moves_over_a_file_line_by_line() {
        let text: String = (0..50_000).map(|number| format!("line {number}\n")).collect();
        let mut logs = Memory { bytes: text.clone().into_bytes(), hole: None };
        let end = texts(&mut logs, At::End);
        assert_eq!(end.0, ["line 49997", "line 49998", "line 49999"]);
        assert!(end.1);
        assert_eq!(texts(&mut logs, At::From(0)).0, ["line 0", "line 1", "line 2"]);
        let at = text.find("line 40000\n").unwrap() as u64;
        let (up, at_end) = texts(&mut logs, At::Before(at, 2));
        assert_eq!(up, ["line 39998", "line 39999", "line 40000"]);
        assert!(!at_end);
        assert_eq!(texts(&mut logs, At::Before(at, 45_000)).0.len(), 3);
    }

    #[test]
    fn a_line_without_end_and_missing_bytes_are_shown_in_pieces() {
        let mut bytes = vec![b'x'; 300_000];
        bytes.extend(b"\nlast");
        let mut logs = Memory { bytes, hole: None };
        let (lines, at_end) = texts(&mut logs, At::End);
        assert_eq!(
            (lines.last().map(String::as_str), lines.len(), at_end),
            (Some("last"), 3, true)
        );
        logs.hole = Some((100_000, 299_990));
        let (lines, _) = texts(&mut logs, At::From(100_000));
        assert!(lines[0].starts_with("bytes 100000 to 299990 are missing: rotated"), "{lines:?}");
        assert_eq!(lines[1..], ["xxxxxxxxxx", "last"]);
    }
}
