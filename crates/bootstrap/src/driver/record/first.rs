//! Which rank failed first, where hosts have clocks of their own.

use std::time::Duration;

use super::Record;
use crate::driver::hosts::HostRecord;
use crate::driver::runs::RunRecord;

/// The rank that failed first, and how sure that is.
#[derive(Clone, Copy, Debug)]
pub(in crate::driver) struct First<'a> {
    pub(in crate::driver) run: &'a RunRecord,
    /// By how much clocks may differ, when the first failure of another host is closer than that.
    pub(in crate::driver) uncertainty: Option<Duration>,
    /// A clock of a host where a rank failed was never measured, so that it is not known how sure it is.
    pub(in crate::driver) unmeasured: bool,
}

impl Record {
    /// The rank that failed first by itself. On one host that is in the order in which it said so;
    /// between hosts, by their times less what their clocks are ahead.
    pub(in crate::driver) fn first_failure(&self) -> Option<First<'_>> {
        let mut firsts: Vec<(i128, &RunRecord)> =
            self.runs.first_failures().map(|run| (self.ended_by_our_clock(run), run)).collect();
        firsts.sort_by_key(|(ended, run)| (*ended, run.rank));
        let (ended, run) = *firsts.first()?;
        let others = &firsts[1..];
        let unknown = |run: &RunRecord| {
            run.host != lastline_line::HostId::HERE && self.uncertainty(run).is_none()
        };
        let unmeasured = !others.is_empty() && firsts.iter().any(|(_, run)| unknown(run));
        let own = self.uncertainty(run).unwrap_or_default();
        let doubtful = others.iter().filter_map(|(other_ended, other)| {
            let both = own + self.uncertainty(other).unwrap_or_default();
            let apart = u128::try_from(other_ended - ended).unwrap_or_default();
            (apart <= both.as_micros() && !both.is_zero()).then_some(both)
        });
        Some(First { run, uncertainty: doubtful.max(), unmeasured })
    }

    fn ended_by_our_clock(&self, run: &RunRecord) -> i128 {
        let ended = run.ended.unwrap_or_default();
        let host = self.hosts.get(&run.host);
        host.map_or(i128::from(ended.0), |host: &HostRecord| host.by_our_clock(ended))
    }

    fn uncertainty(&self, run: &RunRecord) -> Option<Duration> {
        self.hosts.get(&run.host)?.clock.map(|clock| clock.uncertainty)
    }
}
