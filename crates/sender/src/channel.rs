//! The transport inside one process: a queue bounded in bytes.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender, TryRecvError, TrySendError};
use futures_core::Stream;
use lastline_line::{
    Acquire, Budget, Control, ControlSender, Inbox, Lease, Listener, Message, Received,
};

use crate::events::EventLane;
use crate::transport::{Closed, Reason, Refused, Transport};

/// What a queued message costs beside its payload, in bytes.
const MESSAGE_BYTES: usize = size_of::<(Message, Lease)>();

/// A transport and its inbox in one process; what lies between them is at most `limit_bytes`.
///
/// A message gives its bytes back when the one after it is asked for, so the bound holds for what
/// the client is working on, too. What was taken counts as stored.
pub fn channel(limit_bytes: usize) -> (ChannelTransport, ChannelInbox) {
    #[expect(clippy::disallowed_methods, reason = "every message carries a lease of the budget")]
    let (messages_in, messages_out) = async_channel::unbounded();
    #[expect(clippy::disallowed_methods, reason = "the client sends a few bytes for each message")]
    let (controls_in, controls_out) = async_channel::unbounded();
    let budget = Budget::new(limit_bytes);
    let events = Arc::new(EventLane::default());
    let transport = ChannelTransport {
        messages: messages_in,
        budget,
        wanted_bytes: 0,
        waits: None,
        granted: None,
        controls: Box::pin(controls_out),
        events: Arc::new(EventSender(Arc::clone(&events))),
    };
    (
        transport,
        ChannelInbox {
            messages: Messages { queue: messages_out, current: None },
            controls: Controls(controls_in),
            events: EventReceiver(events),
        },
    )
}

/// The sending side of [`channel`]. Clones send into the same queue; a control reaches
/// whichever asks first.
#[derive(Debug)]
pub struct ChannelTransport {
    messages: Sender<(Message, Lease)>,
    budget: Budget,
    /// What the message last refused would take.
    wanted_bytes: usize,
    /// Its place in the queue for room.
    waits: Option<Acquire>,
    /// Room kept for it by `poll_ready`.
    granted: Option<Lease>,
    controls: Pin<Box<Receiver<Control>>>,
    events: Arc<EventSender>,
}

impl Clone for ChannelTransport {
    fn clone(&self) -> Self {
        Self {
            messages: self.messages.clone(),
            budget: self.budget.clone(),
            wanted_bytes: 0,
            waits: None,
            granted: None,
            controls: self.controls.clone(),
            events: Arc::clone(&self.events),
        }
    }
}

impl ChannelTransport {
    /// The inbox is gone, or going: its two lanes do not end in one step.
    fn is_closed(&self) -> bool {
        self.messages.is_closed() || self.controls.is_closed()
    }

    fn lease(&mut self, bytes: usize) -> Option<Lease> {
        match self.granted.take() {
            Some(lease) if lease.bytes() >= bytes => Some(lease),
            _ => self.budget.try_acquire(bytes),
        }
    }
}

impl Transport for ChannelTransport {
    fn try_send(&mut self, message: Message) -> Result<(), Box<Refused>> {
        let bytes = message.payload_bytes() + MESSAGE_BYTES;
        let refused = |message, reason| Err(Box::new(Refused { message, reason }));
        if self.is_closed() {
            return refused(message, Reason::Closed);
        }
        let message = match message {
            Message::Host(event) => {
                self.events.0.deliver(event);
                return Ok(());
            }
            message => message,
        };
        let Some(lease) = self.lease(bytes) else {
            // What waits for room keeps its place, whatever is refused meanwhile.
            if self.waits.is_none() {
                self.wanted_bytes = bytes;
            }
            return refused(message, Reason::Full);
        };
        if let Message::Heartbeat(heartbeat) = &message {
            self.events.0.beat(*heartbeat);
        }
        match self.messages.try_send((message, lease)) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full((message, _)) | TrySendError::Closed((message, _))) => {
                refused(message, Reason::Closed)
            }
        }
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        if self.is_closed() {
            return Poll::Ready(Err(Closed));
        }
        if self.granted.is_none() {
            let (budget, bytes) = (&self.budget, self.wanted_bytes);
            let waits = self.waits.get_or_insert_with(|| budget.acquire(bytes));
            let Poll::Ready(lease) = Pin::new(waits).poll(context) else {
                return Poll::Pending;
            };
            (self.granted, self.waits) = (Some(lease), None);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_control(&mut self, context: &mut Context<'_>) -> Poll<Result<Control, Closed>> {
        match self.controls.as_mut().poll_next(context) {
            Poll::Pending if self.is_closed() => Poll::Ready(Err(Closed)),
            next => next.map(|control| control.ok_or(Closed)),
        }
    }

    fn stores_on_send(&self) -> bool {
        true
    }
}

/// The receiving side of [`channel`].
#[derive(Debug)]
pub struct ChannelInbox {
    messages: Messages,
    controls: Controls,
    events: EventReceiver,
}

/// The lane of data and marks.
#[derive(Debug)]
struct Messages {
    queue: Receiver<(Message, Lease)>,
    /// The room of the message that is being worked on.
    current: Option<Lease>,
}

/// The lane of controls.
#[derive(Clone, Debug)]
struct Controls(Sender<Control>);

/// Ends the lane when the last transport is dropped.
#[derive(Debug)]
struct EventSender(Arc<EventLane>);

impl Drop for EventSender {
    fn drop(&mut self) {
        self.0.end();
    }
}

#[derive(Debug)]
struct EventReceiver(Arc<EventLane>);

impl Drop for EventReceiver {
    fn drop(&mut self) {
        self.0.discard();
    }
}

impl ChannelInbox {
    /// As [`Inbox::next`], to be awaited. `None` when all senders are gone. Cancel-safe.
    pub async fn recv(&mut self) -> Option<Message> {
        self.messages.recv().await
    }
}

impl Messages {
    async fn recv(&mut self) -> Option<Message> {
        self.current = None;
        let taken = self.queue.recv().await.ok()?;
        Some(self.take(taken))
    }

    fn take(&mut self, (message, lease): (Message, Lease)) -> Message {
        self.current = Some(lease);
        message
    }

    fn next(&mut self, wait: Option<Duration>) -> Received {
        self.current = None;
        let taken = match self.queue.try_recv() {
            Ok(taken) => taken,
            Err(TryRecvError::Closed) => return Received::Closed,
            Err(TryRecvError::Empty) if wait == Some(Duration::ZERO) => return Received::TimedOut,
            Err(TryRecvError::Empty) => match block_on_for(self.queue.recv(), wait) {
                Some(Ok(taken)) => taken,
                Some(Err(_)) => return Received::Closed,
                None => return Received::TimedOut,
            },
        };
        Received::Message(self.take(taken))
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        // What nobody will receive gives its room back; that wakes who waits for it.
        self.queue.close();
        while self.queue.try_recv().is_ok() {}
    }
}

impl Controls {
    fn send(&self, control: Control) {
        if let Err(error) = self.0.try_send(control) {
            let control = error.into_inner();
            tracing::trace!(?control, "nobody listens to the client any more");
        }
    }
}

impl Inbox for ChannelInbox {
    fn next(&mut self, wait: Option<Duration>) -> Received {
        self.messages.next(wait)
    }

    fn control_sender(&self) -> ControlSender {
        let controls = self.controls.clone();
        ControlSender::new(move |control| controls.send(control))
    }

    fn listen(&mut self, listener: Listener) {
        self.events.0.listen(listener);
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs `future` on this thread, for `wait` at most.
fn block_on_for<F: Future>(future: F, wait: Option<Duration>) -> Option<F::Output> {
    let deadline = wait.map(|wait| Instant::now() + wait);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        match deadline {
            None => std::thread::park(),
            Some(deadline) => {
                let left = deadline.checked_duration_since(Instant::now())?;
                std::thread::park_timeout(left);
            }
        }
    }
}
