//! Lines that were seen before but for their numbers.
//!
//! Most lines of a job differ from an earlier one in nothing but digits. A skeleton is such a line
//! with its numbers left open; a line that has the same bytes between its numbers is read by
//! comparing, which takes a fraction of a scan. It gives what a scan would have given, or nothing:
//! a number may take another length only where that changes nothing in how it is read.

mod bytes;
mod number;

use bytes::eight;
pub(crate) use bytes::print;
use number::{Number, open_numbers};

use crate::place::Place;
use crate::statement::scan::{Item, Kind};

/// Longer lines are always scanned.
const MAX_LINE_BYTES: usize = 1200;
/// Lines with more numbers are always scanned.
const MAX_NUMBERS: usize = 127;
/// How many groups of skeletons there are, a power of two.
const SETS: usize = 1024;
/// How many skeletons a group has.
const WAYS: usize = 4;
/// How often a skeleton serves before a line is scanned again, so that what is known of its
/// statement is used now and then, and kept.
const MAX_HITS: u32 = 256;
/// Zeroes after a text, so that eight bytes can be read from anywhere in it.
const PADDING: usize = 8;

/// What a skeleton says of a line, beside its places.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) group: u64,
    pub(crate) layout: u64,
}

/// How far the numbers of a line have moved what follows: by nothing before the first one.
#[derive(Debug)]
struct Shifts([i32; MAX_NUMBERS + 1]);

impl Default for Shifts {
    fn default() -> Self {
        Self([0; MAX_NUMBERS + 1])
    }
}

/// Where a variable is, in terms of the first line.
#[derive(Clone, Copy, Debug)]
struct Mark {
    place: Place,
    /// How many open numbers end before its start, and before or at its end.
    before: (u16, u16),
}

#[derive(Debug, Default)]
struct Skeleton {
    /// The first line, padded.
    text: Vec<u8>,
    length: usize,
    numbers: Vec<Number>,
    marks: Vec<Mark>,
    found: Option<Found>,
    version: u64,
    hits: u32,
}

/// A skeleton and the print of its line, so that others need not be looked at.
#[derive(Debug, Default)]
struct Way {
    print: u64,
    skeleton: Option<Box<Skeleton>>,
}

/// The skeletons of lines seen lately. Bounded.
#[derive(Debug, Default)]
pub(crate) struct Skeletons {
    sets: Vec<[Way; WAYS]>,
    shifts: Shifts,
    turn: usize,
    /// Where the skeleton is that fitted last.
    last: (usize, usize),
}

impl Skeletons {
    /// What the skeleton that fitted last knows of `line`, if it fits again and is of this version;
    /// the places go to `places`.
    #[inline]
    pub(crate) fn find_again(
        &mut self,
        line: &[u8],
        version: u64,
        places: &mut Vec<Place>,
    ) -> Option<Found> {
        let (set, way) = self.last;
        let skeleton = self.sets.get_mut(set)?.get_mut(way)?.skeleton.as_mut()?;
        skeleton.serve(line, version, &mut self.shifts, places)
    }

    /// The same of any skeleton.
    #[inline]
    pub(crate) fn find(
        &mut self,
        line: &[u8],
        print: u64,
        version: u64,
        places: &mut Vec<Place>,
    ) -> Option<Found> {
        let at = print as usize % SETS;
        let set = self.sets.get_mut(at)?;
        let alike = set.iter_mut().enumerate().filter(|(_, way)| way.print == print);
        for (way, Way { skeleton, .. }) in alike {
            let Some(skeleton) = skeleton else { continue };
            let found = skeleton.serve(line, version, &mut self.shifts, places);
            if found.is_some() {
                self.last = (at, way);
                return found;
            }
        }
        None
    }

    /// Remembers a line that has just been scanned.
    pub(crate) fn insert(
        &mut self,
        line: &[u8],
        print: u64,
        version: u64,
        items: &[Item],
        places: &[Place],
        found: Found,
    ) {
        if line.len() > MAX_LINE_BYTES {
            return;
        }
        if self.sets.is_empty() {
            self.sets.resize_with(SETS, Default::default);
        }
        self.turn = self.turn.wrapping_add(1);
        let set = &mut self.sets[print as usize % SETS];
        let stale = |way: &Way| {
            way.skeleton.as_ref().is_none_or(|s| s.version != version || s.hits >= MAX_HITS)
        };
        let at = set.iter().position(stale).unwrap_or(self.turn % WAYS);
        let way = &mut set[at];
        way.print = print;
        let skeleton = way.skeleton.get_or_insert_default();
        skeleton.learn(line, items, places);
        let fits = skeleton.numbers.len() <= MAX_NUMBERS;
        (skeleton.version, skeleton.hits) = (version, if fits { 0 } else { MAX_HITS });
        skeleton.found = Some(found);
    }
}

impl Skeleton {
    fn learn(&mut self, line: &[u8], items: &[Item], places: &[Place]) {
        self.text.clear();
        self.text.extend_from_slice(line);
        self.text.extend_from_slice(&[0; PADDING]);
        self.length = line.len();
        self.numbers.clear();
        for item in items.iter().filter(|item| item.kind != Kind::Word) {
            open_numbers(line, item, &mut self.numbers);
        }
        self.measure_gaps();
        self.marks.clear();
        for &place in places {
            let ending = |at: u32| self.numbers.iter().filter(|n| n.end <= at).count() as u16;
            self.marks.push(Mark { place, before: (ending(place.start), ending(place.end)) });
        }
    }

    fn measure_gaps(&mut self) {
        let mut from = 0;
        for number in &mut self.numbers {
            number.gap = number.start - from;
            let bytes = eight(&self.text, from as usize).unwrap_or(0);
            let mask = match number.gap {
                0 => 0,
                gap => u64::MAX >> (64 - 8 * gap.min(8)),
            };
            number.gap_bytes = (bytes & mask, mask);
            from = number.end;
        }
    }

    /// What it knows of the line, if it fits.
    #[inline]
    fn serve(
        &mut self,
        line: &[u8],
        version: u64,
        shifts: &mut Shifts,
        places: &mut Vec<Place>,
    ) -> Option<Found> {
        let current = self.version == version && self.hits < MAX_HITS;
        if !current || !self.fits(line, shifts) {
            return None;
        }
        self.hits += 1;
        self.place(shifts, places);
        self.found
    }

    /// Whether `line` is the first line but for its numbers; notes how they move what follows.
    #[inline]
    fn fits(&self, line: &[u8], shifts: &mut Shifts) -> bool {
        let (mut at, mut from) = (0, 0);
        for (number, shift) in self.numbers.iter().zip(&mut shifts.0[1..]) {
            let gap = number.gap as usize;
            let (bytes, mask) = number.gap_bytes;
            let agrees = match eight(line, at) {
                Some(found) if gap <= 8 => (found ^ bytes) & mask == 0,
                _ => self.agrees(line, at, from, gap),
            };
            if !agrees {
                return false;
            }
            let Some(end) = number.read(line, at + gap) else {
                return false;
            };
            at = end;
            from = number.end as usize;
            *shift = at as i32 - from as i32;
        }
        let rest = self.length - from;
        at + rest == line.len() && self.agrees(line, at, from, rest)
    }

    /// Whether `length` bytes of the line at `at` are those of the first line at `from`.
    #[inline]
    fn agrees(&self, line: &[u8], at: usize, from: usize, length: usize) -> bool {
        let mut done = 0;
        while done < length {
            let (Some(left), Some(right)) =
                (eight(line, at + done), eight(&self.text, from + done))
            else {
                return line.get(at + done..at + length)
                    == self.text.get(from + done..from + length);
            };
            let unwanted = 8 * 8_usize.saturating_sub(length - done);
            if (left ^ right) << unwanted != 0 {
                return false;
            }
            done += 8;
        }
        at + length <= line.len()
    }

    #[inline]
    fn place(&self, shifts: &Shifts, places: &mut Vec<Place>) {
        let moved = |at: u32, before: u16| at.wrapping_add_signed(shifts.0[usize::from(before)]);
        places.extend(self.marks.iter().map(|mark| Place {
            start: moved(mark.place.start, mark.before.0),
            end: moved(mark.place.end, mark.before.1),
        }));
    }
}
