//! A family: statements of as many parts that mostly agree.

use super::weights;
use crate::statement::part::{Class, Part};

/// How many cases a family has at most.
const MAX_CASES: usize = 64;

/// What a family knows of one place.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// The hash of its first value.
    hash: u64,
    /// Part of the hash of the punctuation around it.
    around: u32,
    class: Class,
    state: State,
}

/// Whether a place varies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// All statements agree.
    Same,
    /// They do not; its column is known by its place.
    Differs,
    /// It is a variable.
    Open,
}

/// The values of a place that differs.
#[derive(Debug)]
struct Column {
    place: usize,
    values: Vec<u64>,
    /// How many values the easiest one of them needs.
    needed: u32,
}

/// Statements that have the same values at all places that differ.
#[derive(Debug)]
struct Case {
    /// In the order of the columns.
    values: Vec<u64>,
    group: u64,
}

/// A family of statements.
#[derive(Debug)]
pub(super) struct Family {
    slots: Box<[Slot]>,
    columns: Vec<Column>,
    /// None before a second statement joins.
    cases: Vec<Case>,
    /// The group of the first statement.
    group: u64,
}

/// What came of a statement that joined.
#[derive(Debug, Default)]
pub(super) struct Joined {
    /// The group of the statement.
    pub(super) group: u64,
    /// Groups that are another one's from now on: `(group, of which)`.
    pub(super) merged: Vec<(u64, u64)>,
    /// The groups whose statements have a variable that they had not before.
    pub(super) changed: Vec<u64>,
}

impl Family {
    /// The family of one statement.
    pub(super) fn new(parts: &[Part], group: u64) -> Self {
        let slot = |part: &Part| Slot {
            hash: part.hash,
            around: part.around as u32,
            class: part.class,
            state: State::Same,
        };
        let slots = parts.iter().map(slot).collect();
        Self { slots, columns: Vec::new(), cases: Vec::new(), group }
    }

    /// How many parts its statements have.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether the place is a variable.
    pub(super) fn is_open(&self, place: usize) -> bool {
        self.slots.get(place).is_some_and(|slot| slot.state == State::Open)
    }

    /// By how much what agrees with a statement outweighs what differs, if it does.
    pub(super) fn fit(&self, parts: &[Part]) -> Option<u32> {
        if parts.len() != self.slots.len() || self.cases.len() >= MAX_CASES {
            return None;
        }
        let (mut agrees, mut differs) = (0_u32, 0);
        for (place, (slot, part)) in self.slots.iter().zip(parts).enumerate() {
            match slot.state {
                State::Open => {}
                State::Same if slot.hash == part.hash => agrees += weights::weight(part.class),
                State::Same => differs += weights::penalty(slot.class, part),
                // Where others differ, too, it costs less.
                State::Differs if self.has(place, part.hash) => {}
                State::Differs => differs += weights::penalty(slot.class, part) / 2,
            }
        }
        agrees.checked_sub(differs)
    }

    /// Whether the value is known at a place that differs.
    fn has(&self, place: usize, value: u64) -> bool {
        self.columns.iter().any(|column| column.place == place && column.values.contains(&value))
    }

    /// Takes in a statement; `key` is its group if it makes a new one.
    pub(super) fn join(&mut self, parts: &[Part], key: u64) -> Joined {
        if self.cases.is_empty() {
            self.cases.push(Case { values: Vec::new(), group: self.group });
        }
        for (place, part) in parts.iter().enumerate() {
            self.note(place, part);
        }
        let values: Vec<u64> = self.columns.iter().map(|column| parts[column.place].hash).collect();
        let known = self.cases.iter().find(|case| case.values == values);
        let group = known.map_or(key, |case| case.group);
        if known.is_none() {
            self.cases.push(Case { values, group });
        }
        let mut joined = Joined { group, ..Joined::default() };
        // What differs is not what agrees, so it does not change while places open.
        let more = weights::more_where_little_agrees(self.agrees());
        let enough = |column: &Column| column.values.len() >= (column.needed + more) as usize;
        while let Some(at) = self.columns.iter().position(enough) {
            if joined.changed.is_empty() {
                joined.changed.extend(self.cases.iter().map(|case| case.group));
            }
            self.open(at, &mut joined);
        }
        joined
    }

    /// What all its statements agree in, in hundredths of a word.
    fn agrees(&self) -> u32 {
        let same = self.slots.iter().filter(|slot| slot.state == State::Same);
        same.map(|slot| weights::weight(slot.class)).sum()
    }

    /// Notes what the statement has at a place.
    fn note(&mut self, place: usize, part: &Part) {
        let slot = &mut self.slots[place];
        if slot.state == State::Open || slot.state == State::Same && slot.hash == part.hash {
            return;
        }
        if slot.state == State::Same {
            slot.state = State::Differs;
            self.columns.push(Column { place, values: vec![slot.hash], needed: u32::MAX });
            self.cases.iter_mut().for_each(|case| case.values.push(slot.hash));
        }
        if let Some(column) = self.columns.iter_mut().find(|column| column.place == place) {
            if !column.values.contains(&part.hash) {
                column.values.push(part.hash);
            }
            column.needed = column.needed.min(weights::needed(slot.class, slot.around, part));
        }
    }

    /// Makes the place of a column a variable, and one of the cases that differed there alone.
    fn open(&mut self, at: usize, joined: &mut Joined) {
        let column = self.columns.remove(at);
        self.slots[column.place].state = State::Open;
        let mut kept: Vec<Case> = Vec::new();
        for mut case in std::mem::take(&mut self.cases) {
            case.values.remove(at);
            match kept.iter().find(|other| other.values == case.values) {
                Some(other) => joined.merged.push((case.group, other.group)),
                None => kept.push(case),
            }
        }
        self.cases = kept;
    }
}
