//! Who said what: the values of an entry's variable places, statement by statement.
//!
//! A statement that joins an entry is a row: who made it, and its value in every place in which
//! statements of the entry have differed so far. Rows stand one behind the other in one piece of
//! memory, so that joining an entry that was not touched for long touches the end of that and no
//! more. What a value is worth is not asked before the entry goes out.
//!
//! A place has a slot of as many bytes as its longest value so far, rounded up; when another place
//! begins to differ, or a value does not fit, rows have a new layout from there on. Rows before the
//! first layout have the values of the first statement, all of them.

mod later;
mod rows;
mod slot;

use self::later::Later;
use self::slot::put_short;
pub(crate) use self::slot::same;
use crate::keys::Slots;
use crate::place::Place;

/// So many rows are kept; of statements past them only the least and the greatest number of each
/// place, and up to 64 values that are no numbers.
pub(crate) const MAX_ROWS: usize = 4096;
/// Longer values stand outside the rows.
const MAX_SLOT: usize = 24;
/// A slot that can say where a value stands.
const LINK_SLOT: usize = 8;
/// The first byte of a slot that says where its value stands; no text has it.
const LINK: u8 = 0xff;
/// How many bytes a row has before its slots: the member's number.
const HEAD: usize = 4;

/// How many rows there is room for at first.
const ROOM: usize = 8;
/// Room behind a row, so that whole words can be stored.
const WORD: usize = 8;

/// The values of one entry.
#[derive(Debug, Default)]
pub(crate) struct Values {
    /// How many places there are.
    places: usize,
    layouts: Vec<Layout>,
    /// The bytes of each place's slot, layout by layout; zero while all values are the first one's.
    widths: Vec<u8>,
    /// The bytes of a row of the last layout.
    stride: usize,
    /// The rows, and room for more.
    rows: Vec<u8>,
    /// How many bytes of `rows` are rows.
    used: usize,
    row_count: usize,
    /// Values that are longer than a slot.
    long: Vec<u8>,
    /// Of what came past the rows; by place.
    later: Vec<Later>,
}

/// How rows look from one of them on.
#[derive(Debug)]
struct Layout {
    /// Where in the rows.
    at: usize,
    /// How many members had been counted before.
    members: u32,
}

/// Rows of one layout, and where in each a place's slot is.
struct Part<'a> {
    rows: &'a [u8],
    stride: usize,
    offset: usize,
    width: usize,
}

impl Values {
    /// Makes it the values of a statement with `places` places, keeping the memory.
    pub(crate) fn start(&mut self, places: usize) {
        self.places = places;
        self.layouts.clear();
        self.widths.clear();
        (self.stride, self.used, self.row_count) = (HEAD, 0, 0);
        self.long.clear();
        self.later.clear();
    }

    /// How many bytes it takes.
    #[inline]
    pub(crate) fn held_bytes(&self) -> usize {
        self.rows.capacity() + self.long.capacity() + self.widths.capacity()
    }

    /// The bytes of each place's slot in the rows that come next; none while there are no rows.
    #[inline]
    fn current(&self) -> &[u8] {
        &self.widths[self.widths.len().saturating_sub(self.places)..]
    }

    /// Whether all statements so far have the same value in a place.
    #[inline]
    pub(crate) fn agree(&self, place: usize) -> bool {
        self.current().get(place).is_none_or(|&width| width == 0)
            && self.later.get(place).is_none_or(Later::is_empty)
    }

    /// Whether there are values that are not kept one by one.
    pub(crate) fn more(&self, place: usize) -> bool {
        !self.later.is_empty() && !self.agree(place)
    }

    /// Takes in the statement of a member; so far there were `members`. The first statement of the
    /// entry stands in `first`.
    #[inline]
    pub(crate) fn take(&mut self, member: u32, members: u32, first: Text<'_>, said: Text<'_>) {
        if self.row_count == MAX_ROWS {
            return self.take_later(member, first, said);
        }
        if !self.put(member, first, said) {
            self.widen(first, said, members);
            let put = self.put(member, first, said);
            debug_assert!(put, "BUG: the slots were made for it");
        }
    }

    /// Appends a row, unless a value does not fit.
    #[inline]
    fn put(&mut self, member: u32, first: Text<'_>, said: Text<'_>) -> bool {
        let mut places = first.places.iter().zip(said.places);
        if self.layouts.is_empty() {
            return places.all(|(&of_first, &place)| same(first.text, of_first, said.text, place));
        }
        let end = self.used + self.stride;
        if self.rows.len() < end + WORD {
            self.rows.resize((2 * self.rows.len()).max(self.used + ROOM * self.stride + WORD), 0);
        }
        let row = &mut self.rows[self.used..end + WORD];
        row[..HEAD].copy_from_slice(&member.to_le_bytes());
        let mut slot = HEAD;
        let widths = &self.widths[self.widths.len() - self.places..];
        for (&width, (&of_first, &place)) in widths.iter().zip(places) {
            let (width, length) = (usize::from(width), (place.end - place.start) as usize);
            if width == 0 {
                if !same(first.text, of_first, said.text, place) {
                    return false;
                }
            } else if length <= width {
                put_short(&mut row[slot..], width, said.text, place.start as usize, length);
            } else if length > MAX_SLOT && width >= LINK_SLOT {
                let word = u64::from(LINK) | (self.long.len() as u64 + 1) << 8;
                self.long.extend_from_slice(&(length as u32).to_le_bytes());
                self.long.extend_from_slice(place.of(said.text));
                put_short(&mut row[slot..], width, &word.to_le_bytes(), 0, 8);
            } else {
                return false;
            }
            slot += width;
        }
        self.used = end;
        self.row_count += 1;
        true
    }

    /// Makes slots that the values of a statement fit into.
    #[cold]
    fn widen(&mut self, first: Text<'_>, said: Text<'_>, members: u32) {
        let from = self.widths.len();
        match from.checked_sub(self.places) {
            Some(before) => self.widths.extend_from_within(before..),
            None => self.widths.resize(self.places, 0),
        }
        let places = first.places.iter().zip(said.places);
        for (width, (&of_first, &place)) in self.widths[from..].iter_mut().zip(places) {
            if *width > 0 || of_first.of(first.text) != place.of(said.text) {
                *width = (*width).max(slot_for(place).max(slot_for(of_first)) as u8);
            }
        }
        self.stride = HEAD + self.current().iter().map(|&width| usize::from(width)).sum::<usize>();
        self.layouts.push(Layout { at: self.used, members });
    }

    #[cold]
    fn take_later(&mut self, member: u32, first: Text<'_>, said: Text<'_>) {
        self.later.resize_with(self.places, Later::default);
        let places = first.places.iter().zip(said.places);
        for (later, (of_first, place)) in self.later.iter_mut().zip(places) {
            let value = place.of(said.text);
            if !later.holds(value) && value != of_first.of(first.text) {
                later.take(member, value);
            }
        }
    }

    /// Gives `give` the values of a place with the members that said them, and `None` for the first
    /// statement's. What was said before anything differed is given once for each member, and past
    /// what is kept row by row each stands for any number of statements.
    pub(crate) fn each<'a>(
        &'a self,
        place: usize,
        members: u32,
        mut give: impl FnMut(u32, Option<&'a [u8]>),
    ) {
        (0..self.members_before(members)).for_each(|member| give(member, None));
        for part in self.parts(place) {
            for row in part.rows.chunks_exact(part.stride) {
                let member = row.first_chunk().map_or(0, |head| u32::from_le_bytes(*head));
                let slot = &row[part.offset..part.offset + part.width];
                give(member, (part.width > 0).then(|| self.value(slot)));
            }
        }
        for kept in self.later.get(place).into_iter().flat_map(Later::each) {
            give(kept.0, Some(&kept.1));
        }
    }

    /// The same, many at once and as they are stored, of a place that
    /// [`fits`](Self::fits).
    pub(crate) fn slots(&self, place: usize, members: u32, mut give: impl FnMut(Slots<'_>)) {
        give(Slots::Same(self.members_before(members) as usize));
        for Part { rows, stride, offset, width } in self.parts(place) {
            give(match width {
                0 => Slots::Same(rows.len() / stride),
                _ => Slots::Rows { rows, stride, offset, width },
            });
        }
        for (_, value) in self.later.get(place).into_iter().flat_map(Later::each) {
            give(Slots::Later(value));
        }
    }

    /// Whether all values of a place are in slots of at most so many bytes.
    pub(crate) fn fits(&self, place: usize, width: usize) -> bool {
        let kept = self.later.get(place).into_iter().flat_map(Later::each);
        let mut lengths = kept.map(|(_, value)| value.len());
        lengths.all(|length| length <= width)
            && self.current().get(place).is_some_and(|&of| usize::from(of) <= width)
    }

    /// How many of the members said something before anything differed.
    fn members_before(&self, members: u32) -> u32 {
        self.layouts.first().map_or(members, |layout| layout.members)
    }

    /// The rows, layout by layout, with where the place's slot is in them.
    fn parts(&self, place: usize) -> impl Iterator<Item = Part<'_>> {
        let places = self.places;
        self.layouts.iter().enumerate().map(move |(number, layout)| {
            let widths = &self.widths[number * places..][..places];
            let sum = |widths: &[u8]| widths.iter().map(|&width| usize::from(width)).sum::<usize>();
            let end = self.layouts.get(number + 1).map_or(self.used, |next| next.at);
            Part {
                rows: &self.rows[layout.at..end],
                stride: HEAD + sum(widths),
                offset: HEAD + sum(&widths[..place]),
                width: usize::from(widths[place]),
            }
        })
    }

    /// The value in a slot.
    fn value<'a>(&'a self, slot: &'a [u8]) -> &'a [u8] {
        if slot.first() == Some(&LINK)
            && let Some(word) = slot.first_chunk::<8>()
        {
            let at = (u64::from_le_bytes(*word) >> 8) as usize - 1;
            let length = self.long[at..].first_chunk().map_or(0, |head| u32::from_le_bytes(*head));
            return &self.long[at + 4..at + 4 + length as usize];
        }
        let length = slot.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        &slot[..length]
    }
}

/// A statement's text and its places.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a> {
    pub(crate) text: &'a [u8],
    pub(crate) places: &'a [Place],
}

/// The bytes of a slot that a value fits into.
fn slot_for(place: Place) -> usize {
    match (place.end - place.start) as usize {
        length if length > MAX_SLOT => LINK_SLOT,
        length => length.max(1).next_multiple_of(2),
    }
}
