//! The barriers of a job, as many of them as are kept.

use std::collections::{BTreeMap, VecDeque};

use crate::report::BarrierReport;

/// How many are kept of the first barriers, and of the last: a job may flush at every step.
const KEPT: usize = 100;

/// The first barriers of a job and the last; those between them are only counted.
#[derive(Debug, Default)]
pub(crate) struct Barriers {
    first: Vec<BarrierReport>,
    last: VecDeque<BarrierReport>,
    /// By verdict.
    left_out: BTreeMap<String, u64>,
}

impl Barriers {
    /// One more has been answered.
    pub(crate) fn push(&mut self, barrier: BarrierReport) {
        if self.first.len() < KEPT {
            return self.first.push(barrier);
        }
        self.last.push_back(barrier);
        if self.last.len() > KEPT
            && let Some(oldest) = self.last.pop_front()
        {
            *self.left_out.entry(oldest.verdict).or_default() += 1;
        }
    }

    /// Those that were kept, by their numbers, and how many were not, by their verdicts.
    pub(crate) fn take(&mut self) -> (Vec<BarrierReport>, BTreeMap<String, u64>) {
        let Self { mut first, last, left_out } = std::mem::take(self);
        first.extend(last);
        first.sort_by_key(|barrier| barrier.version);
        (first, left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn barrier(version: u64) -> BarrierReport {
        let verdict = if version.is_multiple_of(1000) { "timed out" } else { "reached" };
        BarrierReport { version, seconds: 0.001, verdict: verdict.into() }
    }

    #[test]
    fn the_first_and_the_last_are_kept_and_the_others_counted() {
        let mut barriers = Barriers::default();
        (1..=10_000).for_each(|version| barriers.push(barrier(version)));
        let (kept, left_out) = barriers.take();
        let versions: Vec<u64> = kept.iter().map(|barrier| barrier.version).collect();
        assert!(versions.iter().copied().eq((1..=100).chain(9901..=10_000)), "{versions:?}");
        let expected = [("reached", 9791), ("timed out", 9)];
        assert_eq!(left_out, expected.map(|(verdict, count)| (verdict.into(), count)).into());
        assert_eq!(barriers.take(), Default::default());
    }

    #[test]
    fn a_few_are_all_kept_in_the_order_of_their_numbers() {
        let mut barriers = Barriers::default();
        (1..=200).rev().for_each(|version| barriers.push(barrier(version)));
        let (kept, left_out) = barriers.take();
        assert!(kept.iter().map(|barrier| barrier.version).eq(1..=200));
        assert!(left_out.is_empty());
    }
}
