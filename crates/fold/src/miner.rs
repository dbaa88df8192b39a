//! The template miner: which lines make the same statement.

use lastline_line::{Colours, Controls, plain_text};

use crate::generations::Generations;
use crate::place::Place;
use crate::skeleton::{self, Found, Skeletons};
use crate::statement::hash;
use crate::statement::scan::{Item, Kind, Scan, VARIABLE};
use crate::wander::{Verdict, Wander};

/// How much a [`Miner`] keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinerOptions {
    /// How many statements are known at least before the one not seen for longest is forgotten:
    /// 8,192. About 100 bytes each, and five times that for what is known of words that may wander.
    pub max_statements: usize,
}

impl Default for MinerOptions {
    fn default() -> Self {
        Self { max_statements: 8192 }
    }
}

/// Which statement a line makes. Lines of one group fold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId(pub u64);

/// What a [`Miner`] says of a line.
#[derive(Clone, Copy, Debug)]
pub struct Statement<'a> {
    /// Which statement it makes.
    pub group: GroupId,
    /// Lines of one group whose lists have the same length have the same layout: as many
    /// variable places, with the same text around them but for blanks.
    pub layout: u64,
    /// The line without control sequences: what the places are places of.
    pub text: &'a [u8],
    /// What varies, from left to right.
    pub variables: &'a [Place],
    /// What had to be taken out of the line or made visible to get `text`, if anything.
    pub(crate) control: Option<Controls>,
}

/// What is known of a statement, by its key.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// The key of the statement it is a case of, when a word of it turned out to wander.
    root: u64,
    /// The places of words that wander; the lowest bit is the first place.
    wandering: u128,
}

/// Finds which statement a line makes: online, in one pass over its bytes, unconfigured.
///
/// See the crate documentation for how.
#[derive(Debug)]
pub struct Miner {
    scan: Scan,
    plain: Vec<u8>,
    places: Vec<Place>,
    known: Generations<Known>,
    merged: Generations<u64>,
    wander: Wander,
    skeletons: Skeletons,
    /// Counts how often a group joined another one.
    version: u64,
}

impl Default for Miner {
    fn default() -> Self {
        Self::new(MinerOptions::default())
    }
}

impl Miner {
    /// A miner that knows no statement yet.
    pub fn new(options: MinerOptions) -> Self {
        Self {
            skeletons: Skeletons::default(),
            version: 0,
            scan: Scan::default(),
            plain: Vec::new(),
            places: Vec::new(),
            known: Generations::new(options.max_statements),
            merged: Generations::new(options.max_statements.saturating_mul(8)),
            wander: Wander::new(options.max_statements.saturating_mul(4)),
        }
    }

    /// The group of a line, as far as it is known now; see [`resolve`](Self::resolve).
    pub fn group(&mut self, line: &[u8]) -> GroupId {
        self.statement(line).group
    }

    /// The group that lines of `group` belong to by now: a group joins another one when a word in
    /// it turns out to wander.
    pub fn resolve(&self, group: GroupId) -> GroupId {
        let mut key = group.0;
        // A chain is as long as a statement has wandering words; the bound is for forgotten links.
        for _ in 0..64 {
            match self.merged.peek(key) {
                Some(&root) if root != key => key = root,
                _ => break,
            }
        }
        GroupId(key)
    }

    /// What statement a line makes and what varies in it.
    #[inline]
    pub fn statement<'a>(&'a mut self, line: &'a [u8]) -> Statement<'a> {
        self.places.clear();
        let again = self.skeletons.find_again(line, self.version, &mut self.places);
        let (found, print) = match again {
            Some(found) => (Some(found), 0),
            None => {
                let print = skeleton::print(line);
                (self.skeletons.find(line, print, self.version, &mut self.places), print)
            }
        };
        match found {
            Some(Found { group, layout }) => Statement {
                group: GroupId(group),
                layout,
                text: line,
                variables: &self.places,
                control: None,
            },
            None => self.scanned(line, print),
        }
    }

    /// The same, the long way.
    fn scanned<'a>(&'a mut self, line: &'a [u8], print: u64) -> Statement<'a> {
        let mut control = None;
        let text = if self.scan.read(line, false) {
            line
        } else {
            self.plain.clear();
            control = Some(plain_text(line, Colours::Drop, &mut self.plain));
            self.scan.read(&self.plain, true);
            &self.plain
        };
        if self.scan.words == 0 {
            let whole = hash::word(text, 0, text.len());
            let group = GroupId(whole ^ VARIABLE);
            return Statement { group, layout: 0, text, variables: &[], control };
        }
        let seen = self.known.get(self.scan.key).copied();
        let known = seen.unwrap_or_else(|| {
            let mut tables = Tables { known: &mut self.known, merged: &mut self.merged, merges: 0 };
            let known = tables.admit(&mut self.wander, text, &self.scan);
            self.version += tables.merges;
            known
        });
        let known = root(&mut self.known, known, self.scan.key);
        collect(&self.scan.items, known.wandering, &mut self.places);
        let (group, layout) = (known.root, self.scan.layout ^ self.places.len() as u64);
        if seen.is_some() && control.is_none() {
            let found = Found { group, layout };
            let (items, places) = (&self.scan.items, &self.places);
            self.skeletons.insert(line, print, self.version, items, places, found);
        }
        Statement { group: GroupId(group), layout, text, variables: &self.places, control }
    }
}

/// What is known, while a statement is taken in.
struct Tables<'a> {
    known: &'a mut Generations<Known>,
    merged: &'a mut Generations<u64>,
    /// How many groups joined another one.
    merges: u64,
}

impl Tables<'_> {
    /// Takes in a statement that was not known, which may be a case of one that is.
    #[cold]
    fn admit(&mut self, wander: &mut Wander, text: &[u8], scan: &Scan) -> Known {
        let first = Known { root: scan.key, wandering: 0 };
        self.known.insert(scan.key, first);
        if let Some(cases) = wander.cases_of(scan.key) {
            self.gather(&cases, scan.key);
        }
        let mut key = scan.key;
        let mut wandering = 0_u128;
        // Each round finds at most one more wandering word; what it leads to is looked at again.
        for _ in 0..4 {
            let exists = |key: u64| self.known.peek(key).is_some();
            let Some(mut found) = wander.look(text, &scan.items, key, wandering, exists) else {
                break;
            };
            wandering |= 1 << found.place;
            found.members.push(key);
            self.gather(&found, scan.key);
            let Some(general) = self.known.get(found.key) else { break };
            general.wandering |= wandering;
            if general.root != found.key {
                break;
            }
            key = found.key;
        }
        self.known.peek(scan.key).copied().unwrap_or(first)
    }

    /// Makes the members of a verdict cases of the statement it found; `new` is known to nobody yet.
    fn gather(&mut self, found: &Verdict, new: u64) {
        let bit = 1_u128 << found.place;
        let general = Known { root: found.key, wandering: 0 };
        self.known.get_or_insert_with(found.key, || general).wandering |= bit;
        for &member in found.members.iter().filter(|&&member| member != found.key) {
            let wandering = self.known.peek(member).map_or(0, |known| known.wandering);
            self.known.insert(member, Known { root: found.key, wandering });
            self.merged.insert(member, found.key);
            self.merges += u64::from(member != new);
        }
    }
}

/// Follows a case to its statement.
#[inline]
fn root(known: &mut Generations<Known>, found: Known, key: u64) -> Known {
    let mut found = found;
    let mut at = key;
    for _ in 0..8 {
        if found.root == at {
            break;
        }
        at = found.root;
        let Some(next) = known.get(at) else { break };
        found = Known { root: next.root, wandering: found.wandering | next.wandering };
    }
    found
}

/// The places of what varies.
#[inline]
fn collect(items: &[Item], wandering: u128, places: &mut Vec<Place>) {
    for item in items {
        let wanders = wandering != 0 && item.place < 128 && wandering >> item.place & 1 == 1;
        match item.kind {
            _ if wanders => places.push(Place { start: item.start, end: item.end }),
            Kind::Word => {}
            Kind::Stem | Kind::Variable => {
                places.push(Place { start: item.varies, end: item.end });
            }
        }
    }
}

#[cfg(test)]
mod tests;
