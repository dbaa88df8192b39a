//! All similar lines in a window as one entry.

use std::sync::Arc;
use std::time::Duration;

use lastline_line::{Emit, Fold, Line, RankNames, RankSet, Timestamp};
use rustc_hash::FxHashMap;

use crate::entry;
use crate::miner::{Miner, MinerOptions};
use crate::options::Bounds;
use crate::ranks::{Ranks, RanksOptions};
use crate::read::Reader;
use crate::statement::hash::mix;
use crate::unit::{Said, Units};
use crate::window::Windows;

/// How [`Similar`] folds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimilarOptions {
    /// How long similar lines are gathered after the first one: 3 s.
    pub window: Duration,
    /// How much is held.
    pub bounds: Bounds,
    /// How many statements are known.
    pub miner: MinerOptions,
}

impl Default for SimilarOptions {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(3),
            bounds: Bounds::default(),
            miner: MinerOptions::default(),
        }
    }
}

/// Folds all lines of a statement, of whichever rank, into one entry per window.
///
/// The first line is given out at once and as it is; those that follow it within the window are
/// gathered, and given out as one entry when the window ends.
#[derive(Debug)]
pub struct Similar {
    units: Units,
    core: Core,
}

impl Similar {
    /// Folds with these options.
    pub fn new(options: SimilarOptions) -> Self {
        let core = Core {
            reader: Reader::new(Miner::new(options.miner)),
            windows: Windows::new(options.window),
            by_key: FxHashMap::default(),
            keys: std::collections::VecDeque::new(),
            bounds: options.bounds,
            now: Timestamp::default(),
        };
        Self { units: Units::default(), core }
    }

    /// With what ranks are called, where an entry's text names some. Default: their numbers.
    pub fn named(mut self, names: Arc<dyn RankNames>) -> Self {
        self.core.windows.names = Some(names);
        self
    }
}

impl Default for Similar {
    fn default() -> Self {
        Self::new(SimilarOptions::default())
    }
}

impl Fold for Similar {
    fn push(&mut self, line: &Line<'_>, now: Timestamp, emit: &mut Emit<'_>) {
        self.core.expire(now, emit);
        self.units.push(line, now, &mut |said| self.core.take(said, now, emit));
        if self.units.held_bytes() > self.core.bounds.max_bytes {
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
        silent.into_iter().chain(self.core.windows.deadline()).min()
    }

    fn finish(&mut self, emit: &mut Emit<'_>) {
        let now = self.core.now;
        self.units.finish(&mut |said| self.core.take(said, now, emit));
        while self.core.windows.len() > 0 {
            self.core.close(emit);
        }
    }

    fn ended(&mut self, rank: u32, now: Timestamp, emit: &mut Emit<'_>) {
        self.units.ended(rank, &mut |said| self.core.take(said, now, emit));
    }

    /// States of one moment are no lines of a while: each rank has its own, and who has which is
    /// what [`Ranks`](crate::Ranks) says.
    fn for_states(&self, ranks: RankSet) -> Box<dyn Fold> {
        Box::new(Ranks::new(ranks, RanksOptions::default()))
    }
    fn name(&self) -> &'static str {
        "similar"
    }
}

#[derive(Debug)]
struct Core {
    reader: Reader,
    windows: Windows,
    /// The open entry of a statement.
    by_key: FxHashMap<u64, u64>,
    /// The statements of the open entries, oldest first.
    keys: std::collections::VecDeque<u64>,
    bounds: Bounds,
    now: Timestamp,
}

impl Core {
    #[inline]
    fn take(&mut self, said: Said<'_>, now: Timestamp, emit: &mut Emit<'_>) {
        self.now = now;
        if !self.bounds.may_fold(said) {
            return entry::lines(said, emit);
        }
        let reading = self.reader.read(said);
        let key = mix(reading.key, said.stream().stream as u64 ^ 0x51_7c_c1_b7);
        if let Some(&number) = self.by_key.get(&key) {
            self.windows.join(number, said, &reading);
        } else {
            let number = self.windows.open(said, now, emit);
            self.by_key.insert(key, number);
            self.keys.push_back(key);
        }
        let bounds = self.bounds;
        while self.windows.len() > bounds.max_entries
            || self.windows.held_bytes() > bounds.max_bytes
        {
            self.close(emit);
        }
    }

    #[inline]
    fn expire(&mut self, now: Timestamp, emit: &mut Emit<'_>) {
        self.now = now;
        while self.windows.deadline().is_some_and(|deadline| deadline <= now) {
            self.close(emit);
        }
    }

    fn close(&mut self, emit: &mut Emit<'_>) {
        if let Some(key) = self.keys.pop_front() {
            self.by_key.remove(&key);
        }
        self.windows.close(emit);
    }
}
