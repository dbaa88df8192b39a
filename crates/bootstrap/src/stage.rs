//! The stages of a teardown, as values.

use std::time::Duration;

use tokio::time::Instant;

use crate::report::StageReport;

/// How long the last co-operative steps of a teardown get when the budget is used up.
pub(crate) const LAST_MOMENT: Duration = Duration::from_millis(500);

/// A stage: its name and how long it may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stage {
    pub(crate) name: &'static str,
    pub(crate) deadline: Duration,
}

/// The way out: the budget of the whole, and what each stage did.
#[derive(Debug)]
pub(crate) struct Teardown {
    /// When the way out began.
    since: Option<Instant>,
    budget: Duration,
    done: Vec<StageReport>,
}

impl Teardown {
    pub(crate) fn new(budget: Duration) -> Self {
        Self { since: None, budget, done: Vec::new() }
    }

    /// The way out begins; the first time counts.
    pub(crate) fn begin(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    /// The budget begins again: the job moves on by itself.
    pub(crate) fn renew(&mut self) {
        self.since = Some(Instant::now());
    }

    /// The budget does not count a time in which everything stood still.
    pub(crate) fn postpone(&mut self, by: Duration) {
        self.since = self.since.map(|since| since + by);
    }

    /// When the whole way out is to be over, once it has begun.
    fn deadline(&self) -> Option<Instant> {
        self.since.map(|since| since + self.budget)
    }

    /// As [`left`](Self::left), but for the time that closing is to have.
    pub(crate) fn left_before_closing(&self) -> Duration {
        self.left().saturating_sub(self.for_closing())
    }

    /// When streams and console are given up, once the way out has begun.
    pub(crate) fn give_up_at(&self) -> Option<Instant> {
        self.since.map(|since| since + (self.budget - self.for_closing()))
    }

    /// A fourth of the budget, two seconds at most.
    fn for_closing(&self) -> Duration {
        (self.budget / 4).min(Duration::from_secs(2))
    }

    /// What is left of the budget; all of it before the way out begins.
    pub(crate) fn left(&self) -> Duration {
        self.deadline().map_or(self.budget, |at| at.saturating_duration_since(Instant::now()))
    }

    /// Runs a stage to its end or its deadline; its result when it ended.
    pub(crate) async fn run<T>(
        &mut self,
        stage: Stage,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let started = Instant::now();
        let result = tokio::time::timeout(stage.deadline, work).await.ok();
        self.record(stage.name, started, result.is_none());
        result
    }

    /// Notes a stage that was run elsewhere.
    pub(crate) fn record(&mut self, name: &str, started: Instant, timed_out: bool) {
        let seconds = started.elapsed().as_secs_f64();
        self.done.push(StageReport { stage: name.into(), seconds, timed_out });
    }

    /// What was done, in order.
    pub(crate) fn reports(&self) -> Vec<StageReport> {
        self.done.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stage_that_times_out_is_told_and_the_next_one_runs() {
        let mut teardown = Teardown::new(Duration::from_secs(30));
        teardown.begin();
        let stage = |name| Stage { name, deadline: Duration::from_secs(5) };
        assert_eq!(teardown.run(stage("eof"), std::future::pending::<()>()).await, None);
        assert_eq!(teardown.run(stage("flush"), async { 7 }).await, Some(7));
        assert_eq!(teardown.left(), Duration::from_secs(25));
        teardown.begin();
        assert_eq!(teardown.left(), Duration::from_secs(25), "it begins once");
        let told: Vec<_> = teardown.reports().into_iter().map(|s| (s.stage, s.timed_out)).collect();
        assert_eq!(told, [("eof".to_owned(), true), ("flush".to_owned(), false)]);
    }
}
