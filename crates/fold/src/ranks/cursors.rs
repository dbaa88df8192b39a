//! Where each stream is among the entries, and who uses which statement.

use std::collections::VecDeque;

use lastline_line::Stream;
use rustc_hash::FxHashMap;

use super::order::Position;
use super::sequence::Sequence;
use crate::miner::GroupId;

/// Ranks below this are found by index.
const NEAR: u32 = 1 << 14;

/// Where a stream is.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    /// The last entry that it shares with another stream: what it joins is behind it.
    pub(super) shared: Position,
    /// The open entries that hold lines of it, in their order. Those behind `shared` hold nothing
    /// else.
    pub(super) held: VecDeque<Position>,
    /// How many lines and units were gathered of it.
    pub(super) said: u64,
}

impl Cursor {
    /// What its next new entry is right behind.
    pub(super) fn last(&self) -> Position {
        self.held.back().copied().unwrap_or(self.shared)
    }
}

/// All streams that have said something.
#[derive(Debug, Default)]
pub(super) struct Cursors {
    /// A rank's two streams side by side.
    near: Vec<Cursor>,
    far: FxHashMap<(u32, Stream), Cursor>,
}

impl Cursors {
    /// The stream's.
    #[inline]
    pub(super) fn of(&mut self, rank: u32, stream: Stream) -> &mut Cursor {
        let at = rank as usize * Stream::ALL.len() + stream as usize;
        if at >= self.near.len() {
            return self.new_or_far(rank, stream, at);
        }
        &mut self.near[at]
    }

    /// The stream's, once it has said something.
    pub(super) fn known(&self, rank: u32, stream: Stream) -> Option<&Cursor> {
        let at = rank as usize * Stream::ALL.len() + stream as usize;
        self.near.get(at).or_else(|| self.far.get(&(rank, stream)))
    }

    #[cold]
    fn new_or_far(&mut self, rank: u32, stream: Stream, at: usize) -> &mut Cursor {
        if rank >= NEAR {
            return self.far.entry((rank, stream)).or_default();
        }
        self.near.resize_with(at + 1, Cursor::default);
        &mut self.near[at]
    }
}

/// Who uses a statement, and its open entries.
#[derive(Debug, Default)]
pub(super) struct Use {
    pub(super) user: User,
    /// In their order. Of those behind what a stream shares, the ones that it alone has said come
    /// first: it would have joined one ahead of them instead, and whoever opened one later that was
    /// not behind them would have joined them. But what is put behind an entry comes ahead of them.
    pub(super) open: VecDeque<Position>,
    /// By what its lines are told apart.
    pub(super) sequence: Sequence,
    /// The group of its lines; see [`Open::group`](super::queue::Open::group).
    pub(super) group: Option<GroupId>,
    /// An entry of it that several ranks have said has been given out.
    pub(super) folded: bool,
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

impl User {
    /// Who uses what turned out to be one statement.
    pub(super) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unknown, user) | (user, Self::Unknown) => user,
            (one, other) if one == other => one,
            _ => Self::Many,
        }
    }

    /// An entry of the statement that only this rank has said is given out.
    pub(super) fn said_alone(&mut self, rank: u32) {
        *self = match self {
            Self::Unknown => Self::One(rank),
            Self::One(one) if *one == rank => Self::One(rank),
            Self::One(_) | Self::Many => Self::Many,
        };
    }
}
