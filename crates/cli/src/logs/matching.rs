//! Lines that match, and lines around them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lastline_line::{Colours, Emit, Fold, Line, Offset, RankSet, StreamId, Timestamp, plain_text};
use regex::bytes::Regex;

/// Which lines are wanted.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) pattern: Regex,
    /// How many lines of the same stream before one that matches, and after it.
    pub(super) before: usize,
    pub(super) after: usize,
}

/// Whether a line has matched.
#[derive(Clone, Debug, Default)]
pub(super) struct Found(Arc<AtomicBool>);

impl Found {
    pub(super) fn any(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Gives a fold what is wanted, and nothing else: not a fold of all that comes, but one for a client that only
/// prints and has no ledger.
pub(super) struct Matching {
    fold: Box<dyn Fold>,
    wanted: Wanted,
    found: Found,
    streams: HashMap<StreamId, Around>,
    plain: Vec<u8>,
}

/// Where a stream is.
#[derive(Debug, Default)]
struct Around {
    /// The last lines that were left out, as many as may still be wanted.
    before: VecDeque<Held>,
    /// So many of the next lines are wanted.
    after: usize,
    /// The last line was wanted, so that what goes on with it is, too.
    gave: bool,
}

#[derive(Debug)]
struct Held {
    text: Vec<u8>,
    start: Offset,
    bytes: u64,
    time: Timestamp,
    continuation: bool,
    partial: bool,
    redrawn: bool,
}

impl Held {
    fn new(line: &Line<'_>) -> Self {
        let Line { start, bytes, time, continuation, partial, redrawn, .. } = *line;
        Self { text: line.text.to_vec(), start, bytes, time, continuation, partial, redrawn }
    }

    fn line(&self, stream: StreamId) -> Line<'_> {
        let Self { start, bytes, time, continuation, partial, redrawn, .. } = *self;
        Line { stream, text: &self.text, start, bytes, time, continuation, partial, redrawn }
    }
}

impl Matching {
    pub(super) fn new(fold: Box<dyn Fold>, wanted: Wanted, found: Found) -> Self {
        Self { fold, wanted, found, streams: HashMap::new(), plain: Vec::new() }
    }

    /// Whether a line is wanted; lines before it are given to the fold.
    fn takes(&mut self, line: &Line<'_>, now: Timestamp, emit: &mut Emit<'_>) -> bool {
        self.plain.clear();
        plain_text(line.text, Colours::Drop, &mut self.plain);
        let around = self.streams.entry(line.stream).or_default();
        if self.wanted.pattern.is_match(&self.plain) {
            self.found.0.store(true, Ordering::Release);
            for held in around.before.drain(..) {
                self.fold.push(&held.line(line.stream), now, emit);
            }
            (around.after, around.gave) = (self.wanted.after, true);
        } else if !(line.continuation && around.gave) {
            around.gave = around.after > 0;
            around.after = around.after.saturating_sub(1);
        }
        if !around.gave && self.wanted.before > 0 {
            if around.before.len() == self.wanted.before {
                around.before.pop_front();
            }
            around.before.push_back(Held::new(line));
        }
        around.gave
    }
}

impl Fold for Matching {
    fn push(&mut self, line: &Line<'_>, now: Timestamp, emit: &mut Emit<'_>) {
        if self.takes(line, now, emit) {
            self.fold.push(line, now, emit);
        }
    }

    fn push_last(&mut self, line: &Line<'_>, now: Timestamp, emit: &mut Emit<'_>) {
        if self.takes(line, now, emit) {
            self.fold.push_last(line, now, emit);
        }
    }

    fn due(&mut self, now: Timestamp, emit: &mut Emit<'_>) -> Option<Timestamp> {
        self.fold.due(now, emit)
    }

    fn finish(&mut self, emit: &mut Emit<'_>) {
        self.fold.finish(emit);
    }

    fn ended(&mut self, rank: u32, now: Timestamp, emit: &mut Emit<'_>) {
        self.fold.ended(rank, now, emit);
    }

    fn ahead(&self, stream: StreamId) -> u64 {
        self.fold.ahead(stream)
    }

    fn name(&self) -> &'static str {
        self.fold.name()
    }

    fn for_states(&self, ranks: RankSet) -> Box<dyn Fold> {
        self.fold.for_states(ranks)
    }
}

#[cfg(test)]
mod tests {
    use lastline_line::{Entry, Off};
    use lastline_testing::stdout;

    use super::*;

    /// What of lines of two ranks, `rank:text`, is given out.
    fn given(pattern: &str, before: usize, after: usize, lines: &[&str]) -> Vec<String> {
        let wanted = Wanted { pattern: Regex::new(pattern).unwrap(), before, after };
        let mut matching = Matching::new(Box::new(Off), wanted, Found::default());
        let mut given = Vec::new();
        for (at, said) in lines.iter().enumerate() {
            let (rank, text) = said.split_once(':').unwrap();
            let text = text.trim_start_matches('+');
            let line = Line {
                stream: stdout(rank.parse().unwrap()),
                start: Offset(at as u64),
                bytes: 1,
                time: Timestamp(0),
                text: text.as_bytes(),
                continuation: said.contains('+'),
                partial: false,
                redrawn: false,
            };
            matching.push(&line, Timestamp(0), &mut |entry| {
                if let Entry::Line(line) = entry {
                    let text = String::from_utf8_lossy(line.text);
                    given.push(format!("{}:{text}", line.stream.rank));
                }
            });
        }
        given
    }

    #[test]
    fn lines_around_are_of_the_same_stream_and_come_once() {
        let lines = ["0:a", "1:x", "0:b", "0:hit", "1:y", "0:c", "0:hit", "0:d", "0:e"];
        assert_eq!(given("hit", 0, 0, &lines), ["0:hit", "0:hit"]);
        assert_eq!(given("hit", 1, 1, &lines), ["0:b", "0:hit", "0:c", "0:hit", "0:d"]);
        assert_eq!(given("hit", 2, 0, &lines), ["0:a", "0:b", "0:hit", "0:c", "0:hit"]);
        assert_eq!(given("^[xy]$", 1, 9, &lines), ["1:x", "1:y"]);
    }

    #[test]
    fn what_goes_on_with_a_line_comes_with_it() {
        let lines = ["0:a hit", "0:+b", "0:c", "0:+d"];
        assert_eq!(given("hit", 0, 0, &lines), ["0:a hit", "0:b"]);
    }

    #[test]
    fn colours_are_no_part_of_what_is_matched() {
        assert_eq!(given("^ERROR$", 0, 0, &["0:\x1b[31mERROR\x1b[0m"]).len(), 1);
    }
}
