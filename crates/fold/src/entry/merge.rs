//! Entries that turn out to be of one statement.

use crate::colours;
use crate::place::Place;
use crate::unit::Meta;
use crate::values::{Text, Values};

use super::Gathered;

impl Gathered {
    /// The first statement again, to be read anew.
    pub(crate) fn first_said(&self) -> (Vec<u8>, Vec<Meta>) {
        (self.text.clone(), self.metas.clone())
    }

    /// Its first text without control sequences, and what varies in it.
    pub(crate) fn first_values(&self, read: impl FnOnce(&[u8], &[Place])) {
        read(self.first(), &self.places);
    }

    /// What the first statement has in a place.
    pub(crate) fn first_value(&self, place: usize) -> Option<&[u8]> {
        self.places.get(place).map(|place| place.of(self.first()))
    }

    /// Other places of its text vary from now on: what differs has to be in them. Whether it is.
    pub(crate) fn vary_in(&mut self, places: &[Place]) -> bool {
        if self.places == places {
            return true;
        }
        let covered = |place: &Place| {
            places.iter().any(|new| new.start <= place.start && place.end <= new.end)
        };
        let mut differing = (0..).zip(&self.places).filter(|&(at, _)| !self.values.agree(at));
        if !differing.all(|(_, place)| covered(place)) {
            return false;
        }
        let Some(rows) = self.values.rows(self.speakers.len() as u32) else { return false };
        let mut values = Values::default();
        values.start(places.len());
        let first = Text { text: self.first(), places };
        let mut row = Row::default();
        for (at, (member, said)) in (0..).zip(&rows) {
            row.fill(self.first(), &self.places, said, places);
            values.take(*member, at, first, row.text());
        }
        self.values = values;
        if self.colours != 0 {
            self.colours = colours::key(&self.text, places);
        }
        self.places.clear();
        self.places.extend_from_slice(places);
        true
    }

    /// Whether two entries of the same statement can be one: nothing of the other one is lost.
    pub(crate) fn can_absorb(&self, other: &Self) -> bool {
        let same_shape =
            self.places.len() == other.places.len() && self.metas.len() == other.metas.len();
        same_shape && other.values.keeps_all()
    }

    /// Takes in what another entry of the same statement has gathered, of other streams.
    pub(crate) fn absorb(&mut self, other: &Self) {
        let Some(rows) = other.values.rows(other.speakers.len() as u32) else { return };
        let mut members = Vec::new();
        other.speakers.list(&mut members);
        let equal = self.equal && other.equal && self.text == other.text;
        if self.colours != other.colours {
            self.colours = 0;
        }
        let mut row = Row::default();
        for (member, said) in &rows {
            let at = self.speakers.len() as u32;
            self.speakers.add_member(members[*member as usize]);
            if !equal {
                row.fill(other.first(), &other.places, said, &other.places);
                let first = Text {
                    text: self.plain.as_deref().unwrap_or(&self.text),
                    places: &self.places,
                };
                self.values.take(at, at, first, row.text());
            }
        }
        self.equal = equal;
        other.ranks.iter().for_each(|rank| {
            self.ranks.insert(rank);
        });
        self.lines += other.lines;
        self.count += other.count;
        self.last = other.last;
    }

    /// Whether a rank is in both.
    pub(crate) fn shares_ranks(&self, other: &Self) -> bool {
        let (few, many) = if self.ranks.len() < other.ranks.len() {
            (&self.ranks, &other.ranks)
        } else {
            (&other.ranks, &self.ranks)
        };
        few.iter().any(|rank| many.contains(rank))
    }
}

/// What one statement has in each place.
#[derive(Debug, Default)]
struct Row {
    text: Vec<u8>,
    places: Vec<Place>,
}

impl Row {
    /// What stands in the places `wanted` of a text when its places `at` hold `values`.
    fn fill(&mut self, text: &[u8], at: &[Place], values: &[Option<&[u8]>], wanted: &[Place]) {
        self.text.clear();
        self.places.clear();
        for place in wanted {
            let start = self.text.len() as u32;
            let mut from = place.start as usize;
            let inside = at.iter().zip(values);
            for (at, value) in
                inside.filter(|(at, _)| place.start <= at.start && at.end <= place.end)
            {
                let Some(value) = value else { continue };
                self.text.extend_from_slice(&text[from..at.start as usize]);
                self.text.extend_from_slice(value);
                from = at.end as usize;
            }
            self.text.extend_from_slice(&text[from..place.end as usize]);
            self.places.push(Place { start, end: self.text.len() as u32 });
        }
    }

    fn text(&self) -> Text<'_> {
        Text { text: &self.text, places: &self.places }
    }
}
