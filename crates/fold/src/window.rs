//! Entries with a window: the first line at once, the similar ones after it as one entry.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use lastline_line::{Emit, RankNames, Timestamp};

use crate::entry::{self, Gathered, Rendering};
use crate::read::Reading;
use crate::unit::Said;

/// An entry whose first line has been given out already.
#[derive(Debug)]
struct Slot {
    deadline: Timestamp,
    /// What came after the first line, if anything did.
    rest: Option<Gathered>,
}

/// Entries in the order in which their windows end.
#[derive(Debug)]
pub(crate) struct Windows {
    slots: VecDeque<Slot>,
    /// The number of the oldest one.
    base: u64,
    window: Duration,
    bytes: usize,
    rendering: Rendering,
    /// What ranks are called.
    pub(crate) names: Option<Arc<dyn RankNames>>,
}

impl Windows {
    pub(crate) fn new(window: Duration) -> Self {
        let (slots, rendering) = (VecDeque::new(), Rendering::default());
        Self { slots, base: 0, window, bytes: 0, rendering, names: None }
    }

    /// Gives `said` out and opens a window for what is similar to it. Returns the entry's number.
    pub(crate) fn open(&mut self, said: Said<'_>, now: Timestamp, emit: &mut Emit<'_>) -> u64 {
        entry::lines(said, emit);
        self.slots.push_back(Slot { deadline: now.after(self.window), rest: None });
        self.base + self.slots.len() as u64 - 1
    }

    /// Adds `said` to an open entry.
    #[inline]
    pub(crate) fn join(&mut self, number: u64, said: Said<'_>, reading: &Reading<'_>) {
        let at = number.checked_sub(self.base).and_then(|at| usize::try_from(at).ok());
        let Some(slot) = at.and_then(|at| self.slots.get_mut(at)) else {
            return;
        };
        match &mut slot.rest {
            Some(rest) => {
                let before = rest.held_bytes();
                rest.join(said, reading);
                self.bytes += rest.held_bytes() - before;
            }
            None => {
                let mut rest = Gathered::of(said, reading);
                rest.names.clone_from(&self.names);
                self.bytes += rest.held_bytes();
                slot.rest = Some(rest);
            }
        }
    }

    /// When the next window ends.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.slots.front().map(|slot| slot.deadline)
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// How many bytes of text and values they hold.
    pub(crate) fn held_bytes(&self) -> usize {
        self.bytes
    }

    /// Closes the oldest entry and gives out what it gathered.
    pub(crate) fn close(&mut self, emit: &mut Emit<'_>) {
        if let Some(slot) = self.slots.pop_front() {
            self.base += 1;
            if let Some(rest) = slot.rest {
                self.bytes -= rest.held_bytes();
                rest.emit(None, &mut self.rendering, emit);
            }
        }
    }
}
