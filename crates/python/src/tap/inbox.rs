//! A driver's inbox whose output goes to a tap, too.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use lastline_line::{Accept, ControlSender, Inbox, Listener, Message, Received, Sink as _};

use super::TapSink;

/// Gives a message only when the tap has taken it.
pub(crate) struct Tapped<I> {
    inbox: I,
    sink: TapSink,
    /// What the tap had no room for.
    kept: Option<Message>,
}

impl<I: Inbox> Tapped<I> {
    pub(crate) fn new(inbox: I, sink: TapSink) -> Self {
        Self { inbox, sink, kept: None }
    }

    /// Waits for room; whether there was some in time.
    fn offer(&mut self, message: &Message, deadline: Option<Instant>) -> bool {
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        loop {
            if self.sink.accept(message) == Accept::Taken {
                return true;
            }
            if self.sink.poll_ready(&mut Context::from_waker(&waker)) == Poll::Ready(()) {
                continue;
            }
            match deadline.map(|at| at.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => return false,
                Some(left) => std::thread::park_timeout(left),
                None => std::thread::park(),
            }
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl<I: Inbox> Inbox for Tapped<I> {
    fn next(&mut self, wait: Option<Duration>) -> Received {
        let deadline = wait.map(|wait| Instant::now() + wait);
        let message =
            match self.kept.take().map_or_else(|| self.inbox.next(wait), Received::Message) {
                Received::Message(message) => message,
                other => return other,
            };
        if self.offer(&message, deadline) {
            return Received::Message(message);
        }
        self.kept = Some(message);
        Received::TimedOut
    }

    fn control_sender(&self) -> ControlSender {
        self.inbox.control_sender()
    }

    fn listen(&mut self, listener: Listener) {
        self.inbox.listen(listener);
    }
}
