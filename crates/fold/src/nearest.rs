//! The nearest of many texts by edit distance, exactly.

use std::collections::VecDeque;

use rapidfuzz::distance::levenshtein::{Args, BatchComparator};
use rustc_hash::FxHashMap;

/// Distances at or above this share of the longer text's bytes are too far.
pub const MAX_SHARE: f64 = 0.15;

/// How many equal texts are remembered.
const REMEMBERED: usize = 4096;
/// How many kinds of characters are counted apart to bound a distance from below.
const KINDS: usize = 32;

/// The texts among which the nearest one is looked for.
///
/// The distance of two texts is the least number of characters to insert, delete or replace,
/// divided by the length of the longer one in bytes. The nearest is the one with the least, the
/// earlier one of two that are equally near, and none at [`MAX_SHARE`] or above.
///
/// It is exact: the result is that of comparing with every text in full. It is fast because most
/// are ruled out by bounds that cannot be wrong: lengths that differ by more than what is allowed,
/// and counts of characters that do.
#[derive(Debug, Default)]
pub struct Nearest {
    texts: VecDeque<Text>,
    base: u64,
    /// What was found for a text, in its [`Found::version`].
    equal: FxHashMap<Box<str>, Found>,
    /// Counts the texts put in.
    version: u64,
}

/// What was found before.
#[derive(Clone, Copy, Debug)]
struct Found {
    number: u64,
    /// A text put in later may be nearer, unless this one is equal.
    version: Option<u64>,
}

#[derive(Debug)]
struct Text {
    text: Box<str>,
    profile: Profile,
    comparator: Comparator,
}

/// Compares one text with many.
struct Comparator(BatchComparator<char>);

impl std::fmt::Debug for Comparator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Comparator")
    }
}

/// What bounds a distance from below.
#[derive(Clone, Debug)]
struct Profile {
    bytes: usize,
    characters: usize,
    /// How many characters of each kind, no more than fit.
    kinds: [u8; KINDS],
}

impl Nearest {
    /// Puts a text in; returns its number, one more than that of the text before.
    pub fn insert(&mut self, text: &str) -> u64 {
        let profile = Profile::of(text);
        let number = self.base + self.texts.len() as u64;
        let comparator = Comparator(BatchComparator::new(text.chars()));
        self.version += 1;
        self.texts.push_back(Text { text: text.into(), profile, comparator });
        number
    }

    /// Takes the oldest text out.
    pub fn remove_oldest(&mut self) {
        if self.texts.pop_front().is_some() {
            self.base += 1;
        }
    }

    /// How many texts there are.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The number of the text nearest to `text`.
    pub fn find(&mut self, text: &str) -> Option<u64> {
        if let Some(found) = self.equal.get(text) {
            let holds = found.version.is_none_or(|version| version == self.version);
            if holds && found.number >= self.base {
                return Some(found.number);
            }
        }
        let number = self.compare(text)?;
        if self.equal.len() >= REMEMBERED {
            self.equal.clear();
        }
        let same = *self.texts[(number - self.base) as usize].text == *text;
        let version = (!same).then_some(self.version);
        self.equal.insert(text.into(), Found { number, version });
        Some(number)
    }

    fn compare(&self, text: &str) -> Option<u64> {
        let profile = Profile::of(text);
        let mut nearest: Option<(f64, u64)> = None;
        for (number, other) in (self.base..).zip(&self.texts) {
            if *other.text == *text {
                return Some(number);
            }
            let longer = profile.bytes.max(other.profile.bytes) as f64;
            let limit = nearest.map_or(MAX_SHARE, |(share, _)| share);
            let Some(most) = most_below(limit, longer) else { continue };
            if profile.least_distance(&other.profile) > most {
                continue;
            }
            let args = Args::default().score_cutoff(most);
            let distance = other.comparator.0.distance_with_args(text.chars(), &args);
            if let Some(distance) = distance {
                nearest = Some((distance as f64 / longer, number));
            }
        }
        nearest.map(|(_, number)| number)
    }
}

/// The greatest distance whose share of `longer` is below `limit`.
fn most_below(limit: f64, longer: f64) -> Option<usize> {
    let mut most = (limit * longer) as usize + 1;
    while most as f64 / longer >= limit {
        most = most.checked_sub(1)?;
    }
    Some(most)
}

impl Profile {
    fn of(text: &str) -> Self {
        let mut kinds = [0_u8; KINDS];
        let mut characters = 0;
        for character in text.chars() {
            let kind = &mut kinds[kind(character)];
            *kind = kind.saturating_add(1);
            characters += 1;
        }
        Self { bytes: text.len(), characters, kinds }
    }

    /// No distance is less: an edit changes the length by one at most, and the counts of two kinds
    /// by one each (a replacement) or of one (an insertion, a deletion).
    fn least_distance(&self, other: &Self) -> usize {
        let (mut more, mut fewer) = (0_u32, 0_u32);
        for (&mine, &theirs) in self.kinds.iter().zip(&other.kinds) {
            more += u32::from(mine.saturating_sub(theirs));
            fewer += u32::from(theirs.saturating_sub(mine));
        }
        let lengths = self.characters.abs_diff(other.characters);
        lengths.max(more.max(fewer) as usize)
    }
}

/// A kind for every letter of the alphabet, whichever its case; digits share those of other letters.
fn kind(character: char) -> usize {
    character as usize % KINDS
}
