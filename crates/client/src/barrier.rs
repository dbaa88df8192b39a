//! Barriers that wait for their streams. Pure: the clock is the caller's.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};

use lastline_line::{Gap, Offset, StreamId, Version};
use tokio::sync::oneshot;

use crate::verdict::{Verdict, Verdicts};

/// What is known of one stream.
#[derive(Debug, Default)]
struct Slot {
    mark: Option<Offset>,
    /// Its mark or its end has come: its answer waits for nothing but what is held.
    has_come: bool,
    verdict: Option<Verdict>,
}

#[derive(Debug)]
struct Pending {
    /// The streams that are waited for.
    streams: BTreeMap<StreamId, Slot>,
    /// How many of them have no verdict yet.
    open: usize,
    /// How many of them have yet to come.
    to_come: usize,
    /// How many hosts have yet to list their streams.
    hosts: usize,
    /// What is known of streams that no host has listed yet.
    early: HashMap<StreamId, Slot>,
    /// All that is waited for is on its way.
    gathers_all: bool,
    done: Option<oneshot::Sender<Verdicts>>,
}

impl Pending {
    fn new(hosts: usize, done: oneshot::Sender<Verdicts>) -> Self {
        let (streams, early) = (BTreeMap::new(), HashMap::new());
        let (open, to_come, gathers_all) = (0, 0, false);
        Self { streams, open, to_come, hosts, early, gathers_all, done: Some(done) }
    }

    /// Waits for these streams, too.
    fn add(&mut self, streams: impl IntoIterator<Item = StreamId>) {
        for stream in streams {
            let Entry::Vacant(vacant) = self.streams.entry(stream) else {
                continue;
            };
            let slot = self.early.remove(&stream).unwrap_or_default();
            self.open += usize::from(slot.verdict.is_none());
            self.to_come += usize::from(!slot.has_come);
            vacant.insert(slot);
        }
    }

    /// Where the verdict of `stream` goes, if one is still wanted.
    fn slot(&mut self, stream: StreamId) -> Option<&mut Slot> {
        let slot = if self.hosts > 0 && !self.streams.contains_key(&stream) {
            self.early.entry(stream).or_default()
        } else {
            self.streams.get_mut(&stream)?
        };
        slot.verdict.is_none().then_some(slot)
    }

    /// The mark or the end of `stream` has come.
    fn came(&mut self, stream: StreamId, mark: Option<Offset>) {
        let is_listed = self.streams.contains_key(&stream);
        let Some(slot) = self.slot(stream) else {
            return;
        };
        slot.mark = mark.or(slot.mark);
        let is_first = !std::mem::replace(&mut slot.has_come, true);
        self.to_come -= usize::from(is_first && is_listed);
    }

    /// Whether `stream` is waited for.
    fn waits_for(&self, stream: StreamId) -> bool {
        self.streams.get(&stream).is_some_and(|slot| slot.verdict.is_none())
    }
}

/// All barriers that are not answered yet.
#[derive(Debug, Default)]
pub(crate) struct Barriers {
    pending: HashMap<Version, Pending>,
    stale: u64,
}

impl Barriers {
    /// Opens a barrier over the streams that `hosts` hosts will list; the receiver gets its
    /// verdicts when every host has done so and every stream has one.
    pub(crate) fn open(&mut self, version: Version, hosts: usize) -> oneshot::Receiver<Verdicts> {
        let (done, receiver) = oneshot::channel();
        // Whoever asked may have gone away without waiting for the answer.
        self.pending
            .retain(|_, pending| pending.done.as_ref().is_some_and(|done| !done.is_closed()));
        self.pending.insert(version, Pending::new(hosts, done));
        self.finish_if_done(version);
        receiver
    }

    /// All that a barrier waits for is on its way.
    pub(crate) fn gather_all(&mut self, version: Version) {
        if let Some(pending) = self.pending.get_mut(&version) {
            pending.gathers_all = true;
        }
    }

    /// Whether all that is waited for is on its way.
    pub(crate) fn gathers_all(&self) -> bool {
        !self.pending.is_empty() && self.pending.values().all(|pending| pending.gathers_all)
    }

    /// A host has listed its streams. True when somebody waits for them.
    pub(crate) fn list(
        &mut self,
        version: Version,
        streams: impl IntoIterator<Item = StreamId>,
    ) -> bool {
        let Some(pending) = self.pending.get_mut(&version).filter(|pending| pending.hosts > 0)
        else {
            self.stale += 1;
            return false;
        };
        pending.add(streams);
        true
    }

    /// All that is known of the streams of one host's list has been said.
    pub(crate) fn listed(&mut self, version: Version) {
        if let Some(pending) = self.pending.get_mut(&version) {
            pending.hosts = pending.hosts.saturating_sub(1);
        }
        self.finish_if_done(version);
    }

    /// A stream's mark of a barrier has come.
    pub(crate) fn marked(&mut self, stream: StreamId, version: Version, mark: Offset) {
        if let Some(pending) = self.pending.get_mut(&version) {
            pending.came(stream, Some(mark));
        }
    }

    /// A stream's end has come, for every barrier.
    pub(crate) fn end_came(&mut self, stream: StreamId) {
        self.pending.values_mut().for_each(|pending| pending.came(stream, None));
    }

    /// A stream's mark of a barrier was reached. A version that nobody waits for is counted.
    pub(crate) fn reached(&mut self, stream: StreamId, version: Version, lost: Option<&Gap>) {
        self.answer(stream, version, verdict(Verdict::Reached, lost));
    }

    /// A stream has ended: every barrier that waits for it has its answer.
    pub(crate) fn ended(&mut self, stream: StreamId, lost: Option<&Gap>) {
        let waiting = self.pending.iter().filter(|(_, pending)| pending.waits_for(stream));
        let versions: Vec<Version> = waiting.map(|(version, _)| *version).collect();
        for version in versions {
            self.answer(stream, version, verdict(Verdict::Ended, lost));
        }
    }

    /// The deadline of a barrier has come: what has no verdict has timed out, at what `shown` says.
    pub(crate) fn time_out(&mut self, version: Version, shown: impl Fn(StreamId) -> Offset) {
        let Some(pending) = self.pending.get_mut(&version) else {
            return;
        };
        for (stream, Slot { mark, verdict, .. }) in &mut pending.streams {
            let late = || Verdict::TimedOut { shown: shown(*stream), wanted: *mark };
            verdict.get_or_insert_with(late);
        }
        self.finish(version);
    }

    /// Whether nobody waits.
    pub(crate) fn is_idle(&self) -> bool {
        self.pending.is_empty()
    }

    /// Whether everything has come that barriers wait for.
    pub(crate) fn has_gathered(&self) -> bool {
        self.pending.values().all(|pending| (pending.hosts, pending.to_come) == (0, 0))
    }

    /// How many answers came for barriers that were over.
    pub(crate) fn stale(&self) -> u64 {
        self.stale
    }

    fn answer(&mut self, stream: StreamId, version: Version, verdict: Verdict) {
        let pending = self.pending.get_mut(&version);
        let Some((pending, listed)) = pending.map(|pending| {
            pending.came(stream, None);
            let listed = pending.streams.contains_key(&stream);
            (pending, listed)
        }) else {
            self.stale += 1;
            return;
        };
        let Some(slot) = pending.slot(stream) else {
            self.stale += 1;
            return;
        };
        slot.verdict = Some(verdict);
        pending.open -= usize::from(listed);
        self.finish_if_done(version);
    }

    fn finish_if_done(&mut self, version: Version) {
        if self.pending.get(&version).is_some_and(|pending| (pending.open, pending.hosts) == (0, 0))
        {
            self.finish(version);
        }
    }

    fn finish(&mut self, version: Version) {
        let Some(pending) = self.pending.remove(&version) else {
            return;
        };
        let Pending { streams, hosts: missing_hosts, early, done, .. } = pending;
        self.stale += early.values().filter(|slot| slot.verdict.is_some()).count() as u64;
        let decided = |(stream, slot): (StreamId, Slot)| {
            (stream, slot.verdict.expect("BUG: no stream is open"))
        };
        let streams = streams.into_iter().map(decided).collect();
        if let Some(done) = done {
            // Whoever asked may have gone away meanwhile.
            drop(done.send(Verdicts { version, streams, missing_hosts, unreachable: Vec::new() }));
        }
    }
}

fn verdict(good: Verdict, lost: Option<&Gap>) -> Verdict {
    lost.map_or(good, |gap| Verdict::Lost { span: gap.span, cause: gap.cause.clone() })
}

#[cfg(test)]
mod tests {
    use lastline_line::{BarrierOutcome, Span};
    use lastline_testing::stdout;

    use super::*;

    fn open<const N: usize>(
        barriers: &mut Barriers,
        version: u64,
        streams: [StreamId; N],
    ) -> oneshot::Receiver<Verdicts> {
        let receiver = barriers.open(Version(version), 1);
        barriers.list(Version(version), streams);
        barriers.listed(Version(version));
        receiver
    }

    fn given(receiver: &mut oneshot::Receiver<Verdicts>) -> Option<Vec<Verdict>> {
        let verdicts = receiver.try_recv().ok()?;
        Some(verdicts.streams.into_iter().map(|(_, verdict)| verdict).collect())
    }

    #[test]
    fn a_barrier_is_answered_when_every_stream_has_a_verdict() {
        let mut barriers = Barriers::default();
        let mut first = open(&mut barriers, 1, [stdout(0), stdout(1)]);
        let mut second = open(&mut barriers, 2, [stdout(1)]);
        barriers.reached(stdout(0), Version(1), None);
        assert_eq!(given(&mut first), None);
        barriers.ended(stdout(1), None);
        assert_eq!(given(&mut first), Some(vec![Verdict::Reached, Verdict::Ended]));
        assert_eq!(given(&mut second), Some(vec![Verdict::Ended]));
    }

    #[test]
    fn a_barrier_over_nothing_is_answered_at_once() {
        assert_eq!(given(&mut open(&mut Barriers::default(), 1, [])), Some(vec![]));
    }

    #[test]
    fn answers_that_nobody_waits_for_are_counted_and_change_nothing() {
        let mut barriers = Barriers::default();
        let mut wait = open(&mut barriers, 2, [stdout(0)]);
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
        let mut wait = open(&mut barriers, 1, [stdout(0), stdout(1)]);
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
        let mut wait = open(&mut barriers, 1, [stdout(0), stdout(1), stdout(0)]);
        barriers.reached(stdout(0), Version(1), None);
        barriers.reached(stdout(1), Version(1), None);
        assert_eq!(given(&mut wait), Some(vec![Verdict::Reached; 2]));
    }

    #[test]
    fn a_caller_that_went_away_is_forgotten() {
        let mut barriers = Barriers::default();
        drop(open(&mut barriers, 1, [stdout(0)]));
        let mut wait = open(&mut barriers, 2, [stdout(0)]);
        barriers.reached(stdout(0), Version(2), None);
        assert!(given(&mut wait).is_some() && barriers.is_idle());
    }

    #[test]
    fn a_loss_is_the_verdict_of_every_barrier_that_covers_it() {
        let mut barriers = Barriers::default();
        let gap = Gap { span: Span::new(Offset(2), Offset(4)), cause: "dropped".into() };
        let mut wait = open(&mut barriers, 1, [stdout(0), stdout(1)]);
        barriers.reached(stdout(0), Version(1), Some(&gap));
        barriers.ended(stdout(1), Some(&gap));
        let lost = Verdict::Lost { span: gap.span, cause: gap.cause };
        assert_eq!(given(&mut wait), Some(vec![lost.clone(), lost]));
    }

    #[test]
    fn marks_that_come_before_the_list_of_streams_count() {
        let mut barriers = Barriers::default();
        let mut wait = barriers.open(Version(1), 2);
        barriers.marked(stdout(0), Version(1), Offset(4));
        barriers.reached(stdout(0), Version(1), None);
        assert!(barriers.list(Version(1), [stdout(0)]));
        barriers.listed(Version(1));
        assert_eq!(given(&mut wait), None, "one host has not listed its streams");
        barriers.list(Version(1), [stdout(1)]);
        barriers.listed(Version(1));
        assert_eq!(given(&mut wait), None);
        barriers.reached(stdout(1), Version(1), None);
        assert_eq!(given(&mut wait), Some(vec![Verdict::Reached; 2]));
        assert!(!barriers.list(Version(1), [stdout(2)]));
        assert_eq!(barriers.stale(), 1);
    }

    #[test]
    fn a_host_that_lists_nothing_in_time_is_missed() {
        let mut barriers = Barriers::default();
        let mut wait = barriers.open(Version(1), 2);
        barriers.listed(Version(1));
        barriers.reached(stdout(0), Version(1), None);
        barriers.time_out(Version(1), |_| Offset(3));
        let verdicts = wait.try_recv().unwrap();
        assert_eq!((verdicts.missing_hosts, verdicts.streams.len()), (1, 0));
        assert_eq!(verdicts.summary(), BarrierOutcome::TimedOut);
        assert_eq!(barriers.stale(), 1);
    }
}
