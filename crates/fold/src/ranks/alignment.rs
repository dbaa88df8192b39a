//! Which entry a line joins, and where a new one opens.

use std::collections::VecDeque;

use lastline_line::{RankSet, Stream, StreamId};

use super::choice;
use super::cursors::{Cursor, Cursors, Use, User};
use super::order::{Order, Position};
use super::queue::{Open, Queue};
use crate::entry::Gathered;
use crate::generations::Generations;
use crate::read::Reading;
use crate::unit::Said;

/// How many closed entries a new one is put behind at most; the stream's next one goes on from there.
const MAX_SKIPPED: usize = 16;

/// The open entries, and where each stream is among them.
#[derive(Debug)]
pub(super) struct Alignment {
    pub(super) queue: Queue,
    pub(super) cursors: Cursors,
    pub(super) uses: Generations<Use>,
}

impl Alignment {
    /// Knows who uses so many statements.
    pub(super) fn new(max_statements: usize) -> Self {
        let (queue, cursors) = (Queue::default(), Cursors::default());
        Self { queue, cursors, uses: Generations::new(max_statements) }
    }

    /// The stream's place.
    #[inline]
    pub(super) fn cursor(&mut self, rank: u32, stream: Stream) -> &mut Cursor {
        self.cursors.of(rank, stream)
    }

    /// How much a stream has said so far, and how many open entries hold something of it.
    pub(super) fn said_by(&self, stream: StreamId) -> (u64, usize) {
        let cursor = self.cursors.known(stream.rank, stream.stream);
        cursor.map_or((0, 0), |cursor| (cursor.said, cursor.held.len()))
    }

    /// The least that one of `ranks` has said, of those that have said something.
    pub(super) fn slowest(&self, stream: Stream, ranks: &RankSet) -> u64 {
        let cursors = ranks.iter().filter_map(|rank| self.cursors.known(rank, stream));
        cursors.map(|cursor| cursor.said).filter(|&said| said > 0).min().unwrap_or(0)
    }

    /// Who uses a statement.
    pub(super) fn user(&mut self, key: u64) -> User {
        self.uses.get(key).map_or(User::Unknown, |used| used.user)
    }

    /// The entry that a line joins. Of the open ones of its statement that are behind the last entry
    /// which its stream shares, and that it has not said alone, the first; but see `choice`.
    #[inline]
    pub(super) fn find(
        &mut self,
        key: u64,
        said_by: StreamId,
        reading: &Reading<'_>,
    ) -> Option<Position> {
        let shared = self.cursors.of(said_by.rank, said_by.stream).shared;
        // Ranks that say the same: what comes next is right behind.
        let next = self.queue.order.behind(shared);
        if let Some(open) = self.queue.get(next)
            && (open.key == key && open.only.is_none())
            && !open.gathered.has_agreed_otherwise(reading)
        {
            return Some(next);
        }
        let used = self.uses.get_or_insert_with(key, Use::default);
        if used.open.is_empty() {
            return None;
        }
        let choice = choice::choose(&self.queue, used, shared, said_by.rank, reading);
        let alone = |&at: &Position| self.queue.get(at).filter(|open| open.only.is_some());
        if let Some(open) = choice.first.as_ref().and_then(alone) {
            used.sequence.came_to(&open.gathered, reading);
        }
        let (at, moved) = choice.joins?;
        if let Some(open) = alone(&at) {
            used.sequence.joined(&open.gathered, reading);
        }
        if !moved.is_empty() {
            let behind = self.queue.order.behind(shared);
            for moved in moved {
                move_ahead(moved, behind, &mut self.queue, &mut self.uses);
            }
        }
        Some(at)
    }

    /// The entry right behind the last one that a stream shares, if the line is its first line again.
    #[inline]
    pub(super) fn find_same(&mut self, said: Said<'_>) -> Option<Position> {
        let stream = said.stream();
        let shared = self.cursors.of(stream.rank, stream.stream).shared;
        let next = self.queue.order.behind(shared);
        let open = self.queue.get(next)?;
        let may_join = open.stream == stream.stream && open.only != Some(stream.rank);
        let same = may_join && open.gathered.starts_like(said);
        if same
            && open.only.is_some()
            && let Some(used) = self.uses.get(open.key)
        {
            used.sequence.agreed();
        }
        same.then_some(next)
    }

    /// A stream, whose rank may live, joins an entry: `gather` takes in what it said. Returns how
    /// many of the ranks that live have said it.
    #[inline]
    pub(super) fn join(
        &mut self,
        at: Position,
        said_by: StreamId,
        lives: bool,
        gather: impl FnOnce(&mut Gathered),
    ) -> usize {
        self.move_own_ahead(at, said_by);
        if let Some(open) = self.queue.get_mut(at)
            && let Some(first) = open.only.take()
        {
            open.ready = false;
            self.share(at, first, said_by.stream);
        }
        let cursor = self.cursors.of(said_by.rank, said_by.stream);
        self.queue.stay(cursor.shared, at);
        cursor.shared = at;
        let behind_older = !cursor.held.is_empty();
        cursor.said += 1;
        cursor.held.push_back(at);
        let Some(open) = self.queue.get_mut(at) else { return 0 };
        open.waits_for += usize::from(behind_older);
        open.live += usize::from(lives);
        let (live, held) = (open.live, open.gathered.held_bytes());
        gather(&mut open.gathered);
        let grew = open.gathered.held_bytes() - held;
        self.queue.grew(grew);
        live
    }

    /// An entry that one rank alone had said has been joined by another one: whatever that rank says
    /// next comes behind it.
    fn share(&mut self, at: Position, first: u32, stream: Stream) {
        let cursor = self.cursors.of(first, stream);
        if self.queue.order.is_ahead(cursor.shared, at) {
            self.queue.stay(cursor.shared, at);
            cursor.shared = at;
        }
        let key = self.queue.get(at).map(|open| open.key);
        if let Some(used) = key.and_then(|key| self.uses.get(key)) {
            used.user = User::Many;
        }
    }

    /// What the stream alone has said since it last joined an entry may be anywhere behind that one.
    /// So it goes right ahead of the entry that the stream joins now, unless it is there already. It
    /// moves once at most: then it stands between two entries that the stream shares.
    #[inline]
    fn move_own_ahead(&mut self, at: Position, said_by: StreamId) {
        let held = &self.cursors.of(said_by.rank, said_by.stream).held;
        let Self { queue, uses, .. } = self;
        let mut ahead_of = at;
        for &own in held.iter().rev() {
            if !queue.order.is_ahead(at, own) {
                break;
            }
            move_ahead(own, ahead_of, queue, uses);
            ahead_of = own;
        }
    }

    /// Opens an entry, right behind the last one that the stream has said and those right behind it
    /// that have been given out: the ranks that are there may join it.
    pub(super) fn open(&mut self, mut open: Box<Open>, said_by: StreamId) {
        let key = open.key;
        let cursor = self.cursors.of(said_by.rank, said_by.stream);
        (open.stream, open.only) = (said_by.stream, Some(said_by.rank));
        open.waits_for = usize::from(!cursor.held.is_empty());
        let alone = open.ready;
        let behind = self.queue.skip_closed(cursor.last(), MAX_SKIPPED);
        if cursor.held.is_empty() && behind != cursor.shared {
            self.queue.stay(cursor.shared, behind);
            cursor.shared = behind;
        }
        let at = self.queue.insert_behind(behind, open);
        cursor.said += 1;
        cursor.held.push_back(at);
        let used = self.uses.get_or_insert_with(key, Use::default);
        note(&mut used.open, at, &self.queue.order);
        if let Some(open) = self.queue.get(at) {
            used.group = open.group;
            open.gathered.first_values(|text, places| used.sequence.opened(text, places));
        }
        if !alone && used.user != User::Unknown {
            used.user = User::Many;
        }
    }

    /// The ranks that have an older entry than this one open, the highest first.
    pub(super) fn behind_older(&mut self, at: Position) -> Vec<u32> {
        let Some(open) = self.queue.get(at).filter(|open| open.waits_for > 0) else {
            return Vec::new();
        };
        let cursors = &mut self.cursors;
        let mut ranks: Vec<u32> = open.gathered.ranks.iter().collect();
        ranks.retain(|&rank| cursors.of(rank, open.stream).held.front() != Some(&at));
        ranks.reverse();
        ranks
    }

    /// Closes an entry that is the oldest one of all its streams; notes which others had only been
    /// waiting for it.
    pub(super) fn close(&mut self, at: Position, ready: &mut Vec<Position>) -> Option<Box<Open>> {
        let (key, only) = self.queue.get(at).map(|open| (open.key, open.only))?;
        if let Some(used) = self.uses.get(key) {
            forget(&mut used.open, at, &self.queue.order);
            match only {
                Some(rank) => used.user.said_alone(rank),
                None => used.folded = true,
            }
        }
        let open = self.queue.take(at)?;
        let before = ready.len();
        for rank in open.gathered.ranks.iter() {
            let held = &mut self.cursors.of(rank, open.stream).held;
            held.pop_front();
            if let Some(&next) = held.front()
                && let Some(next_open) = self.queue.get_mut(next)
            {
                next_open.waits_for -= 1;
                if next_open.ready {
                    ready.push(next);
                }
            }
        }
        // The last one goes first.
        ready[before..].reverse();
        Some(open)
    }
}

/// Puts an entry right ahead of another one.
pub(super) fn move_ahead(
    moved: Position,
    of: Position,
    queue: &mut Queue,
    uses: &mut Generations<Use>,
) {
    let key = queue.get(moved).map(|open| open.key);
    let mut used = key.and_then(|key| uses.get(key));
    if let Some(used) = &mut used {
        forget(&mut used.open, moved, &queue.order);
    }
    queue.order.move_ahead(moved, of);
    if let Some(used) = used {
        note(&mut used.open, moved, &queue.order);
    }
}

/// Puts an entry among those of its statement.
pub(super) fn note(open: &mut VecDeque<Position>, at: Position, order: &Order) {
    if open.back().is_none_or(|&last| order.is_ahead(last, at)) {
        return open.push_back(at);
    }
    let place = open.partition_point(|&other| order.is_ahead(other, at));
    open.insert(place, at);
}

/// Takes an entry out of those of its statement.
pub(super) fn forget(open: &mut VecDeque<Position>, at: Position, order: &Order) {
    if open.front() == Some(&at) {
        open.pop_front();
        return;
    }
    let place = open.partition_point(|&other| order.is_ahead(other, at));
    if open.get(place) == Some(&at) {
        open.remove(place);
    }
}
