//! What a host is asked: by its driver, and by whoever has a handle to it.

use std::time::Duration;

use lastline_line::{Control, HostEvent, Launch, StopCause};
use lastline_sender::Closed;
use lastline_spawn::Spawned;

use super::run::{AwaitedMarks, AwaitedStart, HostLoop, Phase};
use super::still::newly_stopped;
use super::watch::Event;
use crate::RankError;

impl HostLoop {
    pub(super) fn handle_event(&mut self, event: Event) {
        match event {
            Event::Started { run, result: Ok(spawned) } => self.rank_started(run, spawned),
            Event::Started { run, result: Err(error) } => self.rank_not_started(run, &error),
            Event::Exited { run, exit } => self.rank_exited(run, exit),
            Event::StreamEnded { run, stream, outcome } => {
                self.intake.stream_ended(run, stream, outcome.as_ref());
                self.make_awaited_starts();
            }
            Event::GroupEnded { run } => self.intake.group_ended(run),
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
    pub(super) fn take_marks(&mut self, now: Duration) {
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
        if !self.is_open() {
            return Err(RankError::Ending);
        }
        match self.intake.ranks.last(rank) {
            Some((_, run)) if !run.is_over() => Err(RankError::Runs { rank }),
            None => Err(RankError::Unknown { rank }),
            Some(_) => self.start_again(rank),
        }
    }

    /// Starts a rank once more that is over. What its last start has left behind is ended, and what that
    /// has printed is read before.
    pub(super) fn start_again(&mut self, rank: u32) -> Result<Launch, RankError> {
        let Some((before, _)) = self.intake.ranks.last(rank) else {
            return Err(RankError::Unknown { rank });
        };
        let run = self.intake.ranks.begin(rank);
        self.state.starts.push(AwaitedStart { run, rank, before });
        self.intake.end_group(before, self.settings.leave_background);
        self.make_awaited_starts();
        Ok(self.intake.ranks.run(run).launch)
    }

    /// Makes the starts whose time has come. Where none is wanted any more they are made, too: whoever makes
    /// them refuses.
    pub(super) fn make_awaited_starts(&mut self) {
        let (ranks, unwanted) = (&self.intake.ranks, self.state.shutdown.is_stopping());
        let spawning = &self.spawning;
        self.state.starts.retain(|start| {
            let ready = unwanted || ranks.is_read(start.before);
            if let Some(spawning) = spawning.as_ref().filter(|_| ready) {
                spawning.request(start.run, start.rank);
            }
            !ready
        });
    }

    /// Whether ranks may be started.
    pub(super) fn is_open(&self) -> bool {
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
}
