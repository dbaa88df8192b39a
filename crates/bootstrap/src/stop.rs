//! Stopping a job: whom to signal, and when the grace is over. Pausing it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::plan::StopCause;
use crate::rank::Event;
use crate::supervisor::Supervisor;

/// The job is being stopped.
pub(crate) struct Stop {
    pub(crate) cause: StopCause,
    since: Instant,
    /// When the grace is over; `None` when it is.
    pub(crate) kill_at: Option<Instant>,
}

impl Supervisor {
    /// The first stop signals every group at once, and a barrier starts at the same moment; a
    /// second one ends the grace.
    pub(crate) fn stop(&mut self, cause: StopCause) {
        self.note_told(cause);
        if self.stop.is_some() {
            if cause != StopCause::Failure {
                self.kill();
            }
            return;
        }
        self.running.stop_starting();
        let signalled = Instant::now();
        for rank in self.ranks.iter_mut().filter(|rank| rank.runs()) {
            // One that is dead and not heard of yet ended by itself; its group is told all the same.
            rank.stopped_by_lastline = !rank.has_exited();
            rank.signal(cause.for_ranks());
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
    pub(crate) fn resume(&mut self) {
        let paused = self.suspended_at.take().map_or(Duration::ZERO, |at| at.elapsed());
        if let Some(kill_at) = self.stop.as_mut().and_then(|stop| stop.kill_at.as_mut()) {
            *kill_at += paused;
        }
        self.teardown.postpone(paused);
        self.signal_running(libc::SIGCONT);
    }

    pub(crate) fn signal_running(&self, signal: i32) {
        self.ranks.iter().filter(|rank| rank.runs()).for_each(|rank| rank.signal(signal));
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
    pub(crate) fn kill(&mut self) {
        if let Some(stop) = &mut self.stop {
            stop.kill_at = None;
            tracing::debug!(after = ?stop.since.elapsed(), "the grace is over");
        }
        for rank in self.ranks.iter_mut().filter(|rank| rank.runs()) {
            rank.killed_by_lastline = !rank.has_exited();
        }
        self.signal_running(libc::SIGKILL);
    }
}
