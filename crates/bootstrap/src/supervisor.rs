//! The supervisor: hears what becomes of the ranks, stops them, and takes the job down.

use std::collections::HashSet;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lastline_line::{Stream, StreamId, Timestamp};
use lastline_tee::{BoxSink, Tee, TeeError};
use rustix::process::{Pid, Signal};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

use crate::guardian::Guardian;
use crate::memory_watch::MemoryWatch;
use crate::mesh::Inner;
use crate::plan::{OnFailure, Plan, StopCause};
use crate::processes::{Exit, Held, holders, signal_group};
use crate::rank::{Event, RankState, watch_end, watch_exit, watch_silence};
use crate::report::Report;
use crate::spawner::{Output, Spawned};
use crate::stage::Teardown;
use crate::start::Running;
use crate::wiring::Wiring;

pub(crate) struct Supervisor {
    pub(crate) plan: Plan,
    pub(crate) inner: Arc<Inner>,
    pub(crate) wiring: Wiring,
    pub(crate) guardian: Arc<Guardian>,
    running: Running,
    pub(crate) memory: MemoryWatch,
    pub(crate) events: UnboundedReceiver<Event>,
    pub(crate) ranks: Vec<RankState>,
    /// Ranks of which it is not known yet whether they run.
    starting: u32,
    pub(crate) started: Timestamp,
    pub(crate) first_failure: Option<u32>,
    pub(crate) stop: Option<Stop>,
    /// The first time that somebody asked for the end, whether or not a failure had begun it.
    told: Option<StopCause>,
    pub(crate) teardown: Teardown,
    /// What had been read and shown when the budget of the way out began last.
    progress: u64,
    /// The ranks have been told to pause.
    suspended_at: Option<Instant>,
}

/// The job is being stopped.
pub(crate) struct Stop {
    cause: StopCause,
    since: Instant,
    kill_at: Option<Instant>,
}

impl Supervisor {
    pub(crate) fn new(
        plan: Plan,
        inner: Arc<Inner>,
        wiring: Wiring,
        guardian: Arc<Guardian>,
        running: Running,
        memory: MemoryWatch,
        events: UnboundedReceiver<Event>,
    ) -> Self {
        let ranks = (0..plan.procs).map(RankState::new).collect();
        let teardown = Teardown::new(plan.teardown_timeout);
        Self {
            starting: plan.procs,
            plan,
            inner,
            wiring,
            guardian,
            running,
            memory,
            events,
            ranks,
            started: now(),
            first_failure: None,
            stop: None,
            told: None,
            teardown,
            progress: 0,
            suspended_at: None,
        }
    }

    /// Runs the job to its end, then takes it down.
    pub(crate) async fn run(mut self) -> Report {
        let mut eof_since = None;
        while !self.is_over() {
            if self.ranks_are_over() {
                eof_since.get_or_insert_with(Instant::now);
                self.teardown.begin();
            }
            let kill_at = self.stop.as_ref().and_then(|stop| stop.kill_at);
            let give_up_at = self.teardown.give_up_at();
            tokio::select! {
                biased;
                Some(event) = self.events.recv() => self.hear(event).await,
                () = sleep_until(kill_at) => self.kill(),
                () = sleep_until(give_up_at) => if !self.renew_patience() { break },
            }
        }
        let timed_out = !self.is_over();
        let eof_since = eof_since.unwrap_or_else(Instant::now);
        self.teardown.begin();
        self.teardown.record("eof", eof_since, timed_out);
        crate::teardown::take_down(self).await
    }

    fn is_over(&self) -> bool {
        self.ranks_are_over()
            && self.ranks.iter().all(|rank| rank.streams.iter().all(|stream| stream.is_over()))
    }

    fn ranks_are_over(&self) -> bool {
        self.starting == 0 && !self.ranks.iter().any(RankState::runs)
    }

    /// At the end of the budget: whether to go on. A job that ends by itself may take as long as
    /// it moves on; one that is stopped may not, since who stops it will not wait.
    pub(crate) fn renew_patience(&mut self) -> bool {
        let read: u64 = self.tees().map(|tee| tee.read().0).sum();
        let shown: u64 =
            self.inner.client.accounts().iter().map(|(_, account)| account.shown().0).sum();
        let moved = read + shown > self.progress;
        self.progress = read + shown;
        let renewed = self.stop.is_none() && moved;
        if renewed {
            self.teardown.renew();
        }
        renewed
    }

    pub(crate) fn tees(&self) -> impl Iterator<Item = &Tee> {
        self.ranks.iter().flat_map(|rank| &rank.streams).filter_map(|stream| stream.tee.as_ref())
    }

    async fn hear(&mut self, event: Event) {
        match event {
            Event::Started(rank, result) => {
                match result {
                    Ok(spawned) => self.rank_started(rank, spawned),
                    Err(error) => self.rank_not_started(rank, &error),
                }
                self.inner.one_more_known();
            }
            Event::Exited(rank, exit) => self.rank_exited(rank, exit),
            Event::StreamEnded(rank, stream, outcome) => {
                self.ranks[rank as usize].stream(stream).ended(outcome.as_ref());
            }
            Event::Silent(rank, stream) => self.streams_silent(rank, stream).await,
            Event::Stop(cause) => self.stop(cause),
            Event::Suspend(done) => {
                self.suspended_at = Some(Instant::now());
                self.signal_running(Signal::STOP);
                // Whoever asked may have given up waiting.
                done.send(()).unwrap_or_default();
            }
            Event::Resume => self.resume(),
        }
    }

    fn rank_started(&mut self, rank: u32, spawned: Spawned) {
        self.starting -= 1;
        self.inner.label(&self.plan.job, rank, spawned.pid);
        let state = &mut self.ranks[rank as usize];
        state.started = now();
        state.pid = i32::try_from(spawned.pid).ok().and_then(Pid::from_raw);
        if let Some(pid) = state.pid {
            self.memory.rank_started(rank, pid);
        }
        let pidfd = Arc::new(spawned.pidfd);
        state.pidfd = Some(Arc::clone(&pidfd));
        match spawned.output {
            Output::Pipes { stdout, stderr } => {
                for (stream, pipe) in [(Stream::Stdout, stdout), (Stream::Stderr, stderr)] {
                    let held = Held::pipe(&pipe).ok();
                    self.read_stream(rank, stream, held, |id, sinks, options| {
                        Tee::start_pipe(id, pipe, sinks, options)
                    });
                }
            }
            Output::Terminal { master, slave } => {
                let held = Held::terminal(&slave).ok();
                state.terminal = Some(slave);
                self.read_stream(rank, Stream::Stdout, held, |id, sinks, options| {
                    Tee::start_pty(id, master, sinks, options)
                });
            }
        }
        tokio::spawn(watch_exit(rank, pidfd, self.inner.events.clone()));
        let state = &mut self.ranks[rank as usize];
        if let (Some(stop), Some(group)) = (&self.stop, state.pid) {
            state.stopped_by_lastline = !state.has_exited();
            signal_group(group, stop.cause.for_ranks());
        }
    }

    /// Starts the tee of one stream of a rank.
    fn read_stream(
        &mut self,
        rank: u32,
        stream: Stream,
        held: Option<Held>,
        start: impl FnOnce(StreamId, Vec<BoxSink>, lastline_tee::Options) -> Result<Tee, TeeError>,
    ) {
        let slot = self.ranks[rank as usize].stream(stream);
        let sinks = self.inner.with_sender(|sender| self.wiring.sinks(slot.id, sender));
        match start(slot.id, sinks.unwrap_or_default(), self.wiring.tee_options.clone()) {
            Ok(tee) => {
                (slot.held, slot.tee) = (held, Some(tee.clone()));
                self.inner.add_tee(tee.clone());
                tokio::spawn(watch_end(tee, self.inner.events.clone()));
            }
            Err(error) => tracing::error!(%error, rank, "its output is not read"),
        }
    }

    fn rank_not_started(&mut self, rank: u32, error: &std::io::Error) {
        self.starting -= 1;
        let stopped = self.stop.is_some();
        let code = if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 };
        let state = &mut self.ranks[rank as usize];
        state.error = Some((format!("could not be started: {error}"), code));
        state.stopped_by_lastline = stopped;
        (state.started, state.ended) = (now(), Some(now()));
        if !stopped {
            self.rank_failed(rank);
        }
    }

    fn rank_exited(&mut self, rank: u32, exit: Exit) {
        let state = &mut self.ranks[rank as usize];
        (state.exit, state.ended) = (Some(exit), Some(now()));
        // Who else has it open keeps it open.
        state.terminal = None;
        for tee in state.streams.iter().filter(|s| !s.is_over()).filter_map(|s| s.tee.clone()) {
            tokio::spawn(watch_silence(tee, self.plan.drain, self.inner.events.clone()));
        }
        if exit == Exit::Signal(libc::SIGKILL)
            && !state.killed_by_lastline
            && let Some(pid) = state.pid
        {
            self.memory.rank_killed(rank, pid);
        }
        let stopped = state.stopped_by_lastline;
        if !exit.is_success() && !stopped {
            self.rank_failed(rank);
        }
    }

    fn rank_failed(&mut self, rank: u32) {
        self.first_failure.get_or_insert(rank);
        if self.plan.on_failure == OnFailure::Stop {
            self.stop(StopCause::Failure);
        }
    }

    /// Open streams of ranks that have exited say nothing: who holds them is looked up for all of
    /// them at once, and they are given up after what is there has been read.
    async fn streams_silent(&mut self, rank: u32, stream: Stream) {
        let mut silent = vec![(rank, stream)];
        let mut others = Vec::new();
        while let Ok(event) = self.events.try_recv() {
            match event {
                Event::Silent(rank, stream) => silent.push((rank, stream)),
                other => others.push(other),
            }
        }
        let held = |(rank, stream): &(u32, Stream)| {
            self.ranks[*rank as usize].streams[usize::from(*stream == Stream::Stderr)].held
        };
        let held: HashSet<Held> = silent.iter().filter_map(held).collect();
        let look_up = tokio::task::spawn_blocking(move || holders(&held));
        let mut found = look_up.await.unwrap_or_default();
        for (rank, stream) in silent {
            let slot = self.ranks[rank as usize].stream(stream);
            slot.given_up = true;
            slot.leaked_to = slot.held.and_then(|held| found.remove(&held)).unwrap_or_default();
            if let Some(tee) = &slot.tee {
                tee.stop();
            }
        }
        for event in others {
            Box::pin(self.hear(event)).await;
        }
    }

    /// The first stop signals every group at once, and a barrier starts at the same moment; a
    /// second one ends the grace.
    fn stop(&mut self, cause: StopCause) {
        self.note_told(cause);
        if self.stop.is_some() {
            return if matches!(cause, StopCause::Failure) {
            } else {
                self.kill()
            };
        }
        self.running.stop_starting();
        let signalled = Instant::now();
        for rank in self.ranks.iter_mut().filter(|rank| rank.runs()) {
            // One that is dead and not heard of yet ended by itself; its group is told all the same.
            rank.stopped_by_lastline = !rank.has_exited();
            if let Some(group) = rank.pid {
                signal_group(group, cause.for_ranks());
            }
        }
        // Ranks that are killed have to be read to their end within the budget.
        let kill_at = Some(signalled + self.plan.grace.min(self.plan.teardown_timeout / 2));
        self.stop = Some(Stop { cause, since: signalled, kill_at });
        self.teardown.begin();
        self.teardown.record("signal", signalled, false);
        let inner = Arc::clone(&self.inner);
        tokio::spawn(async move { inner.flush().await });
    }

    fn note_told(&mut self, cause: StopCause) {
        if cause != StopCause::Failure {
            self.told.get_or_insert(cause);
        }
    }

    /// Who asked for the end first, those included who did so while nobody listened.
    pub(crate) fn told_to_stop(&mut self) -> Option<StopCause> {
        while let Ok(event) = self.events.try_recv() {
            if let Event::Stop(cause) = event {
                self.note_told(cause);
            }
        }
        self.told
    }

    /// The ranks go on, and no deadline counts the time in between.
    fn resume(&mut self) {
        let paused = self.suspended_at.take().map_or(Duration::ZERO, |at| at.elapsed());
        if let Some(kill_at) = self.stop.as_mut().and_then(|stop| stop.kill_at.as_mut()) {
            *kill_at += paused;
        }
        self.teardown.postpone(paused);
        self.signal_running(Signal::CONT);
    }

    fn signal_running(&self, signal: Signal) {
        for group in self.ranks.iter().filter(|rank| rank.runs()).filter_map(|rank| rank.pid) {
            signal_group(group, signal);
        }
    }

    /// Somebody asks for the end when the ranks have ended: whether for the first time. The way
    /// out may then take its budget once more.
    pub(crate) fn stop_late(&mut self, cause: StopCause) -> bool {
        self.note_told(cause);
        let first = self.stop.is_none();
        if first {
            let since = Instant::now();
            self.stop = Some(Stop { cause, since, kill_at: Some(since + self.plan.grace) });
            self.teardown.renew();
        } else if let Some(stop) = &mut self.stop {
            // Said twice: the grace is over for what the ranks left, too.
            stop.kill_at = None;
        }
        first
    }

    /// What is left of the grace: it is given once, to ranks and what they leave together.
    pub(crate) fn grace_left(&self) -> Duration {
        self.stop.as_ref().map_or(self.plan.grace, |stop| {
            let left = |at: Instant| at.saturating_duration_since(Instant::now());
            stop.kill_at.map_or(Duration::ZERO, left)
        })
    }

    /// The grace is over.
    fn kill(&mut self) {
        if let Some(stop) = &mut self.stop {
            stop.kill_at = None;
            tracing::debug!(after = ?stop.since.elapsed(), "the grace is over");
        }
        for rank in self.ranks.iter_mut().filter(|rank| rank.runs()) {
            rank.killed_by_lastline = !rank.has_exited();
        }
        self.signal_running(Signal::KILL);
    }

    /// The pids of ranks that were started, which are the ids of their groups.
    pub(crate) fn groups(&self) -> Vec<(Pid, Arc<std::os::fd::OwnedFd>)> {
        let started = |rank: &RankState| Some((rank.pid?, Arc::clone(rank.pidfd.as_ref()?)));
        self.ranks.iter().filter_map(started).collect()
    }

    /// All is over: the guardian may go. Not when somebody still holds it.
    pub(crate) fn say_farewell(self) {
        let Self { guardian, running, .. } = self;
        drop(running);
        if let Some(guardian) = Arc::into_inner(guardian) {
            guardian.farewell();
        }
    }

    /// Lets the leaders of the groups that have exited go.
    pub(crate) fn reap(&self, groups: &[(Pid, Arc<std::os::fd::OwnedFd>)]) {
        groups.iter().for_each(|(_, pidfd)| crate::processes::reap(pidfd.as_fd()));
    }

    /// Tells the guardian that all groups but `left` are none of its business any more.
    pub(crate) fn let_go(&self, groups: &[(Pid, Arc<std::os::fd::OwnedFd>)], left: &HashSet<u32>) {
        let is_left = |group: &Pid| left.contains(&group.as_raw_nonzero().get().unsigned_abs());
        let over = groups.iter().filter(|(group, _)| !is_left(group));
        over.for_each(|(group, _)| self.guardian.remove(*group));
    }

    /// Takes note of ranks that ended after nobody listened any more.
    pub(crate) fn take_exits(&mut self) {
        for rank in self.ranks.iter_mut().filter(|rank| rank.runs()) {
            let Some(pidfd) = &rank.pidfd else {
                continue;
            };
            if let Ok(Some(exit)) = crate::processes::poll_exit(pidfd.as_fd()) {
                (rank.exit, rank.ended) = (Some(exit), Some(now()));
                crate::processes::reap(pidfd.as_fd());
            }
        }
    }
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from_system(SystemTime::now())
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// How long the last co-operative steps of a teardown get when the budget is used up.
pub(crate) const LAST_MOMENT: Duration = Duration::from_millis(500);
