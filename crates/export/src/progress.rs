//! How far the streams of a job have come at a destination.

use std::collections::{BTreeMap, BTreeSet};

use lastline_line::{Gaps, Offset, Span, StreamId};

use crate::record::Record;

/// How far each stream has come. Positions only ever grow.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    streams: BTreeMap<StreamId, Position>,
    /// Lines that were refused, where it was not said which.
    refused: BTreeMap<String, u64>,
}

/// How far a stream has come.
#[derive(Clone, Debug, Default)]
struct Position {
    /// Everything below was taken, or is missing.
    to: Offset,
    /// How many lines were taken.
    lines: u64,
    missing: Gaps,
}

/// What was read of a stream in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadOf {
    /// Which stream.
    pub stream: StreamId,
    /// How many bytes.
    pub bytes: u64,
    /// How many lines; one without a newline at the end is one.
    pub lines: u64,
}

/// What of a stream was not exported.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotExported {
    /// Which stream.
    pub stream: StreamId,
    /// The first byte of it.
    pub from: Offset,
    /// How many bytes.
    pub bytes: u64,
    /// How many lines.
    pub lines: u64,
    /// Why, in words.
    pub causes: BTreeSet<String>,
}

/// What became of an export.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// What was not exported, in the order of ranks and streams; none of those of which all was.
    pub not_exported: Vec<NotExported>,
    /// Lines that the destination refused without saying which, by cause.
    pub refused: BTreeMap<String, u64>,
}

impl Outcome {
    /// Whether every line was exported.
    pub fn is_whole(&self) -> bool {
        self.not_exported.is_empty() && self.refused.is_empty()
    }

    /// How many lines were not.
    pub fn lines(&self) -> u64 {
        let lines = self.not_exported.iter().map(|of| of.lines).sum::<u64>();
        lines + self.refused.values().sum::<u64>()
    }
}

impl Progress {
    /// A record was taken.
    pub(crate) fn take(&mut self, record: &Record) {
        let position = self.streams.entry(record.stream).or_default();
        position.to = position.to.max(record.span.to);
        position.lines += u64::from(!record.partial);
    }

    /// Lines of what was taken were refused, and it is not known which.
    pub(crate) fn refuse(&mut self, lines: u64, why: String) {
        *self.refused.entry(why).or_default() += lines;
    }

    /// Bytes of a stream will never be taken.
    pub(crate) fn miss(&mut self, stream: StreamId, span: Span, cause: &str) {
        let position = self.streams.entry(stream).or_default();
        position.missing.declare(span, cause);
        position.to = position.to.max(span.to);
    }

    /// What became of it, where so much was read of the job; the rest was not exported because of `why`.
    pub(crate) fn settle(mut self, read: &[ReadOf], why: &str) -> Outcome {
        for of in read {
            let position = self.streams.entry(of.stream).or_default();
            let rest = Span::new(position.to, Offset(of.bytes).max(position.to));
            position.missing.declare(rest, why);
        }
        let lines: BTreeMap<StreamId, u64> = read.iter().map(|of| (of.stream, of.lines)).collect();
        let not_exported = self.streams.into_iter().filter_map(|(stream, position)| {
            let gaps = position.missing.as_slice();
            let read_lines = lines.get(&stream).copied().unwrap_or_default();
            Some(NotExported {
                stream,
                from: gaps.first()?.span.from,
                bytes: position.missing.bytes(),
                // A piece of a line is a line that is not all there.
                lines: read_lines.saturating_sub(position.lines).max(1),
                causes: gaps.iter().map(|gap| gap.cause.clone()).collect(),
            })
        });
        let mut not_exported: Vec<NotExported> = not_exported.collect();
        // Launches are random numbers, and say nothing of an order.
        not_exported.sort_by_key(|of| (of.stream.rank, of.stream.stream, of.stream.launch));
        Outcome { not_exported, refused: self.refused }
    }
}

#[cfg(test)]
mod tests {
    use lastline_line::{Launch, Stream, Timestamp};

    use super::*;

    fn stream(rank: u32) -> StreamId {
        StreamId::new(Launch(9 - u64::from(rank)), rank, Stream::Stdout)
    }

    fn take(progress: &mut Progress, rank: u32, start: u64, text: &'static str, partial: bool) {
        let start = Offset(start);
        progress.take(&Record::new(stream(rank), start, Timestamp(0), text, partial));
    }

    #[test]
    fn what_was_all_taken_is_not_told() {
        let mut progress = Progress::default();
        take(&mut progress, 0, 0, "one", false);
        take(&mut progress, 0, 4, "two", true);
        let read = [ReadOf { stream: stream(0), bytes: 7, lines: 2 }];
        assert!(progress.settle(&read, "never").is_whole());
    }

    #[test]
    fn what_was_not_taken_is_told_with_its_place_and_causes() {
        let mut progress = Progress::default();
        take(&mut progress, 0, 0, "one", false);
        progress.miss(stream(0), Span::new(Offset(4), Offset(8)), "removed");
        take(&mut progress, 0, 8, "three", false);
        let read = [
            ReadOf { stream: stream(0), bytes: 20, lines: 5 },
            ReadOf { stream: stream(1), bytes: 6, lines: 2 },
            ReadOf { stream: stream(2), bytes: 0, lines: 0 },
        ];
        let outcome = progress.settle(&read, "refused");
        assert_eq!(outcome.lines(), 5);
        let told = outcome.not_exported.iter().map(|of| {
            let causes: Vec<&str> = of.causes.iter().map(String::as_str).collect();
            (of.stream.rank, of.from.0, of.bytes, of.lines, causes.join(", "))
        });
        let told = told.collect::<Vec<_>>();
        assert_eq!(told[0], (0, 4, 10, 3, "refused, removed".into()));
        assert_eq!(told[1], (1, 0, 6, 2, "refused".into()));
        assert_eq!(told.len(), 2);
    }

    #[test]
    fn lines_that_were_refused_are_counted_by_cause() {
        let mut progress = Progress::default();
        progress.refuse(2, "too old".into());
        progress.refuse(1, "too old".into());
        let outcome = progress.settle(&[], "");
        assert_eq!((outcome.lines(), outcome.is_whole()), (3, false));
    }
}
