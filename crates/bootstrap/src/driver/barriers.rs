//! The barriers of a job, as many of them as are kept.

use std::collections::{BTreeMap, VecDeque};

use lastline_jobs::BarrierReport;
use lastline_line::BarrierOutcome;

/// How many are kept of the first barriers, and of the last: a job may flush at every step.
const KEPT: usize = 100;

/// The first barriers of a job and the last; those between them are only counted.
#[derive(Debug, Default)]
pub(super) struct Barriers {
    first: Vec<BarrierReport>,
    last: VecDeque<BarrierReport>,
    /// By verdict.
    left_out: BTreeMap<BarrierOutcome, u64>,
}

impl Barriers {
    /// One more has been answered.
    pub(super) fn push(&mut self, barrier: BarrierReport) {
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

    /// How many there were, and the one that was answered last.
    pub(super) fn last(&self) -> (u64, Option<BarrierReport>) {
        let left_out = self.left_out.values().sum::<u64>();
        let kept = self.first.len() + self.last.len();
        (left_out + kept as u64, self.last.back().or(self.first.last()).copied())
    }

    /// Those that were kept, by their numbers, and how many were not, by their verdicts.
    pub(super) fn kept(&self) -> (Vec<BarrierReport>, BTreeMap<BarrierOutcome, u64>) {
        let mut kept: Vec<BarrierReport> = self.first.iter().chain(&self.last).cloned().collect();
        kept.sort_by_key(|barrier| barrier.version);
        (kept, self.left_out.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lastline_line::Version;

    use super::*;

    fn barrier(version: u64) -> BarrierReport {
        let late = version.is_multiple_of(1000);
        let verdict = if late { BarrierOutcome::TimedOut } else { BarrierOutcome::Reached };
        BarrierReport::new(Version(version), Duration::from_millis(1), verdict)
    }

    #[test]
    fn the_first_and_the_last_are_kept_and_the_others_counted() {
        let mut barriers = Barriers::default();
        (1..=10_000).for_each(|version| barriers.push(barrier(version)));
        let (kept, left_out) = barriers.kept();
        let versions: Vec<u64> = kept.iter().map(|barrier| barrier.version).collect();
        assert!(versions.iter().copied().eq((1..=100).chain(9901..=10_000)), "{versions:?}");
        let (count, last) = barriers.last();
        assert_eq!((count, last.map(|barrier| barrier.version)), (10_000, Some(10_000)));
        let expected = [(BarrierOutcome::Reached, 9791), (BarrierOutcome::TimedOut, 9)];
        assert_eq!(left_out, expected.into());
    }

    #[test]
    fn a_few_are_all_kept_in_the_order_of_their_numbers() {
        let mut barriers = Barriers::default();
        (1..=200).rev().for_each(|version| barriers.push(barrier(version)));
        let (kept, left_out) = barriers.kept();
        assert!(kept.iter().map(|barrier| barrier.version).eq(1..=200));
        assert!(left_out.is_empty());
    }
}
