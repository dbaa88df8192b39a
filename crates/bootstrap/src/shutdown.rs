//! The shutdown of a job as a state machine: which stage it is in, when that is given up, whom to
//! signal. Pure: the time is a parameter, counted from any fixed moment.
//!
//! The stages of a row are gone through in order, each from [`done`](Shutdown::done) to `done`, or
//! until its deadline. All share one budget, which begins when the ranks have ended or when the job
//! is stopped. A job that ends by itself gets the budget again for as long as output moves; one that
//! is stopped does not, since whoever stops it will not wait.
//!
//! # Laws
//!
//! 1. Every stage of the row is entered once, in order, and is in [`rows`](Shutdown::rows) at the end.
//! 2. A deadline that has passed is gone: [`expired`](Shutdown::expired) either ends the stage,
//!    ends the grace, or gives a later deadline.
//! 3. The first stop signals, the second kills; no stop is ignored, whatever the stage.
//! 4. A job that is stopped, or whose output stands still, is over within its budget and
//!    [`LAST_MOMENT`] for each stage.

use std::time::Duration;

use lastline_line::{Stage, StageReport, StopCause};

/// What a stage gets when the budget is used up, so that it can end in order.
pub(crate) const LAST_MOMENT: Duration = Duration::from_millis(500);

/// The most that closing gets of the budget.
const CLOSING: Duration = Duration::from_secs(2);

/// Time since a fixed moment, in which this process ran: a standstill does not count.
pub(crate) type Time = Duration;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// From the first signal to SIGKILL; half the budget at most.
    pub(crate) grace: Duration,
    /// The whole shutdown.
    pub(crate) budget: Duration,
    /// What a stage gets on top that waits for other hosts, which have the same budget: *eof* and
    /// *drop*.
    pub(crate) slack: Duration,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Ranks get this signal.
    Signal(i32),
    /// Ranks get SIGKILL.
    Kill,
    /// The stage is given up, and the next one has begun.
    GiveUp(Stage),
}

/// A stop that was asked for.
#[derive(Clone, Copy, Debug)]
struct Stop {
    cause: StopCause,
    /// When the grace is over; `None` when it is.
    kill_at: Option<Time>,
}

/// A stage that is gone through now.
#[derive(Clone, Copy, Debug)]
struct Current {
    at: usize,
    since: Time,
    /// It counts from here: the budget began again while it was gone through.
    deadline_from: Time,
}

/// The shutdown of one half of a job.
#[derive(Clone, Debug)]
pub(crate) struct Shutdown {
    limits: Limits,
    row: &'static [Stage],
    /// When the budget began.
    since: Option<Time>,
    stop: Option<Stop>,
    /// The first stop that was not a failure's.
    requested: Option<StopCause>,
    current: Option<Current>,
    over: bool,
    /// What had moved when the budget began last.
    progress: u64,
    done: Vec<StageReport>,
}

impl Shutdown {
    /// A shutdown through the stages of `row`, which has not begun.
    pub(crate) fn new(limits: Limits, row: &'static [Stage]) -> Self {
        Self {
            limits,
            row,
            since: None,
            stop: None,
            requested: None,
            current: None,
            over: row.is_empty(),
            progress: 0,
            done: Vec::new(),
        }
    }

    /// The first stop signals, and the budget begins; the next one ends the grace, or the stage when
    /// that waits for output. A failure does not stop what is being stopped. `progress` is a number
    /// that grows while output moves.
    pub(crate) fn stop(&mut self, now: Time, cause: StopCause, progress: u64) -> Option<Action> {
        if cause != StopCause::Failure {
            self.requested.get_or_insert(cause);
        }
        let Some(stop) = &mut self.stop else {
            let kill_at = Some(now + self.limits.grace.min(self.limits.budget / 2));
            self.stop = Some(Stop { cause, kill_at });
            self.begin_budget(now, progress);
            self.done.push(StageReport::new(Stage::Signal, Duration::ZERO, false));
            return Some(Action::Signal(cause.signal_for_ranks()));
        };
        if cause == StopCause::Failure {
            return None;
        }
        stop.kill_at = None;
        if self.stage() == Some(Stage::Flush) {
            return Some(self.give_up(now));
        }
        Some(Action::Kill)
    }

    /// The ranks have ended: the first stage begins. Later calls change nothing.
    pub(crate) fn begin(&mut self, now: Time, progress: u64) {
        if self.current.is_some() || self.over {
            return;
        }
        if self.since.is_none() {
            self.begin_budget(now, progress);
        }
        self.current = Some(Current { at: 0, since: now, deadline_from: now });
    }

    fn begin_budget(&mut self, now: Time, progress: u64) {
        self.since = Some(now);
        self.progress = progress;
        if let Some(current) = &mut self.current {
            current.deadline_from = now;
        }
    }

    /// The stage that is gone through now; none before the ranks have ended, and at the end.
    pub(crate) fn stage(&self) -> Option<Stage> {
        self.current.map(|current| self.row[current.at])
    }

    /// Whether every stage is over.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    /// The current stage has ended by itself.
    pub(crate) fn done(&mut self, now: Time) {
        self.leave(now, false);
    }

    /// The current stage has ended by itself, without having done all.
    pub(crate) fn done_in_part(&mut self, now: Time) {
        self.leave(now, true);
    }

    fn give_up(&mut self, now: Time) -> Action {
        let stage = self.stage().expect("BUG: only a stage that is gone through is given up");
        self.leave(now, true);
        Action::GiveUp(stage)
    }

    fn leave(&mut self, now: Time, timed_out: bool) {
        let Some(current) = self.current.take() else {
            return;
        };
        let took = now.saturating_sub(current.since);
        self.done.push(StageReport::new(self.row[current.at], took, timed_out));
        let at = current.at + 1;
        if at == self.row.len() {
            self.over = true;
        } else {
            self.current = Some(Current { at, since: now, deadline_from: now });
        }
    }

    /// When [`expired`](Self::expired) is to be called next.
    pub(crate) fn deadline(&self) -> Option<Time> {
        [self.kill_at(), self.give_up_at()].into_iter().flatten().min()
    }

    fn kill_at(&self) -> Option<Time> {
        self.stop.and_then(|stop| stop.kill_at).filter(|_| !self.over)
    }

    /// When the current stage is given up.
    fn give_up_at(&self) -> Option<Time> {
        let end = self.since.filter(|_| !self.over)? + self.limits.budget;
        let Some(current) = self.current else {
            // Ranks that do not even end when they are killed are given up like their streams.
            return Some(end.saturating_sub(self.closing()) + self.limits.slack);
        };
        let least = current.deadline_from + LAST_MOMENT;
        Some(match self.row[current.at] {
            Stage::Signal | Stage::Eof => end.saturating_sub(self.closing()) + self.limits.slack,
            Stage::Flush => end.saturating_sub(self.closing()).max(least),
            // Readers and then files are given a moment each.
            Stage::Drop => end.max(least + LAST_MOMENT) + self.limits.slack,
            Stage::Abort | Stage::Print => end.max(least),
        })
    }

    /// What is kept of the budget for the stages after the flush.
    fn closing(&self) -> Duration {
        (self.limits.budget / 4).min(CLOSING)
    }

    /// A deadline has come: the grace is over, or a stage is given up, or, where output moved since
    /// the budget began and nobody stops the job, the budget begins again. Nothing when it is early.
    pub(crate) fn expired(&mut self, now: Time, progress: u64) -> Option<Action> {
        if self.kill_at().is_some_and(|at| at <= now) {
            if let Some(stop) = &mut self.stop {
                stop.kill_at = None;
            }
            return Some(Action::Kill);
        }
        if self.give_up_at().is_none_or(|at| at > now) {
            return None;
        }
        self.begin(now, progress);
        let waits_for_output = matches!(self.stage(), Some(Stage::Eof | Stage::Flush));
        let moved = progress > self.progress;
        if waits_for_output && self.stop.is_none() && moved {
            self.begin_budget(now, progress);
            return None;
        }
        Some(self.give_up(now))
    }

    /// Whether the job is being stopped.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.is_some()
    }

    /// Why it is, at first.
    pub(crate) fn cause(&self) -> Option<StopCause> {
        self.stop.map(|stop| stop.cause)
    }

    /// Who asked for the end first, whether or not a failure had begun it.
    pub(crate) fn requested_by(&self) -> Option<StopCause> {
        self.requested
    }

    /// Whether ranks are to be killed that run now: the job is stopped, and the grace is over.
    pub(crate) fn grace_is_over(&self) -> bool {
        self.stop.is_some_and(|stop| stop.kill_at.is_none())
    }

    /// What is left of the grace: it is given once, to ranks and to what they leave together. At
    /// most half of what is left of the budget, so that there is time to see what it comes to.
    pub(crate) fn grace_left(&self, now: Time) -> Duration {
        let left = match self.stop {
            None => self.limits.grace,
            Some(stop) => stop.kill_at.map_or(Duration::ZERO, |at| at.saturating_sub(now)),
        };
        left.min(self.left(now).max(LAST_MOMENT) / 2)
    }

    /// What is left of the budget; all of it before it has begun.
    pub(crate) fn left(&self, now: Time) -> Duration {
        let end = |since: Time| (since + self.limits.budget).saturating_sub(now);
        self.since.map_or(self.limits.budget, end)
    }

    /// What each stage did, in the stages' order.
    pub(crate) fn rows(&self) -> Vec<StageReport> {
        let mut rows = self.done.clone();
        rows.sort_by_key(|row| row.stage);
        rows
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROW: &[Stage] = &[Stage::Eof, Stage::Flush, Stage::Abort, Stage::Drop, Stage::Print];

    fn limits(grace: u64, budget: u64) -> Limits {
        let (grace, budget) = (Duration::from_millis(grace), Duration::from_millis(budget));
        Limits { grace, budget, slack: Duration::ZERO }
    }

    #[derive(Clone, Copy, Debug)]
    enum Event {
        /// The owner, a failure, a signal.
        Stop(StopCause),
        /// The ranks have ended.
        Begin,
        /// The stage has ended.
        Done,
        /// Output moves.
        Moves,
        /// Time passes, in milliseconds.
        Wait(u64),
        /// Time passes up to the next deadline, and this much beyond.
        Expire(u64),
    }

    fn event() -> impl Strategy<Value = Event> {
        const CAUSES: &[StopCause] = &[StopCause::Owner, StopCause::Failure, StopCause::Signal(2)];
        prop_oneof![
            prop::sample::select(CAUSES).prop_map(Event::Stop),
            Just(Event::Begin),
            Just(Event::Done),
            Just(Event::Moves),
            (0..3000_u64).prop_map(Event::Wait),
            (0..20_u64).prop_map(Event::Expire),
        ]
    }

    /// What an observer that only counts knows.
    #[derive(Default)]
    struct Model {
        stops: u32,
        begun: bool,
        left: Vec<Stage>,
        /// When the budget began last, and whether more than the first time.
        budget_from: Option<Duration>,
        killed: bool,
    }

    proptest! {
        #[test]
        fn any_order_of_events_goes_through_every_stage_once(
            events in prop::collection::vec(event(), 0..120),
            grace in 0..20_000_u64,
            budget in 1..20_000_u64,
        ) {
            let limits = limits(grace, budget);
            let mut shutdown = Shutdown::new(limits, ROW);
            let mut model = Model::default();
            let (mut now, mut progress) = (Duration::ZERO, 0_u64);
            // In the end nothing comes but the deadlines.
            let end = [Event::Begin].into_iter().chain([Event::Expire(0); 40]);
            for event in events.into_iter().chain(end) {
                let before = shutdown.stage();
                let mut action = None;
                match event {
                    Event::Stop(cause) => {
                        action = shutdown.stop(now, cause, progress);
                        if cause == StopCause::Failure && model.stops > 0 {
                            prop_assert_eq!(action, None);
                        } else {
                            model.stops += 1;
                            match model.stops {
                                1 => {
                                    prop_assert_eq!(action, Some(Action::Signal(cause.signal_for_ranks())));
                                    model.budget_from = Some(now);
                                }
                                _ if before == Some(Stage::Flush) => {
                                    prop_assert_eq!(action, Some(Action::GiveUp(Stage::Flush)));
                                }
                                _ => prop_assert_eq!(action, Some(Action::Kill)),
                            }
                            model.killed |= model.stops > 1;
                        }
                    }
                    Event::Begin => {
                        shutdown.begin(now, progress);
                        if !model.begun {
                            model.budget_from.get_or_insert(now);
                        }
                        model.begun = true;
                    }
                    Event::Done => {
                        shutdown.done(now);
                        model.left.extend(before);
                    }
                    Event::Moves => progress += 1,
                    Event::Wait(millis) => now += Duration::from_millis(millis),
                    Event::Expire(late) => {
                        if let Some(at) = shutdown.deadline() {
                            now = now.max(at) + Duration::from_millis(late);
                            action = shutdown.expired(now, progress);
                            model.begun |= action == Some(Action::GiveUp(Stage::Eof));
                            let next = shutdown.deadline();
                            let is_same = action.is_none() && next.is_some_and(|next| next <= now);
                            prop_assert!(!is_same, "law 2: the deadline at {at:?} comes twice");
                            if action.is_none() {
                                prop_assert_eq!(model.stops, 0, "a stopped job is not given more time");
                                model.budget_from = Some(now);
                            }
                            if action == Some(Action::Kill) {
                                prop_assert!(!model.killed, "the grace is over once");
                                model.killed = true;
                            }
                        }
                    }
                }
                if let Some(Action::GiveUp(stage)) = action {
                    prop_assert_eq!(before.unwrap_or(Stage::Eof), stage);
                    model.left.push(stage);
                }
                // Law 4, while time goes from deadline to deadline.
                if let (Some(from), Some(at)) = (model.budget_from, shutdown.give_up_at()) {
                    let latest = from.max(now) + limits.budget + 4 * LAST_MOMENT;
                    prop_assert!(at <= latest, "law 4: {at:?} after {latest:?}");
                }
            }
            prop_assert!(shutdown.is_over() && shutdown.deadline().is_none());
            prop_assert_eq!(&model.left[..], ROW);
            let mut wanted: Vec<Stage> = ROW.to_vec();
            if model.stops > 0 {
                wanted.insert(0, Stage::Signal);
            }
            let told: Vec<Stage> = shutdown.rows().iter().map(|row| row.stage).collect();
            prop_assert_eq!(told, wanted);
        }
    }

    #[test]
    fn what_stands_still_is_given_up_at_the_first_deadline() {
        let mut shutdown = Shutdown::new(limits(10_000, 4_000), ROW);
        shutdown.begin(Duration::ZERO, 7);
        shutdown.done(Duration::from_millis(10));
        let at = shutdown.deadline().unwrap();
        assert_eq!(at, Duration::from_secs(3));
        assert_eq!(shutdown.expired(at, 7), Some(Action::GiveUp(Stage::Flush)));
        assert_eq!(shutdown.deadline(), Some(Duration::from_secs(4)));
    }

    #[test]
    fn what_moves_gets_the_budget_again_but_not_when_the_job_is_stopped() {
        let mut shutdown = Shutdown::new(limits(10_000, 4_000), ROW);
        shutdown.begin(Duration::ZERO, 0);
        shutdown.done(Duration::ZERO);
        assert_eq!(shutdown.expired(Duration::from_secs(3), 1), None);
        assert_eq!(shutdown.deadline(), Some(Duration::from_secs(6)));
        let stopped = shutdown.stop(Duration::from_secs(4), StopCause::Signal(2), 2);
        assert_eq!(stopped, Some(Action::Signal(2)));
        assert_eq!(shutdown.expired(Duration::from_secs(6), 3), Some(Action::Kill));
        assert_eq!(shutdown.expired(Duration::from_secs(7), 4), Some(Action::GiveUp(Stage::Flush)));
    }

    #[test]
    fn whoever_stops_twice_does_not_wait_for_output() {
        let mut shutdown = Shutdown::new(limits(10_000, 30_000), ROW);
        shutdown.begin(Duration::ZERO, 0);
        shutdown.done(Duration::ZERO);
        let now = Duration::from_secs(1);
        shutdown.stop(now, StopCause::Signal(15), 0);
        let second = shutdown.stop(now, StopCause::Signal(15), 0);
        assert_eq!(
            (second, shutdown.stage()),
            (Some(Action::GiveUp(Stage::Flush)), Some(Stage::Abort))
        );
        assert_eq!(shutdown.grace_left(now), Duration::ZERO);
        assert_eq!(shutdown.requested_by(), Some(StopCause::Signal(15)));
    }
}
