//! Who takes part in a job, as far as a driver has heard. No IO; times are parameters.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use lastline_line::HostId;

/// A point in time, as so long after some start.
pub(super) type Moment = Duration;

/// The hosts of a job and their ranks.
///
/// The job is over for its inbox when its number of ranks is known, each of them was claimed, and
/// every host that has one of them has left and all its output is here.
#[derive(Debug, Default)]
pub(super) struct Attendance {
    world_size: Option<u32>,
    /// Who has each rank, the last one who claimed it.
    holders: BTreeMap<u32, HostId>,
    hosts: HashMap<HostId, Host>,
}

#[derive(Debug)]
struct Host {
    heard: Moment,
    state: Presence,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    Here,
    /// It has left; this is the sequence of its last output.
    Left(u64),
    /// It was silent for too long.
    Lost,
}

impl Attendance {
    /// A rank was claimed, or given back. Gives the host that is lost with that: it had the rank, did not
    /// answer who claimed it, and stores nothing more.
    pub(super) fn claimed(
        &mut self,
        rank: u32,
        holder: Option<HostId>,
        world_size: u32,
    ) -> Option<HostId> {
        self.world_size.get_or_insert(world_size);
        let before = match holder {
            Some(holder) => self.holders.insert(rank, holder),
            None => self.holders.remove(&rank),
        };
        let before = before.filter(|before| holder.is_some_and(|holder| holder != *before))?;
        let host = self.hosts.get_mut(&before).filter(|host| host.state == Presence::Here)?;
        host.state = Presence::Lost;
        Some(before)
    }

    /// Something was heard of a host; true when it is the first.
    pub(super) fn heard(&mut self, host: HostId, now: Moment) -> bool {
        let is_new = !self.hosts.contains_key(&host);
        let entry = self.hosts.entry(host).or_insert(Host { heard: now, state: Presence::Here });
        entry.heard = entry.heard.max(now);
        is_new
    }

    /// The sequence of the last output of those that came, where none of them is there any more, and nothing
    /// was heard of any for so long: the other ranks' hosts do not come.
    pub(super) fn deserted_behind(&self, after: Duration, now: Moment) -> Option<u64> {
        let heard = self.hosts.values().map(|host| host.heard).max()?;
        let last = self.hosts.values().try_fold(0, |last, host| match host.state {
            Presence::Here => None,
            Presence::Left(output) => Some(last.max(output)),
            Presence::Lost => Some(last),
        })?;
        (now.saturating_sub(heard) >= after).then_some(last)
    }

    /// Whether any host was heard of.
    pub(super) fn has_heard_any(&self) -> bool {
        !self.hosts.is_empty()
    }

    /// A host has left, and this is the sequence of its last output.
    pub(super) fn left(&mut self, host: HostId, last_output: u64) {
        if let Some(host) = self.hosts.get_mut(&host) {
            host.state = Presence::Left(last_output);
        }
    }

    /// The broker was away: nobody can be blamed for their silence until `now`.
    pub(super) fn excuse(&mut self, now: Moment) {
        self.hosts.values_mut().for_each(|host| host.heard = now);
    }

    /// Hosts that are lost from now on.
    pub(super) fn lose_silent(&mut self, after: Duration, now: Moment) -> Vec<HostId> {
        let mut lost = Vec::new();
        for (id, host) in &mut self.hosts {
            if host.state == Presence::Here && now.saturating_sub(host.heard) >= after {
                host.state = Presence::Lost;
                lost.push(*id);
            }
        }
        lost.sort_unstable();
        lost
    }

    /// The sequence of the output that has to be here for the job to be over; `None` when it is not.
    pub(super) fn over_behind(&self) -> Option<u64> {
        let world = self.world_size?;
        (0..world).try_fold(0, |last, rank| {
            let holder = self.holders.get(&rank)?;
            match self.hosts.get(holder)?.state {
                Presence::Here => None,
                Presence::Left(output) => Some(last.max(output)),
                Presence::Lost => Some(last),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZERO: Moment = Moment::ZERO;

    #[test]
    fn a_job_is_over_when_all_its_ranks_hosts_have_left() {
        let mut attendance = Attendance::default();
        assert_eq!(attendance.over_behind(), None);
        attendance.claimed(0, Some(HostId(1)), 2);
        assert!(attendance.heard(HostId(1), ZERO));
        attendance.left(HostId(1), 17);
        assert_eq!(attendance.over_behind(), None, "rank 1 is still to come");
        attendance.claimed(1, Some(HostId(2)), 2);
        assert!(attendance.heard(HostId(2), ZERO));
        assert!(!attendance.heard(HostId(2), ZERO));
        assert_eq!(attendance.over_behind(), None);
        attendance.left(HostId(2), 5);
        assert_eq!(attendance.over_behind(), Some(17));
    }

    #[test]
    fn a_job_of_which_not_all_came_is_deserted_after_a_while() {
        let mut attendance = Attendance::default();
        let (after, second) = (Duration::from_secs(60), Duration::from_secs(1));
        attendance.claimed(0, Some(HostId(1)), 3);
        attendance.heard(HostId(1), second);
        assert_eq!(attendance.deserted_behind(after, 2 * after), None, "it is there");
        attendance.left(HostId(1), 17);
        assert_eq!(attendance.over_behind(), None);
        assert_eq!(attendance.deserted_behind(after, after), None);
        assert_eq!(attendance.deserted_behind(after, after + second), Some(17));
    }

    #[test]
    fn a_rank_that_is_claimed_again_is_not_over() {
        let mut attendance = Attendance::default();
        attendance.claimed(0, Some(HostId(1)), 1);
        attendance.heard(HostId(1), ZERO);
        attendance.left(HostId(1), 3);
        assert_eq!(attendance.claimed(0, Some(HostId(2)), 1), None, "the first has left");
        assert_eq!(attendance.over_behind(), None);
        attendance.claimed(0, None, 1);
        assert_eq!(attendance.over_behind(), None);
    }

    #[test]
    fn who_is_taken_over_is_lost_once() {
        let mut attendance = Attendance::default();
        for rank in 0..2 {
            assert_eq!(attendance.claimed(rank, Some(HostId(1)), 2), None);
        }
        attendance.heard(HostId(1), ZERO);
        assert_eq!(attendance.claimed(0, Some(HostId(2)), 2), Some(HostId(1)));
        assert_eq!(attendance.claimed(1, Some(HostId(2)), 2), None);
        assert_eq!(attendance.over_behind(), None, "the second is here");
    }

    #[test]
    fn who_is_silent_for_too_long_is_lost_once() {
        let mut attendance = Attendance::default();
        let (after, late) = (Duration::from_secs(60), Duration::from_secs(60));
        attendance.claimed(0, Some(HostId(1)), 1);
        attendance.heard(HostId(1), ZERO);
        assert_eq!(attendance.lose_silent(after, Duration::from_secs(59)), []);
        attendance.excuse(Duration::from_secs(30));
        assert_eq!(attendance.lose_silent(after, late), []);
        assert_eq!(attendance.lose_silent(after, 2 * late), [HostId(1)]);
        assert_eq!(attendance.lose_silent(after, 3 * late), []);
        assert_eq!(attendance.over_behind(), Some(0));
    }
}
