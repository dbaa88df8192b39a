//! What is done at once when something is heard of a host, by whoever receives it, before anything
//! that came later is received.

use std::sync::atomic::Ordering;
use std::time::Duration;

use lastline_client::Label;
use lastline_jobs::random_u64;
use lastline_line::{
    Control, Heard, Heartbeat, HostEvent, HostMessage, PingId, StopCause, StreamId, Version,
};

use super::DriverState;
use super::record::{Consequence, GoneStreams, Refusal};
use super::trips::Moment;
use crate::clock::now;
use crate::lock;

impl DriverState {
    pub(super) fn handle_heard(&self, heard: Heard) {
        match heard {
            Heard::Host(message) => self.handle_message(message),
            Heard::Heartbeat(heartbeat) => self.handle_heartbeat(&heartbeat),
            Heard::Deaf => self.record().excuse(self.clock.now()),
            Heard::Closed => {
                let present = self.record().close();
                for host in present {
                    let why = String::from("its connection ended without its last word");
                    let event = HostEvent::Lost { why };
                    self.handle_message(HostMessage { host, event });
                }
                self.changed();
            }
        }
    }

    fn handle_message(&self, message: HostMessage) {
        let consequence = self.record().apply(message, self.clock.now());
        self.act(consequence);
    }

    fn handle_heartbeat(&self, heartbeat: &Heartbeat) {
        let received = self.started.elapsed();
        let clock = heartbeat
            .answers
            .and_then(|id| lock(&self.trips).answered(id, heartbeat.time, received));
        let consequence = self.record().beat(heartbeat, clock, self.clock.now());
        // They come all the time, and say nothing that others wait for.
        if consequence != Consequence::None {
            self.act(consequence);
        }
    }

    /// Gives up the hosts that have been silent for too long.
    pub(super) fn look_for_silent(&self, patience: Duration) {
        let now = self.clock.now();
        if self.record().give_up_missing(now, patience) {
            self.changed();
        }
        let silent = self.record().silent(now, patience);
        for (host, silent_for) in silent {
            let consequence = self.record().give_up(host, silent_for);
            self.act(consequence);
        }
    }

    /// The teardown is over: hosts at a distance that have not said their last are not waited for.
    pub(super) fn give_up_present(&self) {
        let present = if self.distant { self.record().present() } else { Vec::new() };
        for host in present {
            let why = String::from("it had not ended when the teardown was over");
            self.handle_message(HostMessage { host, event: HostEvent::Lost { why } });
        }
    }

    /// Asks hosts for their time.
    pub(super) fn ping(&self) {
        let id = PingId(random_u64());
        lock(&self.trips).sent(id, Moment { running: self.started.elapsed(), day: now() });
        self.control.send(Control::Ping { id: Some(id) });
    }

    fn act(&self, consequence: Consequence) {
        match consequence {
            Consequence::None => {}
            Consequence::Came => self.greet(),
            Consequence::Started { rank, launch, capture, local_rank, pid, host, job } => {
                self.starts.begin(rank, launch, capture.streams());
                let pid = pid.unwrap_or_default();
                self.labels.set(Label { rank, local_rank, host, pid, job });
            }
            Consequence::Barrier(version, streams) => {
                if let Some(client) = self.client.get() {
                    client.barrier_streams(version, streams);
                }
                // Nobody but the client waits for this.
                return;
            }
            Consequence::Gone(versions, gone) => self.let_go(versions, &gone),
            Consequence::Refused(refusal) => self.refuse(refusal),
            Consequence::Foreign(launch) => self.gate.keep_out([launch]),
            Consequence::ForeignDown => self.control.send(Control::Dismiss),
            Consequence::SpokeAgain { host, launches } => {
                self.gate.keep_out(launches);
                self.stop_late_comers();
                tracing::warn!(
                    "{host} speaks again, and stays lost: what it says from now on is in its files alone"
                );
            }
        }
        self.changed();
    }

    /// A host has come.
    fn greet(&self) {
        if self.distant {
            self.ping();
        }
        self.stop_late_comers();
    }

    /// A host that was not there to hear that the job is stopped hears it now; those that stop already
    /// are not hurried.
    fn stop_late_comers(&self) {
        if self.stopping.load(Ordering::Acquire) {
            self.control.send(Control::Stop { cause: StopCause::Failure });
        }
    }

    fn let_go(&self, versions: Vec<Version>, gone: &GoneStreams) {
        self.answer_for(versions, &gone.streams);
        if let Some(why) = &gone.lost {
            self.interrupt(&gone.streams, why);
        }
    }

    fn refuse(&self, refusal: Refusal) {
        let Refusal { host, why, knows, again, launches, streams, barriers } = refusal;
        self.gate.keep_out(launches);
        self.answer_for(barriers, &[]);
        self.interrupt(&streams, &why);
        if !again {
            tracing::warn!("a host is refused: {why}");
        }
        if !knows {
            self.control.send(Control::Refuse { host, why });
        }
    }

    /// A host that is gone has these streams in each barrier that waits for its word.
    fn answer_for(&self, versions: Vec<Version>, streams: &[StreamId]) {
        if let Some(client) = self.client.get() {
            for version in versions {
                client.barrier_streams(version, streams.to_vec());
            }
        }
    }

    fn interrupt(&self, streams: &[StreamId], why: &str) {
        if let Some(client) = self.client.get() {
            streams.iter().for_each(|id| client.interrupt(*id, None, why));
        }
    }

    pub(super) fn changed(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }
}
