//! Values that have values in them: `{'loss': 2.3}`, `cuda:3`, `CudaDevice(id=3)`.
//!
//! What a place holds may be a text of its own: a dictionary, a quoted name, what the miner found to be
//! variable as a whole. Read by the same look as a line, such a text has words and values. Where nearly
//! all that was said in a place has the same words, it is told value by value, and what has other words
//! is an outlier of the whole.

use lastline_line::{Field, Member, Outlier, RankNames};
use rustc_hash::FxHashMap;

use crate::column::{Column, Group};
use crate::field;
use crate::number::Number;
use crate::outlier;
use crate::place::Place;
use crate::statement::scan::{Kind, Scan};

/// A place whose values nearly all have the same words.
struct Parts<'a> {
    /// The first value of those.
    value: &'a [u8],
    /// What varies in it, and what was said there.
    inner: Vec<(Place, Column<'a>)>,
    /// What has other words.
    odd: Vec<Group<'a>>,
}

/// What a value consists of.
#[derive(Debug, PartialEq)]
struct Shape {
    key: u64,
    layout: u64,
    places: usize,
}

/// A value, read.
struct Reading {
    shape: Shape,
    places: Vec<Place>,
}

/// Writes what was said in a place as it stands in an entry's text; `first` is the first value.
pub(crate) fn write(
    column: &Column<'_>,
    first: &[u8],
    members: &[Member],
    names: &dyn RankNames,
    into: &mut Vec<u8>,
) {
    match Parts::of(column, members) {
        Some(parts) => parts.write(members, names, into),
        None => field::write(&column.tell(members), first, names, into),
    }
}

/// The same for whoever takes its fields: one for each value that is told.
pub(crate) fn fields(column: &Column<'_>, members: &[Member], more: bool, into: &mut Vec<Field>) {
    let Some(Parts { inner, odd, .. }) = Parts::of(column, members) else {
        return into.push(field::field(&column.tell(members), more));
    };
    let from = into.len();
    inner.iter().for_each(|(_, column)| fields(column, members, more, into));
    let odd = field::outliers(&odd);
    if !odd.is_empty() {
        take_outliers(&mut into[from..], odd, more);
    }
}

/// Gives the outliers of a whole to the first of its fields that can have some.
fn take_outliers(fields: &mut [Field], odd: Vec<Outlier>, is_more: bool) {
    let others = odd.len() as u64;
    for field in fields {
        match field {
            Field::Same(value) => {
                let value = std::mem::take(value);
                let distinct = 1 + others;
                *field = Field::Common { value, distinct, more: is_more, outliers: odd };
            }
            Field::Common { distinct, outliers, .. }
            | Field::Numbers { distinct, outliers, .. } => {
                *distinct += others;
                outliers.extend(odd);
            }
            Field::Samples { .. } => continue,
        }
        return;
    }
}

impl<'a> Parts<'a> {
    /// None where there is nothing to be told apart in the values.
    fn of(column: &Column<'a>, members: &[Member]) -> Option<Self> {
        let groups = column.groups();
        let mut scan = Scan::default();
        let read = |group: &Group<'a>| Reading::of(&mut scan, group.value);
        let readings: Vec<Reading> = groups.iter().map(read).collect();
        let (first, count) = usual(&groups, &readings)?;
        let (value, usual) = (groups[first].value, &readings[first]);
        let fits = |reading: &Reading| reading.shape == usual.shape;
        let apart = readings.iter().filter(|reading| fits(reading)).count() > 1;
        let all = column.len();
        if !apart || usual.is_whole(value) || count < all && !outlier::nearly_all(count, all) {
            return None;
        }
        let mut inner: Vec<(Place, Column<'a>)> =
            usual.places.iter().map(|&place| (place, Column::default())).collect();
        let by_value: FxHashMap<&[u8], &Reading> =
            groups.iter().map(|group| group.value).zip(&readings).collect();
        for (member, value) in column.said() {
            let reading = by_value.get(value).filter(|reading| fits(reading));
            let places = reading.into_iter().flat_map(|reading| &reading.places);
            for ((_, column), place) in inner.iter_mut().zip(places) {
                column.push(member, place.of(value));
            }
        }
        let others = groups.into_iter().zip(&readings).filter(|(_, reading)| !fits(reading));
        let odd = column.by_rank(others.map(|(group, _)| group).collect(), members);
        Some(Self { value, inner, odd })
    }

    fn write(&self, members: &[Member], names: &dyn RankNames, into: &mut Vec<u8>) {
        if self.odd.is_empty() {
            return self.write_between((0, self.value.len()), members, names, into);
        }
        let (head, tail) = self.ends();
        let end = self.value.len() - tail;
        into.extend_from_slice(&self.value[..head]);
        into.push(b'{');
        self.write_between((head, end), members, names, into);
        field::write_outliers(&self.odd, (head, tail), names, into);
        into.push(b'}');
        into.extend_from_slice(&self.value[end..]);
    }

    /// How much of its head and tail all share, those with other words as well.
    fn ends(&self) -> (usize, usize) {
        let mut differ = self.inner.iter().filter(|(_, column)| !column.agrees());
        let from = differ.next().map_or(0, |(place, _)| place.start as usize);
        let to = differ.next_back().map_or(from, |(place, _)| place.start as usize);
        let varies_last = |(place, _): &&(Place, Column<'_>)| place.start as usize == to;
        let to = self.inner.iter().find(varies_last).map_or(to, |(place, _)| place.end as usize);
        field::common_ends(self.value, &self.odd, (from, self.value.len() - to))
    }

    /// Writes the text from one byte of the first value to another, with what differs in its place.
    fn write_between(
        &self,
        (from, to): (usize, usize),
        members: &[Member],
        names: &dyn RankNames,
        into: &mut Vec<u8>,
    ) {
        let mut at = from;
        for (place, column) in self.inner.iter().filter(|(_, column)| !column.agrees()) {
            into.extend_from_slice(&self.value[at..place.start as usize]);
            write(column, place.of(self.value), members, names, into);
            at = place.end as usize;
        }
        into.extend_from_slice(&self.value[at..to]);
    }
}

/// The first of the values whose shape most have, and how many have it. Of numbers there is none: how
/// they differ is told by what they are worth.
fn usual(groups: &[Group<'_>], readings: &[Reading]) -> Option<(usize, usize)> {
    let mut counts: Vec<(usize, usize)> = Vec::new();
    for (at, (group, reading)) in groups.iter().zip(readings).enumerate() {
        match counts.iter_mut().find(|(first, _)| readings[*first].shape == reading.shape) {
            Some((_, count)) => *count += group.count,
            None => counts.push((at, group.count)),
        }
        // Where no two have the same words there is nothing to be counted.
        if counts.len() > MAX_SHAPES {
            return None;
        }
    }
    let most = counts.into_iter().rev().max_by_key(|(_, count)| *count)?;
    Number::read(groups[most.0].value).is_none().then_some(most)
}

/// Values of more shapes than that are not told apart.
const MAX_SHAPES: usize = 64;

impl Reading {
    fn of(scan: &mut Scan, value: &[u8]) -> Self {
        scan.read_value(value);
        let varies = scan.items.iter().filter(|item| item.kind != Kind::Word);
        let places: Vec<Place> =
            varies.map(|item| Place { start: item.varies, end: item.end }).collect();
        let shape = Shape { key: scan.key, layout: scan.layout, places: places.len() };
        Self { shape, places }
    }

    /// Whether nothing is told by looking into the value: it is one value, or nothing but words.
    fn is_whole(&self, value: &[u8]) -> bool {
        match &self.places[..] {
            [] => true,
            [place] => place.of(value) == value,
            _ => false,
        }
    }
}
