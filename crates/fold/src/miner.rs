//! The template miner: which lines make the same statement.

use crate::generations::Generations;
use crate::statement::hash;
use crate::statement::plain::{self, Control};
use crate::statement::scan::{Item, Kind, Scan, VARIABLE};
use crate::wander::{Verdict, Wander};

/// How much a [`Miner`] keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinerOptions {
    /// How many statements are known at least before the one not seen for longest is forgotten:
    /// 8,192. About 100 bytes each, and ten times that for what is known of words that may wander.
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

/// A part of a text, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its first byte.
    pub start: u32,
    /// One past its last byte.
    pub end: u32,
}

impl Place {
    /// The bytes of `text` at this place.
    pub fn of(self, text: &[u8]) -> &[u8] {
        text.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

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
    pub(crate) control: Option<Control>,
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
            scan: Scan::default(),
            plain: Vec::new(),
            places: Vec::new(),
            known: Generations::new(options.max_statements),
            merged: Generations::new(options.max_statements.saturating_mul(8)),
            wander: Wander::new(options.max_statements.saturating_mul(8)),
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
    pub fn statement<'a>(&'a mut self, line: &'a [u8]) -> Statement<'a> {
        let mut control = None;
        let text = if self.scan.read(line, false) {
            line
        } else {
            control = Some(plain::write(line, &mut self.plain));
            self.scan.read(&self.plain, true);
            &self.plain
        };
        self.places.clear();
        if self.scan.words == 0 {
            let whole = hash::word(text, 0, text.len());
            let group = GroupId(whole ^ VARIABLE);
            return Statement { group, layout: 0, text, variables: &[], control };
        }
        let known = match self.known.get(self.scan.key) {
            Some(known) => *known,
            None => {
                Self::admit(&mut self.known, &mut self.merged, &mut self.wander, text, &self.scan)
            }
        };
        let known = Self::root(&mut self.known, known, self.scan.key);
        collect(&self.scan.items, known.wandering, &mut self.places);
        let layout = self.scan.layout ^ self.places.len() as u64;
        let group = GroupId(known.root);
        Statement { group, layout, text, variables: &self.places, control }
    }

    /// Follows a case to its statement.
    #[inline]
    fn root(known: &mut Generations<Known>, mut found: Known, key: u64) -> Known {
        let mut at = key;
        for _ in 0..8 {
            if found.root == at {
                break;
            }
            at = found.root;
            match known.get(at) {
                Some(next) => {
                    found = Known { root: next.root, wandering: found.wandering | next.wandering };
                }
                None => break,
            }
        }
        found
    }

    /// Takes in a statement that was not known, which may be a case of one that is.
    #[cold]
    fn admit(
        known: &mut Generations<Known>,
        merged: &mut Generations<u64>,
        wander: &mut Wander,
        text: &[u8],
        scan: &Scan,
    ) -> Known {
        let first = Known { root: scan.key, wandering: 0 };
        known.insert(scan.key, first);
        if let Some(cases) = wander.cases_of(scan.key) {
            gather(known, merged, &cases);
        }
        let mut key = scan.key;
        let mut wandering = 0_u128;
        // Each round finds at most one more wandering word; what it leads to is looked at again.
        for _ in 0..4 {
            let exists = |key: u64| known.peek(key).is_some();
            let Some(mut found) = wander.look(text, &scan.items, key, wandering, exists) else {
                break;
            };
            wandering |= 1 << found.place;
            found.members.push(key);
            gather(known, merged, &found);
            let Some(general) = known.get(found.key) else { break };
            general.wandering |= wandering;
            if general.root != found.key {
                break;
            }
            key = found.key;
        }
        known.peek(scan.key).copied().unwrap_or(first)
    }
}

/// Makes the members of a verdict cases of the statement it found.
fn gather(known: &mut Generations<Known>, merged: &mut Generations<u64>, found: &Verdict) {
    let bit = 1_u128 << found.place;
    let general = Known { root: found.key, wandering: 0 };
    known.get_or_insert_with(found.key, || general).wandering |= bit;
    for &member in found.members.iter().filter(|&&member| member != found.key) {
        let wandering = known.peek(member).map_or(0, |known| known.wandering);
        known.insert(member, Known { root: found.key, wandering });
        merged.insert(member, found.key);
    }
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
