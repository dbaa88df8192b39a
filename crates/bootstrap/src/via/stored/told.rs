//! Of what a broker gives, what is wanted, each byte once, and what is missing. Pure.

use std::collections::{BTreeMap, HashMap, VecDeque};

use lastline_line::{Cause, Gaps, Message, Offset, Span, Stream, StreamId, StreamSet};

const NOT_THERE: &str = "the broker does not have it";
const NOT_STREAMED: &str = "its host was told not to send it";

/// Hands on messages of the ranks and the stream that are wanted, and before them what is missing.
#[derive(Debug)]
pub(super) struct Told {
    streams: Option<StreamSet>,
    only: Option<Stream>,
    /// A stream that is not known begins where it begins; otherwise at its first byte.
    begins_anywhere: bool,
    /// Up to where each stream was given out, or told to be missing.
    given: HashMap<StreamId, Offset>,
    /// What is missing and was not told yet: what is missing for one reason is told as one piece.
    missing: BTreeMap<StreamId, Gaps>,
    /// Where streams have ended. It is said when all has come: what a rank said last may fold with what
    /// others say later.
    ends: BTreeMap<StreamId, Offset>,
    ready: VecDeque<Message>,
}

impl Told {
    /// Each stream from its first byte on.
    pub(super) fn from_the_start(streams: Option<StreamSet>) -> Self {
        Self { begins_anywhere: false, ..Self::from_places(streams, BTreeMap::new()) }
    }

    /// From these places on; a stream that has none begins with what comes of it.
    pub(super) fn from_places(
        streams: Option<StreamSet>,
        places: BTreeMap<StreamId, Offset>,
    ) -> Self {
        Self {
            streams,
            only: None,
            begins_anywhere: true,
            given: places.into_iter().collect(),
            missing: BTreeMap::new(),
            ends: BTreeMap::new(),
            ready: VecDeque::new(),
        }
    }

    /// Nothing of the other stream.
    pub(super) fn of(mut self, only: Option<Stream>) -> Self {
        self.only = only;
        self
    }

    pub(super) fn take(&mut self, message: Message) {
        let wanted = |id: &StreamId| {
            self.only.is_none_or(|only| only == id.stream)
                && self.streams.as_ref().is_none_or(|streams| streams.contains(*id))
        };
        let Some(stream) = message.stream().filter(wanted) else {
            return;
        };
        let span = match &message {
            Message::Data(chunk) => chunk.span(),
            Message::Skip { span, .. } => *span,
            Message::End { at, .. } => Span::new(*at, *at),
            // A barrier is between others: a line that is open at its mark goes on.
            _ => return,
        };
        let begin = if self.begins_anywhere { span.from } else { Offset::ZERO };
        let given = self.given.entry(stream).or_insert(begin);
        let before = Span::new(*given, span.from);
        let fresh = Span::new(span.from.max(*given), span.to);
        *given = fresh.to.max(*given);
        self.miss(stream, before, NOT_THERE);
        match message {
            Message::Skip { cause, .. } => match cause {
                Cause::Lost(why) => self.miss(stream, fresh, &why),
                Cause::Withheld(_) => self.miss(stream, fresh, NOT_STREAMED),
            },
            Message::Data(chunk) => {
                if let Some(chunk) = chunk.trim_before(fresh.from) {
                    self.tell_missing(stream);
                    self.ready.push_back(Message::Data(chunk));
                }
            }
            _ => {
                self.tell_missing(stream);
                self.ends.insert(stream, span.to);
            }
        }
    }

    /// The next message that is ready.
    pub(super) fn next(&mut self) -> Option<Message> {
        self.ready.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// Nothing more comes: what is missing and was not told is ready, and the ends; whether there is
    /// something.
    pub(super) fn finish(&mut self) -> bool {
        while let Some((stream, gaps)) = self.missing.pop_first() {
            self.say(stream, &gaps);
        }
        let ends = std::mem::take(&mut self.ends).into_iter();
        self.ready.extend(ends.map(|(stream, at)| Message::End { stream, at }));
        !self.ready.is_empty()
    }

    fn miss(&mut self, stream: StreamId, span: Span, why: &str) {
        if !span.is_empty() {
            self.missing.entry(stream).or_default().declare(span, why);
        }
    }

    fn tell_missing(&mut self, stream: StreamId) {
        if let Some(gaps) = self.missing.remove(&stream) {
            self.say(stream, &gaps);
        }
    }

    fn say(&mut self, stream: StreamId, gaps: &Gaps) {
        let skips = gaps.as_slice().iter().map(|gap| {
            let cause = Cause::lost(gap.cause.clone());
            Message::Skip { stream, span: gap.span, cause }
        });
        self.ready.extend(skips);
    }
}

#[cfg(test)]
mod tests {
    use lastline_line::{Version, Withheld};
    use lastline_testing::{chunk, stdout};

    use super::*;

    fn data(rank: u32, at: u64, text: &[u8]) -> Message {
        Message::Data(chunk(stdout(rank), at, text))
    }

    fn skip(rank: u32, from: u64, to: u64, cause: Cause) -> Message {
        Message::Skip { stream: stdout(rank), span: Span::new(Offset(from), Offset(to)), cause }
    }

    fn end(rank: u32, at: u64) -> Message {
        Message::End { stream: stdout(rank), at: Offset(at) }
    }

    /// All that becomes of messages: the stream's rank, from where, and the bytes or why not.
    fn all(mut told: Told, messages: impl IntoIterator<Item = Message>) -> Vec<String> {
        messages.into_iter().for_each(|message| told.take(message));
        told.finish();
        let shown = std::iter::from_fn(|| told.next()).map(|message| match message {
            Message::Data(chunk) => {
                let text = String::from_utf8_lossy(&chunk.bytes).into_owned();
                format!("{} {} {}", chunk.stream.rank, chunk.start, text.trim_end())
            }
            Message::Skip { stream, span, cause } => format!("{} {span} {cause}", stream.rank),
            Message::End { stream, at } => format!("{} {at} ends", stream.rank),
            other => panic!("{other:?}"),
        });
        shown.collect()
    }

    #[test]
    fn what_is_whole_is_handed_on_and_ends_come_last() {
        let messages = [data(0, 0, b"a\n"), end(0, 2), data(1, 0, b"b\n"), data(1, 2, b"c\n")];
        let shown = all(Told::from_the_start(None), messages);
        assert_eq!(shown, ["0 0 a", "1 0 b", "1 2 c", "0 2 ends"]);
    }

    #[test]
    fn what_is_not_wanted_is_left_out_with_all_that_is_missing_of_it() {
        let ranks = "1".parse().ok();
        let messages = [data(0, 7, b"a\n"), data(1, 0, b"b\n"), end(0, 20), end(1, 2)];
        let shown = all(Told::from_the_start(ranks), messages);
        assert_eq!(shown, ["1 0 b", "1 2 ends"]);
    }

    #[test]
    fn what_is_missing_is_told_where_it_would_stand() {
        let messages = [data(0, 4, b"a\n"), data(0, 10, b"b\n"), end(0, 20), data(1, 0, b"c\n")];
        let shown = all(Told::from_the_start(None), messages);
        let wanted = [
            "0 0..4 the broker does not have it",
            "0 4 a",
            "0 6..10 the broker does not have it",
            "0 10 b",
            "0 12..20 the broker does not have it",
            "1 0 c",
            "0 20 ends",
        ];
        assert_eq!(shown, wanted);
    }

    #[test]
    fn what_hosts_had_not_sent_is_missing_and_told_in_one_piece() {
        let withheld = || Cause::Withheld(Withheld::StreamingOff);
        let lost = Cause::lost("the disk hung");
        let messages = [
            skip(0, 0, 3, withheld()),
            skip(0, 3, 6, withheld()),
            skip(0, 6, 8, lost),
            data(0, 8, b"a\n"),
            skip(0, 10, 11, withheld()),
        ];
        let shown = all(Told::from_the_start(None), messages);
        let wanted = [
            "0 0..6 its host was told not to send it",
            "0 6..8 the disk hung",
            "0 8 a",
            "0 10..11 its host was told not to send it",
        ];
        assert_eq!(shown, wanted);
    }

    #[test]
    fn what_comes_twice_is_given_out_once() {
        let messages = [data(0, 0, b"ab\n"), data(0, 0, b"ab\n"), data(0, 1, b"b\nc\n")];
        assert_eq!(all(Told::from_the_start(None), messages), ["0 0 ab", "0 3 c"]);
    }

    #[test]
    fn a_part_begins_at_its_places_and_what_is_before_is_not_missing() {
        let places = BTreeMap::from([(stdout(0), Offset(3))]);
        let messages =
            [data(0, 0, b"ab\nc\n"), data(1, 70, b"d\n"), data(1, 75, b"e\n"), end(0, 5)];
        let shown = all(Told::from_places(None, places), messages);
        let wanted =
            ["0 3 c", "1 70 d", "1 72..75 the broker does not have it", "1 75 e", "0 5 ends"];
        assert_eq!(shown, wanted);
    }

    #[test]
    fn marks_of_barriers_are_others_business() {
        let mark = Message::Flush { stream: stdout(0), version: Version(1), mark: Offset(2) };
        let messages = [data(0, 0, b"ab"), mark, data(0, 2, b"c\n")];
        assert_eq!(all(Told::from_the_start(None), messages), ["0 0 ab", "0 2 c"]);
    }
}
