//! What a driver knows of hosts and ranks, from what hosts say. Pure.
//!
//! What a host says twice counts once, and hosts' events may come in any order among each other: a
//! driver that comes late and is told all of it again has the same record as one that was there.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use lastline_client::Unreachable;
use lastline_line::{
    Heartbeat, HostEvent, HostId, HostMessage, Launch, StageReport, StopCause, StreamId, Timestamp,
    Version,
};

use super::hosts::{HostRecord, merge_stages};
use super::runs::{RunRecord, RunState, Runs};
use super::streams::FiledRecord;
use super::trips::ClockOffset;

mod admission;
mod first;

pub(super) use first::First;

/// Which hosts a job has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// So many.
    Hosts(usize),
    /// As many as it takes to have every rank; the first one says how many those are.
    EveryRank,
}

/// What a host said that others than the record have to act on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Consequence {
    None,
    /// A host has come.
    Came,
    /// A rank runs: what prints may want to know.
    Started {
        rank: u32,
        local_rank: u32,
        pid: Option<u32>,
        host: String,
        job: String,
    },
    /// These streams answer a barrier.
    Barrier(Version, Vec<StreamId>),
    /// A host is gone: each barrier that still waits for its word gets this.
    Gone(Vec<Version>, GoneStreams),
    /// A host is no part of the job.
    Refused(Refusal),
    /// A host that is no part of the job has started a rank, of which nothing is shown.
    Foreign(Launch),
    /// It has said its last, and may go.
    ForeignDown,
    /// A host has spoken that was given up: these launches are not shown any more.
    SpokeAgain {
        host: String,
        launches: Vec<Launch>,
    },
}

/// A host that is no part of the job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) host: HostId,
    pub(super) why: String,
    /// It was told so by somebody else.
    pub(super) knows: bool,
    /// Whether it was refused before.
    pub(super) again: bool,
    /// What it has started already, and its streams.
    pub(super) launches: Vec<Launch>,
    pub(super) streams: Vec<StreamId>,
    /// Barriers that wait for its word.
    pub(super) barriers: Vec<Version>,
}

/// The streams of a host that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GoneStreams {
    pub(super) streams: Vec<StreamId>,
    /// Why what they said last may not have come; all has been sent when there is no reason.
    pub(super) lost: Option<String>,
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
    refused: BTreeMap<HostId, String>,
    pub(super) runs: Runs,
    pub(super) stopping: Option<StopCause>,
    pub(super) not_synced: BTreeMap<String, String>,
    /// No host will say anything more.
    closed: bool,
    /// Hosts that have not come are not waited for.
    complete: bool,
    /// Barriers, and whose word each still waits for.
    barriers: HashMap<Version, Vec<HostId>>,
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
            closed: false,
            complete: false,
            barriers: HashMap::new(),
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
        if let Some(known) = self.hosts.get_mut(&id) {
            known.heard = now;
        }
        if let Some(consequence) = self.spoke(id) {
            return consequence;
        }
        match event {
            HostEvent::Up { .. } => return self.came(id, event, now),
            HostEvent::Started { rank, launch, pid, terminal, time } => {
                if let Some(run) = self.runs.begin(id, rank, launch) {
                    (run.state, run.pid, run.started) = (RunState::Running, pid, time);
                    run.terminal = terminal;
                }
                let host = self.hosts.get(&id);
                let local_rank = host.map_or(rank, |host| host.local_rank(rank));
                let (host, job) = (self.host_name(id), self.job.clone());
                return Consequence::Started { rank, local_rank, pid, host, job };
            }
            HostEvent::NotStarted { rank, launch, error, code, stopped, time } => {
                if let Some(run) = self.runs.begin(id, rank, launch) {
                    run.state = RunState::NotStarted(error, code);
                    (run.stopped, run.started, run.ended) = (stopped, time, Some(time));
                    self.runs.note_failure(rank, launch);
                }
            }
            HostEvent::Exited { rank, launch, exit, stopped, time } => {
                if let Some(run) = self.runs.run_mut(rank, launch) {
                    run.state = RunState::Exited(exit);
                    (run.stopped, run.ended) = (stopped, Some(time));
                    self.runs.note_failure(rank, launch);
                }
            }
            HostEvent::Barrier { version, streams } => {
                if let Some(waiting) = self.barriers.get_mut(&version) {
                    waiting.retain(|other| *other != id);
                }
                return Consequence::Barrier(version, streams);
            }
            HostEvent::Down => {
                let known = self.hosts.entry(id).or_default();
                if !std::mem::replace(&mut known.down, true) {
                    self.runs.lose(id, "its host ended without a word of it");
                    return self.gone(id);
                }
            }
            HostEvent::Lost { why } => return self.lose(id, &why, None),
            event => self.apply_to_host(id, event),
        }
        Consequence::None
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

    /// A host is alive, and may have told its time.
    pub(super) fn beat(
        &mut self,
        heartbeat: &Heartbeat,
        clock: Option<ClockOffset>,
        now: Duration,
    ) -> Consequence {
        let Some(host) = self.hosts.get_mut(&heartbeat.host) else {
            return Consequence::None;
        };
        host.heard = now;
        if let Some(measured) = clock {
            host.clock = Some(measured.or_better(host.clock));
        }
        self.spoke(heartbeat.host).unwrap_or(Consequence::None)
    }

    /// One that was given up stays lost, whatever it says; that is told once.
    fn spoke(&mut self, id: HostId) -> Option<Consequence> {
        let distant = self.is_distant();
        let host = self.hosts.get_mut(&id).filter(|host| distant && host.lost.is_some())?;
        if std::mem::replace(&mut host.spoke_again, true) {
            return Some(Consequence::None);
        }
        let (host, launches) = (host.named(), self.launches_of(id));
        Some(Consequence::SpokeAgain { host, launches })
    }

    fn launches_of(&self, id: HostId) -> Vec<Launch> {
        self.runs.of(id).filter_map(|run| run.launch).collect()
    }

    /// Those of which nothing has been heard for longer than `patience`, and for how long.
    pub(super) fn silent(&self, now: Duration, patience: Duration) -> Vec<(HostId, Duration)> {
        let present = self.hosts.iter().filter(|(_, host)| !host.is_gone());
        let silent = present.map(|(id, host)| (*id, now.saturating_sub(host.heard)));
        silent.filter(|(_, silent_for)| *silent_for >= patience).collect()
    }

    /// Hosts that cannot be reached at `now`: given up for their silence, or silent for so long.
    pub(super) fn unreachable(&self, now: Duration, patience: Duration) -> Vec<Unreachable> {
        let unreachable = self.hosts.values().filter_map(|host| {
            let silent_for = now.saturating_sub(host.heard);
            let silent = !host.is_gone() && self.is_distant() && silent_for >= patience;
            let silent_for = host.silent_for.or(silent.then_some(silent_for))?;
            Some(Unreachable::new(host.host.clone(), silent_for))
        });
        unreachable.collect()
    }

    fn is_distant(&self) -> bool {
        self.expected == Expected::EveryRank
    }

    /// A host is given up that has been silent for so long.
    pub(super) fn give_up(&mut self, id: HostId, silent_for: Duration) -> Consequence {
        let seconds = silent_for.as_secs_f64();
        let digits = usize::from(seconds < 10.0);
        self.lose(id, &format!("silent for {seconds:.digits$} s"), Some(silent_for))
    }

    /// A host cannot be reached any more.
    fn lose(&mut self, id: HostId, why: &str, silent_for: Option<Duration>) -> Consequence {
        let known = self.hosts.entry(id).or_default();
        if known.is_gone() {
            return Consequence::None;
        }
        (known.lost, known.silent_for) = (Some(why.to_owned()), silent_for);
        self.runs.lose(id, why);
        self.gone(id)
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

    /// The barriers that wait for a host's word, and will not any more.
    fn release_barriers(&mut self, id: HostId) -> Vec<Version> {
        let mut versions = Vec::new();
        for (version, waiting) in &mut self.barriers {
            let before = waiting.len();
            waiting.retain(|other| *other != id);
            versions.extend((waiting.len() < before).then_some(*version));
        }
        versions
    }

    /// A barrier is opened. How many hosts' words it waits for, and that of hosts that are gone.
    pub(super) fn open_barrier(&mut self, version: Version) -> (usize, Vec<Vec<StreamId>>) {
        let gone = self.hosts.iter().filter(|(_, host)| host.is_gone());
        let gone = gone.map(|(id, _)| self.streams_of(*id).streams).collect();
        self.barriers.insert(version, self.present());
        // One that was not heard of yet is waited for until the deadline.
        (self.hosts.len() + self.missing_hosts(), gone)
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

    fn has_every_rank(&self) -> bool {
        self.world_size > 0 && self.runs.ranks() >= self.world_size as usize
    }

    /// A barrier has its verdicts.
    pub(super) fn close_barrier(&mut self, version: Version) {
        self.barriers.remove(&version);
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
