//! Barriers that wait for their streams. Pure: the clock is the caller's.

use std::collections::HashMap;

use lastline_line::{Gap, Offset, Span, StreamId, Version};
use tokio::sync::oneshot;

/// What a barrier can say of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Everything below the mark has been shown.
    Reached,
    /// The stream has ended, and all of it has been shown.
    Ended,
    /// A part of what the barrier covers was lost.
    Lost {
        /// The first range that was lost.
        span: Span,
        /// Why.
        cause: String,
    },
    /// The deadline came first.
    TimedOut {
        /// Shown up to here.
        shown: Offset,
        /// The mark, as far as it was known.
        wanted: Option<Offset>,
    },
}

impl Verdict {
    /// Whether everything that was printed before the barrier has arrived.
    pub fn is_reached(&self) -> bool {
        matches!(self, Self::Reached | Self::Ended)
    }

    /// `reached`, `ended`, `lost` or `timed out`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Reached => "reached",
            Self::Ended => "ended",
            Self::Lost { .. } => "lost",
            Self::TimedOut { .. } => "timed out",
        }
    }
}

/// One verdict per stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdicts {
    /// Which barrier.
    pub version: Version,
    /// In the order of launch, rank and stream.
    pub streams: Vec<(StreamId, Verdict)>,
}

impl Verdicts {
    /// Whether all streams have been reached or have ended.
    pub fn all_reached(&self) -> bool {
        self.streams.iter().all(|(_, verdict)| verdict.is_reached())
    }

    /// The worst one in a word: `reached`, `lost` or `timed out`.
    pub fn summary(&self) -> &'static str {
        let any = |name| self.streams.iter().any(|(_, verdict)| verdict.name() == name);
        if any("timed out") {
            "timed out"
        } else if any("lost") {
            "lost"
        } else {
            "reached"
        }
    }
}

/// What is known of one stream.
struct Slot {
    stream: StreamId,
    mark: Option<Offset>,
    verdict: Option<Verdict>,
}

struct Pending {
    /// Sorted by stream, to be found by it; each stream once.
    slots: Vec<Slot>,
    open: usize,
    done: Option<oneshot::Sender<Verdicts>>,
}

impl Pending {
    /// Where the verdict of `stream` goes, if one is still wanted.
    fn slot(&mut self, stream: StreamId) -> Option<&mut Slot> {
        let at = self.slots.binary_search_by_key(&stream, |slot| slot.stream).ok()?;
        let slot = &mut self.slots[at];
        slot.verdict.is_none().then_some(slot)
    }
}

/// All barriers that are not answered yet.
#[derive(Default)]
pub(crate) struct Barriers {
    pending: HashMap<Version, Pending>,
    stale: u64,
}

impl Barriers {
    /// Opens a barrier over `streams`; the receiver gets its verdicts when every stream has one.
    pub(crate) fn open(
        &mut self,
        version: Version,
        streams: impl IntoIterator<Item = StreamId>,
    ) -> oneshot::Receiver<Verdicts> {
        let (done, receiver) = oneshot::channel();
        // Whoever asked may have gone away without waiting for the answer.
        self.pending
            .retain(|_, pending| pending.done.as_ref().is_some_and(|done| !done.is_closed()));
        let slot = |stream| Slot { stream, mark: None, verdict: None };
        let mut slots: Vec<Slot> = streams.into_iter().map(slot).collect();
        slots.sort_by_key(|slot| slot.stream);
        slots.dedup_by_key(|slot| slot.stream);
        let open = slots.len();
        self.pending.insert(version, Pending { slots, open, done: Some(done) });
        self.finish_if_done(version);
        receiver
    }

    /// A stream's mark of a barrier has come.
    pub(crate) fn marked(&mut self, stream: StreamId, version: Version, mark: Offset) {
        let pending = self.pending.get_mut(&version);
        if let Some(slot) = pending.and_then(|pending| pending.slot(stream)) {
            slot.mark = Some(mark);
        }
    }

    /// A stream's mark of a barrier was reached. A version that nobody waits for is counted.
    pub(crate) fn reached(&mut self, stream: StreamId, version: Version, lost: Option<&Gap>) {
        self.answer(stream, version, verdict(Verdict::Reached, lost));
    }

    /// A stream has ended: every barrier that waits for it has its answer.
    pub(crate) fn ended(&mut self, stream: StreamId, lost: Option<&Gap>) {
        let versions: Vec<Version> = self.pending.keys().copied().collect();
        for version in versions {
            if self.pending.get_mut(&version).is_some_and(|pending| pending.slot(stream).is_some())
            {
                self.answer(stream, version, verdict(Verdict::Ended, lost));
            }
        }
    }

    /// The deadline of a barrier has come: what has no verdict has timed out, at what `shown` says.
    pub(crate) fn time_out(&mut self, version: Version, shown: impl Fn(StreamId) -> Offset) {
        if let Some(pending) = self.pending.get_mut(&version) {
            for Slot { stream, mark, verdict } in &mut pending.slots {
                verdict.get_or_insert_with(|| Verdict::TimedOut {
                    shown: shown(*stream),
                    wanted: *mark,
                });
            }
            pending.open = 0;
        }
        self.finish_if_done(version);
    }

    /// Whether nobody waits.
    pub(crate) fn is_idle(&self) -> bool {
        self.pending.is_empty()
    }

    /// How many answers came for barriers that were over.
    pub(crate) fn stale(&self) -> u64 {
        self.stale
    }

    fn answer(&mut self, stream: StreamId, version: Version, verdict: Verdict) {
        let Some(pending) = self.pending.get_mut(&version) else {
            self.stale += 1;
            return;
        };
        let Some(slot) = pending.slot(stream) else {
            self.stale += 1;
            return;
        };
        slot.verdict = Some(verdict);
        pending.open -= 1;
        self.finish_if_done(version);
    }

    fn finish_if_done(&mut self, version: Version) {
        let done = self.pending.get(&version).is_some_and(|pending| pending.open == 0);
        let Some(mut pending) = done.then(|| self.pending.remove(&version)).flatten() else {
            return;
        };
        let decided =
            |Slot { stream, verdict, .. }: Slot| (stream, verdict.expect("BUG: no stream is open"));
        let streams = std::mem::take(&mut pending.slots).into_iter().map(decided).collect();
        if let Some(done) = pending.done.take() {
            // Whoever asked may have gone away meanwhile.
            drop(done.send(Verdicts { version, streams }));
        }
    }
}

fn verdict(good: Verdict, lost: Option<&Gap>) -> Verdict {
    lost.map_or(good, |gap| Verdict::Lost { span: gap.span, cause: gap.cause.clone() })
}

#[cfg(test)]
mod tests {
    use lastline_testing::stdout;

    use super::*;

    fn given(receiver: &mut oneshot::Receiver<Verdicts>) -> Option<Vec<Verdict>> {
        let verdicts = receiver.try_recv().ok()?;
        Some(verdicts.streams.into_iter().map(|(_, verdict)| verdict).collect())
    }

    #[test]
    fn a_barrier_is_answered_when_every_stream_has_a_verdict() {
        let mut barriers = Barriers::default();
        let mut first = barriers.open(Version(1), [stdout(0), stdout(1)]);
        let mut second = barriers.open(Version(2), [stdout(1)]);
        barriers.reached(stdout(0), Version(1), None);
        assert_eq!(given(&mut first), None);
        barriers.ended(stdout(1), None);
        assert_eq!(given(&mut first), Some(vec![Verdict::Reached, Verdict::Ended]));
        assert_eq!(given(&mut second), Some(vec![Verdict::Ended]));
    }

    #[test]
    fn a_barrier_over_nothing_is_answered_at_once() {
        assert_eq!(given(&mut Barriers::default().open(Version(1), [])), Some(vec![]));
    }

    #[test]
    fn answers_that_nobody_waits_for_are_counted_and_change_nothing() {
        let mut barriers = Barriers::default();
        let mut wait = barriers.open(Version(2), [stdout(0)]);
        barriers.reached(stdout(0), Version(1), None);
        barriers.reached(stdout(5), Version(2), None);
        assert_eq!((given(&mut wait), barriers.stale()), (None, 2));
        barriers.reached(stdout(0), Version(2), None);
        barriers.reached(stdout(0), Version(2), None);
        assert_eq!((given(&mut wait), barriers.stale()), (Some(vec![Verdict::Reached]), 3));
    }

    #[test]
    fn the_deadline_answers_for_who_did_not() {
        let mut barriers = Barriers::default();
        let mut wait = barriers.open(Version(1), [stdout(0), stdout(1)]);
        barriers.reached(stdout(0), Version(1), None);
        barriers.marked(stdout(1), Version(1), Offset(9));
        barriers.time_out(Version(1), |_| Offset(3));
        let late = Verdict::TimedOut { shown: Offset(3), wanted: Some(Offset(9)) };
        assert_eq!(given(&mut wait), Some(vec![Verdict::Reached, late]));
        barriers.time_out(Version(1), |_| Offset(3));
    }

    #[test]
    fn a_stream_that_is_named_twice_is_waited_for_once() {
        let mut barriers = Barriers::default();
        let mut wait = barriers.open(Version(1), [stdout(0), stdout(1), stdout(0)]);
        barriers.reached(stdout(0), Version(1), None);
        barriers.reached(stdout(1), Version(1), None);
        assert_eq!(given(&mut wait), Some(vec![Verdict::Reached; 2]));
    }

    #[test]
    fn a_caller_that_went_away_is_forgotten() {
        let mut barriers = Barriers::default();
        drop(barriers.open(Version(1), [stdout(0)]));
        let mut wait = barriers.open(Version(2), [stdout(0)]);
        barriers.reached(stdout(0), Version(2), None);
        assert!(given(&mut wait).is_some() && barriers.is_idle());
    }

    #[test]
    fn a_loss_is_the_verdict_of_every_barrier_that_covers_it() {
        let mut barriers = Barriers::default();
        let gap = Gap { span: Span::new(Offset(2), Offset(4)), cause: "dropped".into() };
        let mut wait = barriers.open(Version(1), [stdout(0), stdout(1)]);
        barriers.reached(stdout(0), Version(1), Some(&gap));
        barriers.ended(stdout(1), Some(&gap));
        let lost = Verdict::Lost { span: gap.span, cause: gap.cause };
        assert_eq!(given(&mut wait), Some(vec![lost.clone(), lost]));
    }
}
