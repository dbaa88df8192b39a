//! Which hosts' words barriers wait for.

use std::collections::HashSet;

use lastline_line::{HostId, StreamId, Version};

use super::Record;

/// Whose word on its streams a barrier waits for, and has.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Those that were there when it was opened, and have yet to say it.
    hosts: Vec<HostId>,
    heard: HashSet<HostId>,
}

impl Waiting {
    /// A host lists its streams. Whether that counts: one that was gone may still answer, and its streams
    /// are listed already.
    pub(super) fn hear(&mut self, id: HostId) -> bool {
        self.hosts.retain(|other| *other != id);
        self.heard.insert(id)
    }

    /// A host will not list its streams. Whether it was waited for.
    fn give_up(&mut self, id: HostId) -> bool {
        self.hosts.contains(&id) && self.hear(id)
    }
}

impl Record {
    /// The barriers that wait for a host's word, and will not any more.
    pub(super) fn release_barriers(&mut self, id: HostId) -> Vec<Version> {
        let given_up = self
            .barriers
            .iter_mut()
            .filter_map(|(version, waiting)| waiting.give_up(id).then_some(*version));
        given_up.collect()
    }

    /// A barrier is opened. How many hosts' words it waits for, and that of hosts that are gone.
    pub(in crate::driver) fn open_barrier(
        &mut self,
        version: Version,
    ) -> (usize, Vec<Vec<StreamId>>) {
        let gone = self.hosts.iter().filter(|(_, host)| host.is_gone()).map(|(id, _)| *id);
        let heard: HashSet<HostId> = gone.collect();
        let streams = heard.iter().map(|id| self.streams_of(*id).streams).collect();
        self.barriers.insert(version, Waiting { hosts: self.present(), heard });
        // One that was not heard of yet is waited for until the deadline.
        (self.hosts.len() + self.missing_hosts(), streams)
    }

    /// A barrier has its verdicts.
    pub(in crate::driver) fn close_barrier(&mut self, version: Version) {
        self.barriers.remove(&version);
    }
}
