//! Which streams cannot be filed, when to try again, and what to tell about it.

use std::time::{Duration, Instant};

use lastline_line::StreamId;

use crate::{Note, Reason};

/// For how long all must be well until an outage is over, the first time.
const FIRST_HOLD: Duration = Duration::from_secs(1);
/// And at most, however often it came back.
const MAX_HOLD: Duration = Duration::from_secs(60);

/// Who is hit by an outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hit {
    Stream(StreamId),
    Index,
}

/// All outages of a job, at most one for each reason. Pure: times are parameters.
#[derive(Debug)]
pub(crate) struct Outages {
    retry_after: Duration,
    open: Vec<Outage>,
    /// How many are over: each makes the next one longer.
    past: u32,
}

#[derive(Debug)]
struct Outage {
    reason: Reason,
    since: Instant,
    last_failure: Instant,
    /// How many are hit by it now.
    paused: usize,
    missing_bytes: u64,
    /// Nobody tries before.
    try_at: Instant,
    /// Whether filing went on for at least one who was hit.
    recovered: bool,
    told_of_files: bool,
    told_of_index: bool,
}

impl Outages {
    pub(crate) fn new(retry_after: Duration) -> Self {
        Self { retry_after, open: Vec::new(), past: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    fn find(&mut self, reason: Reason) -> Option<&mut Outage> {
        self.open.iter_mut().find(|outage| outage.reason == reason)
    }

    /// `hit` failed because of `reason`; `before` is why it had failed already, if it had.
    pub(crate) fn failed(
        &mut self,
        hit: Hit,
        before: Option<Reason>,
        reason: Reason,
        now: Instant,
    ) -> Option<Note> {
        let retry_after = self.retry_after;
        if let Some(before) = before.filter(|before| *before != reason) {
            self.left(before, false);
        }
        if self.find(reason).is_none() {
            self.open.push(Outage::new(reason, now));
        }
        let outage = self.find(reason).expect("BUG: it was put in just now");
        outage.last_failure = now;
        outage.try_at = now + retry_after;
        outage.paused += usize::from(before != Some(reason));
        match hit {
            Hit::Stream(stream) => (!std::mem::replace(&mut outage.told_of_files, true))
                .then_some(Note::Stopped { stream, reason }),
            Hit::Index => (!std::mem::replace(&mut outage.told_of_index, true)
                && !outage.told_of_files)
                .then_some(Note::IndexStopped { reason }),
        }
    }

    /// Whether one who is hit may try now. Who may is the only one until the next time, unless
    /// that succeeds.
    pub(crate) fn may_try(&mut self, reason: Reason, now: Instant) -> bool {
        let retry_after = self.retry_after;
        let Some(outage) = self.find(reason) else { return true };
        let may = outage.try_at <= now;
        if may {
            outage.try_at = now + retry_after;
        }
        may
    }

    /// So many bytes are missing because of `reason`.
    pub(crate) fn missed(&mut self, reason: Reason, bytes: u64) {
        if let Some(outage) = self.find(reason) {
            outage.missing_bytes += bytes;
        }
    }

    /// One who was hit is filed again; the others may try at once.
    pub(crate) fn recovered(&mut self, reason: Reason, now: Instant) {
        self.left(reason, true);
        if let Some(outage) = self.find(reason) {
            outage.try_at = now;
        }
    }

    /// One who was hit has ended.
    pub(crate) fn ended(&mut self, reason: Reason) {
        self.left(reason, false);
    }

    fn left(&mut self, reason: Reason, recovered: bool) {
        if let Some(outage) = self.find(reason) {
            outage.paused = outage.paused.saturating_sub(1);
            outage.recovered |= recovered;
        }
    }

    /// When [`over`](Self::over) may have something to say.
    pub(crate) fn next(&self) -> Option<Instant> {
        let hold = self.hold();
        self.open.iter().filter(|o| o.paused == 0).map(|o| o.last_failure + hold).min()
    }

    /// Takes out what is over at `now`, or whatever nobody is hit by when it is the `end`.
    pub(crate) fn over(&mut self, now: Instant, end: bool) -> Vec<Note> {
        let hold = self.hold();
        let mut notes = Vec::new();
        self.open.retain(|outage| {
            let stays = outage.paused > 0 || (!end && now < outage.last_failure + hold);
            if !stays {
                notes.extend(outage.resumed());
            }
            stays
        });
        self.past += u32::try_from(notes.len()).unwrap_or(u32::MAX);
        notes
    }

    fn hold(&self) -> Duration {
        (FIRST_HOLD * 2_u32.pow(self.past.min(6))).min(MAX_HOLD)
    }
}

impl Outage {
    fn new(reason: Reason, now: Instant) -> Self {
        Self {
            reason,
            since: now,
            last_failure: now,
            paused: 0,
            missing_bytes: 0,
            try_at: now,
            recovered: false,
            told_of_files: false,
            told_of_index: false,
        }
    }

    fn resumed(&self) -> Option<Note> {
        self.recovered.then(|| Note::Resumed {
            reason: self.reason,
            missing_bytes: self.missing_bytes,
            lasted: self.last_failure.saturating_duration_since(self.since),
        })
    }
}

#[cfg(test)]
mod tests {
    use lastline_line::{Launch, Stream};

    use super::*;

    const FULL: Reason = Reason::Os(28);
    const BAD: Reason = Reason::Os(5);

    fn rank(rank: u32) -> Hit {
        Hit::Stream(StreamId::new(Launch(1), rank, Stream::Stdout))
    }

    fn outages() -> (Outages, Instant) {
        (Outages::new(Duration::from_millis(100)), Instant::now())
    }

    #[test]
    fn an_outage_of_many_streams_is_told_once_and_tried_by_one() {
        let (mut outages, start) = outages();
        assert!(outages.failed(rank(0), None, FULL, start).is_some());
        for other in 1..1000 {
            assert_eq!(outages.failed(rank(other), None, FULL, start), None);
        }
        assert!(!outages.may_try(FULL, start + Duration::from_millis(99)));
        let later = start + Duration::from_millis(100);
        assert!(outages.may_try(FULL, later));
        assert!(!outages.may_try(FULL, later));
        outages.recovered(FULL, later);
        assert!(outages.may_try(FULL, later));
    }

    #[test]
    fn an_outage_is_over_when_all_was_well_for_a_while() {
        let (mut outages, start) = outages();
        outages.failed(rank(0), None, FULL, start);
        outages.missed(FULL, 7);
        assert_eq!(outages.over(start + MAX_HOLD, false), []);
        outages.recovered(FULL, start);
        assert_eq!(outages.next(), Some(start + FIRST_HOLD));
        assert_eq!(outages.over(start, false), []);
        // It comes back within the hold: nothing is told.
        let again = start + FIRST_HOLD / 2;
        assert_eq!(outages.failed(rank(0), None, FULL, again), None);
        outages.recovered(FULL, again);
        let notes = outages.over(again + FIRST_HOLD, false);
        let lasted = FIRST_HOLD / 2;
        assert_eq!(notes, [Note::Resumed { reason: FULL, missing_bytes: 7, lasted }]);
        assert!(outages.is_empty());
    }

    #[test]
    fn one_that_comes_and_goes_is_told_ever_more_seldom() {
        let (mut outages, start) = outages();
        let (mut now, mut told) = (start, 0);
        while now < start + Duration::from_secs(3600) {
            told += usize::from(outages.failed(rank(0), None, FULL, now).is_some());
            outages.recovered(FULL, now);
            told += outages.over(now + Duration::from_millis(1900), false).len();
            now += Duration::from_secs(2);
        }
        assert!(told <= 4, "{told} notes");
    }

    #[test]
    fn another_reason_is_another_outage() {
        let (mut outages, start) = outages();
        assert!(outages.failed(rank(0), None, FULL, start).is_some());
        assert!(outages.failed(rank(0), Some(FULL), BAD, start).is_some());
        // Nobody is hit by the first one now, and nobody was filed again after it.
        assert_eq!(outages.over(start + MAX_HOLD, false), []);
        outages.ended(BAD);
        assert_eq!(outages.over(start, true), []);
        assert!(outages.is_empty());
    }

    #[test]
    fn the_index_alone_is_told_of_in_other_words() {
        let (mut outages, start) = outages();
        assert_eq!(
            outages.failed(Hit::Index, None, FULL, start),
            Some(Note::IndexStopped { reason: FULL })
        );
        assert!(outages.failed(rank(0), None, FULL, start).is_some());
        assert!(outages.failed(rank(0), None, BAD, start).is_some());
        assert_eq!(outages.failed(Hit::Index, Some(FULL), BAD, start), None);
    }
}
