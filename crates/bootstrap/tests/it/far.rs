//! A way to the driver that lies about the time, falls silent, and remembers what went over it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use lastline_line::{Control, Heartbeat, HostEvent, Message, Timestamp};
use lastline_sender::{Closed, Refused, Transport};

/// What a host's clock says, what is heard of it, and what was sent. Clones are handles to the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Far {
    /// By how much its clock is ahead, in microseconds.
    ahead: i64,
    /// And by how much more it says that its ranks ended.
    ends_ahead: i64,
    muted: Arc<AtomicBool>,
    sent: Arc<Mutex<Vec<Message>>>,
}

impl Far {
    /// Its clock is ahead by so many microseconds, and its ranks' ends by so many more.
    pub(crate) fn ahead(ahead: i64, ends_ahead: i64) -> Self {
        Self { ahead, ends_ahead, ..Self::default() }
    }

    /// Nothing of it is heard any more, or again.
    pub(crate) fn mute(&self, muted: bool) {
        self.muted.store(muted, Ordering::SeqCst);
    }

    /// All that was sent.
    pub(crate) fn sent(&self) -> Vec<Message> {
        self.sent.lock().unwrap().clone()
    }

    fn told(&self, mut message: Message) -> Message {
        let shift = |time: &mut Timestamp, by: i64| time.0 = time.0.saturating_add_signed(by);
        match &mut message {
            Message::Heartbeat(Heartbeat { time, .. }) => shift(time, self.ahead),
            Message::Host(said) => match &mut said.event {
                HostEvent::Up { time, .. } | HostEvent::Started { time, .. } => {
                    shift(time, self.ahead);
                }
                HostEvent::Exited { time, .. } => shift(time, self.ahead + self.ends_ahead),
                _ => {}
            },
            _ => {}
        }
        message
    }
}

/// Such a way over another one.
#[derive(Debug)]
pub(crate) struct Way<T> {
    pub(crate) far: Far,
    pub(crate) inner: T,
}

impl<T: Transport> Transport for Way<T> {
    fn try_send(&mut self, message: Message) -> Result<(), Box<Refused>> {
        if self.far.muted.load(Ordering::SeqCst) {
            return Ok(());
        }
        let told = self.far.told(message);
        self.inner.try_send(told.clone())?;
        self.far.sent.lock().unwrap().push(told);
        Ok(())
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        self.inner.poll_ready(context)
    }

    fn poll_control(&mut self, context: &mut Context<'_>) -> Poll<Result<Control, Closed>> {
        self.inner.poll_control(context)
    }
}
