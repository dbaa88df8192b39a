//! What is known of a host: where it is, how it stands, how its clock differs.

use std::time::Duration;

use lastline_line::{HostEvent, MemoryKills, Stage, StageReport, Timestamp};

use super::trips::ClockOffset;

/// What a host said of itself, and how it is known to be alive.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct HostRecord {
    pub(super) host: String,
    pub(super) pid: u32,
    /// The number of its machine.
    pub(super) node_rank: u32,
    pub(super) first_rank: u32,
    pub(super) procs: u32,
    /// The number of its first rank among those of its machine.
    pub(super) local_first: u32,
    /// Its failure is that of all.
    pub(super) stops_all: bool,
    /// It has said its last.
    pub(super) down: bool,
    /// It cannot be reached any more, and why.
    pub(super) lost: Option<String>,
    /// For how long nothing had been heard of it when it was given up for that.
    pub(super) silent_for: Option<Duration>,
    /// It has spoken after that.
    pub(super) spoke_again: bool,
    /// When something was heard of it last, by the driver's clock.
    pub(super) heard: Duration,
    /// How its clock differs from the driver's, once that was measured.
    pub(super) clock: Option<ClockOffset>,
    /// Its stages that are over.
    pub(super) stages: Vec<StageReport>,
    pub(super) memory_kills: Vec<MemoryKills>,
    pub(super) killed_for_memory: Vec<u32>,
}

impl HostRecord {
    /// A host that says this of itself first; `None` when it says something else.
    pub(super) fn of(up: &HostEvent) -> Option<Self> {
        let HostEvent::Up {
            host, pid, node_rank, first_rank, procs, local_first, stops_all, ..
        } = up
        else {
            return None;
        };
        Some(Self {
            host: host.clone(),
            pid: *pid,
            node_rank: *node_rank,
            first_rank: *first_rank,
            procs: *procs,
            local_first: *local_first,
            stops_all: *stops_all,
            ..Self::default()
        })
    }

    pub(super) fn is_gone(&self) -> bool {
        self.down || self.lost.is_some()
    }

    /// All its streams have ended, or were given up.
    pub(super) fn is_read(&self) -> bool {
        self.is_gone() || self.stages.iter().any(|row| row.stage == Stage::Eof)
    }

    /// `a (process 7)`.
    pub(super) fn named(&self) -> String {
        format!("{} (process {})", self.host, self.pid)
    }

    /// The number of one of its ranks among those of its machine.
    pub(super) fn local_rank(&self, rank: u32) -> u32 {
        self.local_first + rank.saturating_sub(self.first_rank)
    }

    /// What its clock's `time` is by the driver's, in microseconds; the same where it was never asked.
    pub(super) fn by_our_clock(&self, time: Timestamp) -> i128 {
        i128::from(time.0) - self.clock.map_or(0, |clock| i128::from(clock.beyond_doubt()))
    }

    pub(super) fn add_stage(&mut self, row: StageReport) {
        if !self.stages.iter().any(|known| known.stage == row.stage) {
            self.stages.push(row);
        }
    }
}

/// One row of each stage, in order: the longest, and late when one of them was.
pub(super) fn merge_stages(rows: impl IntoIterator<Item = StageReport>) -> Vec<StageReport> {
    let mut merged = std::collections::BTreeMap::<Stage, StageReport>::new();
    for row in rows {
        let known = merged.entry(row.stage).or_insert(row);
        known.seconds = known.seconds.max(row.seconds);
        known.timed_out |= row.timed_out;
    }
    merged.into_values().collect()
}
