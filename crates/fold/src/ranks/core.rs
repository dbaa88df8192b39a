//! From lines to entries, and from a line's own time to that of its entry.

use std::sync::Arc;

use lastline_line::{Emit, RankNames, RankSet, Stream, StreamId, StreamSet, Timestamp};

use super::RanksOptions;
use super::alignment::Alignment;
use super::cursors::User;
use super::order::Position;
use crate::entry::{self, Gathered, Rendering};
use crate::miner::Miner;
use crate::read::{Reader, Reading};
use crate::statement::hash::mix;
use crate::unit::Said;

/// Who is ahead and has waited for a whole window for others that did not come is not asked to wait for so
/// many: where others have nothing to say, waiting takes a fifth of the time at most.
const WINDOWS_WITHOUT_WAITING: u32 = 4;

/// After so many lines or units it is looked for the slowest rank.
const LOOK_EVERY: u64 = 1024;

/// How often what is open is read again, at most, for one line.
const MAX_READ_AGAIN: usize = 4;

/// What a stream said, as it is compared with what is open.
#[inline]
fn statement(reading: &Reading<'_>, stream: Stream) -> u64 {
    mix(reading.key, stream as u64 ^ 0x51_7c_c1_b7)
}

/// The ranks that are waited for, of one stream.
#[derive(Debug)]
struct Awaited {
    live: RankSet,
    /// How many those are.
    count: usize,
    /// Those that have ended, and may be started again.
    ended: RankSet,
}

impl Awaited {
    fn new(live: RankSet) -> Self {
        Self { count: live.len(), live, ended: RankSet::new() }
    }

    /// It is waited for from now on; false where it was before.
    fn add(&mut self, rank: u32) -> bool {
        let added = self.live.insert(rank);
        self.count += usize::from(added);
        added
    }

    /// It is not any more; false where it was not.
    fn end(&mut self, rank: u32) -> bool {
        let ended = self.live.remove(rank);
        if ended {
            self.count -= 1;
            self.ended.insert(rank);
        }
        ended
    }
}

/// Everything but the units.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) options: RanksOptions,
    awaited: [Awaited; Stream::ALL.len()],
    /// Before this, ranks that are not known may still come; where they are all known, not set.
    settled: Option<Timestamp>,
    /// Before this, nobody is ahead.
    waits_again: Timestamp,
    /// How many lines those of the ranks that live have said that said the fewest, by stream.
    slowest: [u64; Stream::ALL.len()],
    /// Lines and units so far.
    taken: u64,
    reader: Reader,
    rendering: Rendering,
    alignment: Alignment,
    pub(super) now: Timestamp,
    /// What ranks are called.
    pub(super) names: Option<Arc<dyn RankNames>>,
}

impl Core {
    pub(super) fn new(live: &StreamSet, options: RanksOptions) -> Self {
        Self {
            awaited: Stream::ALL.map(|stream| Awaited::new(live.of(stream).clone())),
            settled: None,
            waits_again: Timestamp::default(),
            slowest: Default::default(),
            taken: 0,
            reader: Reader::new(Miner::new(options.miner).noting_changes()),
            rendering: Rendering::default(),
            alignment: Alignment::new(options.miner.max_statements),
            now: Timestamp::default(),
            names: None,
            options,
        }
    }

    /// Waits for whoever has said something.
    pub(super) fn of_speakers(options: RanksOptions) -> Self {
        Self { settled: Some(Timestamp(u64::MAX)), ..Self::new(&StreamSet::default(), options) }
    }

    /// Whether a rank that speaks is waited for. One that was not is from now on, where speakers are, or
    /// where it had ended: it was started again.
    #[inline]
    fn meet(&mut self, stream: StreamId) -> bool {
        let awaited = &self.awaited[stream.stream as usize];
        if awaited.live.contains(stream.rank) {
            return true;
        }
        if self.settled.is_some() {
            self.started(stream.rank);
            self.settled = Some(self.now.after(self.options.window));
            return true;
        }
        let again = awaited.ended.contains(stream.rank);
        if again {
            self.started_again(stream.rank);
        }
        again
    }

    /// Whether all ranks that are waited for are known.
    #[inline]
    fn is_settled(&self) -> bool {
        self.settled.is_none_or(|settled| settled <= self.now)
    }

    /// Takes a line or a unit.
    #[inline]
    pub(super) fn take(&mut self, said: Said<'_>, now: Timestamp, emit: &mut Emit<'_>) {
        self.now = now;
        self.taken += 1;
        if self.taken.is_multiple_of(LOOK_EVERY) && self.is_half_full() {
            let live = |stream| &self.awaited[stream as usize].live;
            self.slowest = Stream::ALL.map(|stream| self.alignment.slowest(stream, live(stream)));
        }
        let stream = said.stream();
        if !self.options.bounds.may_fold(said) {
            self.release_stream(stream.rank, stream.stream, emit);
            return entry::lines(said, emit);
        }
        let lives = self.meet(stream);
        let settled = self.is_settled();
        let awaited = self.awaited[stream.stream as usize].count;
        let alignment = &mut self.alignment;
        if let Some(at) = alignment.find_same(said) {
            let live = alignment.join(at, stream, lives, |gathered| gathered.join_same(said));
            return self.joined(at, live == awaited && settled, emit);
        }
        let mut reading = self.reader.read(said);
        if reading.changed {
            let before = self.read_again(emit);
            reading = self.reader.read(said);
            self.alignment.went_on_if_new(statement(&reading, stream.stream), before);
        }
        let alignment = &mut self.alignment;
        let key = statement(&reading, stream.stream);
        if let Some(at) = alignment.find(key, stream, &reading) {
            let join = |gathered: &mut Gathered| gathered.join_first(said, &reading);
            let live = alignment.join(at, stream, lives, join);
            return self.joined(at, live == awaited && settled, emit);
        }
        let only = awaited <= 1 && lives && settled;
        let alone = alignment.user(key) == User::One(stream.rank) || only;
        if alone && alignment.cursor(stream.rank, stream.stream).held.is_empty() {
            return entry::lines(said, emit);
        }
        let mut open = alignment.queue.spare();
        open.gathered.start(said, &reading);
        open.gathered.names.clone_from(&self.names);
        (open.key, open.group) = (key, reading.group);
        (open.live, open.ready) = (usize::from(lives), alone);
        open.deadline = now.after(self.options.window);
        alignment.open(open, stream);
        self.keep_bounds(emit);
    }

    /// A word turned out to be a variable: what was read before is read again where that may change
    /// it, so that lines which fold are in one entry whichever came first. Returns how many statements that
    /// are one now have been given out as entries of several ranks.
    #[cold]
    fn read_again(&mut self, emit: &mut Emit<'_>) -> usize {
        let (mut found, mut given_out) = (Vec::new(), 0);
        // Reading may teach something, too.
        for _ in 0..MAX_READ_AGAIN {
            let changed = self.reader.take_changed();
            if changed.is_empty() {
                break;
            }
            for at in self.alignment.queue.positions() {
                let Some(open) = self.alignment.queue.get_mut(at) else { continue };
                if open.group.is_some_and(|group| !changed.contains(&group)) {
                    continue;
                }
                let (text, lines) = open.gathered.first_said();
                let reading = self.reader.read(Said { text: &text, lines: &lines });
                let key = statement(&reading, open.stream);
                if key != open.key && open.gathered.vary_in(reading.places) {
                    self.alignment.change_statement(at, key, reading.group);
                    found.push(key);
                }
            }
            given_out = given_out.max(self.alignment.folded(&changed));
        }
        found.sort_unstable();
        found.dedup();
        found.into_iter().for_each(|key| self.alignment.merge_alike(key, given_out));
        self.release_complete(emit);
        given_out
    }

    /// A line has joined an entry, which all that are waited for have said by now, or not.
    #[inline]
    fn joined(&mut self, at: Position, by_all: bool, emit: &mut Emit<'_>) {
        if by_all {
            self.release(at, emit);
        }
        self.keep_bounds(emit);
    }

    /// Gives out what all that are waited for have said.
    fn release_complete(&mut self, emit: &mut Emit<'_>) {
        if !self.is_settled() {
            return;
        }
        let counts = self.awaited.each_ref().map(|awaited| awaited.count);
        for at in self.alignment.queue.said_by(counts) {
            self.release(at, emit);
        }
    }

    /// Over the bound the oldest entries go, whoever may still have said them.
    fn keep_bounds(&mut self, emit: &mut Emit<'_>) {
        let bounds = self.options.bounds;
        loop {
            let queue = &self.alignment.queue;
            if queue.len() <= bounds.max_entries && queue.held_bytes() <= bounds.max_bytes {
                return;
            }
            let Some(oldest) = queue.oldest() else { return };
            self.release(oldest, emit);
        }
    }

    /// Who is ahead when half of what may be held is: whoever said most of that, so that it waits for others,
    /// or has said far more lines than the slowest of its kind. Nobody is for a while after one was waited
    /// for in vain, nor where all may wait for ranks that are not known.
    pub(super) fn ahead(&self, stream: StreamId) -> u64 {
        if self.now < self.waits_again || !self.is_half_full() || !self.is_settled() {
            return 0;
        }
        let (lines, held) = self.alignment.said_by(stream);
        let lead = lines.saturating_sub(self.slowest[stream.stream as usize]);
        let far = (self.options.bounds.max_entries / 4) as u64;
        if lead > far || held > self.alignment.queue.len() / 2 { lead.max(held as u64) } else { 0 }
    }

    fn is_half_full(&self) -> bool {
        let (queue, bounds) = (&self.alignment.queue, self.options.bounds);
        queue.len() > bounds.max_entries / 2 || queue.held_bytes() > bounds.max_bytes / 2
    }

    /// When the next window ends.
    #[inline]
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.alignment.queue.deadline()
    }

    /// Gives out what has waited long enough.
    pub(super) fn expire(&mut self, now: Timestamp, emit: &mut Emit<'_>) {
        self.now = now;
        while self.deadline().is_some_and(|deadline| deadline <= now) {
            let Some(oldest) = self.alignment.queue.oldest() else { break };
            if self.is_half_full() {
                self.waits_again = now.after(WINDOWS_WITHOUT_WAITING * self.options.window);
            }
            self.release(oldest, emit);
        }
    }

    /// Gives out all entries.
    pub(super) fn release_all(&mut self, emit: &mut Emit<'_>) {
        while let Some(oldest) = self.alignment.queue.oldest() {
            self.release(oldest, emit);
        }
    }

    /// Gives out all that holds lines of a stream.
    fn release_stream(&mut self, rank: u32, stream: Stream, emit: &mut Emit<'_>) {
        while let Some(&last) = self.alignment.cursor(rank, stream).held.back() {
            self.release(last, emit);
        }
    }

    /// Gives out an entry, after what its streams said before it; then what had only waited for
    /// those that went.
    fn release(&mut self, at: Position, emit: &mut Emit<'_>) {
        let (mut ready, mut next) = (Vec::new(), Some(at));
        while let Some(at) = next {
            if self.alignment.queue.get(at).is_some_and(|open| open.waits_for == 0) {
                self.give(at, &mut ready, emit);
            } else {
                self.give_with_older(at, &mut ready, emit);
            }
            next = ready.pop();
        }
    }

    /// Gives out an entry, after every older one of its streams and what those need in turn. Rank by
    /// rank, each one's lines together: of entries that no stream orders, this is how they read best.
    fn give_with_older(&mut self, at: Position, ready: &mut Vec<Position>, emit: &mut Emit<'_>) {
        // Entries that need others first, each with its ranks that have something older open.
        let mut needing = vec![(at, self.alignment.behind_older(at))];
        while let Some((at, ranks)) = needing.last_mut() {
            let at = *at;
            let Some(stream) = self.alignment.queue.get(at).map(|open| open.stream) else {
                needing.pop();
                continue;
            };
            let older = ranks
                .last()
                .and_then(|&rank| self.alignment.cursor(rank, stream).held.front().copied());
            match older {
                Some(older) if older != at => {
                    let ranks = self.alignment.behind_older(older);
                    needing.push((older, ranks));
                }
                Some(_) => {
                    ranks.pop();
                }
                None => {
                    needing.pop();
                    self.give(at, ready, emit);
                }
            }
        }
    }

    /// Gives out an entry that is the oldest one of all its streams.
    fn give(&mut self, at: Position, ready: &mut Vec<Position>, emit: &mut Emit<'_>) {
        if let Some(open) = self.alignment.close(at, ready) {
            let live = &self.awaited[open.stream as usize].live;
            open.gathered.emit(Some(live), &mut self.rendering, emit);
            self.alignment.queue.recycle(open);
        }
    }

    /// The rank is waited for from now on.
    pub(super) fn started(&mut self, rank: u32) {
        Stream::ALL.into_iter().for_each(|stream| self.add(rank, stream));
    }

    /// It is again, of those streams of which it was before it ended.
    #[cold]
    fn started_again(&mut self, rank: u32) {
        for stream in Stream::ALL {
            if self.awaited[stream as usize].ended.remove(rank) {
                self.add(rank, stream);
            }
        }
    }

    fn add(&mut self, rank: u32, stream: Stream) {
        if self.awaited[stream as usize].add(rank) {
            self.alignment.queue.each_of(rank, stream, |open| open.live += 1);
        }
    }

    /// Nobody waits for the rank any more. As long as others may still come, nothing counts as said by all.
    pub(super) fn ended(&mut self, rank: u32, now: Timestamp, emit: &mut Emit<'_>) {
        self.now = now;
        let mut ended = false;
        for stream in Stream::ALL {
            if self.awaited[stream as usize].end(rank) {
                self.alignment.queue.each_of(rank, stream, |open| open.live -= 1);
                ended = true;
            }
        }
        if ended {
            self.release_complete(emit);
        }
    }
}
