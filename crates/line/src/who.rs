//! Who said something, in the shorter of two ways.
//!
//! Either those who said it are listed, or all are named at once except those who did not. One place
//! decides which, and how much of a long list is shown.

use std::fmt::Write as _;

use crate::{RankNames, RankSet};

/// How many columns of a list are shown; a longer one is cut: a third of a terminal's line.
pub const MAX_LIST_COLUMNS: usize = 24;
/// How many ranges of a list that is cut are shown.
const SHOWN_RANGES: usize = 3;
/// So many ranks must have said something for each one that has not, for the latter to be named.
const MAJORITY: usize = 3;
const EXCEPT: &str = " except ";

/// The ranks of `all` that are not in `ranks`, when naming them is the shorter way to say who is.
///
/// What is written in one piece (`0-63`) is taken in at a glance, so it counts nothing; lists are
/// compared by their columns: `0-63 except 5,17` is shorter than `0-4,6-16,18-63`, and `0-2` is
/// shorter than `0-3 except 3`. Names that cannot be counted are all at once by how many they are: `all 5
/// labels except anna`. Where more than one of four is missing, who is there is named.
pub fn exceptions(ranks: &RankSet, all: &RankSet, names: &dyn RankNames) -> Option<RankSet> {
    let missing = all.difference(ranks);
    if missing.is_empty() || missing.len() * MAJORITY > ranks.len() {
        return None;
    }
    let columns = |ranks: &RankSet| rank_list(ranks, names).chars().count();
    let is_list = |ranks: &RankSet| rank_list(ranks, names).contains(',');
    let everybody: RankSet = ranks.iter().chain(missing.iter()).collect();
    let before = match is_list(&everybody) {
        true => everybody_list(&everybody, names).chars().count() + EXCEPT.len(),
        false => 0,
    };
    (is_list(ranks) && before + columns(&missing) < columns(ranks)).then_some(missing)
}

/// Those who said something, and who did not when that is the shorter way; see [`exceptions`].
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    /// Who said it.
    pub ranks: &'a RankSet,
    /// Who did not.
    pub except: Option<&'a RankSet>,
    /// What they are called.
    pub names: &'a dyn RankNames,
}

impl Who<'_> {
    /// All of them: `0-63 except 17`.
    pub fn whole(&self) -> String {
        self.written(rank_list)
    }

    /// Lists of at most [`MAX_LIST_COLUMNS`]: `1,3,5…(64 ranks)`, `0-255 except 1,3,5…(64 ranks)`.
    pub fn short(&self) -> String {
        self.written(short_list)
    }

    fn written(&self, list: impl Fn(&RankSet, &dyn RankNames) -> String) -> String {
        match self.except {
            Some(except) => {
                let all = self.ranks.iter().chain(except.iter()).collect();
                format!("{}{EXCEPT}{}", everybody_list(&all, self.names), list(except, self.names))
            }
            None => list(self.ranks, self.names),
        }
    }
}

/// All of whom some are excepted: by their names, or by how many they are where that is shorter.
fn everybody_list(all: &RankSet, names: &dyn RankNames) -> String {
    let (list, count) = (rank_list(all, names), format!("all {} {}", all.len(), names.noun()));
    let is_short = list.chars().count() <= MAX_LIST_COLUMNS.max(count.chars().count());
    if is_short || !list.contains(',') { list } else { count }
}

/// A set of ranks by their names, the whole of it.
pub fn rank_list(ranks: &RankSet, names: &dyn RankNames) -> String {
    let mut text = String::new();
    names.write(ranks, &mut text).expect("BUG: writing to a string cannot fail");
    text
}

/// A set of ranks by their names; of a list of more than [`MAX_LIST_COLUMNS`] its start and how many
/// they are. A name alone is whole however long it is.
///
/// ```
/// use lastline_line::{RankNumbers, RankSet, short_list};
///
/// let odd: RankSet = (0..128).filter(|rank| rank % 2 == 1).collect();
/// assert_eq!(short_list(&odd, &RankNumbers), "1,3,5…(64 ranks)");
/// ```
pub fn short_list(ranks: &RankSet, names: &dyn RankNames) -> String {
    let mut text = rank_list(ranks, names);
    if text.chars().count() <= MAX_LIST_COLUMNS || ranks.len() == 1 {
        return text;
    }
    let ranges: Vec<(u32, u32)> = ranks.ranges().take(SHOWN_RANGES).collect();
    let starts = (1..=ranges.len()).rev().map(|count| {
        let start = ranges[..count].iter().flat_map(|&(first, last)| first..=last);
        rank_list(&start.collect(), names)
    });
    // The names of one range may be many.
    let fits = |start: &String| start.chars().count() <= MAX_LIST_COLUMNS;
    let alone = || rank_list(&ranks.iter().take(1).collect(), names);
    text = starts.into_iter().find(fits).unwrap_or_else(alone);
    write!(text, "…({} {})", ranks.len(), names.noun())
        .expect("BUG: writing to a string cannot fail");
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::RankNumbers;

    fn who(ranks: &str, all: &str) -> [String; 2] {
        let ranks: RankSet = ranks.parse().unwrap();
        let except = exceptions(&ranks, &all.parse().unwrap(), &RankNumbers);
        let who = Who { ranks: &ranks, except: except.as_ref(), names: &RankNumbers };
        [who.whole(), who.short()]
    }

    #[test]
    fn the_shorter_way_says_who() {
        let table = [
            ("0-63", "0-63", "0-63"),
            ("0-16,18-63", "0-63", "0-63 except 17"),
            ("0-4,6-16,18-39,43-62", "0-63", "0-63 except 5,17,40-42,63"),
            ("0-2", "0-3", "0-2"),
            ("0-2,4-6,8-10,12,13,15", "0-2,4-6,8-10,12-15", "0-2,4-6,8-10,12,13,15"),
            ("3-7", "3-8", "3-7"),
            ("3,4,6-8", "3-8", "3-8 except 5"),
            ("0", "0,1", "0"),
            ("0,2", "0-2", "0,2"),
            ("0-4,9", "0-3", "0-4,9"),
        ];
        for (ranks, all, whole) in table {
            assert_eq!(who(ranks, all)[0], whole);
        }
    }

    #[test]
    fn long_lists_are_cut_and_counted() {
        let every = |step: usize| {
            (0..=254).step_by(step).map(|rank| rank.to_string()).collect::<Vec<_>>().join(",")
        };
        let [whole, short] = who(&every(2), "0-255");
        assert_eq!((whole, short.as_str()), (every(2), "0,2,4…(128 ranks)"));
        let most = "0-255".parse::<RankSet>().unwrap().difference(&every(6).parse().unwrap());
        assert_eq!(who(&most.to_string(), "0-255")[1], "0-255 except 0,6,12…(43 ranks)");
        let wide = "100000-200000,300000-400000,500000-600000";
        assert_eq!(who(wide, wide)[1], "100000-200000…(300003 ranks)");
    }

    #[derive(Debug)]
    struct Hosts;

    impl RankNames for Hosts {
        fn write(&self, ranks: &RankSet, into: &mut dyn std::fmt::Write) -> std::fmt::Result {
            for (at, rank) in ranks.iter().enumerate() {
                write!(into, "{}node-{rank}", if at > 0 { "," } else { "" })?;
            }
            Ok(())
        }
        fn noun(&self) -> &'static str {
            "hosts"
        }
    }

    #[test]
    fn ranks_go_by_their_names() {
        assert_eq!(short_list(&RankSet::first(3), &Hosts), "node-0,node-1,node-2");
        assert_eq!(short_list(&RankSet::first(9), &Hosts), "node-0…(9 hosts)");
    }

    #[derive(Debug)]
    struct Pods;

    impl RankNames for Pods {
        fn write(&self, ranks: &RankSet, into: &mut dyn std::fmt::Write) -> std::fmt::Result {
            let names = ["6d4f8", "abc12", "x8zkq", "p2vw7", "qq9rt"];
            let names = ranks.iter().map(|rank| format!("pod/train-{}/main", names[rank as usize]));
            into.write_str(&names.collect::<Vec<_>>().join(","))
        }
        fn noun(&self) -> &'static str {
            "labels"
        }
    }

    #[test]
    fn who_is_missing_among_long_names_is_named() {
        let (all, one) = (RankSet::first(5), RankSet::from_iter([1]));
        let ranks = all.difference(&one);
        let except = exceptions(&ranks, &all, &Pods);
        let who = Who { ranks: &ranks, except: except.as_ref(), names: &Pods };
        assert_eq!(who.short(), "all 5 labels except pod/train-abc12/main");
        assert_eq!(who.whole(), who.short());
        assert_eq!(short_list(&one, &Pods), "pod/train-abc12/main");
        let long = RankSet::from_iter([2]);
        assert_eq!(short_list(&long, &Pods), "pod/train-x8zkq/main");
    }

    proptest! {
        #[test]
        fn who_is_told_exactly(
            ranks in prop::collection::btree_set(0_u32..40, 1..40),
            all in prop::collection::btree_set(0_u32..40, 0..40),
        ) {
            let (ranks, all): (RankSet, RankSet) =
                (ranks.into_iter().collect(), all.into_iter().collect());
            let except = exceptions(&ranks, &all, &RankNumbers);
            let who = Who { ranks: &ranks, except: except.as_ref(), names: &RankNumbers };
            let text = who.whole();
            let told = match text.split_once(" except ") {
                Some((all, except)) => {
                    let except: RankSet = except.parse().unwrap();
                    let all = match all.strip_prefix("all ") {
                        Some(_) => ranks.iter().chain(except.iter()).collect(),
                        None => all.parse::<RankSet>().unwrap(),
                    };
                    prop_assert!(except.is_subset(&all));
                    all.difference(&except)
                }
                None => text.parse().unwrap(),
            };
            prop_assert_eq!(&told, &ranks);
            prop_assert!(who.short().chars().count() <= 2 * MAX_LIST_COLUMNS + 32);
        }
    }
}
