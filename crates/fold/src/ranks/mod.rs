//! The same statement of several ranks as one entry.

mod alignment;
mod choice;
mod core;
mod cursors;
mod merging;
mod order;
mod queue;
mod sequence;

use std::sync::Arc;
use std::time::Duration;

use lastline_line::{Emit, Fold, Line, RankNames, RankSet, StreamId, StreamSet, Timestamp};

use self::core::Core;
use crate::miner::MinerOptions;
use crate::options::Bounds;
use crate::unit::Units;

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
    /// Waits for the ranks in `live`; where some are to say something on one of their streams alone, for
    /// those streams.
    pub fn new(live: impl Into<StreamSet>, options: RanksOptions) -> Self {
        Self { units: Units::default(), core: Core::new(&live.into(), options) }
    }

    /// Waits for the ranks that have said something by then, where it is not known beforehand which
    /// ones there are. As long as another one said its first line less than a window ago, nothing
    /// counts as said by all.
    pub fn of_speakers(options: RanksOptions) -> Self {
        Self { units: Units::default(), core: Core::of_speakers(options) }
    }

    /// With what ranks are called, where an entry's text names some. Default: their numbers.
    pub fn named(mut self, names: Arc<dyn RankNames>) -> Self {
        self.core.names = Some(names);
        self
    }

    /// A rank was started, again or later than the others: it is waited for from now on.
    pub fn started(&mut self, rank: u32) {
        self.core.started(rank);
    }
}

impl Fold for Ranks {
    fn push(&mut self, line: &Line<'_>, now: Timestamp, emit: &mut Emit<'_>) {
        let core = &mut self.core;
        if core.deadline().is_some_and(|deadline| deadline <= now) {
            core.expire(now, emit);
        }
        self.units.push(line, now, &mut |said| core.take(said, now, emit));
        if self.units.held_bytes() > self.core.options.bounds.max_bytes {
            self.units.finish(&mut |said| self.core.take(said, now, emit));
        }
    }

    fn push_last(&mut self, line: &Line<'_>, now: Timestamp, emit: &mut Emit<'_>) {
        self.core.expire(now, emit);
        self.units.push_last(line, now, &mut |said| self.core.take(said, now, emit));
    }

    fn due(&mut self, now: Timestamp, emit: &mut Emit<'_>) -> Option<Timestamp> {
        let silent = self.units.due(now, &mut |said| self.core.take(said, now, emit));
        self.core.expire(now, emit);
        let deadline = self.core.deadline();
        silent.into_iter().chain(deadline).min()
    }

    fn finish(&mut self, emit: &mut Emit<'_>) {
        let now = self.core.now;
        self.units.finish(&mut |said| self.core.take(said, now, emit));
        self.core.release_all(emit);
    }

    fn ended(&mut self, rank: u32, now: Timestamp, emit: &mut Emit<'_>) {
        self.units.ended(rank, &mut |said| self.core.take(said, now, emit));
        self.core.ended(rank, now, emit);
    }

    fn ahead(&self, stream: StreamId) -> u64 {
        self.core.ahead(stream)
    }

    fn for_states(&self, ranks: RankSet) -> Box<dyn Fold> {
        let states = Self::new(ranks, self.core.options);
        Box::new(match &self.core.names {
            Some(names) => states.named(Arc::clone(names)),
            None => states,
        })
    }

    fn name(&self) -> &'static str {
        "ranks"
    }
}
