//! The same statement of several ranks as one entry.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use lastline_line::{Emit, Fold, Line, RankSet, StreamId, Timestamp};
use rustc_hash::FxHashMap;

use crate::entry::{self, Gathered};
use crate::generations::Generations;
use crate::miner::{Miner, MinerOptions};
use crate::options::Bounds;
use crate::read::{Reader, Reading};
use crate::statement::hash::mix;
use crate::unit::{Said, Units};

/// How many entries of a statement are looked at for the one that a line belongs to.
const MAX_CHOICES: usize = 16;

/// How [`Ranks`] folds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RanksOptions {
    /// How long an entry waits for ranks that have not said it: 500 ms.
    pub window: Duration,
    /// How much is held.
    pub bounds: Bounds,
    /// How many statements are known.
    pub miner: MinerOptions,
}

impl Default for RanksOptions {
    fn default() -> Self {
        Self {
            window: Duration::from_millis(500),
            bounds: Bounds::default(),
            miner: MinerOptions::default(),
        }
    }
}

/// Folds what several ranks say into one entry; lines of one rank are never merged.
///
/// See the crate documentation for the theory.
#[derive(Debug)]
pub struct Ranks {
    units: Units,
    core: Core,
}

impl Ranks {
    /// Waits for the ranks in `live`.
    pub fn new(live: RankSet, options: RanksOptions) -> Self {
        Self { units: Units::default(), core: Core::new(live, options) }
    }

    /// A rank was started, again or later than the others: it is waited for from now on.
    pub fn started(&mut self, rank: u32) {
        self.core.live.insert(rank);
        self.core.waited_for = self.core.live.len();
    }
}

impl Fold for Ranks {
    fn push(&mut self, line: &Line<'_>, now: Timestamp, emit: &mut Emit<'_>) {
        let core = &mut self.core;
        if core.next_deadline().is_some_and(|deadline| deadline <= now) {
            core.expire(now, emit);
        }
        self.units.push(line, now, &mut |said| core.take(said, now, emit));
        if self.units.held_bytes() > self.core.options.bounds.max_bytes {
            self.units.finish(&mut |said| self.core.take(said, now, emit));
        }
    }

    fn due(&mut self, now: Timestamp, emit: &mut Emit<'_>) -> Option<Timestamp> {
        let silent = self.units.due(now, &mut |said| self.core.take(said, now, emit));
        self.core.expire(now, emit);
        let deadline = self.core.next_deadline();
        silent.into_iter().chain(deadline).min()
    }

    fn finish(&mut self, emit: &mut Emit<'_>) {
        let now = self.core.now;
        self.units.finish(&mut |said| self.core.take(said, now, emit));
        self.core.release_all(emit);
    }

    fn ended(&mut self, rank: u32, now: Timestamp, emit: &mut Emit<'_>) {
        self.units.ended(rank, &mut |said| self.core.take(said, now, emit));
        self.core.ended(rank, emit);
    }
}

/// An entry that waits for more ranks, or for its turn.
#[derive(Debug, Default)]
struct Open {
    gathered: Gathered,
    use_key: u64,
    deadline: Timestamp,
    /// How many of the ranks that live have said it.
    live: usize,
    /// Only one rank is expected to say it: it goes out as soon as nothing older holds that rank.
    ready: bool,
}

/// Who uses a statement, and its open entries.
#[derive(Debug, Default)]
struct Use {
    user: User,
    /// Numbers of open entries, ascending.
    open: VecDeque<u64>,
}

/// Who has been seen to use a statement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum User {
    /// No entry of it has been given out yet.
    #[default]
    Unknown,
    /// This rank alone.
    One(u32),
    /// Several.
    Many,
}

/// Where a rank is.
#[derive(Debug, Default)]
struct Rank {
    /// One past the number of the entry it joined last: the first one it may join next.
    next: u64,
    /// The numbers of the open entries that hold lines of it, ascending.
    held: VecDeque<u64>,
}

/// Everything but the units.
#[derive(Debug)]
struct Core {
    options: RanksOptions,
    live: RankSet,
    waited_for: usize,
    reader: Reader,
    uses: Generations<Use>,
    ranks: FxHashMap<u32, Rank>,
    /// Entry number `base + i` at `i`; none once it was given out.
    entries: VecDeque<Option<Box<Open>>>,
    base: u64,
    open: usize,
    bytes: usize,
    #[expect(clippy::vec_box, reason = "what moves between here and `entries` is large")]
    spare: Vec<Box<Open>>,
    now: Timestamp,
}

impl Core {
    fn new(live: RankSet, options: RanksOptions) -> Self {
        Self {
            waited_for: live.len(),
            live,
            reader: Reader::new(Miner::new(options.miner)),
            uses: Generations::new(options.miner.max_statements),
            ranks: FxHashMap::default(),
            entries: VecDeque::new(),
            base: 0,
            open: 0,
            bytes: 0,
            spare: Vec::new(),
            now: Timestamp::default(),
            options,
        }
    }

    /// Takes a line or a unit.
    #[inline]
    fn take(&mut self, said: Said<'_>, now: Timestamp, emit: &mut Emit<'_>) {
        self.now = now;
        let stream = said.stream();
        if !self.options.bounds.may_fold(said) {
            self.release_rank(stream.rank, emit);
            return entry::lines(said, emit);
        }
        let reading = self.reader.read(said);
        let key = mix(reading.key, stream.stream as u64 ^ 0x51_7c_c1_b7);
        let used = self.uses.get_or_insert_with(key, Use::default);
        let rank = self.ranks.entry(stream.rank).or_default();
        let at = used.open.partition_point(|&number| number < rank.next);
        let found = choose(&mut self.entries, self.base, &used.open, at, &reading);
        if let Some(open) = found.and_then(|number| get(&mut self.entries, self.base, number)) {
            let number = found.unwrap_or_default();
            open.gathered.join_first(said, &reading);
            open.ready = false;
            used.user = User::Many;
            rank.next = number + 1;
            rank.held.push_back(number);
            open.live += usize::from(self.live.contains(stream.rank));
            if open.live == self.waited_for {
                self.release(number, emit);
            }
            return;
        }
        let alone = used.user == User::One(stream.rank)
            || self.waited_for <= 1 && self.live.contains(stream.rank);
        if alone && rank.held.is_empty() {
            rank.next = self.base + self.entries.len() as u64;
            return entry::lines(said, emit);
        }
        if !alone && matches!(used.user, User::One(_)) {
            used.user = User::Many;
        }
        let mut open = self.spare.pop().unwrap_or_default();
        open.gathered.start(said, &reading);
        open.use_key = key;
        self.open(open, stream, alone);
        self.bound(emit);
    }

    /// Puts a new entry at the end.
    fn open(&mut self, mut open: Box<Open>, stream: StreamId, alone: bool) {
        let number = self.base + self.entries.len() as u64;
        open.deadline = self.now.after(self.options.window);
        open.live = usize::from(self.live.contains(stream.rank));
        open.ready = alone;
        self.bytes += open.gathered.held_bytes();
        self.open += 1;
        if let Some(used) = self.uses.get(open.use_key) {
            used.open.push_back(number);
        }
        let rank = self.ranks.entry(stream.rank).or_default();
        rank.next = number + 1;
        rank.held.push_back(number);
        self.entries.push_back(Some(open));
    }

    /// Over the bound the oldest entries go, whoever may still have said them.
    fn bound(&mut self, emit: &mut Emit<'_>) {
        let bounds = self.options.bounds;
        while self.open > bounds.max_entries || self.bytes > bounds.max_bytes {
            let Some(oldest) = self.oldest() else { break };
            self.release(oldest, emit);
        }
    }

    /// The number of the oldest open entry.
    fn oldest(&mut self) -> Option<u64> {
        while let Some(None) = self.entries.front() {
            self.entries.pop_front();
            self.base += 1;
        }
        (!self.entries.is_empty()).then_some(self.base)
    }

    /// When the oldest open entry's window ends. Windows are equally long, so it is the next one.
    #[inline]
    fn next_deadline(&mut self) -> Option<Timestamp> {
        self.oldest()?;
        self.entries.front()?.as_ref().map(|open| open.deadline)
    }

    fn expire(&mut self, now: Timestamp, emit: &mut Emit<'_>) {
        self.now = now;
        while self.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.release(self.base, emit);
        }
    }

    fn release_all(&mut self, emit: &mut Emit<'_>) {
        while let Some(oldest) = self.oldest() {
            self.release(oldest, emit);
        }
    }

    /// Gives out all that holds lines of a rank.
    fn release_rank(&mut self, rank: u32, emit: &mut Emit<'_>) {
        while let Some(&last) = self.ranks.get(&rank).and_then(|rank| rank.held.back()) {
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
        let Some(open) = get(&mut self.entries, self.base, number) else {
            return true;
        };
        let held = |rank| self.ranks.get(&rank).and_then(|rank| rank.held.front());
        open.gathered.ranks.iter().all(|rank| held(rank) == Some(&number))
    }

    /// The entries that have to go with an entry, ascending, itself the last.
    fn with_older(&mut self, number: u64) -> impl Iterator<Item = u64> + use<> {
        let mut chosen = BTreeSet::from([number]);
        let mut next = Some(number);
        // Downwards: what an entry needs is always older than itself.
        while let Some(number) = next {
            if let Some(open) = get(&mut self.entries, self.base, number) {
                for rank in open.gathered.ranks.iter() {
                    let Some(rank) = self.ranks.get(&rank) else { continue };
                    let older = rank.held.partition_point(|&held| held < number);
                    chosen.extend(older.checked_sub(1).map(|before| rank.held[before]));
                }
            }
            next = chosen.range(..number).next_back().copied();
        }
        chosen.into_iter()
    }

    /// Gives out an entry before which nothing holds lines of its ranks; notes which others had
    /// only been waiting for it.
    fn give(&mut self, number: u64, ready: &mut Vec<u64>, emit: &mut Emit<'_>) {
        let at = (number - self.base) as usize;
        let Some(open) = self.entries.get_mut(at).and_then(Option::take) else {
            return;
        };
        self.open -= 1;
        self.bytes = self.bytes.saturating_sub(open.gathered.held_bytes());
        open.gathered.emit(Some(&self.live), emit);
        for rank in open.gathered.ranks.iter() {
            let Some(rank) = self.ranks.get_mut(&rank) else { continue };
            while rank.held.front().is_some_and(|&held| held <= number) {
                rank.held.pop_front();
            }
            let next = rank.held.front().copied();
            let waits =
                |next: &u64| get(&mut self.entries, self.base, *next).is_some_and(|n| n.ready);
            ready.extend(next.filter(waits));
        }
        self.close_use(&open, number);
        if self.spare.len() < 64 {
            self.spare.push(open);
        }
    }

    fn close_use(&mut self, open: &Open, number: u64) {
        let Some(used) = self.uses.get(open.use_key) else {
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

    /// Nobody waits for the rank any more.
    fn ended(&mut self, rank: u32, emit: &mut Emit<'_>) {
        if !self.live.remove(rank) {
            return;
        }
        self.waited_for = self.live.len();
        let mut complete = Vec::new();
        for (number, open) in (self.base..).zip(&mut self.entries) {
            let Some(open) = open else { continue };
            open.live = open.live.saturating_sub(usize::from(open.gathered.ranks.contains(rank)));
            if open.live == self.waited_for {
                complete.push(number);
            }
        }
        for number in complete {
            self.release(number, emit);
        }
    }
}

fn get(entries: &mut VecDeque<Option<Box<Open>>>, base: u64, number: u64) -> Option<&mut Open> {
    let at = number.checked_sub(base)?;
    entries.get_mut(at as usize)?.as_deref_mut()
}

/// The entry that a line joins, of the open ones of its statement from `at` on: the oldest, unless
/// several ranks agree in it on a value that the line has not and a later entry has. That rank has
/// missed a line; joining the oldest would make it one behind for good.
#[inline]
fn choose(
    entries: &mut VecDeque<Option<Box<Open>>>,
    base: u64,
    open: &VecDeque<u64>,
    at: usize,
    reading: &Reading<'_>,
) -> Option<u64> {
    let oldest = open.get(at).copied()?;
    if open.len() - at == 1 || reading.places.is_empty() {
        return Some(oldest);
    }
    let differing = get(entries, base, oldest)?.gathered.agreed_otherwise(reading);
    if differing.is_empty() {
        return Some(oldest);
    }
    let mut later = open.iter().skip(at + 1).take(MAX_CHOICES).copied();
    let agrees = |number: &u64| {
        get(entries, base, *number).is_some_and(|open| {
            differing.iter().any(|&place| open.gathered.starts_with(place, reading))
        })
    };
    Some(later.find(agrees).unwrap_or(oldest))
}
