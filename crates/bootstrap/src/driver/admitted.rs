//! The driver's inbox: what is no part of the job stays outside, and the end is the driver's to say.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lastline_line::{
    Control, ControlSender, Inbox, Launch, Listener, Message, Offset, Received, StreamId,
};

use crate::lock;

/// How often it is looked whether the driver has said that nothing more comes.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What the driver says of its inbox.
#[derive(Debug, Default)]
pub(super) struct Gate {
    any_foreign: AtomicBool,
    foreign: Mutex<HashSet<Launch>>,
    closed: AtomicBool,
    left: AtomicBool,
}

impl Gate {
    /// Nothing of these launches is shown, or counted.
    pub(super) fn keep_out(&self, launches: impl IntoIterator<Item = Launch>) {
        lock(&self.foreign).extend(launches);
        self.any_foreign.store(true, Ordering::Release);
    }

    /// What has come is all that there is.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// What has come and was not taken is for another driver.
    pub(super) fn leave(&self) {
        self.left.store(true, Ordering::Release);
    }

    fn is_left(&self) -> bool {
        self.left.load(Ordering::Acquire)
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn keeps_out(&self, message: &Message) -> bool {
        self.any_foreign.load(Ordering::Acquire)
            && message.stream().is_some_and(|id| lock(&self.foreign).contains(&id.launch))
    }
}

/// An inbox at whose far end hosts come and go.
#[derive(Debug)]
pub(super) struct Admitted<I> {
    inbox: I,
    gate: Arc<Gate>,
    controls: ControlSender,
}

impl<I: Inbox> Admitted<I> {
    pub(super) fn new(inbox: I, gate: Arc<Gate>) -> Self {
        let controls = inbox.control_sender();
        Self { inbox, gate, controls }
    }

    /// Whose host waits for that is told that it arrived: it would keep it, and wait at its end.
    fn drop_foreign(&self, message: &Message) {
        let (stream, through): (StreamId, Offset) = match message {
            Message::Data(chunk) => (chunk.stream, chunk.span().to),
            Message::Skip { stream, span, .. } => (*stream, span.to),
            Message::Flush { stream, mark, .. } => (*stream, *mark),
            Message::End { stream, at } => (*stream, *at),
            _ => return,
        };
        self.controls.send(Control::Acknowledge { stream, through });
    }
}

impl<I: Inbox> Inbox for Admitted<I> {
    fn next(&mut self, wait: Option<Duration>) -> Received {
        let deadline = wait.map(|wait| Instant::now() + wait);
        loop {
            if self.gate.is_left() {
                return Received::Closed;
            }
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            let received = self.inbox.next(Some(left.unwrap_or(LOOK_EVERY).min(LOOK_EVERY)));
            match received {
                Received::Message(message) if self.gate.keeps_out(&message) => {
                    self.drop_foreign(&message);
                }
                Received::TimedOut if self.gate.is_closed() => return Received::Closed,
                Received::TimedOut if left.is_none_or(|left| left > LOOK_EVERY) => {}
                received => return received,
            }
        }
    }

    fn control_sender(&self) -> ControlSender {
        self.inbox.control_sender()
    }

    fn listen(&mut self, listener: Listener) {
        self.inbox.listen(listener);
    }
}
