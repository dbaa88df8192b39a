//! How much ranks say, second by second.

use std::collections::{BTreeMap, VecDeque};

use lastline_line::Timestamp;

/// For how many seconds a rank's output is drawn.
const SECONDS: usize = 30;

/// Bytes of ranks in each of the last seconds.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    second: u64,
    of: BTreeMap<u32, VecDeque<u64>>,
}

impl Rates {
    pub(crate) fn add(&mut self, rank: u32, bytes: u64) {
        let seconds = self.of.entry(rank).or_insert_with(|| VecDeque::from([0]));
        if let Some(last) = seconds.back_mut() {
            *last = last.saturating_add(bytes);
        }
    }

    pub(crate) fn reach(&mut self, now: Timestamp) {
        let second = now.0 / 1_000_000;
        let passed = second.saturating_sub(std::mem::replace(&mut self.second, second));
        let passed = usize::try_from(passed).unwrap_or(SECONDS).min(SECONDS);
        for seconds in self.of.values_mut() {
            seconds.extend(std::iter::repeat_n(0, passed));
            let surplus = seconds.len().saturating_sub(SECONDS + 1);
            seconds.drain(..surplus);
        }
    }

    /// Bytes in the last whole second, or in this one where that has more.
    pub(crate) fn now(&self, rank: u32) -> u64 {
        let seconds = self.of.get(&rank).into_iter().flatten().rev();
        seconds.take(2).copied().max().unwrap_or(0)
    }

    /// Those of all ranks.
    pub(crate) fn total(&self) -> u64 {
        self.of.keys().map(|rank| self.now(*rank)).sum()
    }

    /// The seconds, oldest first.
    pub(crate) fn seconds(&self, rank: u32) -> impl Iterator<Item = u64> + '_ {
        self.of.get(&rank).into_iter().flatten().copied()
    }
}
