//! Who is there: heartbeats, silence, and hosts that are given up.

use std::time::Duration;

use lastline_client::Unreachable;
use lastline_line::{Heartbeat, HostId, Launch};

use super::{Consequence, Expected, Record};
use crate::driver::trips::ClockOffset;

impl Record {
    /// A host is alive, and may have told its time.
    pub(in crate::driver) fn beat(
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
            let clock = Some(measured.or_better(host.clock));
            if std::mem::replace(&mut host.clock, clock) != clock {
                self.told_failure.take();
            }
        }
        self.spoke(heartbeat.host).unwrap_or(Consequence::None)
    }

    /// One that was given up stays lost, whatever it says; that is told once.
    pub(super) fn spoke(&mut self, id: HostId) -> Option<Consequence> {
        let distant = self.is_distant();
        let host = self.hosts.get_mut(&id).filter(|host| distant && host.lost.is_some())?;
        if std::mem::replace(&mut host.spoke_again, true) {
            return Some(Consequence::None);
        }
        let (host, launches) = (host.named(), self.launches_of(id));
        Some(Consequence::SpokeAgain { host, launches })
    }

    pub(super) fn launches_of(&self, id: HostId) -> Vec<Launch> {
        self.runs.of(id).filter_map(|run| run.launch).collect()
    }

    /// No host can be heard at `now`: nobody is given up for the silence before.
    pub(in crate::driver) fn excuse(&mut self, now: Duration) {
        self.deaf_until = self.deaf_until.max(now);
    }

    /// Those of which nothing has been heard for longer than `patience`, and for how long, although
    /// they could have been.
    pub(in crate::driver) fn silent(
        &self,
        now: Duration,
        patience: Duration,
    ) -> Vec<(HostId, Duration)> {
        let present = self.hosts.iter().filter(|(_, host)| !host.is_gone());
        let silent =
            present.map(|(id, host)| (*id, now.saturating_sub(host.heard.max(self.deaf_until))));
        silent.filter(|(_, silent_for)| *silent_for >= patience).collect()
    }

    /// Whether hosts that have not come are given up now: all that came are gone, and nothing was heard of
    /// anybody for `patience`. They may have ended before this driver was there.
    pub(in crate::driver) fn give_up_missing(&mut self, now: Duration, patience: Duration) -> bool {
        let over = self.is_distant() && self.missing_hosts() > 0 && !self.hosts.is_empty();
        if !over || !self.is_gone() {
            return false;
        }
        let heard = self.hosts.values().map(|host| host.heard).max().unwrap_or_default();
        let silent_for = now.saturating_sub(heard.max(self.deaf_until));
        self.complete |= silent_for >= patience;
        self.complete
    }

    /// Hosts that cannot be reached at `now`: given up for their silence, or silent for so long.
    pub(in crate::driver) fn unreachable(
        &self,
        now: Duration,
        patience: Duration,
    ) -> Vec<Unreachable> {
        let unreachable = self.hosts.values().filter_map(|host| {
            let silent_for = now.saturating_sub(host.heard);
            let silent = !host.is_gone() && self.is_distant() && silent_for >= patience;
            let silent_for = host.silent_for.or(silent.then_some(silent_for))?;
            Some(Unreachable::new(host.host.clone(), silent_for))
        });
        unreachable.collect()
    }

    pub(super) fn is_distant(&self) -> bool {
        self.expected == Expected::EveryRank
    }

    /// A host is given up that has been silent for so long.
    pub(in crate::driver) fn give_up(&mut self, id: HostId, silent_for: Duration) -> Consequence {
        let seconds = silent_for.as_secs_f64();
        let digits = usize::from(seconds < 10.0);
        self.lose(id, &format!("silent for {seconds:.digits$} s"), Some(silent_for))
    }

    /// A host cannot be reached any more.
    pub(super) fn lose(
        &mut self,
        id: HostId,
        why: &str,
        silent_for: Option<Duration>,
    ) -> Consequence {
        let known = self.hosts.entry(id).or_default();
        if known.is_gone() {
            return Consequence::None;
        }
        (known.lost, known.silent_for) = (Some(why.to_owned()), silent_for);
        self.runs.lose(id, why);
        self.gone(id)
    }
}
