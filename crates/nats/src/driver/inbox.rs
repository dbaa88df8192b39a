//! A driver's side of the broker.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::{Bytes, BytesMut};
use lastline_line::wire::encode_control;
use lastline_line::{Control, ControlSender, HostId, Inbox, Listener, Message, Received};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::arrivals::Arrivals;
use super::events::Events;
use super::feed::Feed;
use super::output::Output;
use super::reading::Reading;
use crate::anew;
use crate::asking::Failure;
use crate::broker::Shared;
use crate::error::NatsError;
use crate::wire::header;

/// So many messages of output wait in this process at least, whatever their size.
const LEAST_BATCH: usize = 4;
/// And so many at most.
const MOST_BATCH: usize = 256;
/// How many events wait in this process.
const EVENT_BATCH: usize = 256;
/// How often a stop is tried to be stored.
const STOP_TRIES: u32 = 5;

/// Where a driver's output begins. Events of hosts always come from the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum From {
    /// With all that is stored of the job.
    #[default]
    Start,
    /// With what comes from now on.
    Now,
    /// Behind what an earlier driver was done with.
    After(Positions),
}

/// Up to where a driver is done with the job's output; to be kept, and given to the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Positions {
    /// The place in the job's stream of the last message that it was done with; 0 before the first.
    pub output: u64,
}

/// Receives a job's output and events from the broker; see
/// [`Broker::driver`](crate::Broker::driver), and [`Broker::read`](crate::Broker::read) for who takes no
/// part in it.
///
/// It closes when each of the job's ranks was claimed, all their hosts have left or are lost, and
/// what they stored has been received; or when the job's stream is gone from the broker. A broker
/// that is away is waited for.
///
/// Controls reach every host that listens; one that stops the ranks is stored, and reaches a host
/// that is cut off when it is back. [`Control::Acknowledge`] and [`Control::Dismiss`] go nowhere:
/// both are between a host and the broker. Nothing that the inbox of a [`Reading`] is given goes anywhere.
#[derive(Debug)]
pub struct NatsInbox {
    arrivals: Arc<Arrivals>,
    asking: Asking,
    was_over: bool,
}

impl NatsInbox {
    pub(crate) async fn start(shared: &Arc<Shared>, from: From) -> Result<Self, NatsError> {
        let mut reading = Reading::default();
        reading.after.output = match from {
            From::Start => 0,
            From::Now => shared.last_sequence().await?,
            From::After(positions) => positions.output,
        };
        let was_over = anew::is_over(shared).await?;
        let asking = if was_over { Asking::nobody() } else { Asking::start(shared) };
        let mut inbox = Self::open(shared, reading, asking, from == From::Start).await?;
        inbox.was_over = was_over;
        Ok(inbox)
    }

    /// Of somebody who takes no part in the job.
    pub(crate) async fn read(shared: &Arc<Shared>, reading: Reading) -> Result<Self, NatsError> {
        Self::open(shared, reading, Asking::nobody(), true).await
    }

    /// Where `all_is_told` is not so, what each stream has before its first message is declared withheld.
    async fn open(
        shared: &Arc<Shared>,
        reading: Reading,
        asking: Asking,
        all_is_told: bool,
    ) -> Result<Self, NatsError> {
        let (options, names) = (&shared.options, &shared.names);
        let (subject, behind) = (names.all_output(), reading.after.output);
        let batch =
            (options.inbox_bytes / options.max_message_bytes.max(1)).clamp(LEAST_BATCH, MOST_BATCH);
        let (data, control) = (&shared.data, &shared.control);
        let mut output = Feed::new(shared, data, subject.clone(), behind, batch);
        let mut events = Feed::new(shared, control, names.all_events(), 0, EVENT_BATCH);
        let failed = |subject: String| |Failure { why, .. }| NatsError::Request { subject, why };
        output.open_patiently().await.map_err(failed(subject))?;
        events.open_patiently().await.map_err(failed(names.all_events()))?;
        let live = control.client.subscribe(names.all_live()).await;
        let live = live.map_err(|error| Failure::new(control, &error, None));
        let live = live.map_err(failed(names.all_live()))?;

        let arrivals = Arc::new(Arrivals::new(options.inbox_bytes, behind));
        let hearing = Events::new(shared, &arrivals, asking.clone(), reading);
        tokio::spawn(hearing.run(events, live));
        let taking = Output::new(shared, &arrivals, all_is_told);
        tokio::spawn(taking.run(output));
        Ok(Self { arrivals, asking, was_over: false })
    }

    /// As [`Inbox::next`], to be awaited. `None` when it is closed. Cancel-safe.
    pub async fn recv(&mut self) -> Option<Message> {
        std::future::poll_fn(|context| self.arrivals.poll_next(context)).await
    }

    /// Whether the job was over before there was this inbox: then nobody hears its controls, which another job
    /// of the same id would take for its own.
    pub fn was_over(&self) -> bool {
        self.was_over
    }

    /// Tells up to where the client is done, also while somebody else has the inbox.
    pub fn position(&self) -> Position {
        Position(Arc::clone(&self.arrivals))
    }

    /// Tells whether a stop is still to be sent, also while somebody else has the inbox.
    pub fn pending_stop(&self) -> PendingStop {
        PendingStop(Arc::clone(&self.asking.stop_untold))
    }
}

/// Tells how far a driver is; see [`NatsInbox::position`].
#[derive(Clone, Debug)]
pub struct Position(Arc<Arrivals>);

impl Position {
    /// Up to where the client has asked for the message after. What it was given may still wait to
    /// be printed.
    pub fn get(&self) -> Positions {
        Positions { output: self.0.done() }
    }
}

/// Whether hosts have been told to stop; see [`NatsInbox::pending_stop`].
#[derive(Clone, Debug)]
pub struct PendingStop(Arc<AtomicBool>);

impl PendingStop {
    /// Whether they were to be told, and the broker has not been there since.
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Inbox for NatsInbox {
    fn next(&mut self, wait: Option<Duration>) -> Received {
        self.arrivals.next(wait)
    }

    fn control_sender(&self) -> ControlSender {
        let (asking, arrivals) = (self.asking.clone(), Arc::clone(&self.arrivals));
        ControlSender::new(move |control| {
            if matches!(control, Control::SetMode { .. }) {
                arrivals.set_mode(control.clone());
            }
            asking.send(control);
        })
    }

    fn listen(&mut self, listener: Listener) {
        self.arrivals.events.listen(listener);
    }
}

impl Drop for NatsInbox {
    fn drop(&mut self) {
        self.arrivals.discard();
    }
}

/// Sends controls to hosts, in order and without blocking; nobody is asked anything where it has no way.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    way: Option<UnboundedSender<Asked>>,
    /// A stop was taken that no host can have heard of.
    stop_untold: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Asked {
    /// One host; all when `None`.
    host: Option<HostId>,
    control: Control,
}

impl Asking {
    /// Ends when all of its clones are gone.
    fn start(shared: &Arc<Shared>) -> Self {
        let (asked_in, asked) = unbounded_channel();
        let stop_untold = Arc::<AtomicBool>::default();
        tokio::spawn(ask(Arc::clone(shared), asked, Arc::clone(&stop_untold)));
        Self { way: Some(asked_in), stop_untold }
    }

    fn nobody() -> Self {
        Self { way: None, stop_untold: Arc::default() }
    }

    pub(super) fn is_nobody_s(&self) -> bool {
        self.way.is_none()
    }

    fn send(&self, control: Control) {
        if matches!(control, Control::Acknowledge { .. } | Control::Dismiss) {
            return;
        }
        self.push(Asked { host: None, control });
    }

    /// Tells a host that is new what the others know.
    pub(super) fn greet(&self, host: HostId, mode: Option<Control>) {
        if let Some(control) = mode {
            self.push(Asked { host: Some(host), control });
        }
    }

    fn push(&self, asked: Asked) {
        let Some(way) = &self.way else { return };
        if matches!(asked.control, Control::Stop { .. }) {
            self.stop_untold.store(true, Ordering::Release);
        }
        if way.send(asked).is_err() {
            tracing::debug!("the runtime of an inbox is gone: nobody sends its controls");
        }
    }
}

async fn ask(
    shared: Arc<Shared>,
    mut asked: UnboundedReceiver<Asked>,
    stop_untold: Arc<AtomicBool>,
) {
    while let Some(Asked { host, control }) = asked.recv().await {
        let mut frame = BytesMut::new();
        encode_control(&control, &mut frame);
        let frame = frame.freeze();
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTROL, fastrand::u64(..).to_string());
        if let (Control::Stop { .. }, None) = (&control, host) {
            stop(&shared, headers, frame).await;
            stop_untold.store(false, Ordering::Release);
            continue;
        }
        let names = &shared.names;
        let subject = host.map_or_else(|| names.ask_all(), |host| names.ask(host));
        let sent = shared.control.client.publish_with_headers(subject, headers, frame).await;
        if let Err(error) = sent {
            tracing::warn!("hosts cannot be told: {error}");
        }
    }
}

/// Stops are stored where hosts listen, too.
async fn stop(shared: &Shared, headers: HeaderMap, frame: Bytes) {
    let (subject, context) = (shared.names.stop(), &shared.control.context);
    let (mut tries, mut told) = (0..STOP_TRIES, false);
    while tries.next().is_some() {
        if !shared.control.link.borrow().up && !std::mem::replace(&mut told, true) {
            tracing::warn!("the broker is away: hosts are told to stop when it is back");
        }
        if shared.control.up().await.is_none() {
            break;
        }
        let (headers, frame) = (headers.clone(), frame.clone());
        let stored =
            async { context.publish_with_headers(subject.clone(), headers, frame).await?.await };
        match stored.await {
            Ok(_) => return,
            // Who listens has it all the same, once.
            Err(error) => tracing::debug!("a stop is not stored yet: {error}"),
        }
    }
    tracing::warn!("a stop could not be stored: a host that is cut off now will not hear of it");
}
