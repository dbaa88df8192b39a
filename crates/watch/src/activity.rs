//! Who said how much, and when.

use std::collections::BTreeMap;
use std::time::Duration;

use lastline_line::{Launch, Timestamp};
use serde::{Deserialize, Serialize};

use crate::address;
use crate::change::Change;
use crate::rank::RankView;
use crate::snapshot::{SILENT_AFTER, Snapshot};

/// The narrowest column, in microseconds: 250 ms, as often as a watcher is told of output.
const FIRST_COLUMN_MICROS: u64 = 250_000;

/// Bytes of ranks over time: a row for each rank, and columns that are all as wide.
///
/// When time goes beyond the last column that there may be, two columns become one each, so that
/// all of the job is always in; widths are 250 ms times a power of two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// When the first column begins.
    start: Timestamp,
    /// How wide a column is.
    column_micros: u64,
    /// At most so many columns.
    max_columns: usize,
    /// How many there are: up to the last time that was told.
    columns: usize,
    rows: BTreeMap<u32, RankActivity>,
}

/// What one rank said over time, and from when to when it ran.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RankActivity {
    /// Bytes by column; none behind the last in which it said something.
    pub bytes: Vec<u64>,
    /// When it started.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// It failed.
    pub failed: bool,
    /// How many bytes of its last start are in.
    counted: u64,
    /// Which start that is, once it is known.
    #[serde(default, with = "address::optional_launch")]
    launch: Option<Launch>,
}

/// What a rank did in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cell {
    /// It did not run yet, or it is not known of.
    NotYet,
    /// It said so many bytes.
    Bytes(u64),
    /// It ran and said nothing, and that was not long yet.
    Quiet,
    /// It ran and had said nothing for [`SILENT_AFTER`] or more at the column's end.
    Silent,
    /// It ended in this column, having said so many bytes; whether it failed.
    Ended {
        /// Bytes that it said in this column.
        bytes: u64,
        /// Whether it failed.
        failed: bool,
    },
    /// It was over.
    Over,
}

impl Activity {
    /// From `start` on, in at most `max_columns` columns (2 at least).
    pub fn new(start: Timestamp, max_columns: usize) -> Self {
        Self {
            start,
            column_micros: FIRST_COLUMN_MICROS,
            max_columns: max_columns.max(2),
            columns: 0,
            rows: BTreeMap::new(),
        }
    }

    /// When the first column begins.
    pub fn start(&self) -> Timestamp {
        self.start
    }

    /// How wide a column is.
    pub fn column(&self) -> Duration {
        Duration::from_micros(self.column_micros)
    }

    /// How many columns there are.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// When a column begins.
    pub fn time_of(&self, column: usize) -> Timestamp {
        Timestamp(self.start.0.saturating_add((column as u64).saturating_mul(self.column_micros)))
    }

    /// The rows, by rank.
    pub fn rows(&self) -> impl Iterator<Item = (u32, &RankActivity)> {
        self.rows.iter().map(|(rank, row)| (*rank, row))
    }

    /// The row of a rank.
    pub fn row(&self, rank: u32) -> Option<&RankActivity> {
        self.rows.get(&rank)
    }

    /// It is this late: columns reach up to there. Earlier times change nothing.
    pub fn reach(&mut self, time: Timestamp) -> usize {
        let since = time.0.saturating_sub(self.start.0);
        while since / self.column_micros >= self.max_columns as u64 {
            self.merge();
        }
        let column = usize::try_from(since / self.column_micros).unwrap_or(self.max_columns - 1);
        self.columns = self.columns.max(column + 1);
        column
    }

    /// Two columns become one.
    fn merge(&mut self) {
        self.column_micros = self.column_micros.saturating_mul(2);
        self.columns = self.columns.div_ceil(2);
        for row in self.rows.values_mut() {
            let pairs = row.bytes.chunks(2).map(|pair| pair.iter().sum());
            row.bytes = pairs.collect();
        }
    }

    /// A rank said `bytes` at this time. What was said before the start is in the first column.
    pub fn add(&mut self, rank: u32, time: Timestamp, bytes: u64) {
        let column = self.reach(time);
        let row = &mut self.rows.entry(rank).or_default().bytes;
        if bytes > 0 {
            row.resize(row.len().max(column + 1), 0);
            row[column] += bytes;
        }
    }

    /// From when to when a rank ran, how that ended, and that all that is known of it is in.
    pub(crate) fn set_run(&mut self, view: &RankView) {
        let row = self.rows.entry(view.rank).or_default();
        (row.started, row.ended) = (view.started, view.ended);
        row.failed = view.state.failed();
        (row.counted, row.launch) = (view.bytes, view.launch.or(row.launch));
    }

    /// A rank stands like this at the time `now`: what is not in yet is put there.
    fn settle(&mut self, view: &RankView, now: Timestamp) {
        let row = self.rows.entry(view.rank).or_default();
        if row.launch.is_some() && view.launch.is_some_and(|launch| row.launch != Some(launch)) {
            row.counted = 0;
        }
        let (fresh, counted) = (view.bytes.saturating_sub(row.counted), row.counted);
        self.add(view.rank, now, fresh);
        self.set_run(view);
        // A start that is only now known by its number begins with nothing, and then has it all.
        self.rows.entry(view.rank).or_default().counted = counted.max(view.bytes);
    }

    /// Takes in what happened at the time `now`, of which `after` is what came.
    pub fn take(&mut self, change: &Change, after: &Snapshot, now: Timestamp) {
        self.reach(now);
        match change {
            Change::Output(outputs) => {
                let views = outputs.iter().filter_map(|output| after.rank(output.rank));
                views.for_each(|view| self.settle(view, now));
            }
            Change::Started { rank, .. } | Change::Exited { rank, .. } => {
                after.rank(*rank).into_iter().for_each(|view| self.settle(view, now));
            }
            Change::Rank(view) => self.settle(view, now),
            Change::Snapshot(whole) => {
                whole.ranks.iter().for_each(|view| self.settle(view, now));
            }
            _ => {}
        }
    }

    /// What a rank did in a column.
    pub fn cell(&self, rank: u32, column: usize) -> Cell {
        let Some(row) = self.rows.get(&rank) else { return Cell::NotYet };
        let (from, to) = (self.time_of(column), self.time_of(column + 1));
        let bytes = row.bytes.get(column).copied().unwrap_or(0);
        if let Some(ended) = row.ended {
            if ended < to && (ended >= from || column == 0) {
                return Cell::Ended { bytes, failed: row.failed };
            }
            // What was read late is output all the same.
            if ended < from && bytes == 0 {
                return Cell::Over;
            }
        }
        if bytes > 0 {
            return Cell::Bytes(bytes);
        }
        match row.started {
            Some(started) if started < to => self.quiet(row, started, column),
            _ => Cell::NotYet,
        }
    }

    fn quiet(&self, row: &RankActivity, started: Timestamp, column: usize) -> Cell {
        let before = &row.bytes[..column.min(row.bytes.len())];
        let spoke = before.iter().rposition(|bytes| *bytes > 0);
        let since = spoke.map_or(started, |spoke| self.time_of(spoke + 1).max(started));
        let silent = self.time_of(column + 1).since(since) >= SILENT_AFTER;
        if silent { Cell::Silent } else { Cell::Quiet }
    }
}
