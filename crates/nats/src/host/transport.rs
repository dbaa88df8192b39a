//! A host's way to the broker.

use std::sync::Arc;
use std::task::{Context, Poll};

use lastline_line::wire::window_bytes;
use lastline_line::{Control, Heartbeat, HostEvent, HostId, Message, StreamId};
use lastline_sender::{Closed, Reason, Refused, Transport};
use tokio::sync::watch;

use super::hearing::{Hearing, attend};
use super::rows::{Failure, Link, store_events, store_lane};
use crate::broker::Shared;
use crate::error::NatsError;
use crate::publish::{Publisher, Unstored};

/// Stores a host's output and events at the broker, and brings back the drivers' controls; see
/// [`Broker::host`](crate::Broker::host).
///
/// What the broker has acknowledged counts as stored, driver or not. While the broker is away
/// nothing is lost: when [`window_bytes`](crate::NatsOptions::window_bytes) are taken the transport
/// is full, and goes on where it was when the broker is there again. Once it has the host's last
/// event, [`HostEvent::Down`], the transport gives [`Control::Dismiss`].
///
/// It is closed when the job's stream is gone from the broker, or another host has taken over one of
/// its ranks. Dropped, it delivers what it took, for [`linger`](crate::NatsOptions::linger) at most.
#[derive(Debug)]
pub struct NatsTransport {
    link: Arc<Link>,
    window: usize,
    /// What the message last refused would take.
    wanted_bytes: usize,
    /// So much makes a message of the broker's.
    message_bytes: usize,
    stop_others: bool,
    /// Closed with the host's task.
    ended: watch::Receiver<()>,
}

impl NatsTransport {
    /// Starts to listen for controls, so that what is sent from now on is heard.
    pub(crate) async fn start(
        shared: &Arc<Shared>,
        host: HostId,
        first_rank: u32,
    ) -> Result<Self, NatsError> {
        let publisher = Publisher::new(Arc::clone(shared), host);
        let link = Arc::new(Link::new(publisher, first_rank));
        let hearing = Hearing::start(&link).await?;
        let (over, ended) = watch::channel(());
        tokio::spawn({
            let link = Arc::clone(&link);
            async move {
                attend(&link, hearing).await;
                drop(over);
            }
        });
        Ok(Self {
            link,
            window: shared.options.window_bytes,
            wanted_bytes: 0,
            message_bytes: shared.options.max_message_bytes,
            stop_others: shared.options.stop_others_on_failure,
            ended,
        })
    }

    /// Ends without having taken part.
    pub(crate) fn give_up(&self) {
        self.link.lock().gone = true;
        self.link.lose(&Unstored::Closed);
    }

    /// Waits until all is over: after the transport was dropped, until what it took is stored, or
    /// the time for that is up. A process that exits before may lose the last of it.
    pub fn ended(&self) -> impl Future<Output = ()> + use<> + Send + 'static {
        let mut ended = self.ended.clone();
        async move { while ended.changed().await.is_ok() {} }
    }

    fn take_event(&self, message: &Message) {
        let begin = {
            let mut state = self.link.lock();
            if self.stop_others && state.failure == Failure::None && is_own_failure(message) {
                state.failure = Failure::Untold;
            }
            state.queues.push_event(message)
        };
        if begin {
            self.link.runtime.spawn(store_events(Arc::clone(&self.link)));
        }
        self.link.work.notify_one();
    }

    fn take_beat(&self, beat: Heartbeat) {
        let mut state = self.link.lock();
        // Of those that answer nothing the last one is enough.
        state.beats.retain(|earlier| beat.answers.is_some() || earlier.answers.is_some());
        state.beats.push(beat);
        drop(state);
        self.link.work.notify_one();
    }
}

/// Whether a rank has failed that nobody had asked to end.
fn is_own_failure(message: &Message) -> bool {
    let Message::Host(message) = message else {
        return false;
    };
    match &message.event {
        HostEvent::Exited { exit, stopped, starts_again, .. } => {
            !stopped && !starts_again && exit.is_failure()
        }
        HostEvent::NotStarted { stopped, .. } => !stopped,
        _ => false,
    }
}

impl NatsTransport {
    fn take_output(&mut self, stream: StreamId, message: Message) -> Result<(), Box<Refused>> {
        let mut state = self.link.lock();
        let bytes = window_bytes(&message);
        if !state.queues.has_room(bytes, self.window) {
            self.wanted_bytes = bytes;
            self.link.gathered.notify_one();
            return Err(Box::new(Refused { message, reason: Reason::Full }));
        }
        let is_data = matches!(message, Message::Data(_));
        let begin = state.queues.push(stream, message);
        let is_enough = state.queues.queued_bytes() >= self.message_bytes;
        drop(state);
        if is_enough || !is_data {
            self.link.gathered.notify_one();
        }
        if let Some(key) = begin {
            self.link.runtime.spawn(store_lane(Arc::clone(&self.link), key));
        }
        Ok(())
    }
}

impl Transport for NatsTransport {
    fn try_send(&mut self, message: Message) -> Result<(), Box<Refused>> {
        if self.link.lock().gone {
            return Err(Box::new(Refused { message, reason: Reason::Closed }));
        }
        match (message.stream(), &message) {
            (Some(stream), _) => return self.take_output(stream, message),
            (None, Message::Heartbeat(beat)) => self.take_beat(*beat),
            (None, _) => self.take_event(&message),
        }
        Ok(())
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        let mut state = self.link.lock();
        if state.gone {
            return Poll::Ready(Err(Closed));
        }
        if state.queues.has_room(self.wanted_bytes, self.window) {
            return Poll::Ready(Ok(()));
        }
        state.ready = Some(context.waker().clone());
        Poll::Pending
    }

    fn poll_control(&mut self, context: &mut Context<'_>) -> Poll<Result<Control, Closed>> {
        let mut state = self.link.lock();
        if let Some(control) = state.controls.pop_front() {
            return Poll::Ready(Ok(control));
        }
        if state.gone {
            return Poll::Ready(Err(Closed));
        }
        state.control = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for NatsTransport {
    fn drop(&mut self) {
        self.link.lock().dropped = true;
        self.link.work.notify_one();
        self.link.gathered.notify_one();
    }
}
