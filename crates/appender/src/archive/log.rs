//! One stream as the index and the files tell of it. Pure.

use lastline_line::{Offset, Span, StreamId, Timestamp};

use super::Extent;
use crate::Reason;
use crate::layout::{Layout, Piece, Place};

/// One stream.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// What the index says.
    pub(super) recorded: Layout,
    /// When bytes came, and the latest that any up to them came, in the order of their offsets.
    times: Vec<(Span, Timestamp, Timestamp)>,
    /// What files hold behind that.
    pub(super) tail: Vec<Piece>,
    /// The highest number of a file that a record named.
    pub(super) last_file: u32,
    /// That file lost its name.
    pub(super) is_last_lost: bool,
}

impl Log {
    /// Up to where it is known.
    pub(super) fn end(&self) -> Offset {
        self.tail.last().map_or_else(|| self.recorded.end(), |piece| piece.span.to)
    }

    pub(super) fn find(&self, offset: Offset) -> Option<Piece> {
        let in_tail = || {
            let holds = |piece: &&Piece| piece.span.from <= offset && offset < piece.span.to;
            self.tail.iter().find(holds).map(|piece| piece.since(offset))
        };
        self.recorded.find(offset).or_else(in_tail)
    }

    /// Takes a record in. Records may repeat each other; what is said of filed bytes first holds,
    /// and a gap may be declared over filed bytes later.
    pub(super) fn replay(&mut self, piece: Piece, time: Timestamp) {
        let end = self.recorded.end();
        if let Place::Missing(reason) = piece.place {
            if matches!(reason, Reason::Removed | Reason::Renamed) {
                self.is_last_lost |= self.stands_in_last_file(piece.span);
            }
            self.recorded.replace(piece.span, piece.place);
        }
        if piece.span.from > end {
            self.recorded.push(piece.span.from - end, Place::Missing(Reason::NotOffered));
        }
        let fresh = piece.since(self.recorded.end());
        if let Place::Filed { file, .. } = fresh.place
            && !fresh.span.is_empty()
        {
            self.is_last_lost &= file <= self.last_file;
            self.last_file = self.last_file.max(file);
            let latest = self.times.last().map_or(time, |(.., latest)| time.max(*latest));
            self.times.push((fresh.span, time, latest));
        }
        self.recorded.push(fresh.span.len(), fresh.place);
    }

    fn stands_in_last_file(&self, span: Span) -> bool {
        self.recorded.pieces().iter().any(|piece| {
            !piece.span.intersection(&span).is_empty()
                && matches!(piece.place, Place::Filed { file, .. } if file == self.last_file)
        })
    }

    /// How much of a file the index knows of.
    pub(super) fn recorded_in(&self, wanted: u32) -> u64 {
        let ends = self.recorded.pieces().iter().filter_map(|piece| match piece.place {
            Place::Filed { file, position } if file == wanted => Some(position + piece.span.len()),
            _ => None,
        });
        ends.max().unwrap_or(0)
    }

    /// Puts what a file holds from `position` on behind the end.
    pub(super) fn append_tail(&mut self, file: u32, position: u64, bytes: u64) {
        let span = Span::new(self.end(), self.end() + bytes);
        self.tail.push(Piece { span, place: Place::Filed { file, position } });
    }

    /// When the byte at `offset` was read, if that is known.
    pub(super) fn time_of(&self, offset: Offset) -> Option<Timestamp> {
        let at = self.times.partition_point(|(span, ..)| span.to <= offset);
        let (span, time, _) = self.times.get(at)?;
        (span.from <= offset && time.0 > 0).then_some(*time)
    }

    /// Where the first byte stands that had not arrived before `time`; the end where all had.
    pub(super) fn arrived_since(&self, time: Timestamp) -> Offset {
        let at = self.times.partition_point(|(.., arrived)| *arrived < time);
        self.times.get(at).map_or_else(|| self.end(), |(span, ..)| span.from)
    }

    /// What can be read from `from` on, each with the time at which it is to be shown.
    pub(super) fn extents(
        &self,
        stream: StreamId,
        from: Offset,
        into: &mut Vec<(Timestamp, Extent)>,
    ) {
        let first = self.times.partition_point(|(span, ..)| span.to <= from);
        for (span, time, arrived) in &self.times[first..] {
            let mut at = span.from.max(from);
            while at < span.to {
                let Some(piece) = self.recorded.find(at) else { break };
                let part = Span::new(at, piece.span.to.min(span.to));
                let time = (time.0 > 0).then_some(*time);
                into.extend(extent(stream, part, piece.place, time).map(|e| (*arrived, e)));
                at = part.to;
            }
        }
        let arrived = self.times.last().map_or(Timestamp::default(), |(.., latest)| *latest);
        for piece in &self.tail {
            let piece = piece.since(from);
            if !piece.span.is_empty() {
                let found = extent(stream, piece.span, piece.place, None);
                into.extend(found.map(|extent| (arrived, extent)));
            }
        }
    }
}

fn extent(stream: StreamId, span: Span, place: Place, time: Option<Timestamp>) -> Option<Extent> {
    match place {
        Place::Filed { file, position } => Some(Extent { stream, span, file, position, time }),
        Place::Missing(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use lastline_line::{Launch, Stream};

    use super::*;

    fn piece(from: u64, to: u64, place: Place) -> Piece {
        Piece { span: Span::new(Offset(from), Offset(to)), place }
    }

    fn filed(file: u32, position: u64) -> Place {
        Place::Filed { file, position }
    }

    fn extents(log: &Log) -> Vec<(u64, u64, Option<u64>)> {
        let mut found = Vec::new();
        log.extents(StreamId::new(Launch(1), 0, Stream::Stdout), Offset::ZERO, &mut found);
        let plain = |e: Extent| (e.span.from.0, e.span.to.0, e.time.map(|time| time.0));
        found.into_iter().map(|(_, extent)| plain(extent)).collect()
    }

    #[test]
    fn records_that_repeat_each_other_say_the_first() {
        let mut log = Log::default();
        log.replay(piece(0, 10, filed(1, 0)), Timestamp(5));
        log.replay(piece(0, 15, filed(1, 0)), Timestamp(7));
        log.replay(piece(3, 15, filed(9, 3)), Timestamp(8));
        assert_eq!(extents(&log), [(0, 10, Some(5)), (10, 15, Some(7))]);
        assert_eq!(log.recorded_in(1), 15);
    }

    #[test]
    fn bytes_are_found_by_time_and_have_one() {
        let mut log = Log::default();
        for (from, time) in [(0, 5), (10, 9), (20, 7), (30, 12)] {
            log.replay(piece(from, from + 10, filed(1, from)), Timestamp(time));
        }
        log.append_tail(1, 40, 5);
        let times = [0, 9, 10, 29, 39, 40].map(|at| log.time_of(Offset(at)).map(|time| time.0));
        assert_eq!(times, [Some(5), Some(5), Some(9), Some(7), Some(12), None]);
        // What a clock that was set back says of bytes does not put them before others.
        let since = [0, 5, 6, 9, 10, 13].map(|time| log.arrived_since(Timestamp(time)).0);
        assert_eq!(since, [0, 0, 10, 10, 30, 45]);
        assert_eq!(Log::default().arrived_since(Timestamp(1)), Offset::ZERO);
    }

    #[test]
    fn a_gap_may_be_declared_over_what_was_filed() {
        let mut log = Log::default();
        log.replay(piece(0, 10, filed(1, 0)), Timestamp(5));
        log.replay(piece(10, 20, filed(2, 0)), Timestamp(6));
        log.replay(piece(0, 10, Place::Missing(Reason::Pruned)), Timestamp(0));
        assert_eq!(extents(&log), [(10, 20, Some(6))]);
        assert!(!log.is_last_lost);
        log.replay(piece(10, 20, Place::Missing(Reason::Removed)), Timestamp(0));
        assert!(log.is_last_lost);
        log.replay(piece(20, 25, filed(3, 0)), Timestamp(9));
        assert!(!log.is_last_lost);
        assert_eq!((log.end(), log.last_file), (Offset(25), 3));
    }

    #[test]
    fn what_no_record_tells_of_is_a_gap() {
        let mut log = Log::default();
        log.replay(piece(4, 10, filed(1, 0)), Timestamp(5));
        assert_eq!(log.find(Offset(0)).unwrap().span, Span::new(Offset(0), Offset(4)));
        log.append_tail(1, 6, 3);
        assert_eq!(log.find(Offset(11)).unwrap().place, filed(1, 7));
        assert_eq!(extents(&log), [(4, 10, Some(5)), (10, 13, None)]);
    }
}
