//! Families of statements, and how the one is found that a new statement belongs to.
//!
//! `session opened for user cyrus` and `session opened for user news` are one statement, and no
//! look at one of them can tell. What tells is how many of them there are. Statements that mostly
//! agree are a family; a place in which enough of them differ is a variable, and the statements
//! that differ there alone become one. The number needed is lower where programs print names (after
//! a key, a preposition, a title like `user`; words written as identifiers are) than where they say
//! different things in the same words.

use super::alike::Alike;
use super::family::{Family, Joined};
use crate::generations::Generations;
use crate::statement::hash::{mix, placed};
use crate::statement::part::{Class, Part};
use crate::statement::parts::Parts;

/// How many words of a statement its family is looked for by.
const ANCHORS: usize = 8;
/// How many families a statement is compared with.
const COMPARED: usize = 8;

/// Which family a statement is of.
#[derive(Debug)]
pub(super) struct Admitted {
    /// The number of its family; 0 when it has none.
    pub(super) family: u32,
    /// What came of it.
    pub(super) joined: Joined,
}

/// The families known. Bounded.
#[derive(Debug)]
pub(super) struct Families {
    families: Generations<Family>,
    alike: Alike,
    /// The number of the newest family.
    newest: u32,
    /// What the statement at hand is looked for by, and what was found.
    anchors: Vec<u64>,
    candidates: Vec<(u32, u32)>,
}

impl Families {
    /// Knows at least `capacity` families.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            families: Generations::new(capacity),
            alike: Alike::new(capacity),
            newest: 0,
            anchors: Vec::new(),
            candidates: Vec::new(),
        }
    }

    /// The family with this number.
    pub(super) fn get(&mut self, family: u32) -> Option<&Family> {
        self.families.get(u64::from(family)).map(|family| &*family)
    }

    /// Notes that the family is in use, so that it is kept.
    #[inline]
    pub(super) fn touch(&mut self, family: u32) {
        self.families.get(u64::from(family));
    }

    /// Takes in a new statement; `key` is its group if it makes a new one.
    pub(super) fn admit(&mut self, parts: &Parts, key: u64) -> Admitted {
        let parts = &parts.joined[..];
        self.anchors.clear();
        self.anchors.extend(anchors(parts));
        if let Some(family) = self.find(parts) {
            self.keep_near(family);
            if let Some(found) = self.families.get(u64::from(family)) {
                return Admitted { family, joined: found.join(parts, key) };
            }
        }
        self.newest = self.newest.checked_add(1).unwrap_or(1);
        let family = self.newest;
        self.families.insert(u64::from(family), Family::new(parts, key));
        self.keep_near(family);
        Admitted { family, joined: Joined { group: key, ..Joined::default() } }
    }

    /// How many families are held.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.families.len()
    }

    /// The family that fits best.
    fn find(&mut self, parts: &[Part]) -> Option<u32> {
        self.candidates.clear();
        for &anchor in &self.anchors {
            for family in self.alike.get(anchor) {
                match self.candidates.iter_mut().find(|known| known.0 == family) {
                    Some(known) => known.1 += 1,
                    None => self.candidates.push((family, 1)),
                }
            }
        }
        // Most words in common first; among equals the older one.
        self.candidates.sort_unstable_by_key(|&(family, common)| (u32::MAX - common, family));
        self.candidates.truncate(COMPARED);
        let fit = |&(family, _): &(u32, u32)| {
            let fit = self.families.peek(u64::from(family))?.fit(parts)?;
            Some((fit, u32::MAX - family))
        };
        let best = self.candidates.iter().filter_map(fit).max()?;
        Some(u32::MAX - best.1)
    }

    /// Makes the family the first one that is found by the words of the statement.
    fn keep_near(&mut self, family: u32) {
        for &anchor in &self.anchors {
            self.alike.put_first(anchor, family);
        }
    }
}

/// What a statement's family is looked for by: its words at their places.
fn anchors(parts: &[Part]) -> impl Iterator<Item = u64> {
    let count = parts.len() as u64;
    let tells = |part: &&(usize, &Part)| {
        !matches!(part.1.class, Class::Variable | Class::Mark | Class::Fixed)
    };
    let step = parts.len().div_ceil(ANCHORS).max(1);
    // By the number of the place, so that all statements of a family are looked for at the same ones.
    let near = parts.iter().enumerate().step_by(step);
    near.filter(move |part| tells(&part))
        .map(move |(place, part)| mix(placed(part.hash, place as u32), count | 1 << 32))
}
