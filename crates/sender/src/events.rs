//! The lane on which a driver gets the events of hosts.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lastline_line::{Heard, Heartbeat, HostMessage, Listener};

/// Hands the events of hosts to a listener, or keeps them until there is one: the part of an
/// [`Inbox`](lastline_line::Inbox) that is the same for every transport.
#[derive(Default)]
pub struct EventLane(Mutex<Lane>);

#[derive(Default)]
struct Lane {
    listener: Option<Listener>,
    kept: Vec<Heard>,
    /// Nothing more comes, or nobody is there to take it.
    ended: bool,
}

impl EventLane {
    /// A lane without listener.
    pub fn new() -> Self {
        Self::default()
    }

    fn lane(&self) -> MutexGuard<'_, Lane> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the listener an event.
    pub fn deliver(&self, message: HostMessage) {
        self.lane().deliver(Heard::Host(message));
    }

    /// Tells the listener, if there is one, that a host is alive.
    pub fn beat(&self, heartbeat: Heartbeat) {
        let mut lane = self.lane();
        if lane.listener.is_some() {
            lane.deliver(Heard::Heartbeat(heartbeat));
        }
    }

    /// Tells the listener, if there is one, that no host can be heard at present.
    pub fn deaf(&self) {
        let mut lane = self.lane();
        if lane.listener.is_some() {
            lane.deliver(Heard::Deaf);
        }
    }

    /// All hosts are gone; the listener gets that once, and nothing after it.
    pub fn end(&self) {
        let mut lane = self.lane();
        lane.deliver(Heard::Closed);
        lane.ended = true;
    }

    /// From now on `listener` is given what comes, after what was kept.
    pub fn listen(&self, mut listener: Listener) {
        let mut lane = self.lane();
        lane.kept.drain(..).for_each(&mut listener);
        let earlier = lane.listener.replace(listener);
        drop(lane);
        // A listener may own what delivers here when it is dropped.
        drop(earlier);
    }

    /// The inbox is gone: nothing is given or kept any more.
    pub fn discard(&self) {
        let mut lane = self.lane();
        let gone = (lane.listener.take(), std::mem::take(&mut lane.kept));
        lane.ended = true;
        drop(lane);
        drop(gone);
    }
}

impl Lane {
    fn deliver(&mut self, event: Heard) {
        if self.ended {
            return;
        }
        match &mut self.listener {
            Some(listener) => listener(event),
            None => self.kept.push(event),
        }
    }
}

impl fmt::Debug for EventLane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLane").finish_non_exhaustive()
    }
}
