//! Sets of ranks, and how they are written.

use std::fmt;
use std::str::FromStr;

/// The highest rank that a [`RankSet`] is parsed with: about a million.
pub const MAX_RANK: u32 = (1 << 20) - 1;

/// A set of ranks, written as `0-3,8`. Takes one bit a rank, up to the highest one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RankSet {
    /// Bit `r % 64` of word `r / 64`; the last word is never zero.
    words: Vec<u64>,
}

impl RankSet {
    /// No rank.
    pub fn new() -> Self {
        Self::default()
    }

    /// The ranks from 0 up to, not including, `ranks`.
    pub fn first(ranks: u32) -> Self {
        (0..ranks).collect()
    }

    /// Puts `rank` in; false when it was there.
    pub fn insert(&mut self, rank: u32) -> bool {
        let (word, bit) = Self::place(rank);
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let fresh = self.words[word] & bit == 0;
        self.words[word] |= bit;
        fresh
    }

    /// Takes `rank` out; false when it was not there.
    pub fn remove(&mut self, rank: u32) -> bool {
        let (word, bit) = Self::place(rank);
        let Some(bits) = self.words.get_mut(word) else {
            return false;
        };
        let held = *bits & bit != 0;
        *bits &= !bit;
        self.trim();
        held
    }

    /// Whether `rank` is in.
    pub fn contains(&self, rank: u32) -> bool {
        let (word, bit) = Self::place(rank);
        self.words.get(word).is_some_and(|bits| bits & bit != 0)
    }

    /// How many ranks.
    pub fn len(&self) -> usize {
        self.words.iter().map(|bits| bits.count_ones() as usize).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Takes all ranks out, keeping the memory.
    pub fn clear(&mut self) {
        self.words.clear();
    }

    /// The ranks in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().zip(0_u32..).flat_map(|(&bits, word)| {
            let rest = |bits: &u64| Some(bits & (bits - 1)).filter(|&rest| rest != 0);
            let first = Some(bits).filter(|&bits| bits != 0);
            std::iter::successors(first, rest).map(move |bits| word * 64 + bits.trailing_zeros())
        })
    }

    /// The ranges that make it up, in ascending order: the first and the last rank of each.
    pub fn ranges(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        let mut ranks = self.iter().peekable();
        std::iter::from_fn(move || {
            let first = ranks.next()?;
            let mut last = first;
            while ranks.next_if_eq(&(last + 1)).is_some() {
                last += 1;
            }
            Some((first, last))
        })
    }

    /// The ranks that are here and not in `other`.
    pub fn difference(&self, other: &Self) -> Self {
        let words = self.words.iter().enumerate();
        let words = words.map(|(at, bits)| bits & !other.words.get(at).copied().unwrap_or(0));
        let mut left = Self { words: words.collect() };
        left.trim();
        left
    }

    /// Whether every rank here is in `other` too.
    pub fn is_subset(&self, other: &Self) -> bool {
        let mut words = self.words.iter().enumerate();
        words.all(|(at, bits)| bits & !other.words.get(at).copied().unwrap_or(0) == 0)
    }

    fn place(rank: u32) -> (usize, u64) {
        ((rank / 64) as usize, 1 << (rank % 64))
    }

    fn trim(&mut self) {
        while self.words.last() == Some(&0) {
            self.words.pop();
        }
    }
}

impl FromIterator<u32> for RankSet {
    fn from_iter<I: IntoIterator<Item = u32>>(ranks: I) -> Self {
        let mut set = Self::new();
        for rank in ranks {
            set.insert(rank);
        }
        set
    }
}

impl fmt::Display for RankSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (first, last) in self.ranges() {
            write!(f, "{separator}{first}")?;
            match last - first {
                0 => {}
                1 => write!(f, ",{last}")?,
                _ => write!(f, "-{last}")?,
            }
            separator = ",";
        }
        Ok(())
    }
}

/// Why a text names no ranks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RankSetError {
    /// Not a number, or none at all.
    #[error("`{part}` is not a rank or a range of ranks (write `0`, `0-3` or `0-3,8`)")]
    Part {
        /// The piece between commas.
        part: String,
    },
    /// The range ends before it starts.
    #[error("the range `{part}` ends before it starts")]
    Backwards {
        /// The range.
        part: String,
    },
    /// Above [`MAX_RANK`].
    #[error("rank {rank} is above {MAX_RANK}")]
    TooHigh {
        /// The rank.
        rank: u32,
    },
}

impl FromStr for RankSet {
    type Err = RankSetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut set = Self::new();
        for part in text.split(',').map(str::trim) {
            let wrong = || RankSetError::Part { part: part.to_owned() };
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let first: u32 = first.trim().parse().map_err(|_| wrong())?;
            let last: u32 = last.trim().parse().map_err(|_| wrong())?;
            if last < first {
                return Err(RankSetError::Backwards { part: part.to_owned() });
            }
            if last > MAX_RANK {
                return Err(RankSetError::TooHigh { rank: last });
            }
            (first..=last).for_each(|rank| {
                set.insert(rank);
            });
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sets_are_written_as_ranges() {
        let table = [
            (vec![], ""),
            (vec![7], "7"),
            (vec![0, 1], "0,1"),
            (vec![0, 1, 2, 8], "0-2,8"),
            ((0..64).collect(), "0-63"),
            (vec![0, 3, 8, 9, 10, 11], "0,3,8-11"),
        ];
        for (ranks, text) in table {
            assert_eq!(ranks.into_iter().collect::<RankSet>().to_string(), text);
        }
    }

    #[test]
    fn what_names_no_ranks_is_refused_with_the_part_that_is_wrong() {
        for text in ["", "a", "1,,2", "-1", "3-", "1-2-3"] {
            assert!(matches!(text.parse::<RankSet>(), Err(RankSetError::Part { .. })), "{text}");
        }
        assert!(matches!("5-2".parse::<RankSet>(), Err(RankSetError::Backwards { .. })));
        assert!(matches!("0-4000000000".parse::<RankSet>(), Err(RankSetError::TooHigh { .. })));
    }

    proptest! {
        #[test]
        fn a_set_reads_back_what_it_wrote(ranks in proptest::collection::btree_set(0_u32..300, 1..80)) {
            let set: RankSet = ranks.iter().copied().collect();
            prop_assert_eq!(set.len(), ranks.len());
            prop_assert!(set.iter().eq(ranks.iter().copied()));
            prop_assert_eq!(set.to_string().parse::<RankSet>().unwrap(), set);
        }

        #[test]
        fn a_difference_holds_what_only_the_left_has(
            left in proptest::collection::btree_set(0_u32..200, 0..60),
            right in proptest::collection::btree_set(0_u32..200, 0..60),
        ) {
            let (a, b): (RankSet, RankSet) = (left.iter().copied().collect(), right.iter().copied().collect());
            prop_assert!(a.difference(&b).iter().eq(left.difference(&right).copied()));
            prop_assert_eq!(a.is_subset(&b), left.is_subset(&right));
            prop_assert_eq!(a.difference(&b).is_empty(), left.is_subset(&right));
        }
    }
}
