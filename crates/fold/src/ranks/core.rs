//! Which entry a line joins, and when an entry goes out.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use lastline_line::{Emit, RankNames, RankSet, Timestamp};

use super::RanksOptions;
use super::cursors::{RankCursors, Use, User};
use super::queue::{Open, Queue};
use crate::entry;
use crate::generations::Generations;
use crate::miner::Miner;
use crate::read::{Reader, Reading};
use crate::statement::hash::mix;
use crate::unit::Said;

/// How many entries of a statement are looked at for the one that a line belongs to.
const MAX_CHOICES: usize = 16;

/// Everything but the units.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) options: RanksOptions,
    live: RankSet,
    waited_for: usize,
    reader: Reader,
    uses: Generations<Use>,
    cursors: RankCursors,
    queue: Queue,
    pub(super) now: Timestamp,
    /// What ranks are called.
    pub(super) names: Option<Arc<dyn RankNames>>,
}

impl Core {
    pub(super) fn new(live: RankSet, options: RanksOptions) -> Self {
        Self {
            waited_for: live.len(),
            live,
            reader: Reader::new(Miner::new(options.miner)),
            uses: Generations::new(options.miner.max_statements),
            cursors: RankCursors::default(),
            queue: Queue::default(),
            now: Timestamp::default(),
            names: None,
            options,
        }
    }

    /// Takes a line or a unit.
    #[inline]
    pub(super) fn take(&mut self, said: Said<'_>, now: Timestamp, emit: &mut Emit<'_>) {
        self.now = now;
        let stream = said.stream();
        if !self.options.bounds.may_fold(said) {
            self.release_rank(stream.rank, emit);
            return entry::lines(said, emit);
        }
        let reading = self.reader.read(said);
        let key = mix(reading.key, stream.stream as u64 ^ 0x51_7c_c1_b7);
        let used = self.uses.get_or_insert_with(key, Use::default);
        let rank = self.cursors.of(stream.rank);
        let lives = self.live.contains(stream.rank);
        let found = choose(&mut self.queue, &used.open, rank.next, &reading);
        if let Some((number, open)) = found.and_then(|n| Some((n, self.queue.get(n)?))) {
            let held = open.gathered.held_bytes();
            open.gathered.join_first(said, &reading);
            let joined = open.gathered.held_bytes() - held;
            open.ready = false;
            used.user = User::Many;
            rank.joined(number);
            open.live += usize::from(lives);
            let complete = open.live == self.waited_for;
            self.queue.grew(joined);
            if complete {
                self.release(number, emit);
            }
            return self.keep_bounds(emit);
        }
        let alone = used.user == User::One(stream.rank) || self.waited_for <= 1 && lives;
        if alone && rank.held.is_empty() {
            // What is opened from now on comes after this line.
            rank.next = self.queue.next();
            return entry::lines(said, emit);
        }
        let number = self.queue.next();
        used.opened(number, alone);
        rank.joined(number);
        let mut open = self.queue.spare();
        open.gathered.start(said, &reading);
        open.gathered.names.clone_from(&self.names);
        (open.key, open.live, open.ready) = (key, usize::from(lives), alone);
        open.deadline = now.after(self.options.window);
        self.queue.push(open);
        self.keep_bounds(emit);
    }

    /// Over the bound the oldest entries go, whoever may still have said them.
    fn keep_bounds(&mut self, emit: &mut Emit<'_>) {
        let bounds = self.options.bounds;
        while self.queue.len() > bounds.max_entries || self.queue.held_bytes() > bounds.max_bytes {
            let Some(oldest) = self.queue.oldest() else { break };
            self.release(oldest, emit);
        }
    }

    /// When the next window ends.
    #[inline]
    pub(super) fn deadline(&mut self) -> Option<Timestamp> {
        self.queue.deadline()
    }

    /// Gives out what has waited long enough.
    pub(super) fn expire(&mut self, now: Timestamp, emit: &mut Emit<'_>) {
        self.now = now;
        while self.queue.deadline().is_some_and(|deadline| deadline <= now) {
            let Some(oldest) = self.queue.oldest() else { break };
            self.release(oldest, emit);
        }
    }

    /// Gives out all entries.
    pub(super) fn release_all(&mut self, emit: &mut Emit<'_>) {
        while let Some(oldest) = self.queue.oldest() {
            self.release(oldest, emit);
        }
    }

    /// Gives out all that holds lines of a rank.
    fn release_rank(&mut self, rank: u32, emit: &mut Emit<'_>) {
        while let Some(&last) = self.cursors.of(rank).held.back() {
            self.release(last, emit);
        }
    }

    /// Gives out an entry, after every older one that holds lines of the same ranks, and after those
    /// what older ones hold of theirs. Then what waited for them.
    fn release(&mut self, number: u64, emit: &mut Emit<'_>) {
        let mut waiting = Vec::new();
        let mut next = Some(number);
        while let Some(number) = next {
            if self.is_oldest_of_its_ranks(number) {
                self.give(number, &mut waiting, emit);
            } else {
                for number in self.with_older(number) {
                    self.give(number, &mut waiting, emit);
                }
            }
            next = waiting.pop();
        }
    }

    fn is_oldest_of_its_ranks(&mut self, number: u64) -> bool {
        let Some(open) = self.queue.get(number) else {
            return true;
        };
        let cursors = &mut self.cursors;
        open.gathered.ranks.iter().all(|rank| cursors.of(rank).held.front() == Some(&number))
    }

    /// The entries that have to go with an entry, ascending, itself the last.
    fn with_older(&mut self, number: u64) -> impl Iterator<Item = u64> + use<> {
        let mut chosen = BTreeSet::from([number]);
        let mut next = Some(number);
        // Downwards: what an entry needs is always older than itself.
        while let Some(number) = next {
            if let Some(open) = self.queue.get(number) {
                for rank in open.gathered.ranks.iter() {
                    let held = &self.cursors.of(rank).held;
                    let older = held.partition_point(|&held| held < number);
                    chosen.extend(older.checked_sub(1).map(|before| held[before]));
                }
            }
            next = chosen.range(..number).next_back().copied();
        }
        chosen.into_iter()
    }

    /// Gives out an entry before which nothing holds lines of its ranks; notes which others had
    /// only been waiting for it.
    fn give(&mut self, number: u64, ready: &mut Vec<u64>, emit: &mut Emit<'_>) {
        let Some(open) = self.queue.take(number) else {
            return;
        };
        open.gathered.emit(Some(&self.live), emit);
        for rank in open.gathered.ranks.iter() {
            let held = &mut self.cursors.of(rank).held;
            while held.front().is_some_and(|&held| held <= number) {
                held.pop_front();
            }
            let next = held.front().copied();
            ready.extend(next.filter(|&n| self.queue.get(n).is_some_and(|open| open.ready)));
        }
        self.close_use(&open, number);
        self.queue.recycle(open);
    }

    fn close_use(&mut self, open: &Open, number: u64) {
        let Some(used) = self.uses.get(open.key) else {
            return;
        };
        if let Ok(at) = used.open.binary_search(&number) {
            used.open.remove(at);
        }
        let mut ranks = open.gathered.ranks.iter();
        if let (User::Unknown, Some(rank), None) = (used.user, ranks.next(), ranks.next()) {
            used.user = User::One(rank);
        }
    }

    /// The rank is waited for from now on.
    pub(super) fn started(&mut self, rank: u32) {
        if !self.live.insert(rank) {
            return;
        }
        self.waited_for = self.live.len();
        for (_, open) in self.queue.each() {
            open.live += usize::from(open.gathered.ranks.contains(rank));
        }
    }

    /// Nobody waits for the rank any more.
    pub(super) fn ended(&mut self, rank: u32, emit: &mut Emit<'_>) {
        if !self.live.remove(rank) {
            return;
        }
        self.waited_for = self.live.len();
        let mut complete = Vec::new();
        for (number, open) in self.queue.each() {
            open.live -= usize::from(open.gathered.ranks.contains(rank));
            if open.live == self.waited_for {
                complete.push(number);
            }
        }
        for number in complete {
            self.release(number, emit);
        }
    }
}

/// The entry that a line joins, of the open ones of its statement from number `next` on: the oldest,
/// unless several ranks agree in it on a value that the line has not and a later entry has. That
/// rank has missed a line; joining the oldest would make it one behind for good.
#[inline]
fn choose(
    queue: &mut Queue,
    open: &VecDeque<u64>,
    next: u64,
    reading: &Reading<'_>,
) -> Option<u64> {
    let at = open.partition_point(|&number| number < next);
    let oldest = *open.get(at)?;
    if open.len() - at == 1 || reading.places.is_empty() {
        return Some(oldest);
    }
    let differing = queue.get(oldest)?.gathered.agreed_otherwise(reading);
    if differing.is_empty() {
        return Some(oldest);
    }
    let mut later = open.iter().skip(at + 1).take(MAX_CHOICES).copied();
    let agrees = |number: &u64| {
        queue.get(*number).is_some_and(|open| {
            differing.iter().any(|&place| open.gathered.starts_with(place, reading))
        })
    };
    Some(later.find(agrees).unwrap_or(oldest))
}
