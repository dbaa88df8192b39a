//! What has come and nobody has looked at yet.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use lastline_line::wire::window_bytes;
use lastline_line::{Control, Heartbeat, HostId, Message, Received};
use lastline_sender::EventLane;
use tokio::sync::{Notify, watch};

/// What an inbox and its tasks share.
#[derive(Debug)]
pub(super) struct Arrivals {
    window: usize,
    queue: Mutex<Queue>,
    /// A message has come, or none will.
    arrived: Condvar,
    pub(super) events: EventLane,
    /// Room was made for output.
    room: Notify,
    /// Up to which sequence events have been handed on.
    pub(super) events_passed: watch::Sender<u64>,
    /// Up to which sequence output has been queued.
    pub(super) output_passed: watch::Sender<u64>,
    /// Nobody takes messages any more, or no message will come.
    over: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Queue {
    messages: VecDeque<Arrived>,
    queued_bytes: usize,
    /// The message that is being worked on.
    current: Option<Arrived>,
    /// The last heartbeat of each host, when nobody has asked for it yet.
    heartbeats: BTreeMap<HostId, Heartbeat>,
    /// Hosts that come later get it, too.
    mode: Option<Control>,
    /// Up to which sequence the driver is done.
    done: u64,
    waker: Option<Waker>,
    ended: bool,
}

#[derive(Debug)]
struct Arrived {
    message: Option<Message>,
    bytes: usize,
    /// With it all of the broker's message is done, which has this sequence.
    completes: Option<u64>,
}

impl Arrivals {
    /// Output begins behind the given sequence.
    pub(super) fn new(window: usize, behind: u64) -> Self {
        Self {
            window,
            queue: Mutex::new(Queue { done: behind, ..Queue::default() }),
            arrived: Condvar::new(),
            events: EventLane::new(),
            room: Notify::new(),
            events_passed: watch::Sender::new(0),
            output_passed: watch::Sender::new(behind),
            over: watch::Sender::new(false),
        }
    }

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

    /// Takes what is known of streams that had ended before this driver's place: it is little, and waits for no
    /// room.
    pub(super) fn push_ended(&self, messages: impl IntoIterator<Item = Message>) {
        self.update(|queue| {
            for message in messages {
                let bytes = window_bytes(&message);
                queue.queued_bytes += bytes;
                queue.messages.push_back(Arrived {
                    message: Some(message),
                    bytes,
                    completes: None,
                });
            }
        });
    }

    /// Takes what came in one message of the broker's; waits until there is room.
    pub(super) async fn push(&self, messages: Vec<Message>, sequence: u64) {
        let last = messages.len().saturating_sub(1);
        for (at, message) in messages.into_iter().enumerate() {
            let bytes = window_bytes(&message);
            while !self.has_room(bytes) {
                self.room.notified().await;
            }
            let completes = (at == last).then_some(sequence);
            let arrived = Arrived { message: Some(message), bytes, completes };
            self.update(|queue| {
                queue.queued_bytes += bytes;
                queue.messages.push_back(arrived);
            });
        }
        self.output_passed.send_replace(sequence);
    }

    fn has_room(&self, bytes: usize) -> bool {
        let queue = self.lock();
        queue.queued_bytes == 0 || queue.queued_bytes + bytes <= self.window
    }

    pub(super) fn beat(&self, heartbeat: Heartbeat) {
        self.events.beat(heartbeat);
        self.update(|queue| {
            queue.heartbeats.insert(heartbeat.host, heartbeat);
        });
    }

    pub(super) fn set_mode(&self, mode: Control) {
        self.lock().mode = Some(mode);
    }

    pub(super) fn mode(&self) -> Option<Control> {
        self.lock().mode.clone()
    }

    /// Up to which sequence the driver is done.
    pub(super) fn done(&self) -> u64 {
        self.lock().done
    }

    /// All is here that will come.
    pub(super) fn end(&self) {
        // Whoever sees that the queue has ended may drop the inbox at once, and with it the events.
        self.events.end();
        self.update(|queue| queue.ended = true);
        self.over.send_replace(true);
    }

    /// Nobody takes messages any more.
    pub(super) fn discard(&self) {
        self.over.send_replace(true);
        self.events.discard();
        self.update(|queue| queue.messages.clear());
    }

    /// Waits until nobody takes messages any more, or none will come. Cancel-safe.
    pub(super) async fn over(&self) {
        let mut over = self.over.subscribe();
        let waited = over.wait_for(|over| *over).await;
        drop(waited);
    }

    /// The client is done with the message before.
    fn release(&self, queue: &mut Queue) {
        if let Some(current) = queue.current.take() {
            queue.queued_bytes -= current.bytes;
            queue.done = current.completes.unwrap_or(queue.done);
            self.room.notify_one();
        }
    }

    fn pop(queue: &mut Queue) -> Option<Message> {
        if let Some((_, heartbeat)) = queue.heartbeats.pop_first() {
            return Some(Message::Heartbeat(heartbeat));
        }
        let mut arrived = queue.messages.pop_front()?;
        let message = arrived.message.take();
        queue.current = Some(arrived);
        message
    }

    /// As the inbox's `next`.
    pub(super) fn next(&self, wait: Option<Duration>) -> Received {
        let deadline = wait.map(|wait| Instant::now() + wait);
        let mut queue = self.lock();
        self.release(&mut queue);
        loop {
            if let Some(message) = Self::pop(&mut queue) {
                return Received::Message(message);
            }
            if queue.ended {
                return Received::Closed;
            }
            queue = match deadline {
                None => self.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                        return Received::TimedOut;
                    };
                    let waited = self.arrived.wait_timeout(queue, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// As the inbox's `recv`.
    pub(super) fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<Message>> {
        let mut queue = self.lock();
        self.release(&mut queue);
        if let Some(message) = Self::pop(&mut queue) {
            return Poll::Ready(Some(message));
        }
        if queue.ended {
            return Poll::Ready(None);
        }
        queue.waker = Some(context.waker().clone());
        Poll::Pending
    }
}
