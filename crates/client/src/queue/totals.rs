//! Sums of what was offered, stream by stream.

use lastline_line::StreamId;

use super::Amount;

/// How much was offered so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    /// How many items.
    pub(super) items: u64,
    /// In the order of their streams, each once.
    streams: Vec<Amount>,
    /// The place behind the one that was added to last: of several streams the next is often there.
    next: usize,
}

impl Totals {
    pub(super) fn add(&mut self, amount: Amount) {
        let is_at =
            |at: &usize| self.streams.get(*at).is_some_and(|sum| sum.stream == amount.stream);
        let near = [self.next.wrapping_sub(1), self.next, 0].into_iter().find(is_at);
        let place = near.map_or_else(|| self.place(amount.stream), Ok);
        let at = place.unwrap_or_else(|at| {
            self.streams.insert(at, Amount { bytes: 0, lines: 0, ..amount });
            at
        });
        self.streams[at].bytes += amount.bytes;
        self.streams[at].lines += amount.lines;
        self.next = at + 1;
    }

    /// Where a stream stands, or would stand.
    fn place(&self, stream: StreamId) -> Result<usize, usize> {
        self.streams.binary_search_by_key(&stream, |sum| sum.stream)
    }

    /// What was added since these were the sums.
    pub(super) fn since(&self, before: &Self) -> impl Iterator<Item = Amount> {
        let mut earlier = before.streams.iter().peekable();
        self.streams.iter().filter_map(move |sum| {
            let mut amount = *sum;
            if let Some(had) = earlier.next_if(|had| had.stream == sum.stream) {
                amount.bytes -= had.bytes;
                amount.lines -= had.lines;
            }
            (amount.bytes > 0 || amount.lines > 0).then_some(amount)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use lastline_line::{Launch, Stream};
    use proptest::prelude::*;

    use super::*;

    fn amounts() -> impl Strategy<Value = Vec<Amount>> {
        let amount = (0..6_u32, any::<bool>(), 0..9_u64, 0..3_u64);
        let amount = amount.prop_map(|(rank, is_stderr, bytes, lines)| {
            let stream = if is_stderr { Stream::Stderr } else { Stream::Stdout };
            Amount { stream: StreamId::new(Launch::default(), rank, stream), bytes, lines }
        });
        proptest::collection::vec(amount, 0..40)
    }

    proptest! {
        #[test]
        fn what_was_added_since_is_the_sum_of_it(before in amounts(), behind in amounts()) {
            let mut totals = Totals::default();
            before.into_iter().for_each(|amount| totals.add(amount));
            let since = totals.clone();
            let mut sums = BTreeMap::new();
            for amount in behind {
                totals.add(amount);
                let sum: &mut (u64, u64) = sums.entry(amount.stream).or_default();
                *sum = (sum.0 + amount.bytes, sum.1 + amount.lines);
            }
            sums.retain(|_, sum| *sum != (0, 0));
            let found = totals.since(&since).map(|sum| (sum.stream, (sum.bytes, sum.lines)));
            prop_assert_eq!(found.collect::<Vec<_>>(), sums.into_iter().collect::<Vec<_>>());
        }
    }
}
