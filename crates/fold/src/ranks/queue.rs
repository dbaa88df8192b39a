//! Open entries, oldest first.

use std::collections::VecDeque;

use lastline_line::Timestamp;

use crate::entry::Gathered;

/// How many closed entries are kept for their memory.
const SPARE: usize = 512;
/// Larger ones are not.
const MAX_SPARE_BYTES: usize = 8 << 10;

/// An entry that waits for more ranks, or for its turn.
#[derive(Debug, Default)]
pub(super) struct Open {
    pub(super) gathered: Gathered,
    /// What statement it is of.
    pub(super) key: u64,
    pub(super) deadline: Timestamp,
    /// How many of the ranks that live have said it.
    pub(super) live: usize,
    /// Only one rank is expected to say it: it goes out as soon as nothing older holds that rank.
    pub(super) ready: bool,
}

/// Entries by number; a new one gets the next number.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Entry number `base + i` at `i`; none once it was taken out.
    entries: VecDeque<Option<Box<Open>>>,
    base: u64,
    open: usize,
    bytes: usize,
    #[expect(clippy::vec_box, reason = "what moves between here and `entries` is large")]
    spare: Vec<Box<Open>>,
}

impl Queue {
    /// The number of the next new entry.
    pub(super) fn next(&self) -> u64 {
        self.base + self.entries.len() as u64
    }

    /// An entry to fill.
    pub(super) fn spare(&mut self) -> Box<Open> {
        self.spare.pop().unwrap_or_default()
    }

    /// Puts an entry at the end.
    pub(super) fn push(&mut self, open: Box<Open>) {
        self.open += 1;
        self.bytes += open.gathered.held_bytes();
        self.entries.push_back(Some(open));
    }

    /// What was said joined an open entry, which takes so many bytes more.
    pub(super) fn grew(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// The entry with this number, while it is open.
    #[inline]
    pub(super) fn get(&mut self, number: u64) -> Option<&mut Open> {
        let at = number.checked_sub(self.base)?;
        self.entries.get_mut(at as usize)?.as_deref_mut()
    }

    /// Takes an entry out.
    pub(super) fn take(&mut self, number: u64) -> Option<Box<Open>> {
        let at = number.checked_sub(self.base)?;
        let open = self.entries.get_mut(at as usize)?.take()?;
        self.open -= 1;
        self.bytes = self.bytes.saturating_sub(open.gathered.held_bytes());
        Some(open)
    }

    /// Gives an entry's memory back.
    pub(super) fn recycle(&mut self, open: Box<Open>) {
        if self.spare.len() < SPARE && open.gathered.held_bytes() <= MAX_SPARE_BYTES {
            self.spare.push(open);
        }
    }

    /// The number of the oldest open entry.
    #[inline]
    pub(super) fn oldest(&mut self) -> Option<u64> {
        while let Some(None) = self.entries.front() {
            self.entries.pop_front();
            self.base += 1;
        }
        (!self.entries.is_empty()).then_some(self.base)
    }

    /// When the oldest open entry's window ends. Windows are equally long, so it is the next one.
    #[inline]
    pub(super) fn deadline(&mut self) -> Option<Timestamp> {
        self.oldest()?;
        self.entries.front()?.as_ref().map(|open| open.deadline)
    }

    /// The open entries with their numbers.
    pub(super) fn each(&mut self) -> impl Iterator<Item = (u64, &mut Open)> {
        let numbered = (self.base..).zip(&mut self.entries);
        numbered.filter_map(|(number, open)| Some((number, open.as_deref_mut()?)))
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
