//! Open entries, in their order and by age.

use lastline_line::{Stream, Timestamp};

use super::order::{Order, Position};
use crate::entry::Gathered;
use crate::miner::GroupId;

/// How many closed entries are kept for their memory.
const SPARE: usize = 512;
/// Larger ones are not.
const MAX_SPARE_BYTES: usize = 8 << 10;

/// An entry that waits for more ranks, or for its turn.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) gathered: Gathered,
    /// What statement it is of.
    pub(super) key: u64,
    /// The group of its lines; of a unit's there are several.
    pub(super) group: Option<GroupId>,
    /// Which of its ranks' streams said it.
    pub(super) stream: Stream,
    /// The rank, while only one has said it.
    pub(super) only: Option<u32>,
    pub(super) deadline: Timestamp,
    /// How many of the ranks that live have said it.
    pub(super) live: usize,
    /// In how many of its streams an older entry is open.
    pub(super) waits_for: usize,
    /// Only one rank is expected to say it: it goes out as soon as nothing older holds that stream.
    pub(super) ready: bool,
}

impl Default for Open {
    fn default() -> Self {
        Self {
            gathered: Gathered::default(),
            key: 0,
            group: None,
            stream: Stream::Stdout,
            only: None,
            deadline: Timestamp::default(),
            live: 0,
            waits_for: 0,
            ready: false,
        }
    }
}

/// A position in the order.
#[derive(Debug, Default)]
struct Slot {
    /// None once it was taken out, and at the head.
    open: Option<Box<Open>>,
    /// How many streams stay here: the position is kept for them when the entry has gone.
    stays: usize,
    /// The how manieth one it was.
    opened: u64,
    /// The entry opened before it. With `newer` a circle through the head.
    older: Position,
    newer: Position,
}

/// Entries by position.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) order: Order,
    /// By [`Position::index`].
    slots: Vec<Slot>,
    open: usize,
    bytes: usize,
    #[expect(clippy::vec_box, reason = "what moves between here and `slots` is large")]
    spare: Vec<Box<Open>>,
}

impl Default for Queue {
    fn default() -> Self {
        let slots = vec![Slot::default()];
        Self { order: Order::default(), slots, open: 0, bytes: 0, spare: Vec::new() }
    }
}

impl Queue {
    /// An entry to fill.
    pub(super) fn spare(&mut self) -> Box<Open> {
        self.spare.pop().unwrap_or_default()
    }

    /// Puts an entry right behind a position, as the newest.
    pub(super) fn insert_behind(&mut self, behind: Position, open: Box<Open>) -> Position {
        self.open += 1;
        self.bytes += open.gathered.held_bytes();
        let at = self.order.insert_behind(behind);
        if at.index() == self.slots.len() {
            self.slots.push(Slot::default());
        }
        let older = self.slots[0].older;
        let opened = self.slots[older.index()].opened + 1;
        self.slots[at.index()] =
            Slot { open: Some(open), stays: 0, opened, older, newer: Position::HEAD };
        self.slots[older.index()].newer = at;
        self.slots[0].older = at;
        at
    }

    /// What was said joined an open entry, which takes so many bytes more.
    pub(super) fn grew(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// The entry at a position, while it is open.
    #[inline]
    pub(super) fn get(&self, at: Position) -> Option<&Open> {
        self.slots[at.index()].open.as_deref()
    }

    /// The same, to change it.
    #[inline]
    pub(super) fn get_mut(&mut self, at: Position) -> Option<&mut Open> {
        self.slots[at.index()].open.as_deref_mut()
    }

    /// Takes an entry out.
    pub(super) fn take(&mut self, at: Position) -> Option<Box<Open>> {
        let slot = &mut self.slots[at.index()];
        let open = slot.open.take()?;
        let stays = slot.stays;
        self.leave_ages(at);
        self.open -= 1;
        self.bytes = self.bytes.saturating_sub(open.gathered.held_bytes());
        if stays == 0 {
            self.order.remove(at);
        }
        Some(open)
    }

    /// A stream that stayed at one position stays at another.
    #[inline]
    pub(super) fn stay(&mut self, from: Position, at: Position) {
        self.slots[at.index()].stays += 1;
        if from == Position::HEAD {
            return;
        }
        let slot = &mut self.slots[from.index()];
        slot.stays -= 1;
        if slot.stays == 0 && slot.open.is_none() {
            self.order.remove(from);
        }
    }

    /// The last of the closed positions right behind one, `most` at most; itself when there is none.
    pub(super) fn skip_closed(&self, from: Position, most: usize) -> Position {
        let mut at = from;
        for _ in 0..most {
            let next = self.order.behind(at);
            if next == Position::HEAD || self.get(next).is_some() {
                break;
            }
            at = next;
        }
        at
    }

    /// Puts what one entry holds into another one, which has its place in the order still and is as
    /// old as the older one from now on.
    pub(super) fn unite(&mut self, from: Position, into: Position) {
        let (Some(moved), Some(kept)) = (self.get(from), self.get(into)) else { return };
        let held = moved.gathered.held_bytes() + kept.gathered.held_bytes();
        let from_is_older = self.slots[from.index()].opened < self.slots[into.index()].opened;
        if from_is_older {
            self.leave_ages(into);
            let Slot { older, newer, opened, .. } = self.slots[from.index()];
            let slot = &mut self.slots[into.index()];
            (slot.older, slot.newer, slot.opened) = (older, newer, opened);
            self.slots[older.index()].newer = into;
            self.slots[newer.index()].older = into;
        } else {
            self.leave_ages(from);
        }
        let (moved, kept) =
            (self.slots[from.index()].open.take(), self.slots[into.index()].open.take());
        let (Some(moved), Some(kept)) = (moved, kept) else { return };
        let (mut older, newer) = if from_is_older { (moved, kept) } else { (kept, moved) };
        older.gathered.absorb(&newer.gathered);
        older.live += newer.live;
        older.waits_for += newer.waits_for;
        (older.only, older.ready) = (None, false);
        self.open -= 1;
        self.bytes = (self.bytes + older.gathered.held_bytes()).saturating_sub(held);
        self.slots[into.index()].open = Some(older);
        self.recycle(newer);
        if self.slots[from.index()].stays == 0 {
            self.order.remove(from);
        }
    }

    /// Takes an entry out of the list by age.
    fn leave_ages(&mut self, at: Position) {
        let Slot { older, newer, .. } = self.slots[at.index()];
        self.slots[older.index()].newer = newer;
        self.slots[newer.index()].older = older;
    }

    /// All that is open, the oldest first.
    pub(super) fn positions(&self) -> Vec<Position> {
        let newer = |&at: &Position| Some(self.slots[at.index()].newer);
        let ages = std::iter::successors(self.oldest(), newer);
        ages.take_while(|&at| at != Position::HEAD).collect()
    }

    /// Gives an entry's memory back.
    pub(super) fn recycle(&mut self, open: Box<Open>) {
        if self.spare.len() < SPARE && open.gathered.held_bytes() <= MAX_SPARE_BYTES {
            self.spare.push(open);
        }
    }

    /// The position of the entry that has been open for longest.
    #[inline]
    pub(super) fn oldest(&self) -> Option<Position> {
        let oldest = self.slots[0].newer;
        (oldest != Position::HEAD).then_some(oldest)
    }

    /// When the oldest entry's window ends. Windows are equally long, so it is the next one.
    #[inline]
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.get(self.slots[0].newer).map(|open| open.deadline)
    }

    /// Changes each entry that a rank has said on this stream.
    pub(super) fn each_of(&mut self, rank: u32, stream: Stream, mut change: impl FnMut(&mut Open)) {
        let open = self.slots.iter_mut().filter_map(|slot| slot.open.as_deref_mut());
        let open = open.filter(|open| open.stream == stream);
        open.filter(|open| open.gathered.ranks.contains(rank)).for_each(&mut change);
    }

    /// The entries that so many live ranks have said, by stream, the oldest first.
    pub(super) fn said_by(&self, live: [usize; Stream::ALL.len()]) -> Vec<Position> {
        let mut open = self.positions();
        let is_so = |open: &Open| open.live == live[open.stream as usize];
        open.retain(|&at| self.get(at).is_some_and(is_so));
        open
    }

    /// How many are open.
    pub(super) fn len(&self) -> usize {
        self.open
    }

    /// How many bytes of text and values they hold.
    pub(super) fn held_bytes(&self) -> usize {
        self.bytes
    }
}
