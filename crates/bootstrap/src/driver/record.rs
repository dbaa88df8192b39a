//! What a driver knows of hosts and ranks, from what hosts say. Pure.
//!
//! What a host says twice counts once, and hosts' events may come in any order among each other: a
//! driver that comes late and is told all of it again has the same record as one that was there.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use lastline_line::{
    HostEvent, HostId, HostMessage, Launch, StageReport, StopCause, Timestamp, Version,
};
use lastline_watch::FailureView;

use super::hosts::{HostRecord, merge_stages};
use super::runs::{RunRecord, RunState, Runs};
use super::streams::FiledRecord;
use crate::plan::OnFailure;

mod admission;
mod barriers;
mod consequence;
mod first;
mod presence;

use admission::Refused;
use barriers::Waiting;
pub(super) use consequence::{Consequence, GoneStreams, Refusal};
pub(super) use first::First;

/// Which hosts a job has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// So many.
    Hosts(usize),
    /// As many as it takes to have every rank; the first one says how many those are.
    EveryRank,
}

/// What is known of all hosts and ranks.
#[derive(Debug)]
pub(super) struct Record {
    expected: Expected,
    pub(super) job: String,
    pub(super) command: Vec<String>,
    pub(super) world_size: u32,
    pub(super) started: Option<Timestamp>,
    pub(super) hosts: BTreeMap<HostId, HostRecord>,
    /// Those that are no part of the job, and why.
    pub(super) refused: BTreeMap<HostId, Refused>,
    pub(super) runs: Runs,
    pub(super) stopping: Option<StopCause>,
    pub(super) not_synced: BTreeMap<String, String>,
    /// Until when no host could be heard, by the driver's clock.
    deaf_until: Duration,
    /// No host will say anything more.
    closed: bool,
    /// Hosts that have not come are not waited for.
    complete: bool,
    /// Barriers, and whose word each still waits for.
    barriers: HashMap<Version, Waiting>,
    /// The first failure as it is told, once somebody has asked for it. Finding it takes time for each line of
    /// those that failed; taken away by whatever may change it.
    pub(super) told_failure: OnceCell<Option<FailureView>>,
}

impl Record {
    /// Nothing is known yet.
    pub(super) fn new(expected: Expected) -> Self {
        Self {
            expected,
            job: String::new(),
            command: Vec::new(),
            world_size: 0,
            started: None,
            hosts: BTreeMap::new(),
            refused: BTreeMap::new(),
            runs: Runs::default(),
            stopping: None,
            not_synced: BTreeMap::new(),
            deaf_until: Duration::ZERO,
            closed: false,
            complete: false,
            barriers: HashMap::new(),
            told_failure: OnceCell::new(),
        }
    }

    /// No host will say anything more. Gives those that have not said their last.
    pub(super) fn close(&mut self) -> Vec<HostId> {
        self.closed = true;
        if self.hosts.is_empty() && !self.is_distant() {
            // It is missed all the same.
            self.hosts.insert(HostId::HERE, HostRecord::default());
        }
        self.present()
    }

    /// Hosts that have not come yet are not waited for any more: the job is being stopped.
    pub(super) fn expect_no_more(&mut self) {
        self.complete = true;
    }

    /// A host said something, at the time `now` of the driver's clock.
    pub(super) fn apply(&mut self, message: HostMessage, now: Duration) -> Consequence {
        let HostMessage { host: id, event } = message;
        if let Some(consequence) = self.refuse(id, &event) {
            return consequence;
        }
        // Somebody else says that: it is no sign of life.
        if let HostEvent::Lost { why } = &event {
            return self.lose(id, why, None);
        }
        if let Some(known) = self.hosts.get_mut(&id) {
            known.heard = now;
        }
        if let Some(consequence) = self.spoke(id) {
            return consequence;
        }
        match event {
            HostEvent::Up { .. } => return self.came(id, event, now),
            HostEvent::Started { rank, launch, pid, capture, time } => {
                if let Some(run) = self.runs.begin(id, rank, launch) {
                    (run.state, run.pid, run.started) = (RunState::Running, pid, time);
                    run.capture = capture;
                }
                let host = self.hosts.get(&id);
                let local_rank = host.map_or(rank, |host| host.local_rank(rank));
                let (host, job) = (self.host_name(id), self.job.clone());
                return Consequence::Started { rank, launch, capture, local_rank, pid, host, job };
            }
            HostEvent::NotStarted { rank, launch, error, code, stopped, time } => {
                if let Some(run) = self.runs.begin(id, rank, launch) {
                    run.state = RunState::NotStarted(error, code);
                    (run.stopped, run.started, run.ended) = (stopped, time, Some(time));
                    self.note_failure(rank, launch);
                }
            }
            HostEvent::Exited { rank, launch, exit, stopped, starts_again, time } => {
                if let Some(run) = self.runs.run_mut(rank, launch) {
                    let is_news = !run.is_over();
                    run.state = RunState::Exited(exit);
                    (run.stopped, run.ended) = (stopped, Some(time));
                    run.starts_again = starts_again;
                    self.note_failure(rank, launch);
                    if starts_again && is_news {
                        self.runs.expect(rank, id);
                    }
                }
            }
            HostEvent::Barrier { version, streams } => {
                if self.barriers.get_mut(&version).is_some_and(|waiting| waiting.hear(id)) {
                    return Consequence::Barrier(version, streams);
                }
            }
            HostEvent::Down => {
                let known = self.hosts.entry(id).or_default();
                if !std::mem::replace(&mut known.down, true) {
                    self.runs.lose(id, "its host ended without a word of it");
                    return self.gone(id);
                }
            }
            event => self.apply_to_host(id, event),
        }
        Consequence::None
    }

    fn note_failure(&mut self, rank: u32, launch: Launch) {
        self.told_failure.take();
        self.runs.note_failure(rank, launch);
    }

    /// A host is here, or says so again.
    fn came(&mut self, id: HostId, up: HostEvent, now: Duration) -> Consequence {
        if self.hosts.contains_key(&id) {
            return Consequence::None;
        }
        let Some(mut host) = HostRecord::of(&up) else { return Consequence::None };
        let HostEvent::Up { job, command, world_size, time, .. } = up else {
            return Consequence::None;
        };
        for rank in host.first_rank..host.first_rank.saturating_add(host.procs) {
            self.runs.expect(rank, id);
        }
        host.heard = now;
        // It has a name now.
        self.told_failure.take();
        self.hosts.insert(id, host);
        (self.job, self.command) = (job, command);
        self.world_size = self.world_size.max(world_size);
        self.started = Some(self.started.map_or(time, |started| started.min(time)));
        Consequence::Came
    }

    fn apply_to_host(&mut self, id: HostId, event: HostEvent) {
        match event {
            HostEvent::Stopping { cause } => {
                self.stopping.get_or_insert(cause);
            }
            HostEvent::NotSynced { what, cause } => drop(self.not_synced.insert(what, cause)),
            HostEvent::MemoryKills { cgroups, ranks } => {
                self.told_failure.take();
                let host = self.hosts.entry(id).or_default();
                (host.memory_kills, host.killed_for_memory) = (cgroups, ranks);
            }
            HostEvent::Stage(row) => self.hosts.entry(id).or_default().add_stage(row),
            event => self.apply_to_stream(event),
        }
    }

    fn apply_to_stream(&mut self, event: HostEvent) {
        match event {
            HostEvent::StreamEnded { stream, end, read_bytes, read_lines, error, leaked_to } => {
                if let Some(record) = self.runs.stream_mut(stream) {
                    (record.end, record.read_bytes) = (Some(end), Some(read_bytes));
                    (record.read_lines, record.error) = (read_lines, error);
                    record.leaked_to = leaked_to;
                }
            }
            HostEvent::LastLines { stream, lines } => {
                if let Some(record) = self.runs.stream_mut(stream) {
                    self.told_failure.take();
                    record.last_lines = lines;
                }
            }
            HostEvent::Filed { stream, filed_bytes, not_filed, not_synced } => {
                if let Some(record) = self.runs.stream_mut(stream) {
                    record.filed = Some(FiledRecord { filed_bytes, not_filed, not_synced });
                }
            }
            other => tracing::debug!(?other, "a host says what this driver does not know"),
        }
    }

    /// Why the ranks of all hosts are to be stopped; none when they are not. Whether a failure is a reason is for
    /// the host to say where it was, unless `on_failure` says it for all.
    pub(super) fn stop_cause(&self, on_failure: Option<OnFailure>) -> Option<StopCause> {
        let stops_all = |host: &HostRecord| match on_failure {
            Some(action) => action == OnFailure::Stop,
            None => host.stops_all,
        };
        let mut lost = self.hosts.values().filter(|host| host.lost.is_some());
        let mut failed = self.runs.first_failures().filter_map(|run| self.hosts.get(&run.host));
        let fails = lost.any(stops_all) || failed.any(stops_all);
        // A host that stops its own ranks for one that failed has decided that for itself alone.
        let asked = self.stopping.filter(|cause| {
            *cause != StopCause::Failure || on_failure != Some(OnFailure::Continue)
        });
        asked.or(fails.then_some(StopCause::Failure))
    }

    fn streams_of(&self, id: HostId) -> GoneStreams {
        let streams = self.runs.of(id).flat_map(RunRecord::ids);
        let lost = self.hosts.get(&id).and_then(|host| host.lost.clone());
        GoneStreams { streams: streams.collect(), lost }
    }

    fn gone(&mut self, id: HostId) -> Consequence {
        let streams = self.streams_of(id);
        Consequence::Gone(self.release_barriers(id), streams)
    }

    /// How many hosts have not come that are waited for: at least one, where ranks are missing.
    fn missing_hosts(&self) -> usize {
        if self.closed {
            return 0;
        }
        match self.expected {
            Expected::Hosts(hosts) => hosts.saturating_sub(self.hosts.len()),
            Expected::EveryRank if self.complete => 0,
            Expected::EveryRank => usize::from(!self.has_every_rank()),
        }
    }

    /// Ranks of which no host has been heard, where there is more than one to be heard of.
    pub(super) fn not_heard_of(&self) -> Vec<u32> {
        if !self.is_distant() || self.has_every_rank() {
            return Vec::new();
        }
        (0..self.world_size).filter(|rank| self.runs.host_of(*rank).is_none()).collect()
    }

    fn has_every_rank(&self) -> bool {
        self.world_size > 0 && self.runs.ranks() >= self.world_size as usize
    }

    /// The name of a host; empty when it is not known.
    pub(super) fn host_name(&self, id: HostId) -> String {
        self.hosts.get(&id).map(|known| known.host.clone()).unwrap_or_default()
    }

    pub(super) fn was_killed_for_memory(&self, rank: u32) -> bool {
        self.hosts.values().any(|host| host.killed_for_memory.contains(&rank))
    }

    /// Whether nothing more is to be heard of any process.
    pub(super) fn ranks_are_over(&self) -> bool {
        self.missing_hosts() == 0 && self.runs.are_over()
    }

    /// Whether every host has read all that it will.
    pub(super) fn is_read(&self) -> bool {
        self.hosts.values().all(HostRecord::is_read)
    }

    /// Whether every host has said its last, or cannot be reached.
    pub(super) fn is_gone(&self) -> bool {
        self.hosts.values().all(HostRecord::is_gone)
    }

    /// Hosts that have neither said their last nor are lost.
    pub(super) fn present(&self) -> Vec<HostId> {
        self.hosts.iter().filter(|(_, host)| !host.is_gone()).map(|(id, _)| *id).collect()
    }

    /// Hosts' stages, merged: the longest of each, and late when one was.
    pub(super) fn stages(&self) -> Vec<StageReport> {
        let rows = self.hosts.values().flat_map(|host| &host.stages);
        merge_stages(rows.copied())
    }
}

#[cfg(test)]
mod tests;
