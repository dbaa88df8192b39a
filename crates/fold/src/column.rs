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
    count: usize,
    number: Option<Number>,
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

    /// Tells the values apart.
    pub(crate) fn tell(&self, members: &[Member]) -> Told<'a> {
        let mut groups = self.groups();
        let (all, distinct) = (self.said.len(), groups.len());
        let most = groups.iter().enumerate().max_by_key(|(_, group)| group.count);
        if let Some((at, common)) = most
            && (distinct == 1 || outlier::nearly_all(common.count, all))
        {
            let usual = Usual::Common(common.value);
            groups.remove(at);
            return Told { usual, outliers: self.by_rank(groups, members), distinct };
        }
        let Some(unit) = self.unit(&groups) else {
            let samples = groups.iter().take(SHOWN).map(|group| group.value).collect();
            return Told { usual: Usual::Samples(samples), outliers: Vec::new(), distinct };
        };
        let (numbers, mut outliers) = groups.into_iter().partition::<Vec<_>, _>(|group| {
            group
                .number
                .is_some_and(|number| number.value.is_finite() && number.unit(group.value) == unit)
        });
        let usual = numbers_of(numbers, unit.len(), &mut outliers);
        Told { usual, outliers: self.by_rank(outliers, members), distinct }
    }

    /// The values, in the order in which they came.
    fn groups(&self) -> Vec<Group<'a>> {
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
    fn by_rank(&self, mut outliers: Vec<Group<'a>>, members: &[Member]) -> Vec<Group<'a>> {
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

    /// The unit of the numbers that nearly all values are, all of them finite.
    fn unit(&self, groups: &[Group<'a>]) -> Option<&'a [u8]> {
        let finite = |group: &&Group<'a>| group.number.is_some_and(|n| n.value.is_finite());
        let all = self.said.len();
        let units =
            groups.iter().filter(finite).take(2).filter_map(|of| Some(of.number?.unit(of.value)));
        units.into_iter().find(|unit| {
            let of_unit = groups.iter().filter(finite).filter(|group| {
                group.number.is_some_and(|number| number.unit(group.value) == *unit)
            });
            let count: usize = of_unit.map(|group| group.count).sum();
            count == all || outlier::nearly_all(count, all)
        })
    }
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
