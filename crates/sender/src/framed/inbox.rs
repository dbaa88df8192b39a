//! The receiving side.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use lastline_line::wire::window_bytes;
use lastline_line::{
    Control, ControlSender, Heartbeat, HostId, HostMessage, Inbox, Listener, Message, Received,
    Resume,
};
use tokio::io::{AsyncRead, AsyncWrite};

use super::peer::{Greeting, Peer};
use super::serve::serve;
use crate::events::EventLane;

/// Receives the messages of one connection, of which at most `window` bytes wait for the client;
/// one message above it passes alone. Must be called on a tokio runtime. The inbox closes when the
/// peer has closed the connection.
pub fn inbox<C>(io: C, window: usize) -> FramedInbox
where
    C: AsyncRead + AsyncWrite + Send + 'static,
{
    let (handle, inbox) = shared_inbox(window);
    // Controls that are sent from now on reach it.
    let serving = serve(io, handle);
    tokio::spawn(async move {
        let ended = serving.await;
        tracing::debug!(?ended, "the connection of an inbox has ended");
    });
    inbox
}

/// An inbox of several connections, each of them served by [`serve`]; at most `window` bytes of each
/// wait for the client. It closes when the handle, its clones and all connections are gone.
pub fn shared_inbox(window: usize) -> (InboxHandle, FramedInbox) {
    let arrivals = Arc::new(Arrivals {
        window,
        handles: AtomicUsize::new(1),
        queue: Mutex::default(),
        arrived: Condvar::new(),
        events: EventLane::new(),
    });
    let handle = InboxHandle(Arc::clone(&arrivals));
    (handle, FramedInbox { arrivals, current: None })
}

/// What connections and their inbox share.
#[derive(Debug)]
pub(super) struct Arrivals {
    pub(super) window: usize,
    handles: AtomicUsize,
    queue: Mutex<Queue>,
    /// A message has come, or none will.
    arrived: Condvar,
    events: EventLane,
}

#[derive(Debug, Default)]
struct Queue {
    messages: VecDeque<(Message, Arc<Peer>)>,
    /// The last heartbeat of each host, when nobody has asked for it yet.
    heartbeats: BTreeMap<HostId, Heartbeat>,
    peers: Vec<Arc<Peer>>,
    /// Hosts that come later get it, too.
    mode: Option<Control>,
    /// What hosts that come are told first.
    greeting: Greeting,
    waker: Option<Waker>,
    /// No message will come.
    ended: bool,
    /// Nobody takes messages any more.
    dropped: bool,
}

impl Arrivals {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, change: impl FnOnce(&mut Queue)) {
        let mut queue = self.lock();
        change(&mut queue);
        let waker = queue.waker.take();
        drop(queue);
        self.arrived.notify_one();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(super) fn add(&self) -> Arc<Peer> {
        let mut queue = self.lock();
        let peer = Arc::new(Peer::new(self.window, queue.greeting.clone()));
        if let Some(mode) = &queue.mode {
            peer.send(mode.clone());
        }
        queue.peers.push(Arc::clone(&peer));
        peer
    }

    pub(super) fn remove(&self, peer: &Arc<Peer>) {
        self.lock().peers.retain(|other| !Arc::ptr_eq(other, peer));
    }

    /// Whether nobody takes messages any more.
    pub(super) fn is_dropped(&self) -> bool {
        self.lock().dropped
    }

    /// Takes a message from a peer; false when it had no leave to send it.
    pub(super) fn push(&self, message: Message, peer: &Arc<Peer>) -> bool {
        match message {
            Message::Host(event) => self.deliver(event),
            Message::Heartbeat(heartbeat) => {
                self.events.beat(heartbeat);
                self.update(|queue| {
                    queue.heartbeats.insert(heartbeat.host, heartbeat);
                });
            }
            message => {
                let stream = message.stream().expect("BUG: all others belong to a stream");
                if !peer.arrive(stream, window_bytes(&message)) {
                    return false;
                }
                let from = Arc::clone(peer);
                self.update(|queue| queue.messages.push_back((message, from)));
            }
        }
        true
    }

    pub(super) fn deliver(&self, event: HostMessage) {
        self.events.deliver(event);
    }

    fn send(&self, control: Control) {
        let mut queue = self.lock();
        if matches!(control, Control::SetMode { .. }) {
            queue.mode = Some(control.clone());
        }
        queue.peers.iter().for_each(|peer| peer.send(control.clone()));
    }
}

/// Lets connections into an inbox, and keeps it open.
#[derive(Debug)]
pub struct InboxHandle(pub(super) Arc<Arrivals>);

impl InboxHandle {
    /// Hosts that come from now on are told from where their output is wanted. Default: they are
    /// told nothing, which means all of it.
    pub fn resume_from(&self, resume: Resume) {
        self.0.lock().greeting.resume = Some(resume);
    }

    /// Hosts that come from now on are told of which job this is. One of another job, which knows its own
    /// ([`ReconnectingOptions::job`](super::ReconnectingOptions::job)), goes away again. Default: they are not
    /// told.
    pub fn of_job(&self, job: impl Into<String>) {
        self.0.lock().greeting.job = Some(job.into());
    }
}

impl Clone for InboxHandle {
    fn clone(&self) -> Self {
        self.0.handles.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&self.0))
    }
}

impl Drop for InboxHandle {
    fn drop(&mut self) {
        if self.0.handles.fetch_sub(1, Ordering::AcqRel) == 1 {
            // Whoever sees that the queue has ended may drop the inbox at once, and with it the events.
            self.0.events.end();
            self.0.update(|queue| queue.ended = true);
        }
    }
}

/// The receiving side of connections; see [`inbox()`] and [`shared_inbox`].
#[derive(Debug)]
pub struct FramedInbox {
    arrivals: Arc<Arrivals>,
    /// What of its peer's window the message takes that is being worked on.
    current: Option<(usize, Arc<Peer>)>,
}

impl FramedInbox {
    /// As [`Inbox::next`], to be awaited. `None` when all peers are gone. Cancel-safe.
    pub async fn recv(&mut self) -> Option<Message> {
        std::future::poll_fn(|context| {
            self.release();
            let arrivals = Arc::clone(&self.arrivals);
            let mut queue = arrivals.lock();
            if let Some(message) = self.pop(&mut queue) {
                return Poll::Ready(Some(message));
            }
            if queue.ended {
                return Poll::Ready(None);
            }
            queue.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// The client is done with the message before.
    fn release(&mut self) {
        if let Some((bytes, peer)) = self.current.take() {
            peer.release(bytes);
        }
    }

    fn pop(&mut self, queue: &mut Queue) -> Option<Message> {
        if let Some((_, heartbeat)) = queue.heartbeats.pop_first() {
            return Some(Message::Heartbeat(heartbeat));
        }
        let (message, peer) = queue.messages.pop_front()?;
        self.current = Some((window_bytes(&message), peer));
        Some(message)
    }
}

impl Inbox for FramedInbox {
    fn next(&mut self, wait: Option<Duration>) -> Received {
        self.release();
        let deadline = wait.map(|wait| Instant::now() + wait);
        let arrivals = Arc::clone(&self.arrivals);
        let mut queue = arrivals.lock();
        loop {
            if let Some(message) = self.pop(&mut queue) {
                return Received::Message(message);
            }
            if queue.ended {
                return Received::Closed;
            }
            let Some(deadline) = deadline else {
                queue = arrivals.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Received::TimedOut;
            }
            let waited = arrivals.arrived.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn control_sender(&self) -> ControlSender {
        let arrivals = Arc::clone(&self.arrivals);
        ControlSender::new(move |control| arrivals.send(control))
    }

    fn listen(&mut self, listener: Listener) {
        self.arrivals.events.listen(listener);
    }
}

impl Drop for FramedInbox {
    fn drop(&mut self) {
        self.arrivals.events.discard();
        let mut queue = self.arrivals.lock();
        queue.dropped = true;
        queue.messages.clear();
        queue.peers.iter().for_each(|peer| peer.work.notify_one());
    }
}
