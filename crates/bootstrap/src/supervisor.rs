//! The supervisor: hears what becomes of the ranks until all are over.

use std::sync::Arc;

use lastline_line::Timestamp;
use lastline_spawn::MemoryWatch;
use lastline_tee::Tee;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

use crate::clock::now;
use crate::inner::Inner;
use crate::plan::{Plan, StopCause};
use crate::rank::{Event, RankState};
use crate::stage::Teardown;
use crate::start::Running;
use crate::stop::Stop;
use crate::wiring::Wiring;

pub(crate) struct Supervisor {
    pub(crate) plan: Plan,
    pub(crate) inner: Arc<Inner>,
    pub(crate) wiring: Wiring,
    pub(crate) running: Running,
    pub(crate) memory: MemoryWatch,
    pub(crate) events: UnboundedReceiver<Event>,
    pub(crate) ranks: Vec<RankState>,
    /// Ranks of which it is not known yet whether they run.
    pub(crate) starting: u32,
    pub(crate) started: Timestamp,
    pub(crate) first_failure: Option<u32>,
    pub(crate) stop: Option<Stop>,
    /// The first time that somebody asked for the end, whether or not a failure had begun it.
    pub(crate) told: Option<StopCause>,
    pub(crate) teardown: Teardown,
    /// What had been read and shown when the budget of the way out began last.
    progress: u64,
    /// The ranks have been told to pause.
    pub(crate) suspended_at: Option<Instant>,
}

impl Supervisor {
    pub(crate) fn new(
        plan: Plan,
        inner: Arc<Inner>,
        wiring: Wiring,
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

    /// Runs the job until its ranks and their streams have ended, or the budget of the way out has.
    pub(crate) async fn run(mut self) -> Self {
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
        self
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

    pub(crate) async fn hear(&mut self, event: Event) {
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
                self.signal_running(libc::SIGSTOP);
                // Whoever asked may have given up waiting.
                done.send(()).unwrap_or_default();
            }
            Event::Resume => self.resume(),
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
