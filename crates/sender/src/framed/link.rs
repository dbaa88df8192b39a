//! What a transport that outlives its peers shares with its task.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use lastline_line::wire::window_bytes;
use lastline_line::{Control, HostEvent, HostMessage, Message, Stage};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::reconnecting::ReconnectingOptions;
use super::replay::Places;
use super::transport::wake;

/// What the transport and its task share.
#[derive(Debug, Default)]
pub(super) struct Link {
    queues: Mutex<Queues>,
    /// Something is to be sent, or the host is ending.
    pub(super) work: Notify,
}

/// What waits on either side, and all that was said.
#[derive(Debug, Default)]
pub(super) struct Queues {
    /// All that was said, for whoever comes later.
    said: Vec<HostMessage>,
    /// What the present driver was not sent yet. Of heartbeats there is one at most.
    pub(super) events: VecDeque<Message>,
    pub(super) data: VecDeque<Message>,
    pub(super) data_bytes: usize,
    pub(super) places: Places,
    /// There is a driver.
    connected: bool,
    /// It has what was sent before it came.
    pub(super) live: bool,
    pub(super) controls: VecDeque<Control>,
    /// The last driver wanted no output.
    mode_off: bool,
    pub(super) ready: Option<Waker>,
    pub(super) control: Option<Waker>,
    /// Since when the host has nothing more to read.
    pub(super) ending: Option<Instant>,
    /// The transport was dropped: what is queued goes out, and nothing comes after it.
    pub(super) dropped: bool,
    /// Nobody is waited for any more.
    pub(super) gone: bool,
}

impl Queues {
    /// Whether a message of so many bytes may be queued.
    pub(super) fn has_room(&self, bytes: usize, window: usize) -> bool {
        self.data.is_empty() || self.data_bytes + bytes <= window
    }

    /// Puts a message at the end of what goes to the driver.
    pub(super) fn push_data(&mut self, message: Message) {
        self.data_bytes += window_bytes(&message);
        self.data.push_back(message);
    }

    /// Takes what is no output: an event of a host, or a heartbeat.
    pub(super) fn push_event(&mut self, message: Message) {
        match &message {
            Message::Host(said) => self.hear(said),
            _ => self.events.retain(|event| !matches!(event, Message::Heartbeat(_))),
        }
        if self.connected {
            self.events.push_back(message);
        }
    }

    fn hear(&mut self, said: &HostMessage) {
        self.places.heard(&said.event);
        if !matches!(said.event, HostEvent::Barrier { .. }) {
            self.said.push(said.clone());
        }
        let is_last = match &said.event {
            HostEvent::Stage(row) => row.stage == Stage::Eof,
            event => *event == HostEvent::Down,
        };
        if is_last {
            self.ending.get_or_insert_with(Instant::now);
        }
    }
}

impl Link {
    pub(super) fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands on a control of the driver's.
    pub(super) fn push_control(&self, control: Control) {
        let waker = {
            let mut queues = self.lock();
            if let Control::SetMode { stream_to_client } = control {
                queues.mode_off = !stream_to_client;
            }
            queues.controls.push_back(control);
            queues.control.take()
        };
        wake(waker);
    }

    /// There is a driver: it is told all that was said.
    pub(super) fn connected(&self) {
        let mut queues = self.lock();
        queues.connected = true;
        queues.events = queues.said.iter().cloned().map(Message::Host).collect();
    }

    /// It is gone. What of its output was taken and not sent is read again for the next one.
    pub(super) fn disconnected(&self) {
        let mut queues = self.lock();
        (queues.connected, queues.live) = (false, false);
        queues.events.clear();
        queues.data.clear();
        queues.data_bytes = 0;
        let turned_off = std::mem::take(&mut queues.mode_off);
        drop(queues);
        if turned_off {
            self.push_control(Control::SetMode { stream_to_client: true });
        }
    }

    /// Until when a driver is waited for by who has been alone since then.
    pub(super) fn deadline(
        &self,
        alone_since: Instant,
        options: &ReconnectingOptions,
    ) -> Option<Instant> {
        let ending = self.lock().ending;
        let ending = ending.map(|since| since.max(alone_since) + options.linger);
        let given_up = options.give_up_after.map(|after| alone_since + after);
        ending.into_iter().chain(given_up).min()
    }

    /// Nobody is waited for any more.
    pub(super) fn lose(&self) {
        let mut queues = self.lock();
        queues.gone = true;
        queues.events.clear();
        queues.data.clear();
        let wakers = [queues.ready.take(), queues.control.take()];
        drop(queues);
        wakers.into_iter().for_each(wake);
    }
}
