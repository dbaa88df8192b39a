//! A rank's last lines cut into units, for a summary of what failed.

use std::ops::Range;

use lastline_line::{Launch, Line, Offset, Stream, StreamId, Timestamp};

use crate::read::Reader;
use crate::unit::{Match, Meta, Part, Said, Shape};

/// Cuts lines of one stream into units: tracebacks, panics, stack traces and indented blocks whole,
/// every other line by itself. The ranges cover all lines, in order.
///
/// The lines may start in the middle of a traceback, as last lines do.
///
/// ```
/// let lines: [&[u8]; 4] = [
///     b"epoch 3",
///     b"Traceback (most recent call last):",
///     b"  File \"train.py\", line 3, in <module>",
///     b"ValueError: bad batch",
/// ];
/// assert_eq!(lastline_fold::units(&lines), [0..1, 1..4]);
/// ```
pub fn units(lines: &[&[u8]]) -> Vec<Range<usize>> {
    let mut units = Vec::new();
    let mut from = 0;
    while from < lines.len() {
        let to = from + unit(&lines[from..]).len();
        units.push(from..to);
        from = to;
    }
    units
}

/// Whether two units say the same: as many lines, each making the same statement, at the same
/// places of the same program.
///
/// ```
/// use lastline_fold::same_statement;
///
/// assert!(same_statement(&[b"rank 3 lost its peer"], &[b"rank 17 lost its peer"]));
/// assert!(!same_statement(&[b"out of memory"], &[b"out of patience"]));
/// ```
pub fn same_statement(left: &[&[u8]], right: &[&[u8]]) -> bool {
    if left.len() != right.len() || left.is_empty() {
        return left.len() == right.len();
    }
    let mut reader = Reader::default();
    let mut key = |lines: &[&[u8]]| {
        let text = lines.join(&b'\n');
        reader.read(Said { text: &text, lines: &unit(lines) }).key
    };
    left == right || key(left) == key(right)
}

/// What the first line and those that belong to it are compared as; one line at least.
fn unit(lines: &[&[u8]]) -> Vec<Meta> {
    let mut metas = vec![meta(lines[0], Match::Statement)];
    let Some(mut shape) = Shape::opened_by(lines[0]) else {
        return metas;
    };
    metas[0].compares = shape.compares(lines[0]);
    let mut certain = 1;
    for line in &lines[1..] {
        match shape.offer(line) {
            Part::Foreign => break,
            part => {
                metas.push(meta(line, shape.compares(line)));
                if part == Part::Inside {
                    certain = metas.len();
                }
            }
        }
    }
    metas.truncate(certain);
    metas
}

fn meta(text: &[u8], compares: Match) -> Meta {
    let line = Line {
        stream: StreamId::new(Launch(0), 0, Stream::Stderr),
        start: Offset::ZERO,
        bytes: text.len() as u64 + 1,
        time: Timestamp::default(),
        text,
        continuation: false,
        partial: false,
        redrawn: false,
    };
    Meta { compares, ..Meta::of(&line) }
}
