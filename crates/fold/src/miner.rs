//! The template miner: which lines make the same statement.

use lastline_line::{Colours, Controls, plain_text};

use crate::generations::Generations;
use crate::place::Place;
use crate::skeleton::{self, Found, Skeletons};
use crate::statement::hash;
use crate::statement::part::MAX_PARTS;
use crate::statement::parts::Parts;
use crate::statement::scan::{Scan, VARIABLE};
use families::Families;
use open::{Open, collect};

mod alike;
mod families;
mod family;
mod open;
mod weights;

/// How much a [`Miner`] keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinerOptions {
    /// How many statements are known at least before the one not seen for longest is forgotten:
    /// 8,192. About 150 bytes each, and a kilobyte for what is known of its family.
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
    /// Lines that were read before are read otherwise now; see [`Miner::take_changed`].
    pub(crate) changed: bool,
}

/// What is known of a statement, by its key.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// The group it is of.
    group: u64,
    /// Its family; 0 for none.
    family: u32,
    /// Of which version this is.
    version: u64,
    open: Open,
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
    families: Families,
    parts: Parts,
    skeletons: Skeletons,
    /// Counts how often a word turned out to be a variable: what is known of older versions may have
    /// changed.
    version: u64,
    /// Whether it is noted which groups that concerns.
    notes_changes: bool,
    /// Those, since they were last taken.
    changed: Vec<u64>,
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
            notes_changes: false,
            changed: Vec::new(),
            scan: Scan::default(),
            plain: Vec::new(),
            places: Vec::new(),
            known: Generations::new(options.max_statements),
            merged: Generations::new(options.max_statements.saturating_mul(8)),
            families: Families::new(options.max_statements),
            parts: Parts::default(),
        }
    }

    /// The group of a line, as far as it is known now; see [`resolve`](Self::resolve).
    pub fn group(&mut self, line: &[u8]) -> GroupId {
        self.statement(line).group
    }

    /// The group that lines of `group` belong to by now: a group joins another one when
    /// a word in it turns out to be a variable.
    pub fn resolve(&self, group: GroupId) -> GroupId {
        GroupId(root(&self.merged, group.0))
    }

    /// Notes what [`take_changed`](Self::take_changed) gives.
    pub(crate) fn noting_changes(self) -> Self {
        Self { notes_changes: true, ..self }
    }

    /// Whether a word turned out to be a variable since `take_changed`.
    #[inline]
    pub(crate) fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Which groups have lines in which a word turned out to be a variable: those lines have another
    /// layout from now on, and may be of another group.
    pub(crate) fn take_changed(&mut self) -> Vec<GroupId> {
        std::mem::take(&mut self.changed).into_iter().map(GroupId).collect()
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
                changed: false,
            },
            None => self.scanned(line, print),
        }
    }

    /// What a line without any word is compared by where its neighbours tell what it says: how many
    /// variables stand where; they go to `places`. None of a line that has words, or nothing.
    pub(crate) fn shape_of_variables(
        &mut self,
        line: &[u8],
        places: &mut Vec<Place>,
    ) -> Option<u64> {
        let wordless = self.scan.read(line, false) && self.scan.words == 0;
        if !wordless || self.scan.items.is_empty() {
            return None;
        }
        let inner = collect(line, &self.scan.items, &Open::default(), places);
        Some(hash::mix(self.scan.key ^ VARIABLE, self.scan.layout ^ inner))
    }

    /// What statement a line makes, the long way.
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
            let variables = &[];
            return Statement { group, layout: 0, text, variables, control, changed: false };
        }
        let seen = self.known.get(self.scan.key).copied();
        let known = match seen {
            Some(known) if known.version == self.version => {
                self.families.touch(known.family);
                known
            }
            _ => {
                let mut tables = Tables {
                    known: &mut self.known,
                    merged: &mut self.merged,
                    families: &mut self.families,
                    parts: &mut self.parts,
                    version: &mut self.version,
                    changed: self.notes_changes.then_some(&mut self.changed),
                };
                tables.take_in(text, &self.scan, seen)
            }
        };
        let inner = collect(text, &self.scan.items, &known.open, &mut self.places);
        let inner = if known.open.places == 0 { self.scan.layout } else { inner };
        let layout = inner ^ known.open.rest ^ self.places.len() as u64;
        let group = known.group;
        if seen.is_some() && control.is_none() {
            let found = Found { group, layout };
            let (items, places) = (&self.scan.items, &self.places);
            self.skeletons.insert(line, print, self.version, items, places, found);
        }
        let (group, changed) = (GroupId(group), !self.changed.is_empty());
        Statement { group, layout, text, variables: &self.places, control, changed }
    }
}

/// What is known, while a statement is taken in.
struct Tables<'a> {
    known: &'a mut Generations<Known>,
    merged: &'a mut Generations<u64>,
    families: &'a mut Families,
    parts: &'a mut Parts,
    version: &'a mut u64,
    changed: Option<&'a mut Vec<u64>>,
}

impl Tables<'_> {
    /// Takes in a statement that was not known, or is known by what held before something merged.
    #[cold]
    fn take_in(&mut self, text: &[u8], scan: &Scan, seen: Option<Known>) -> Known {
        self.parts.read(text, scan);
        let (group, family) = match seen {
            Some(known) => (known.group, known.family),
            None if self.parts.raw.len() > MAX_PARTS => (scan.key, 0),
            None => self.admit(scan.key),
        };
        let group = root(self.merged, group);
        let open = match self.families.get(family) {
            Some(family) => Open::of(family, self.parts),
            None => seen.map_or(Open::default(), |known| known.open),
        };
        let known = Known { group, family, version: *self.version, open };
        self.known.insert(scan.key, known);
        known
    }

    /// The group and the family of a statement that was not known.
    fn admit(&mut self, key: u64) -> (u64, u32) {
        let admitted = self.families.admit(self.parts, key);
        for &(group, of) in &admitted.joined.merged {
            let (group, of) = (root(self.merged, group), root(self.merged, of));
            if group != of {
                self.merged.insert(group, of);
            }
        }
        *self.version += u64::from(!admitted.joined.changed.is_empty());
        if let Some(changed) = &mut self.changed {
            changed.extend_from_slice(&admitted.joined.changed);
        }
        (admitted.joined.group, admitted.family)
    }
}

/// The group that a group has become.
fn root(merged: &Generations<u64>, group: u64) -> u64 {
    let mut group = group;
    // A chain is as long as a family has variable places; the bound is for forgotten links.
    for _ in 0..64 {
        match merged.peek(group) {
            Some(&of) if of != group => group = of,
            _ => break,
        }
    }
    group
}

#[cfg(test)]
mod tests;
