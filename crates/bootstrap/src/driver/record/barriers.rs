//! Which hosts' words barriers wait for.

use lastline_line::{HostId, StreamId, Version};

use super::Record;

impl Record {
    /// The barriers that wait for a host's word, and will not any more.
    pub(super) fn release_barriers(&mut self, id: HostId) -> Vec<Version> {
        let mut versions = Vec::new();
        for (version, waiting) in &mut self.barriers {
            let before = waiting.len();
            waiting.retain(|other| *other != id);
            versions.extend((waiting.len() < before).then_some(*version));
        }
        versions
    }

    /// A barrier is opened. How many hosts' words it waits for, and that of hosts that are gone.
    pub(in crate::driver) fn open_barrier(
        &mut self,
        version: Version,
    ) -> (usize, Vec<Vec<StreamId>>) {
        let gone = self.hosts.iter().filter(|(_, host)| host.is_gone());
        let gone = gone.map(|(id, _)| self.streams_of(*id).streams).collect();
        self.barriers.insert(version, self.present());
        // One that was not heard of yet is waited for until the deadline.
        (self.hosts.len() + self.missing_hosts(), gone)
    }

    /// A barrier has its verdicts.
    pub(in crate::driver) fn close_barrier(&mut self, version: Version) {
        self.barriers.remove(&version);
    }
}
