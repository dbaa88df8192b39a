//! By which values the lines of a statement are told apart, as `layer 3 loaded` and `layer 4 loaded` are.
//!
//! A place counts when it goes on from one entry of the statement to the next, and ranks agree on it: a
//! step's number, a layer's name; not a loss, nor a state that stays, nor a queue's depth, which is another
//! for each rank and the same for some by chance. Who has another value there than an
//! entry says another line, not another value, where that value is one of the row: a number a few steps on
//! or back, or a name, and nobody has said it yet.

use crate::entry::Gathered;
use crate::place::Place;
use crate::read::Reading;
use crate::statement::hash;

/// How many places of a statement are looked at: the first ones that can be told apart by.
const MAX_TRACKS: usize = 4;
/// In how many, the first ones, it is counted how often ranks agree.
const MAX_COMPARED: usize = 16;
/// How many of the last values are known.
const RECENT: usize = 16;
/// In how many entries ranks have to agree, and how often the value has to go on.
const ENOUGH: u8 = 2;
/// How many steps a number may be off.
const MAX_STEPS: u32 = 16;
/// Longer numbers are times, and none of a row.
const MAX_DIGITS: usize = 9;

/// What is known of a statement's places. Empty before its first entry.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    tracks: Vec<Track>,
    /// By place.
    agreements: Vec<Agreement>,
    /// So many entries count as opened and agreed on before the first one.
    before: u8,
}

/// How often a line had the value of the entry that it comes to first, which one rank alone had said by
/// then; whether it joined it or not, so that looking for a value does not count as finding it.
#[derive(Clone, Copy, Debug, Default)]
struct Agreement {
    agreed: u8,
    differed: u8,
}

impl Agreement {
    fn count(&mut self, agrees: bool) {
        settle([&mut self.agreed, &mut self.differed]);
        *(if agrees { &mut self.agreed } else { &mut self.differed }) += 1;
    }

    /// Each rank has a value of its own, as a queue's depth is: where some have the same, that says
    /// nothing about the others.
    fn is_chance(self) -> bool {
        self.differed >= ENOUGH && self.differed > self.agreed / 4
    }
}

/// What was long ago counts less.
fn settle<const N: usize>(mut counts: [&mut u8; N]) {
    if counts.iter().any(|count| **count >= 64) {
        counts.iter_mut().for_each(|count| **count /= 2);
    }
}

/// What is known of one place.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) place: usize,
    /// How many entries have another value there than the one opened before.
    moved: u8,
    /// How many have the same.
    kept: u8,
    /// How many have one that was there lately, and is not the next one of the row.
    returned: u8,
    /// In how many the second one to say it had the value of the first.
    agreed: u8,
    /// In how many it had not.
    differed: u8,
    last: Value,
    /// The least difference of two numbers that followed each other; zero for none.
    step: u32,
    /// Hashes of the last values.
    recent: [u64; RECENT],
    next: usize,
}

/// A value, as it is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Value {
    hash: u64,
    number: Option<u32>,
}

impl Value {
    /// A number, perhaps out of several (`3/8`), or a name; `None` for times, fractions and amounts.
    fn of(text: &[u8]) -> Option<Self> {
        let hash = hash::word(text, 0, text.len());
        let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = text.split_at(digits);
        let number = match digits {
            0 => {
                let name = text.first()?.is_ascii_alphabetic() && !text.contains(&b':');
                return name.then_some(Self { hash, number: None });
            }
            1..=MAX_DIGITS => number.iter().fold(0, |sum, byte| sum * 10 + u32::from(byte - b'0')),
            _ => return None,
        };
        let whole = rest.is_empty() || rest[0] == b'/' && rest[1..].iter().all(u8::is_ascii_digit);
        whole.then_some(Self { hash, number: Some(number) })
    }
}

impl Sequence {
    /// An entry of the statement is opened.
    pub(super) fn opened(&mut self, text: &[u8], places: &[Place]) {
        self.agreements.resize(places.len().min(MAX_COMPARED), Agreement::default());
        if self.tracks.is_empty() {
            let values = places.iter().map(|place| Value::of(place.of(text)));
            let tracks =
                (0..).zip(values).filter_map(|(place, value)| Some(Track::new(place, value?)));
            self.tracks.extend(tracks.take(MAX_TRACKS));
            let before = self.before;
            self.tracks.iter_mut().for_each(|track| track.count(before));
            return;
        }
        for track in &mut self.tracks {
            if let Some(value) = places.get(track.place).and_then(|place| Value::of(place.of(text)))
            {
                track.opened(value);
            }
        }
    }

    /// A line comes to an entry first that one rank alone has said, whether it joins it or not.
    pub(super) fn came_to(&mut self, gathered: &Gathered, reading: &Reading<'_>) {
        for (place, agreement) in self.agreements.iter_mut().enumerate() {
            agreement.count(gathered.starts_with(place, reading));
        }
    }

    /// A second one joins an entry.
    pub(super) fn joined(&mut self, gathered: &Gathered, reading: &Reading<'_>) {
        for track in &mut self.tracks {
            track.joined(gathered.starts_with(track.place, reading));
        }
    }

    /// A second one joins an entry with the same values, in so many entries.
    pub(super) fn agreed(&mut self) {
        self.tracks.iter_mut().for_each(|track| track.joined(true));
        self.agreements.iter_mut().for_each(|agreement| agreement.count(true));
    }

    /// So many entries have been there already that had different values, on which ranks agreed; they
    /// were taken for different statements.
    pub(super) fn went_on(&mut self, entries: usize) {
        self.before = entries.min(usize::from(ENOUGH)) as u8;
        for track in &mut self.tracks {
            track.count(self.before);
        }
    }

    /// The place by which lines are told apart, if there is one.
    #[inline]
    pub(super) fn track(&self) -> Option<&Track> {
        let returns = |track: &Track| track.returns() && self.is_chance(track.place);
        self.tracks.iter().find(|track| track.tells() && !returns(track))
    }

    /// Whether ranks agree on a place by chance, if at all.
    pub(super) fn is_chance(&self, place: usize) -> bool {
        self.agreements.get(place).is_some_and(|agreement| agreement.is_chance())
    }
}

impl Track {
    fn new(place: usize, value: Value) -> Self {
        let mut recent = [0; RECENT];
        recent[0] = value.hash;
        Self {
            place,
            moved: 0,
            kept: 0,
            returned: 0,
            agreed: 0,
            differed: 0,
            last: value,
            step: 0,
            recent,
            next: 1,
        }
    }

    fn count(&mut self, entries: u8) {
        self.moved += entries;
        self.agreed += entries;
    }

    fn tells(&self) -> bool {
        let agreed =
            self.agreed >= ENOUGH && self.agreed / 2 > self.differed / 2 + self.differed % 2;
        let agreed = agreed || self.agreed >= ENOUGH && self.differed == 0;
        agreed && self.moved >= ENOUGH && self.moved / 2 >= self.kept
    }

    fn opened(&mut self, value: Value) {
        self.settle();
        if value == self.last {
            self.kept += 1;
            return;
        }
        self.moved += 1;
        let mut is_next = false;
        if let (Some(last), Some(number)) = (self.last.number, value.number) {
            is_next = self.step > 0 && last.checked_add(self.step) == Some(number);
            let step = last.abs_diff(number);
            self.step = if self.step == 0 { step } else { self.step.min(step.max(1)) };
        }
        self.last = value;
        if !self.recent.contains(&value.hash) {
            self.recent[self.next % RECENT] = value.hash;
            self.next += 1;
        } else if !is_next {
            self.returned += 1;
        }
    }

    /// Whether its values come again and again in no order.
    fn returns(&self) -> bool {
        self.returned > self.moved / 2
    }

    fn joined(&mut self, agrees: bool) {
        self.settle();
        if agrees {
            self.agreed += 1;
        } else {
            self.differed += 1;
        }
    }

    fn settle(&mut self) {
        let Self { moved, kept, returned, agreed, differed, .. } = self;
        settle([moved, kept, returned, agreed, differed]);
    }

    /// Whether a value that differs from an entry's is another one of the row, which nobody has said yet.
    pub(super) fn goes_on(&self, of_entry: &[u8], said: &[u8]) -> bool {
        let (Some(entry), Some(said)) = (Value::of(of_entry), Value::of(said)) else {
            return false;
        };
        if self.recent.contains(&said.hash) {
            return false;
        }
        match (entry.number, said.number) {
            (Some(entry), Some(said)) => {
                let off = entry.abs_diff(said);
                self.step > 0 && off % self.step == 0 && off / self.step <= MAX_STEPS
            }
            (None, None) => true,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(values: &[&str]) -> Sequence {
        let mut sequence = Sequence::default();
        for value in values {
            sequence.opened(value.as_bytes(), &[Place { start: 0, end: value.len() as u32 }]);
            sequence.agreed();
        }
        sequence
    }

    #[test]
    fn what_goes_on_and_is_agreed_on_tells_lines_apart() {
        let table: [(&[&str], bool); 8] = [
            (&["0", "1", "2"], true),
            (&["1/8", "2/8", "3/8"], true),
            (&["attention", "mlp", "norm"], true),
            (&["0", "1"], false),
            (&["ok", "ok", "ok", "bad", "ok"], false),
            (&["0.5", "0.25", "0.125"], false),
            (&["12:00:01", "12:00:02", "12:00:03"], false),
            (&["1732553713", "1732553714", "1732553715"], false),
        ];
        for (values, tells) in table {
            assert_eq!(sequence(values).track().is_some(), tells, "{values:?}");
        }
        let mut sequence = sequence(&["1", "2", "3"]);
        (0..2).for_each(|_| sequence.tracks[0].joined(false));
        assert!(sequence.track().is_none());
    }

    #[test]
    fn only_what_is_of_the_row_is_another_line() {
        let sequence = sequence(&["100", "200", "300"]);
        let goes_on = |said: &str| sequence.track().unwrap().goes_on(b"300", said.as_bytes());
        assert!(goes_on("400") && goes_on("500"));
        assert!(!goes_on("299") && !goes_on("200") && !goes_on("90000") && !goes_on("nan"));
    }
}
