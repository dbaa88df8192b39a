//! Where the lines of folded entries stand in their streams.

use std::collections::BTreeMap;

use lastline_line::{Offset, Span, StreamId};

use crate::entry::Entry;

/// Up to where each stream has been given out by a fold that keeps the order of its lines.
///
/// A fold says of the members of an entry how many bytes they have, and not where; in order, that
/// is the same. Bytes that were drawn over or lost are in no entry: after them a member's place is
/// not known until a line of its stream says where it stands, as every one does that stands for
/// itself, and the first and the last of an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places(BTreeMap<StreamId, Offset>);

impl Places {
    /// Streams that were given out so far; others from their start.
    pub fn new(given: BTreeMap<StreamId, Offset>) -> Self {
        Self(given)
    }

    /// Bytes of a stream were left out.
    pub fn skip(&mut self, stream: StreamId, bytes: u64) {
        *self.0.entry(stream).or_default() += bytes;
    }

    /// An entry is given out: says where its members stand.
    pub fn place(&mut self, entry: &mut Entry) {
        for member in &mut entry.members {
            let at = self.0.entry(member.stream).or_default();
            let span = member.span.unwrap_or_else(|| {
                let is_first = entry.first.stream == member.stream;
                let start = if is_first { entry.first.start } else { *at };
                Span::new(start, start + member.bytes)
            });
            (*at, member.span) = (span.to, Some(span));
        }
    }

    /// Up to where each stream was given out.
    pub fn into_inner(self) -> BTreeMap<StreamId, Offset> {
        self.0
    }
}

/// Whether a fold of this [`name`](lastline_line::Fold::name) keeps the order of a stream's lines.
pub fn keeps_order(fold: &str) -> bool {
    matches!(fold, "off" | "ranks")
}

#[cfg(test)]
mod tests {
    use lastline_line::{
        Address, Entry as Shown, Folded, Line, Member, RankSet, Stream, Timestamp,
    };
    use lastline_testing::stdout;

    use super::*;

    fn line(rank: u32, start: u64, bytes: u64) -> Entry {
        let (stream, start) = (stdout(rank), Offset(start));
        let time = Timestamp(1);
        let (continuation, partial, redrawn) = (false, false, false);
        let text = b"x";
        let line = Line { stream, start, bytes, time, text, continuation, partial, redrawn };
        Entry::from(&Shown::Line(line))
    }

    fn folded(first: (u32, u64), bytes: &[(u32, u64)]) -> Entry {
        let member =
            |(rank, bytes): &(u32, u64)| Member { stream: stdout(*rank), lines: 1, bytes: *bytes };
        let members: Vec<Member> = bytes.iter().map(member).collect();
        let ranks: RankSet = bytes.iter().map(|(rank, _)| *rank).collect();
        let first = Address { stream: stdout(first.0), start: Offset(first.1) };
        Entry::from(&Shown::Folded(Folded {
            stream: Stream::Stdout,
            text: b"x",
            lines: members.len() as u64,
            count: members.len() as u64,
            ranks: &ranks,
            except: None,
            fields: &Vec::new(),
            first,
            last: first,
            time: Timestamp(1),
            members: &members,
        }))
    }

    fn spans(entry: &Entry) -> Vec<(u64, u64)> {
        let spans = entry.members.iter().filter_map(|member| member.span);
        spans.map(|span| (span.from.0, span.to.0)).collect()
    }

    #[test]
    fn members_stand_one_behind_the_other() {
        let mut places = Places::new([(stdout(1), Offset(100))].into());
        let mut entry = folded((0, 0), &[(0, 5), (1, 6)]);
        places.place(&mut entry);
        assert_eq!(spans(&entry), [(0, 5), (100, 106)]);
        places.skip(stdout(1), 4);
        // What was drawn over before it is in no entry.
        places.place(&mut line(0, 50, 2));
        let mut entry = folded((1, 110), &[(0, 5), (1, 6)]);
        places.place(&mut entry);
        assert_eq!(spans(&entry), [(52, 57), (110, 116)]);
        assert_eq!(places.into_inner(), [(stdout(0), Offset(57)), (stdout(1), Offset(116))].into());
    }
}
