//! What the statements of an entry have in one of their places, told apart.

use lastline_line::{Member, RankSet};
use rustc_hash::FxHashMap;

use crate::number::Number;
use crate::outlier;

/// The values of one place.
#[derive(Debug, Default)]
pub(crate) struct Column<'a> {
    /// Each value with the member that said it.
    said: Vec<(u32, &'a [u8])>,
}

/// Statements with one value.
#[derive(Debug)]
pub(crate) struct Group<'a> {
    pub(crate) value: &'a [u8],
    /// Who made them; of outliers only.
    pub(crate) ranks: RankSet,
    /// How many statements.
    pub(crate) count: usize,
    number: Option<Number>,
}

impl<'a> Group<'a> {
    /// The unit of a finite number.
    fn finite_unit(&self) -> Option<&'a [u8]> {
        let number = self.number.filter(|number| number.value.is_finite())?;
        Some(number.unit(self.value))
    }

    /// Whether it is `nan` or an infinity.
    fn is_not_finite(&self) -> bool {
        self.number.is_some_and(|number| !number.value.is_finite())
    }
}

/// What there is to say of a place.
#[derive(Debug)]
pub(crate) struct Told<'a> {
    pub(crate) usual: Usual<'a>,
    /// Who differs, in the order of their first ranks.
    pub(crate) outliers: Vec<Group<'a>>,
    /// How many different values there are.
    pub(crate) distinct: usize,
}

/// What nearly all have.
#[derive(Debug)]
pub(crate) enum Usual<'a> {
    /// One value.
    Common(&'a [u8]),
    /// Numbers of one unit: the least and the greatest.
    Numbers {
        min: &'a [u8],
        max: &'a [u8],
        /// The length of what follows the number in each.
        unit: usize,
    },
    /// This and that, in the order in which it came: three at most.
    Samples(Vec<&'a [u8]>),
}

/// How many different values are shown.
const SHOWN: usize = 3;

impl<'a> Column<'a> {
    pub(crate) fn clear(&mut self) {
        self.said.clear();
    }

    pub(crate) fn push(&mut self, member: u32, value: &'a [u8]) {
        self.said.push((member, value));
    }

    /// How many statements there are.
    pub(crate) fn len(&self) -> usize {
        self.said.len()
    }

    /// Each value with the member that said it.
    pub(crate) fn said(&self) -> impl Iterator<Item = (u32, &'a [u8])> {
        self.said.iter().copied()
    }

    /// Whether all have the same.
    pub(crate) fn agrees(&self) -> bool {
        self.said.windows(2).all(|two| two[0].1 == two[1].1)
    }

    /// Tells the values apart. Where nearly all are `nan` and more numbers remain than are shown, these
    /// have their range all the same.
    pub(crate) fn tell(&self, members: &[Member]) -> Told<'a> {
        let mut groups = self.groups();
        let (all, distinct) = (self.said.len(), groups.len());
        let most = groups.iter().enumerate().max_by_key(|(_, group)| group.count);
        if let Some((at, common)) = most
            && (distinct == 1 || outlier::nearly_all(common.count, all))
            && !(common.is_not_finite() && distinct > 1 + SHOWN && self.unit(&groups).is_some())
        {
            let usual = Usual::Common(common.value);
            groups.remove(at);
            return Told { usual, outliers: self.by_rank(groups, members), distinct };
        }
        let Some(unit) = self.unit(&groups) else {
            return self.tell_words(groups, members);
        };
        let (numbers, mut outliers) =
            groups.into_iter().partition::<Vec<_>, _>(|group| group.finite_unit() == Some(unit));
        let usual = numbers_of(numbers, unit.len(), &mut outliers);
        Told { usual, outliers: self.by_rank(outliers, members), distinct }
    }

    /// Tells values apart that are no numbers of one unit: few of them by who has which, others by samples.
    fn tell_words(&self, groups: Vec<Group<'a>>, members: &[Member]) -> Told<'a> {
        let distinct = groups.len();
        let samples = groups.iter().take(SHOWN).map(|group| group.value).collect();
        let numbers = groups.iter().all(|group| group.finite_unit().is_some());
        if distinct <= SHOWN && !numbers {
            let mut groups = self.by_rank(groups, members);
            if are_sides(&groups) {
                let most = groups.iter().enumerate().rev().max_by_key(|(_, group)| group.count);
                let common = groups.remove(most.map_or(0, |(at, _)| at));
                return Told { usual: Usual::Common(common.value), outliers: groups, distinct };
            }
        }
        Told { usual: Usual::Samples(samples), outliers: Vec::new(), distinct }
    }

    /// The values, in the order in which they came.
    pub(crate) fn groups(&self) -> Vec<Group<'a>> {
        let mut groups: Vec<Group<'a>> = Vec::new();
        let mut by_value = FxHashMap::default();
        for &(_, value) in &self.said {
            let at = *by_value.entry(value).or_insert_with(|| {
                let number = Number::read(value);
                groups.push(Group { value, ranks: RankSet::new(), count: 0, number });
                groups.len() - 1
            });
            groups[at].count += 1;
        }
        groups
    }

    /// Outliers with who said them, by their first ranks.
    pub(crate) fn by_rank(
        &self,
        mut outliers: Vec<Group<'a>>,
        members: &[Member],
    ) -> Vec<Group<'a>> {
        if outliers.is_empty() {
            return outliers;
        }
        let by_value: FxHashMap<&[u8], usize> =
            (0..).zip(&outliers).map(|(at, group)| (group.value, at)).collect();
        for (member, value) in &self.said {
            if let (Some(&at), Some(member)) = (by_value.get(value), members.get(*member as usize))
            {
                outliers[at].ranks.insert(member.stream.rank);
            }
        }
        outliers.sort_by_key(|group| group.ranks.iter().next());
        outliers
    }

    /// The unit of the finite numbers that nearly all values are. What is not finite does not count:
    /// a loss is a number still when half of the ranks say `nan`, and then it matters most who does.
    fn unit(&self, groups: &[Group<'a>]) -> Option<&'a [u8]> {
        let not_finite = groups.iter().filter(|group| group.is_not_finite());
        let all = self.said.len() - not_finite.map(|group| group.count).sum::<usize>();
        groups.iter().filter_map(Group::finite_unit).take(2).find(|unit| {
            let of_unit = groups.iter().filter(|group| group.finite_unit() == Some(unit));
            let count: usize = of_unit.map(|group| group.count).sum();
            count == all || outlier::nearly_all(count, all)
        })
    }
}

/// Whether each rank has one of the values, and each value several ranks, or there are but two ranks.
fn are_sides(groups: &[Group<'_>]) -> bool {
    let counts = || groups.iter().map(|group| group.ranks.len());
    let ranks: RankSet = groups.iter().flat_map(|group| group.ranks.iter()).collect();
    let apart = counts().sum::<usize>() == ranks.len();
    apart && (ranks.len() == 2 || counts().all(|count| count > 1))
}

/// The least and the greatest of numbers that are not far off; those that are join the outliers.
fn numbers_of<'a>(
    numbers: Vec<Group<'a>>,
    unit: usize,
    outliers: &mut Vec<Group<'a>>,
) -> Usual<'a> {
    let mut sorted: Vec<(f64, Group<'a>)> =
        numbers.into_iter().map(|group| (group.number.map_or(0.0, |n| n.value), group)).collect();
    sorted.sort_by(|left, right| left.0.total_cmp(&right.0));
    let repeated = |(value, group): &(f64, Group<'a>)| std::iter::repeat_n(*value, group.count);
    let values: Vec<f64> = sorted.iter().flat_map(repeated).collect();
    let usual = outlier::usual(&values);
    let (least, greatest) = (values[usual.start], values[usual.end - 1]);
    let from = sorted.partition_point(|(value, _)| *value < least);
    let to = sorted.partition_point(|(value, _)| *value <= greatest);
    let (min, max) = (sorted[from].1.value, sorted[to - 1].1.value);
    let far = sorted.into_iter().enumerate().filter(|(at, _)| !(from..to).contains(at));
    outliers.extend(far.map(|(_, (_, group))| group));
    Usual::Numbers { min, max, unit }
}

#[cfg(test)]
mod tests {
    use lastline_testing::stdout;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Wherever the others are numbers, whoever has none is told with it, or has what nearly all have.
        #[test]
        fn what_is_not_finite_is_told_with_its_ranks(
            said in prop::collection::vec(
                prop_oneof![
                    3 => (0_u32..2000).prop_map(|n| n.to_string()),
                    3 => prop::sample::select(vec!["nan", "inf", "-inf"]).prop_map(str::to_owned),
                ],
                1..80,
            ),
        ) {
            let ill = |value: &str| value.ends_with("nan") || value.ends_with("inf");
            prop_assume!(said.iter().any(|value| !ill(value)));
            let mut column = Column::default();
            (0..).zip(&said).for_each(|(member, value)| column.push(member, value.as_bytes()));
            let members: Vec<Member> = (0..said.len() as u32)
                .map(|rank| Member { stream: stdout(rank), lines: 1, bytes: 1 })
                .collect();
            let told = column.tell(&members);
            for (rank, value) in (0..).zip(&said).filter(|(_, value)| ill(value)) {
                let common = matches!(told.usual, Usual::Common(of) if of == value.as_bytes());
                let named = told.outliers.iter().find(|group| group.value == value.as_bytes());
                prop_assert!(common || named.is_some_and(|group| group.ranks.contains(rank)));
            }
        }
    }
}
