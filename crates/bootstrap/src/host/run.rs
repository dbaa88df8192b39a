//! The host's loop: everything that becomes of a job's ranks here, from their start to the last
//! word to the driver.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use lastline_appender::Appender;
use lastline_line::{Exit, HostEvent, HostId, RankSet, Stage, StopCause, Version};
use lastline_spawn::Spawned;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;

use super::abort;
use super::files::Filed;
use super::intake::{Ended, Intake};
use super::link::Link;
use super::ranks::RunId;
use super::spawning::Spawning;
use super::watch::Event;
use crate::blocking::Blocking;
use crate::clock::Clock;
use crate::plan::OnFailure;
use crate::shutdown::{Action, Limits, Shutdown};
use crate::work::{Work, poll_work};

/// The stages that a host goes through.
const STAGES: &[Stage] = &[Stage::Eof, Stage::Flush, Stage::Abort, Stage::Drop];

/// What a host is told beforehand.
pub(super) struct Settings {
    /// Which host it is.
    pub(super) id: HostId,
    /// Ranks are attached and not started.
    pub(super) attached: bool,
    pub(super) on_failure: OnFailure,
    /// How often a rank that fails is started again.
    pub(super) max_restarts: u32,
    pub(super) leave_background: bool,
    pub(super) limits: Limits,
    pub(super) flush_timeout: Duration,
}

/// Where the host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Ranks run, or are being started.
    Running,
    /// A stage of the shutdown.
    Ending(Stage),
    /// All is said; the driver has to hear it.
    Leaving,
    Over,
}

/// What a phase's work came to.
pub(super) enum Done {
    /// The stage is done.
    Stage,
    /// The files are closed, as far as they answer.
    Closed(Box<Filed>),
    /// Nobody waits for the host any more.
    Left,
}

/// A barrier that waits for starts to be known.
pub(super) struct AwaitedMarks {
    pub(super) version: Version,
    pub(super) begun: u32,
    pub(super) until: Duration,
}

/// A start of a rank that waits for all that was printed before it.
pub(super) struct AwaitedStart {
    pub(super) run: RunId,
    pub(super) rank: u32,
    /// The start before it.
    pub(super) before: RunId,
}

pub(super) struct HostLoop {
    pub(super) settings: Settings,
    pub(super) link: Arc<Link>,
    pub(super) files: Option<Arc<Appender>>,
    pub(super) spawning: Option<Spawning>,
    pub(super) intake: Intake,
    pub(super) heard: UnboundedReceiver<Event>,
    pub(super) blocking: Blocking,
    pub(super) state: State,
}

/// What only the loop knows.
pub(super) struct State {
    pub(super) clock: Clock,
    pub(super) shutdown: Shutdown,
    pub(super) phase: Phase,
    pub(super) work: Option<Work<Done>>,
    /// Ends the grace of an abort that goes on.
    pub(super) hurry: Option<oneshot::Sender<()>>,
    pub(super) dismissed: Option<oneshot::Sender<()>>,
    /// There is no driver any more.
    pub(super) driver_gone: bool,
    pub(super) marks: Vec<AwaitedMarks>,
    pub(super) starts: Vec<AwaitedStart>,
    /// It is no part of the job, and why.
    pub(super) refused: Option<String>,
}

impl HostLoop {
    pub(super) fn new(
        settings: Settings,
        link: Arc<Link>,
        files: Option<Arc<Appender>>,
        spawning: Spawning,
        intake: Intake,
        heard: UnboundedReceiver<Event>,
        blocking: Blocking,
    ) -> Self {
        let state = State {
            clock: Clock::start(),
            shutdown: Shutdown::new(settings.limits, STAGES),
            phase: Phase::Running,
            work: None,
            hurry: None,
            dismissed: None,
            driver_gone: false,
            marks: Vec::new(),
            starts: Vec::new(),
            refused: None,
        };
        let spawning = Some(spawning);
        Self { settings, link, files, spawning, intake, heard, blocking, state }
    }

    /// Runs the host to its end. Why it was refused, when it was.
    pub(super) async fn run(mut self) -> Option<String> {
        loop {
            self.advance();
            if self.state.phase == Phase::Over {
                self.link.forget_processes();
                return self.state.refused.take();
            }
            let deadline = self.next_deadline();
            tokio::select! {
                biased;
                Some(event) = self.heard.recv() => self.handle_event(event),
                done = poll_work(&mut self.state.work) => self.handle_done(done),
                () = self.state.clock.sleep_until(deadline) => self.handle_deadline(),
            }
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.state.clock.now()
    }

    fn next_deadline(&self) -> Option<Duration> {
        let marks = self.state.marks.iter().map(|awaited| awaited.until).min();
        [self.state.shutdown.deadline(), marks].into_iter().flatten().min()
    }

    /// Goes on to the next phase where nothing holds the present one.
    fn advance(&mut self) {
        loop {
            match self.state.phase {
                Phase::Running if self.intake.ranks.are_over() => {
                    let (now, progress) = (self.now(), self.progress());
                    self.state.shutdown.begin(now, progress);
                }
                Phase::Ending(Stage::Eof)
                    if self.intake.ranks.are_over() && self.streams_are_over() =>
                {
                    self.state.shutdown.done(self.now());
                }
                _ => {}
            }
            let next = match self.state.shutdown.stage() {
                Some(stage) => Phase::Ending(stage),
                None if self.state.shutdown.is_over() => Phase::Leaving,
                None => Phase::Running,
            };
            if next == self.state.phase || matches!(self.state.phase, Phase::Leaving | Phase::Over)
            {
                return;
            }
            self.leave_phase();
            self.state.phase = next;
            self.enter_phase();
        }
    }

    fn streams_are_over(&self) -> bool {
        self.intake.ranks.streams().all(super::ranks::StreamState::is_over)
    }

    fn handle_deadline(&mut self) {
        let now = self.now();
        self.take_marks(now);
        let progress = self.progress();
        if let Some(action) = self.state.shutdown.expired(now, progress) {
            self.act(action);
        }
    }

    /// What has been read and sent, as a number that grows.
    fn progress(&self) -> u64 {
        self.intake.read_bytes() + self.link.sender().map_or(0, |sender| sender.progress())
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Signal(signal) => self.intake.ranks.iter_mut().for_each(|run| run.stop(signal)),
            Action::Kill => {
                self.say_killed();
                self.intake.ranks.iter_mut().for_each(super::ranks::Run::kill);
                if let Some(hurry) = self.state.hurry.take() {
                    // The abort may be over.
                    hurry.send(()).unwrap_or_default();
                }
            }
            // `advance` goes on to the next stage.
            Action::GiveUp(stage) => tracing::debug!(%stage, "the deadline came first"),
        }
    }

    /// Ranks that are sent SIGKILL now are told of; nobody else says what became of them.
    fn say_killed(&self) {
        let running = self.intake.ranks.iter().filter(|run| run.is_running() && !run.killed);
        let ranks: RankSet = running.map(|run| run.rank).collect();
        if !ranks.is_empty() {
            let (count, s) = (ranks.len(), if ranks.len() == 1 { "" } else { "s" });
            tracing::warn!("the grace is over: SIGKILL to {count} rank{s} ({ranks})");
        }
    }

    pub(super) fn stop(&mut self, cause: StopCause) {
        if let Some(spawning) = &self.spawning {
            spawning.stop_starting();
        }
        let (now, progress) = (self.now(), self.progress());
        let first = !self.state.shutdown.is_stopping();
        let action = self.state.shutdown.stop(now, cause, progress);
        self.make_awaited_starts();
        if let Some(action) = action {
            self.act(action);
        }
        if first {
            self.link.send(HostEvent::Stopping { cause });
        }
        // Those that were to be attached will not be any more.
        let waiting = if self.settings.attached { self.intake.ranks.waiting() } else { Vec::new() };
        for run in waiting {
            self.link.start_begins();
            let refused = io::Error::other("the job was stopped before it was started");
            self.rank_not_started(run, &refused);
        }
    }

    pub(super) fn rank_started(&mut self, id: RunId, spawned: Spawned) {
        self.intake.started(id, spawned);
        self.take_marks(self.now());
        let (cause, kill) = (self.state.shutdown.cause(), self.state.shutdown.grace_is_over());
        let run = self.intake.ranks.run(id);
        if let Some(cause) = cause {
            run.stop(cause.signal_for_ranks());
            if kill {
                run.kill();
            }
        }
    }

    pub(super) fn rank_not_started(&mut self, id: RunId, error: &io::Error) {
        let stopped = self.state.shutdown.is_stopping();
        self.intake.refused(id, error, stopped);
        self.take_marks(self.now());
        if !stopped {
            self.rank_failed();
        }
    }

    pub(super) fn rank_exited(&mut self, id: RunId, exit: Exit) {
        let max_restarts = if self.starts_ranks() { self.settings.max_restarts } else { 0 };
        match self.intake.exited(id, exit, max_restarts) {
            Ended::Otherwise => {}
            Ended::Failed => self.rank_failed(),
            Ended::StartsAgain { rank } => drop(self.start_again(rank)),
        }
    }

    /// Whether a rank that has ended may be started again.
    fn starts_ranks(&self) -> bool {
        self.is_open() && !self.settings.attached
    }

    /// A rank failed by itself.
    fn rank_failed(&mut self) {
        if self.settings.on_failure == OnFailure::Stop {
            self.stop(StopCause::Failure);
        }
    }

    /// After the abort: processes that are not heard of yet have exited, or are given up.
    pub(super) fn aborted(&mut self) {
        for (id, exit) in self.intake.ranks.unheard_exits() {
            self.rank_exited(id, exit);
        }
        self.intake.give_up();
    }
}

impl Drop for HostLoop {
    /// The runtime is gone before the job is over: nothing that was started is left behind.
    fn drop(&mut self) {
        if self.state.phase == Phase::Over {
            return;
        }
        if let Some(spawning) = self.spawning.take() {
            spawning.stop_starting();
            let running: Vec<_> = self.intake.ranks.processes().cloned().collect();
            abort::end_now(&running);
            drop(spawning);
        }
    }
}
