//! Who is a host of the job, and who is not.

use lastline_line::{HostEvent, HostId, MAX_RANK};

use super::{Consequence, Record, Refusal};
use crate::driver::hosts::HostRecord;

/// A host that is no part of the job, as it is told in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::driver) struct Refused {
    /// Its name and its process, when it has said that to this driver.
    pub(in crate::driver) host: Option<(String, u32)>,
    pub(in crate::driver) why: String,
    /// It is of another job, finds that out by itself, and goes on.
    other_job: bool,
}

impl Refused {
    fn of(host: Option<&HostRecord>, why: &str) -> Self {
        let host = host.map(|host| (host.host.clone(), host.pid));
        Self { host, why: why.to_owned(), other_job: false }
    }
}

impl Refusal {
    /// Of a host that has started nothing.
    fn of(host: HostId, why: String) -> Self {
        let (knows, again, launches) = (false, false, Vec::new());
        Self { host, why, knows, again, launches, streams: Vec::new(), barriers: Vec::new() }
    }
}

impl Record {
    /// What comes of an event of a host that is no part of the job; nothing when it is one.
    pub(super) fn refuse(&mut self, id: HostId, event: &HostEvent) -> Option<Consequence> {
        if let Some(Refused { why, other_job, .. }) = self.refused.get(&id) {
            return Some(match event {
                // It may not have heard of it.
                HostEvent::Up { .. } => Consequence::Refused(Refusal {
                    again: true,
                    knows: *other_job,
                    ..Refusal::of(id, why.clone())
                }),
                HostEvent::Started { launch, .. } => Consequence::Foreign(*launch),
                HostEvent::Down => Consequence::ForeignDown,
                _ => Consequence::None,
            });
        }
        if !self.is_distant() {
            return None;
        }
        if let HostEvent::Refused { why } = event {
            return Some(self.forget(id, why.clone()));
        }
        let known = self.hosts.contains_key(&id);
        match HostRecord::of(event).filter(|_| !known) {
            // Nothing is known of it: its first word was not for this driver.
            None => (!known).then_some(Consequence::None),
            Some(host) => {
                let other = self.other_job(&host, event);
                let other_job = other.is_some();
                let why = other.or_else(|| self.why_not(&host, event))?;
                let refused = Refused { other_job, ..Refused::of(Some(&host), &why) };
                self.refused.insert(id, refused);
                Some(Consequence::Refused(Refusal { knows: other_job, ..Refusal::of(id, why) }))
            }
        }
    }

    /// Somebody else has refused it. What it has said is not the job's.
    fn forget(&mut self, id: HostId, why: String) -> Consequence {
        let refusal = Refusal {
            knows: true,
            launches: self.launches_of(id),
            streams: self.streams_of(id).streams,
            barriers: self.release_barriers(id),
            ..Refusal::of(id, why.clone())
        };
        self.told_failure.take();
        self.runs.forget(id);
        let host = self.hosts.remove(&id);
        self.refused.insert(id, Refused::of(host.as_ref(), &why));
        Consequence::Refused(refusal)
    }

    /// That a host which has just come is of another job.
    fn other_job(&self, new: &HostRecord, up: &HostEvent) -> Option<String> {
        let HostEvent::Up { job, .. } = up else {
            return None;
        };
        let other = !self.job.is_empty() && *job != self.job;
        other.then(|| {
            format!("this driver is for job {}, and {} is of job {job}", self.job, new.named())
        })
    }

    /// Why a host of the job that has just come is no part of it.
    fn why_not(&self, new: &HostRecord, up: &HostEvent) -> Option<String> {
        let HostEvent::Up { world_size, .. } = up else {
            return None;
        };
        let (named, end) = (new.named(), new.first_rank.saturating_add(new.procs));
        if self.world_size > 0 && *world_size != self.world_size {
            let first = self.hosts.values().map(HostRecord::named).next().unwrap_or_default();
            let known = self.world_size;
            return Some(format!(
                "the job has {known} ranks in all, as {first} says, and {named} says {world_size}"
            ));
        }
        if world_size.saturating_sub(1) > MAX_RANK {
            return Some(format!(
                "{named} has a job of {world_size} ranks, and {} is the most",
                MAX_RANK + 1
            ));
        }
        if end > *world_size {
            let last = end.saturating_sub(1);
            return Some(format!(
                "{named} has ranks {} to {last}, and says that the job has {world_size}",
                new.first_rank
            ));
        }
        let taken = |rank: &u32| {
            let host = self.hosts.get(&self.runs.host_of(*rank)?)?;
            (!host.is_gone()).then(|| {
                format!("rank {rank} runs on {} already, and {named} claims it, too", host.named())
            })
        };
        (new.first_rank..end).find_map(|rank| taken(&rank))
    }
}
