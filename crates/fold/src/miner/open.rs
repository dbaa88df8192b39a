//! What is a variable in a statement though its look does not tell.

use super::family::Family;
use crate::place::Place;
use crate::statement::hash;
use crate::statement::part::Part;
use crate::statement::parts::Parts;
use crate::statement::scan::{BESIDE, Item, Kind, VARIABLE};

/// Places beyond so many are never open.
const MAX_PLACES: u32 = 128;

/// Which parts of a statement are variables though their look does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Open {
    /// The places of the items in them; the lowest bit is the first place.
    pub(super) places: u128,
    /// The first place of each.
    heads: u128,
    /// The hash of all else.
    pub(super) rest: u64,
}

impl Open {
    /// What is a variable in a statement of the family.
    pub(super) fn of(family: &Family, parts: &Parts) -> Self {
        let mut open = Self::default();
        let alike = family.len() == parts.joined.len();
        for (place, part) in parts.joined.iter().enumerate() {
            let (from, to) = (part.stands_for.0 as usize, part.stands_for.1 as usize);
            let (first, end) = part.places;
            if alike && family.is_open(place) && first < end && end <= MAX_PLACES {
                open.heads |= 1 << first;
                open.places |= (u128::MAX >> (MAX_PLACES - (end - first))) << first;
                open.rest = hash::mix(open.rest ^ part.around ^ 1, VARIABLE);
            } else {
                open.keep(&parts.raw[from..to]);
            }
        }
        open
    }

    /// Notes parts that are no variables.
    fn keep(&mut self, parts: &[Part]) {
        for part in parts {
            self.rest = hash::mix(self.rest ^ part.hash, VARIABLE);
        }
    }
}

/// The places of what varies, and what tells apart the layouts of lines with such parts.
#[inline]
pub(super) fn collect(text: &[u8], items: &[Item], open: &Open, places: &mut Vec<Place>) -> u64 {
    if open.places != 0 {
        return collect_open(text, items, open, places);
    }
    items.iter().for_each(|item| collect_item(item, places));
    0
}

#[inline]
fn collect_item(item: &Item, places: &mut Vec<Place>) {
    if item.kind != Kind::Word {
        places.push(Place { start: item.varies, end: item.end });
    }
}

/// The same where parts are open: each is one place, with all that it holds.
fn collect_open(text: &[u8], items: &[Item], open: &Open, places: &mut Vec<Place>) -> u64 {
    let (mut layout, mut last, mut part) = (0, BESIDE, None);
    let mut before = 0;
    for item in items {
        let inside = item.place < MAX_PLACES && open.places >> item.place & 1 == 1;
        let begins = inside && open.heads >> item.place & 1 == 1 && last != item.place;
        if begins {
            part = Some(places.len());
            places.push(Place { start: item.start, end: item.end });
        } else if let Some(part) = part.filter(|_| inside) {
            // What was found to be beside the statement is within the open part.
            places.truncate(part + 1);
            places[part].end = item.end;
        } else {
            if item.place == BESIDE || item.place == last {
                layout = beside(layout ^ item.hash, &text[before..item.start as usize]);
            }
            part = part.filter(|_| item.place == BESIDE);
            collect_item(item, places);
        }
        last = if item.place == BESIDE { last } else { item.place };
        before = item.end as usize;
    }
    // Nothing but an open part begins or ends in brackets.
    places.iter_mut().for_each(|place| close(text, place));
    layout
}

/// Takes in the brackets behind an open part that belong to it: `device(cuda:0` and `)`.
fn close(text: &[u8], place: &mut Place) {
    let mut expected = Vec::new();
    for byte in place.of(text) {
        match byte {
            b'(' => expected.push(b')'),
            b'[' => expected.push(b']'),
            b'{' => expected.push(b'}'),
            byte if expected.last() == Some(byte) => {
                expected.pop();
            }
            _ => {}
        }
    }
    while expected.last().is_some_and(|closing| text.get(place.end as usize) == Some(closing)) {
        expected.pop();
        place.end += 1;
    }
}

/// Notes the punctuation before what is beside the statement.
fn beside(layout: u64, between: &[u8]) -> u64 {
    let marks = between.iter().filter(|&&byte| byte != b' ' && byte != b'\t');
    marks.fold(layout, |layout, &byte| hash::mix(layout ^ u64::from(byte), VARIABLE))
}
