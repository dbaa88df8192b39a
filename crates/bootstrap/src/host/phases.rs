//! What a host does in each phase of its end, and says when it is over.

use std::sync::Arc;
use std::time::Duration;

use lastline_line::{HostEvent, Stage};
use tokio::sync::oneshot;

use super::abort::{self, Abort};
use super::files::{self, Filed};
use super::run::{Done, HostLoop, Phase};
use crate::shutdown::LAST_MOMENT;

/// How long the driver has to dismiss a host that has said its last.
const DISMISSAL: Duration = Duration::from_secs(2);

impl HostLoop {
    pub(super) fn leave_phase(&mut self) {
        (self.state.work, self.state.hurry) = (None, None);
        if self.state.phase == Phase::Ending(Stage::Abort) {
            self.aborted();
        }
    }

    pub(super) fn enter_phase(&mut self) {
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

    pub(super) fn handle_done(&mut self, done: Done) {
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
        filed.events(self.intake.ranks.read()).into_iter().for_each(|event| self.link.send(event));
    }
}
