//! Where each rank is among the entries, and who uses which statement.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

/// Ranks below this are found by index.
const NEAR: u32 = 1 << 14;

/// Where a rank is.
#[derive(Debug, Default)]
pub(super) struct RankCursor {
    /// One past the number of the entry it joined last: the first one it may join next.
    pub(super) next: u64,
    /// The numbers of the open entries that hold lines of it, ascending.
    pub(super) held: VecDeque<u64>,
}

impl RankCursor {
    /// An entry holds a line of it.
    #[inline]
    pub(super) fn joined(&mut self, number: u64) {
        self.next = number + 1;
        self.held.push_back(number);
    }
}

/// All ranks that have said something.
#[derive(Debug, Default)]
pub(super) struct RankCursors {
    near: Vec<RankCursor>,
    far: FxHashMap<u32, RankCursor>,
}

impl RankCursors {
    /// The rank.
    #[inline]
    pub(super) fn of(&mut self, rank: u32) -> &mut RankCursor {
        if rank >= NEAR {
            return self.far.entry(rank).or_default();
        }
        let at = rank as usize;
        if at >= self.near.len() {
            self.near.resize_with(at + 1, RankCursor::default);
        }
        &mut self.near[at]
    }
}

/// Who uses a statement, and its open entries.
#[derive(Debug, Default)]
pub(super) struct Use {
    pub(super) user: User,
    /// Numbers of open entries, ascending.
    pub(super) open: VecDeque<u64>,
}

impl Use {
    /// A new entry is of the statement, made by its only user or by another one.
    pub(super) fn opened(&mut self, number: u64, alone: bool) {
        if !alone && self.user != User::Unknown {
            self.user = User::Many;
        }
        self.open.push_back(number);
    }
}

/// Who has been seen to use a statement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum User {
    /// No entry of it has been given out yet.
    #[default]
    Unknown,
    /// This rank alone.
    One(u32),
    /// Several.
    Many,
}
