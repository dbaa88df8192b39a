//! Words that wander: the one place in which several statements differ.
//!
//! `session opened for user cyrus` and `session opened for user news` are one statement, and no
//! look at one of them can tell. What tells is how many of them there are: a statement is known
//! under its key, and for each of its words also under the key it would have if that word were a
//! variable. When enough statements meet under one such key, the word wanders, and the statements
//! become cases of the one in which it is a variable. The number needed is higher where a program
//! says different things in the same words (few other words; a word that is written as a state is)
//! than where it prints names (after a preposition, as the value of a key).

use crate::generations::Generations;
use crate::statement::hash::placed;
use crate::statement::scan::{Item, Kind, VARIABLE};
use crate::statement::words;

/// How many different words there must be after a noun that names follow (`user cyrus`).
const NAMES: u8 = 3;
/// How many there must be after a preposition or as the value of a key.
const OBJECTS: u8 = 4;
/// How many there must be in any other place.
const WORDS: u8 = 7;
/// How many more when the word is written as states and constants are, with a capital.
const STATES: u8 = 3;
/// How many there must be when the word is written as identifiers are: `w.fetch`, `ucp_am_bufs`.
const NAMED: u8 = 3;
/// How many words there must be beside the one that wanders.
const OTHERS: usize = 3;
/// How many beside an identifier.
const OTHERS_OF_NAMED: usize = 2;
/// Places beyond this one are not looked at.
const PLACES: u32 = 48;

/// No statement.
const TAKEN: u64 = 0;

/// What meets under a key.
#[derive(Debug)]
struct Evidence {
    place: u32,
    /// The first statement; most evidence stays at one.
    first: u64,
    more: Vec<u64>,
}

/// A word that wanders.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// The key of the statement in which it is a variable.
    pub(crate) key: u64,
    /// Its place.
    pub(crate) place: u32,
    /// The statements that are cases of that one.
    pub(crate) members: Vec<u64>,
}

/// What is known of words that may wander. Bounded.
#[derive(Debug)]
pub(crate) struct Wander {
    evidence: Generations<Evidence>,
}

impl Wander {
    /// Keeps evidence for at least `capacity` words of statements.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { evidence: Generations::new(capacity) }
    }

    /// Notes a new statement with the given key (places in `open` are variables already) and says
    /// which word of it wanders, if one is known to by now.
    pub(crate) fn look(
        &mut self,
        text: &[u8],
        items: &[Item],
        key: u64,
        open: u128,
        exists: impl Fn(u64) -> bool,
    ) -> Option<Verdict> {
        // A word inside a gloss is beside the statement, and no word of it.
        let is_word = |item: &&Item| {
            item.kind == Kind::Word && item.place < PLACES && open >> item.place & 1 == 0
        };
        let words = items.iter().filter(is_word).count();
        if words < OTHERS_OF_NAMED {
            return None;
        }
        let first = items.iter().position(|item| item.kind == Kind::Word && item.place < PLACES)?;
        for (index, item) in items.iter().enumerate() {
            let fixed = item.kind == Kind::Variable || open >> item.place.min(127) & 1 == 1;
            let others = words - usize::from(item.kind == Kind::Word);
            let named = is_identifier(&text[item.start as usize..item.end as usize]);
            let wanted = if named { OTHERS_OF_NAMED } else { OTHERS };
            // The first word says what the line is about, unless it is the name of a thing.
            let leads = index == first && !dotted(&text[item.start as usize..item.end as usize]);
            if leads || fixed || item.place >= PLACES || others < wanted {
                continue;
            }
            let general = key
                .wrapping_sub(placed(item.hash, item.place))
                .wrapping_add(placed(VARIABLE, item.place));
            let needed = needed(text, items, index);
            let place = item.place;
            if let Some(members) = self.meet(general, place, key, needed, &exists) {
                return Some(Verdict { key: general, place, members });
            }
        }
        None
    }

    /// The statements that were known before the one with this key, and have a word where it has a
    /// variable.
    pub(crate) fn cases_of(&mut self, key: u64) -> Option<Verdict> {
        let evidence = self.evidence.get(key).filter(|known| known.first != TAKEN)?;
        Some(Verdict { key, place: evidence.place, members: evidence.take() })
    }

    /// Notes that `key` is a case of `general`; gives all cases when there are enough of them.
    fn meet(
        &mut self,
        general: u64,
        place: u32,
        key: u64,
        needed: u8,
        exists: &impl Fn(u64) -> bool,
    ) -> Option<Vec<u64>> {
        let evidence = self.evidence.get_or_insert_with(general, || Evidence {
            place,
            first: TAKEN,
            more: Vec::new(),
        });
        evidence.note(key);
        let enough = evidence.len() >= usize::from(needed) || exists(general);
        enough.then(|| evidence.take())
    }
}

impl Evidence {
    fn len(&self) -> usize {
        usize::from(self.first != TAKEN) + self.more.len()
    }

    fn note(&mut self, key: u64) {
        if self.first == TAKEN {
            self.first = key;
        } else if self.first != key && !self.more.contains(&key) {
            self.more.push(key);
        }
    }

    fn take(&mut self) -> Vec<u64> {
        let mut members = std::mem::take(&mut self.more);
        if self.first != TAKEN {
            members.push(std::mem::replace(&mut self.first, TAKEN));
        }
        members
    }
}

/// How many different words it takes in the place of the item at `index`.
fn needed(text: &[u8], items: &[Item], index: usize) -> u8 {
    let item = items[index];
    let capital = text[item.start as usize].is_ascii_uppercase() && item.kind == Kind::Word;
    if is_identifier(&text[item.start as usize..item.end as usize]) {
        return NAMED;
    }
    let base = match before(text, items, index) {
        Some((between, _)) if between.contains(&b'=') => OBJECTS,
        Some((_, word)) if words::is_title(word) => NAMES,
        Some((_, word)) if words::is_preposition(word) => OBJECTS,
        _ => WORDS,
    };
    base + if capital { STATES } else { 0 }
}

/// Whether a word is written as the names in programs are, not as prose: with a dot, an underscore,
/// a capital after its first letter beside small ones.
fn is_identifier(word: &[u8]) -> bool {
    let mark = word.iter().any(|byte| b"._".contains(byte));
    let small = word.iter().any(u8::is_ascii_lowercase);
    mark || small && word.iter().skip(1).any(u8::is_ascii_uppercase)
}

/// Whether a word is a dotted name: `com.apple.Safari`.
fn dotted(word: &[u8]) -> bool {
    word.contains(&b'.')
}

/// What stands between an item and the one before it, and that one.
fn before<'a>(text: &'a [u8], items: &[Item], index: usize) -> Option<(&'a [u8], &'a [u8])> {
    let before = items[index.checked_sub(1)?];
    let between = &text[before.end as usize..items[index].start as usize];
    Some((between, &text[before.start as usize..before.end as usize]))
}
