//! The similarity of the starting design: the nearest entry by edit distance.

use std::borrow::Cow;
use std::time::Duration;

use lastline_line::{Colours, Emit, Fold, Line, Stream, Timestamp, plain_text};

use crate::entry;
use crate::nearest::Nearest;
use crate::options::Bounds;
use crate::read::Reading;
use crate::unit::{Said, Units};
use crate::window::Windows;

/// How [`EditDistance`] folds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EditDistanceOptions {
    /// How long similar lines are gathered after the first one: 3 s.
    pub window: Duration,
    /// How much is held; 1,000 entries for each of stdout and stderr.
    pub bounds: Bounds,
}

impl Default for EditDistanceOptions {
    fn default() -> Self {
        let bounds = Bounds { max_entries: 1000, ..Bounds::default() };
        Self { window: Duration::from_secs(3), bounds }
    }
}

/// Folds a line into the nearest entry of its window by [normalised edit distance](Nearest).
///
/// The first line of an entry is given out at once and as it is, and it is what others are compared
/// with; those that follow are gathered and given out as one entry, which looks like the first of
/// them.
#[derive(Debug)]
pub struct EditDistance {
    units: Units,
    core: Core,
}

impl EditDistance {
    /// Folds with these options.
    pub fn new(options: EditDistanceOptions) -> Self {
        let side = || Side { nearest: Nearest::default(), windows: Windows::new(options.window) };
        let core = Core {
            sides: [side(), side(), side()],
            plain: Vec::new(),
            bounds: options.bounds,
            now: Timestamp::default(),
        };
        Self { units: Units::default(), core }
    }
}

impl Default for EditDistance {
    fn default() -> Self {
        Self::new(EditDistanceOptions::default())
    }
}

impl Fold for EditDistance {
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
        let deadlines = self.core.sides.iter().filter_map(|side| side.windows.deadline());
        silent.into_iter().chain(deadlines).min()
    }

    fn finish(&mut self, emit: &mut Emit<'_>) {
        let now = self.core.now;
        self.units.finish(&mut |said| self.core.take(said, now, emit));
        self.core.expire(Timestamp(u64::MAX), emit);
        self.core.now = now;
    }

    fn ended(&mut self, rank: u32, now: Timestamp, emit: &mut Emit<'_>) {
        self.units.ended(rank, &mut |said| self.core.take(said, now, emit));
    }
    fn name(&self) -> &'static str {
        "edit"
    }
}

/// The entries of stdout, or those of stderr.
#[derive(Debug)]
struct Side {
    nearest: Nearest,
    windows: Windows,
}

#[derive(Debug)]
struct Core {
    sides: [Side; Stream::ALL.len()],
    plain: Vec<u8>,
    bounds: Bounds,
    now: Timestamp,
}

impl Core {
    fn take(&mut self, said: Said<'_>, now: Timestamp, emit: &mut Emit<'_>) {
        self.now = now;
        let long = said.text.len() > self.bounds.max_line_bytes;
        if long || !self.bounds.may_fold(said) {
            return entry::lines(said, emit);
        }
        self.plain.clear();
        let control = plain_text(said.text, Colours::Drop, &mut self.plain);
        let control = (self.plain != said.text).then_some(control);
        let text: Cow<'_, str> = String::from_utf8_lossy(&self.plain);
        let side = &mut self.sides[said.stream().stream as usize];
        match side.nearest.find(&text) {
            Some(number) => {
                let reading = Reading {
                    key: 0,
                    plain: &self.plain,
                    places: &[],
                    control,
                    group: None,
                    changed: false,
                };
                side.windows.join(number, said, &reading);
            }
            None => {
                side.windows.open(said, now, emit);
                side.nearest.insert(&text);
            }
        }
        while side.is_over(&self.bounds) {
            side.close(emit);
        }
    }

    fn expire(&mut self, now: Timestamp, emit: &mut Emit<'_>) {
        self.now = now;
        let next = |side: &Side| side.windows.deadline().filter(|&deadline| deadline <= now);
        for side in &mut self.sides {
            while next(side).is_some() {
                side.close(emit);
            }
        }
    }
}

impl Side {
    fn is_over(&self, bounds: &Bounds) -> bool {
        self.windows.len() > bounds.max_entries || self.windows.held_bytes() > bounds.max_bytes
    }

    fn close(&mut self, emit: &mut Emit<'_>) {
        self.windows.close(emit);
        self.nearest.remove_oldest();
    }
}
