//! How far the driver's half of the teardown has come, for whoever looks at the job.

use lastline_line::{Stage, StageReport, Timestamp};
use lastline_watch::StageView;

use super::hosts::merge_stages;

/// The stages of the driver's half.
#[derive(Clone, Debug, Default)]
pub(super) struct Teardown {
    /// The one that goes on, and since when.
    current: Option<(Stage, Timestamp)>,
    /// Those that are over.
    rows: Vec<StageReport>,
}

impl Teardown {
    /// `current` has begun at `now`, and these are over.
    pub(super) fn new(current: Option<Stage>, rows: Vec<StageReport>, now: Timestamp) -> Self {
        Self { current: current.map(|stage| (stage, now)), rows }
    }

    /// The stages of the job, in order, with those of its hosts, as its report will have them. A
    /// stage that this half goes through is not over because hosts are done with it.
    pub(super) fn stages(&self, of_hosts: Vec<StageReport>) -> Vec<StageView> {
        let merged = of_both(of_hosts, &self.rows);
        let over = merged.into_iter().filter(|row| self.current.is_none_or(|at| at.0 != row.stage));
        let mut stages: Vec<StageView> =
            over.map(|row| StageView::over(row.stage, row.seconds, row.timed_out)).collect();
        stages.extend(self.current.map(|(stage, since)| StageView::running(stage, since)));
        stages.sort_by_key(|view| view.stage);
        stages
    }
}

/// The stages of a job, of its hosts and of this half together.
pub(super) fn of_both(of_hosts: Vec<StageReport>, own: &[StageReport]) -> Vec<StageReport> {
    // The reading is the hosts', and so is the signal.
    let own = own.iter().filter(|row| !matches!(row.stage, Stage::Eof | Stage::Signal));
    merge_stages(of_hosts.into_iter().chain(own.copied()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lastline_watch::StageState;

    use super::*;

    #[test]
    fn what_goes_on_here_is_not_over_because_hosts_are_done() {
        let row = |stage| StageReport::new(stage, Duration::from_secs(1), false);
        let hosts = vec![row(Stage::Eof), row(Stage::Flush), row(Stage::Abort)];
        let teardown = Teardown::new(Some(Stage::Flush), vec![row(Stage::Eof)], Timestamp(7));
        let stages = teardown.stages(hosts);
        let told: Vec<_> = stages.iter().map(|view| (view.stage, view.state, view.since)).collect();
        let done = |stage| (stage, StageState::Done, None);
        let running = (Stage::Flush, StageState::Running, Some(Timestamp(7)));
        assert_eq!(told, [done(Stage::Eof), running, done(Stage::Abort)]);
    }
}
