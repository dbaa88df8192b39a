//! Entries that were opened as different statements and turn out to be one.
//!
//! Whether a word is a variable is learned from what is said (see [`Miner`](crate::Miner)), so lines
//! that fold may be in several open entries when that is found. Those become one where the order of
//! every stream allows it: the entry that stays must be behind all that the others' streams said
//! before, and ahead of all that they said after. What a stream alone has said may be moved for that.

use lastline_line::RankSet;

use super::alignment::{Alignment, forget, move_ahead, note};
use super::cursors::{Use, User};
use super::order::Position;
use crate::miner::GroupId;

/// How many entries of a statement are compared with each other.
const MAX_COMPARED: usize = 128;
/// From how many statements on that were given out they are taken for lines of a row.
const SEVERAL: usize = 2;

impl Alignment {
    /// An entry is of another statement than when it was opened.
    pub(super) fn change_statement(&mut self, at: Position, key: u64, group: Option<GroupId>) {
        let Some(open) = self.queue.get_mut(at) else { return };
        let before = std::mem::replace(&mut open.key, key);
        open.group = group;
        if before == key {
            return;
        }
        let mut user = User::Unknown;
        if let Some(used) = self.uses.get(before) {
            forget(&mut used.open, at, &self.queue.order);
            user = used.user;
        }
        let used = self.uses.get_or_insert_with(key, Default::default);
        note(&mut used.open, at, &self.queue.order);
        used.user = used.user.or(user);
        used.group = group;
        if let Some(open) = self.queue.get(at) {
            open.gathered.first_values(|text, places| used.sequence.opened(text, places));
        }
    }

    /// How many statements of these groups have been given out as entries of several ranks.
    pub(super) fn folded(&self, groups: &[GroupId]) -> usize {
        let folded = self.uses.values().filter(|used| used.folded).filter_map(|used| used.group);
        folded.filter(|group| groups.contains(group)).count()
    }

    /// Makes one of the open entries of a statement what may be one, the first ones first. Not where
    /// ranks have said several of them one after the other, or so many before: `compiled kernel norm`
    /// and `compiled kernel rotary` are lines, not values.
    pub(super) fn merge_alike(&mut self, key: u64, given_out: usize) {
        let Some(used) = self.uses.get(key) else { return };
        let mut alike: Vec<Position> = used.open.iter().copied().take(MAX_COMPARED).collect();
        if given_out >= SEVERAL || self.has_row(&alike) {
            let several =
                |at: &&Position| self.queue.get(**at).is_some_and(|open| open.only.is_none());
            let agreed = given_out + alike.iter().filter(several).count();
            return self.went_on(key, agreed);
        }
        let mut first = 0;
        while first < alike.len() {
            let mut other = first + 1;
            while other < alike.len() {
                match self.merge(alike[first], alike[other]) {
                    Some(kept) => {
                        alike[first] = kept;
                        alike.remove(other);
                    }
                    None => other += 1,
                }
            }
            first += 1;
        }
    }

    /// The same of a statement that has no entry yet, where they are enough.
    pub(super) fn went_on_if_new(&mut self, key: u64, entries: usize) {
        let new = self.uses.peek(key).is_none_or(|used| used.open.is_empty());
        if new && entries >= SEVERAL {
            self.went_on(key, entries);
        }
    }

    /// Lines of a statement are lines of a row, of which so many have been there.
    pub(super) fn went_on(&mut self, key: u64, entries: usize) {
        self.uses.get_or_insert_with(key, Use::default).sequence.went_on(entries);
    }

    /// Whether a rank has said two of these entries.
    fn has_row(&self, entries: &[Position]) -> bool {
        let mut said = RankSet::new();
        let open = entries.iter().filter_map(|&at| self.queue.get(at));
        open.flat_map(|open| open.gathered.ranks.iter()).any(|rank| !said.insert(rank))
    }

    /// Makes one of two entries, of which the first one is ahead, if that can be. Returns where.
    fn merge(&mut self, ahead: Position, behind: Position) -> Option<Position> {
        let (first, second) = (self.queue.get(ahead)?, self.queue.get(behind)?);
        let disjoint = first.stream == second.stream
            && first.key == second.key
            && !first.gathered.shares_ranks(&second.gathered);
        let (one, other) = (&first.gathered, &second.gathered);
        if !disjoint || !one.can_absorb(other) || !other.can_absorb(one) {
            return None;
        }
        if let Some(own) = self.own_between(behind, ahead, behind) {
            own.into_iter().for_each(|own| self.put_ahead(own, ahead));
            self.unite(behind, ahead);
            return Some(ahead);
        }
        let own = self.own_between(ahead, ahead, behind)?;
        let next = self.queue.order.behind(behind);
        own.into_iter().for_each(|own| self.put_ahead(own, next));
        self.unite(ahead, behind);
        Some(behind)
    }

    /// What the streams of an entry have open between two entries, if each of those said all of it
    /// alone.
    fn own_between(&mut self, of: Position, from: Position, to: Position) -> Option<Vec<Position>> {
        let Self { queue, cursors, .. } = self;
        let open = queue.get(of)?;
        let mut own = Vec::new();
        for rank in open.gathered.ranks.iter() {
            for &at in &cursors.of(rank, open.stream).held {
                if queue.order.is_ahead(from, at) && queue.order.is_ahead(at, to) {
                    queue.get(at).filter(|other| other.only == Some(rank))?;
                    own.push(at);
                }
            }
        }
        Some(own)
    }

    fn put_ahead(&mut self, moved: Position, of: Position) {
        move_ahead(moved, of, &mut self.queue, &mut self.uses);
    }

    /// Puts all of one entry into another one. No stream has anything between them.
    fn unite(&mut self, from: Position, into: Position) {
        let Some(open) = self.queue.get(from) else { return };
        let (key, stream) = (open.key, open.stream);
        let moved: Vec<u32> = open.gathered.ranks.iter().collect();
        let Some(open) = self.queue.get(into) else { return };
        let others: Vec<u32> = open.gathered.ranks.iter().collect();
        for &rank in &moved {
            let cursor = self.cursors.of(rank, stream);
            if let Some(held) = cursor.held.iter_mut().find(|held| **held == from) {
                *held = into;
            }
            if cursor.shared == from {
                self.queue.stay(from, into);
                cursor.shared = into;
            }
        }
        if let Some(used) = self.uses.get(key) {
            forget(&mut used.open, from, &self.queue.order);
            used.user = User::Many;
        }
        for &rank in moved.iter().chain(&others) {
            let cursor = self.cursors.of(rank, stream);
            if self.queue.order.is_ahead(cursor.shared, into) {
                self.queue.stay(cursor.shared, into);
                cursor.shared = into;
            }
        }
        self.queue.unite(from, into);
    }
}
