//! By how much hosts' clocks differ from the driver's, measured by pings and their answers. Pure.
//!
//! A host's answer bears its time, which was taken between the sending of the ping and the receipt of
//! the answer: half of the trip is the most by which the middle of it can be wrong. Of several trips the
//! shortest says most (D. L. Mills, *Internet Time Synchronization: the Network Time Protocol*, IEEE
//! Transactions on Communications 39(10), 1991, section IV).

use std::collections::VecDeque;
use std::time::Duration;

use lastline_line::{PingId, Timestamp};

/// How many pings may be on the way.
const PENDING: usize = 16;

/// By how much a clock is ahead of the driver's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClockOffset {
    pub(super) offset_micros: i64,
    /// The most by which that may be wrong.
    pub(super) uncertainty: Duration,
}

/// A time by both of the driver's clocks: one that goes on evenly, and one that tells the day.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) running: Duration,
    pub(super) day: Timestamp,
}

/// The pings that may still be answered.
#[derive(Debug, Default)]
pub(super) struct Trips {
    sent: VecDeque<(PingId, Moment)>,
}

impl Trips {
    /// A ping is sent, to all hosts.
    pub(super) fn sent(&mut self, id: PingId, at: Moment) {
        if self.sent.len() == PENDING {
            self.sent.pop_front();
        }
        self.sent.push_back((id, at));
    }

    /// What the answer to a ping says, which had the time `theirs`; nothing when it is not one of these.
    pub(super) fn answered(
        &self,
        id: PingId,
        theirs: Timestamp,
        received: Duration,
    ) -> Option<ClockOffset> {
        let (_, sent) = self.sent.iter().find(|(sent, _)| *sent == id)?;
        let half = received.saturating_sub(sent.running) / 2;
        let middle = i128::from(sent.day.0) + i128::try_from(half.as_micros()).ok()?;
        let offset_micros = i64::try_from(i128::from(theirs.0) - middle).ok()?;
        // Times of day are cut to whole microseconds, of which each clock has its own.
        let uncertainty = half + Duration::from_micros(2);
        Some(ClockOffset { offset_micros, uncertainty })
    }
}

impl ClockOffset {
    /// The better one of two.
    pub(super) fn or_better(self, other: Option<Self>) -> Self {
        other.filter(|other| other.uncertainty <= self.uncertainty).unwrap_or(self)
    }

    /// By how many microseconds it is ahead, as far as that is sure: not at all where what was measured
    /// may be the measurement's own error. Clocks that the network sets agree better than a trip tells,
    /// and those of one machine are the same.
    pub(super) fn beyond_doubt(self) -> i64 {
        let within = u128::from(self.offset_micros.unsigned_abs()) <= self.uncertainty.as_micros();
        if within { 0 } else { self.offset_micros }
    }

    /// In seconds.
    #[expect(clippy::cast_precision_loss, reason = "a report's seconds")]
    pub(super) fn seconds(self) -> f64 {
        self.offset_micros as f64 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_true_offset_is_within_what_is_told(
            day in 1_u64..1 << 60,
            ahead in -3_600_000_000_i64..3_600_000_000,
            there in 0_u64..5_000_000,
            back in 0_u64..5_000_000,
        ) {
            let day = day.max(4_000_000_000);
            let mut trips = Trips::default();
            let sent = Moment { running: Duration::from_secs(9), day: Timestamp(day) };
            trips.sent(PingId(1), sent);
            let theirs = Timestamp((day + there).checked_add_signed(ahead).unwrap());
            let received = sent.running + Duration::from_micros(there + back);
            let found = trips.answered(PingId(1), theirs, received).unwrap();
            let wrong = found.offset_micros.abs_diff(ahead);
            prop_assert!(u128::from(wrong) <= found.uncertainty.as_micros(), "{found:?}");
        }
    }

    #[test]
    fn only_pings_of_ones_own_are_answered_and_the_shortest_trip_counts() {
        let mut trips = Trips::default();
        let at = |seconds| Moment {
            running: Duration::from_secs(seconds),
            day: Timestamp(seconds * 1_000_000),
        };
        (0..20).for_each(|id| trips.sent(PingId(id), at(id)));
        assert_eq!(trips.answered(PingId(99), Timestamp(0), Duration::from_secs(30)), None);
        assert_eq!(trips.answered(PingId(3), Timestamp(0), Duration::from_secs(30)), None, "old");
        let long = trips.answered(PingId(10), Timestamp(0), Duration::from_secs(14)).unwrap();
        let short = trips.answered(PingId(19), Timestamp(0), Duration::from_secs(20)).unwrap();
        assert_eq!((short.or_better(Some(long)), long.or_better(Some(short))), (short, short));
        assert_eq!(long.or_better(None), long);
    }
}
