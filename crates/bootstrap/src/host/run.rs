//! The host's loop: everything that becomes of a job's ranks here, from their start to the last
//! word to the driver.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use lastline_appender::Appender;
use lastline_line::{Control, Exit, HostEvent, HostId, Launch, RankSet, Stage, StopCause, Version};
use lastline_sender::Closed;
use lastline_spawn::Spawned;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;

use super::abort::{self, Abort};
use super::files::{self, Filed};
use super::intake::Intake;
use super::link::Link;
use super::ranks::RunId;
use super::spawning::Spawning;
use super::still::newly_stopped;
use super::watch::Event;
use crate::RankError;
use crate::blocking::Blocking;
use crate::clock::Clock;
use crate::plan::OnFailure;
use crate::shutdown::{Action, LAST_MOMENT, Limits, Shutdown};
use crate::work::{Work, poll_work};

/// The stages that a host goes through.
const STAGES: &[Stage] = &[Stage::Eof, Stage::Flush, Stage::Abort, Stage::Drop];
/// How long the driver has to dismiss a host that has said its last.
const DISMISSAL: Duration = Duration::from_secs(2);

/// What a host is told beforehand.
pub(super) struct Settings {
    /// Which host it is.
    pub(super) id: HostId,
    /// Ranks are attached and not started.
    pub(super) attached: bool,
    pub(super) on_failure: OnFailure,
    pub(super) leave_background: bool,
    pub(super) limits: Limits,
    pub(super) flush_timeout: Duration,
}

/// Where the host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Ranks run, or are being started.
    Running,
    /// A stage of the shutdown.
    Ending(Stage),
    /// All is said; the driver has to hear it.
    Leaving,
    Over,
}

/// What a phase's work came to.
enum Done {
    /// The stage is done.
    Stage,
    /// The files are closed, as far as they answer.
    Closed(Box<Filed>),
    /// Nobody waits for the host any more.
    Left,
}

/// A barrier that waits for starts to be known.
struct AwaitedMarks {
    version: Version,
    begun: u32,
    until: Duration,
}

pub(super) struct HostLoop {
    pub(super) settings: Settings,
    pub(super) link: Arc<Link>,
    pub(super) files: Option<Arc<Appender>>,
    pub(super) spawning: Option<Spawning>,
    pub(super) intake: Intake,
    pub(super) heard: UnboundedReceiver<Event>,
    blocking: Blocking,
    state: State,
}

/// What only the loop knows.
struct State {
    clock: Clock,
    shutdown: Shutdown,
    phase: Phase,
    work: Option<Work<Done>>,
    /// Ends the grace of an abort that goes on.
    hurry: Option<oneshot::Sender<()>>,
    dismissed: Option<oneshot::Sender<()>>,
    /// There is no driver any more.
    driver_gone: bool,
    marks: Vec<AwaitedMarks>,
    /// It is no part of the job, and why.
    refused: Option<String>,
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

    fn now(&self) -> Duration {
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

    fn leave_phase(&mut self) {
        (self.state.work, self.state.hurry) = (None, None);
        if self.state.phase == Phase::Ending(Stage::Abort) {
            self.aborted();
        }
    }

    fn enter_phase(&mut self) {
        let link = Arc::clone(&self.link);
        match self.state.phase {
            Phase::Ending(Stage::Flush) => {
                self.say_stages();
                self.state.work = Some(Box::pin(async move {
                    if let Some(sender) = link.sender() {
                        sender.drained().await;
                    }
                    Done::Stage
                }));
            }
            Phase::Ending(Stage::Abort) => {
                let (hurry, hurried) = oneshot::channel();
                let grace = self.state.shutdown.grace_left(self.now());
                let processes = self.intake.ranks.processes().cloned().collect();
                let tees = self.intake.ranks.streams().filter(|stream| !stream.is_over());
                let tees = tees.filter_map(|stream| stream.tee.clone()).collect();
                let leave = self.settings.leave_background;
                let blocking = self.blocking.clone();
                let clock = self.state.clock.clone();
                let work = Abort { processes, tees, grace, leave, blocking, clock };
                self.state.hurry = Some(hurry);
                self.state.work = Some(Box::pin(async move {
                    abort::run(work, hurried).await;
                    Done::Stage
                }));
            }
            Phase::Ending(Stage::Drop) => {
                let (clock, files) = (self.state.clock.clone(), self.files.clone());
                let blocking = self.blocking.clone();
                let until = clock.now() + self.state.shutdown.left(clock.now());
                self.state.work = Some(Box::pin(async move {
                    let left = |less| until.saturating_sub(clock.now() + less).max(LAST_MOMENT);
                    if let Some(sender) = link.sender() {
                        // A flush that was given up may still come to its end.
                        let drained = clock.within(left(2 * LAST_MOMENT), sender.drained());
                        drained.await.unwrap_or_default();
                    }
                    // Files say themselves what they could not write in time.
                    Done::Closed(Box::new(
                        files::close(files, left(LAST_MOMENT / 5), &blocking).await,
                    ))
                }));
            }
            Phase::Leaving => self.say_last(),
            Phase::Running | Phase::Ending(_) | Phase::Over => {}
        }
    }

    /// Everything is done and filed: the driver is told, and waited for.
    fn say_last(&mut self) {
        if !self.state.shutdown.rows().iter().any(|row| row.stage == Stage::Drop && !row.timed_out)
        {
            // The disk did not answer in time; files still say what they have.
            self.say_filed(files::filed(self.files.as_deref()));
        }
        self.intake.say_memory_kills();
        self.say_stages();
        self.link.send(HostEvent::Down);
        let (dismiss, dismissed) = oneshot::channel();
        // Dropped, it waits for nobody.
        self.state.dismissed = Some(dismiss).filter(|_| !self.state.driver_gone);
        let (link, spawning) = (Arc::clone(&self.link), self.spawning.take());
        let clock = self.state.clock.clone();
        self.state.work = Some(Box::pin(async move {
            if let Some(spawning) = spawning {
                spawning.finish().await;
            }
            // Dismissed, the driver gone, or nothing heard of it: it ends the same way.
            clock.within(DISMISSAL, dismissed).await.unwrap_or(Ok(())).unwrap_or_default();
            if let Some(sender) = link.close() {
                drop(sender.close(Duration::ZERO).await);
            }
            Done::Left
        }));
    }

    /// Tells the driver of every stage that is over; it keeps what it knows.
    fn say_stages(&self) {
        for row in self.state.shutdown.rows() {
            self.link.send(HostEvent::Stage(row));
        }
    }

    fn handle_done(&mut self, done: Done) {
        self.state.work = None;
        match done {
            Done::Stage => self.state.shutdown.done(self.now()),
            Done::Closed(filed) => {
                self.say_filed(*filed);
                self.state.shutdown.done(self.now());
            }
            Done::Left => self.state.phase = Phase::Over,
        }
    }

    fn say_filed(&self, filed: Filed) {
        filed.events(self.intake.tees()).into_iter().for_each(|event| self.link.send(event));
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

    fn stop(&mut self, cause: StopCause) {
        if let Some(spawning) = &self.spawning {
            spawning.stop_starting();
        }
        let (now, progress) = (self.now(), self.progress());
        let first = !self.state.shutdown.is_stopping();
        let action = self.state.shutdown.stop(now, cause, progress);
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

    fn handle_event(&mut self, event: Event) {
        match event {
            Event::Started { run, result: Ok(spawned) } => self.rank_started(run, spawned),
            Event::Started { run, result: Err(error) } => self.rank_not_started(run, &error),
            Event::Exited { run, exit } => self.rank_exited(run, exit),
            Event::StreamEnded { run, stream, outcome } => {
                self.intake.stream_ended(run, stream, outcome.as_ref());
            }
            Event::Silent { run, stream } => self.intake.silent(run, stream),
            Event::Holders(found) => self.intake.found_holders(found),
            Event::Control(Ok(control)) => self.handle_control(control),
            Event::Control(Err(Closed)) => {
                tracing::debug!("there is no driver any more; output still goes into files");
                self.state.driver_gone = true;
                self.dismiss();
            }
            Event::Suspend(done) => {
                self.suspend();
                // Whoever asked may have given up waiting.
                done.send(()).unwrap_or_default();
            }
            Event::Resize(size) => self.intake.resize(size),
            Event::Resume => self.resume(),
            // Those that this host has stopped are not told of.
            Event::LookForStopped if !self.state.clock.is_paused() => {
                let sentences = newly_stopped(&mut self.intake.ranks);
                sentences.iter().for_each(|said| tracing::warn!("{said}"));
            }
            Event::LookForStopped => {}
            Event::Restart { rank, reply } => {
                let started = self.restart(rank);
                reply.send(started).map(drop).unwrap_or_default();
            }
            Event::Attach { rank, spawned, reply } => {
                let attached = self.attach(rank, spawned);
                reply.send(attached).map(drop).unwrap_or_default();
            }
        }
    }

    fn handle_control(&mut self, control: Control) {
        match control {
            Control::Flush { version } => {
                let until = self.now() + self.settings.flush_timeout;
                let begun = self.link.begun();
                self.state.marks.push(AwaitedMarks { version, begun, until });
                self.take_marks(self.now());
            }
            Control::Stop { cause } => self.stop(cause),
            Control::Signal { rank: None, signal: libc::SIGSTOP } => self.suspend(),
            Control::Signal { rank: None, signal: libc::SIGCONT } => self.resume(),
            Control::Signal { rank: None, signal } => self.signal_running(signal),
            Control::Signal { rank: Some(rank), signal } => {
                let run =
                    self.intake.ranks.last(rank).map(|(_, run)| run).filter(|run| run.is_running());
                if let Some(process) = run.and_then(|run| run.process.as_ref()) {
                    process.signal(signal);
                }
            }
            Control::Dismiss => self.dismiss(),
            Control::Refuse { host, why } if host == self.settings.id => self.refuse(why),
            // The sender's.
            _ => {}
        }
    }

    /// It is no part of the job: nothing is started any more, and what runs is stopped.
    fn refuse(&mut self, why: String) {
        if self.state.refused.is_some() {
            return;
        }
        self.link.send(HostEvent::Refused { why: why.clone() });
        self.state.refused = Some(why);
        self.stop(StopCause::Owner);
    }

    fn dismiss(&mut self) {
        if let Some(dismissed) = self.state.dismissed.take() {
            dismissed.send(()).unwrap_or_default();
        }
    }

    /// Takes the marks of barriers whose starts are known, or are waited for too long.
    fn take_marks(&mut self, now: Duration) {
        let link = &self.link;
        self.state.marks.retain(|AwaitedMarks { version, begun, until }| {
            let ready = link.knows(*begun) || *until <= now;
            if ready {
                link.take_marks(*version);
            }
            !ready
        });
    }

    fn signal_running(&self, signal: i32) {
        for run in self.intake.ranks.iter().filter(|run| run.is_running()) {
            if let Some(process) = &run.process {
                process.signal(signal);
            }
        }
    }

    fn suspend(&mut self) {
        self.state.clock.pause();
        self.signal_running(libc::SIGSTOP);
    }

    fn resume(&mut self) {
        self.state.clock.resume();
        self.signal_running(libc::SIGCONT);
    }

    fn restart(&mut self, rank: u32) -> Result<Launch, RankError> {
        let Some(spawning) = self.spawning.as_ref().filter(|_| self.is_open()) else {
            return Err(RankError::Ending);
        };
        match self.intake.ranks.last(rank) {
            Some((_, run)) if !run.is_over() => return Err(RankError::Runs { rank }),
            None => return Err(RankError::Unknown { rank }),
            Some(_) => {}
        }
        let before = self.intake.ranks.last(rank).and_then(|(_, run)| run.process.clone());
        let id = self.intake.ranks.begin(rank);
        spawning.request(id, rank);
        if let Some(before) = before {
            let leave = self.settings.leave_background;
            drop(self.blocking.run(move || abort::end_before_restart(&before, leave)));
        }
        Ok(self.intake.ranks.run(id).launch)
    }

    /// Whether ranks may be started.
    fn is_open(&self) -> bool {
        self.state.phase == Phase::Running && !self.state.shutdown.is_stopping()
    }

    fn attach(&mut self, rank: u32, spawned: Spawned) -> Result<Launch, RankError> {
        if !self.is_open() {
            return Err(RankError::Ending);
        }
        let id = match self.intake.ranks.last(rank) {
            Some((_, run)) if run.is_running() => return Err(RankError::Runs { rank }),
            Some((id, run)) if !run.is_over() => id,
            _ => self.intake.ranks.begin(rank),
        };
        self.link.start_begins();
        self.rank_started(id, spawned);
        Ok(self.intake.ranks.run(id).launch)
    }

    fn rank_started(&mut self, id: RunId, spawned: Spawned) {
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

    fn rank_not_started(&mut self, id: RunId, error: &io::Error) {
        let stopped = self.state.shutdown.is_stopping();
        self.intake.refused(id, error, stopped);
        self.take_marks(self.now());
        if !stopped {
            self.rank_failed();
        }
    }

    fn rank_exited(&mut self, id: RunId, exit: Exit) {
        if self.intake.exited(id, exit) {
            self.rank_failed();
        }
    }

    /// A rank failed by itself.
    fn rank_failed(&mut self) {
        if self.settings.on_failure == OnFailure::Stop {
            self.stop(StopCause::Failure);
        }
    }

    /// After the abort: processes that are not heard of yet have exited, or are given up.
    fn aborted(&mut self) {
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
