//! What the broker has stored, in order and each once, over any number of broken connections.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::stream::RawMessageErrorKind;
use async_nats::{HeaderMap, Subject};
use bytes::Bytes;
use futures_util::StreamExt;

use crate::asking::Failure;
use crate::broker::Shared;
use crate::wire::Wire;

/// A consumer that nobody asks for so long is removed by the broker; it is made again.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// How long one request for messages stands, and how often the broker says meanwhile that it does.
const EXPIRES: Duration = Duration::from_secs(30);
const HEARTBEAT: Duration = Duration::from_secs(2);
const FIRST_RETRY_AFTER: Duration = Duration::from_millis(50);
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// A stored message.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) subject: Subject,
    pub(super) headers: Option<HeaderMap>,
    pub(super) payload: Bytes,
    /// Its place in the stream.
    pub(super) sequence: u64,
    /// How many are stored behind it that the feed is for.
    pub(super) pending: u64,
}

/// A consumer of its own, which is made again behind the last message whenever it is lost.
pub(super) struct Feed {
    shared: Arc<Shared>,
    wire: Wire,
    filter: String,
    batch: usize,
    /// The sequence of the last message.
    last: u64,
    open: Option<Open>,
}

struct Open {
    messages: pull::Stream,
    /// The broker numbers what a consumer gets without gaps.
    delivered: u64,
    /// How often the connection had been made.
    times: u64,
}

impl Feed {
    /// What matches `filter` behind the sequence `behind`; at most about `batch` messages wait in
    /// this process.
    pub(super) fn new(
        shared: &Arc<Shared>,
        wire: &Wire,
        filter: String,
        behind: u64,
        batch: usize,
    ) -> Self {
        let (shared, wire) = (Arc::clone(shared), wire.clone());
        Self { shared, wire, filter, batch, last: behind, open: None }
    }

    /// Makes the consumer, so that it is known whether that can be done.
    pub(super) async fn open_patiently(&mut self) -> Result<(), Failure> {
        let feed = &*self;
        let open = feed.shared.patiently(&feed.wire, || feed.make()).await?;
        self.open = Some(open);
        Ok(())
    }

    async fn make(&self) -> Result<Open, Failure> {
        let times = self.wire.up().await.ok_or("the connection has ended")?;
        let config = pull::Config {
            name: Some(format!("driver-{:016x}", fastrand::u64(..))),
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: self.last + 1 },
            ack_policy: AckPolicy::None,
            filter_subject: self.filter.clone(),
            inactive_threshold: FORGOTTEN_AFTER,
            num_replicas: 1,
            memory_storage: true,
            ..pull::Config::default()
        };
        let stream = self.shared.names.stream();
        let made = self.wire.context.create_consumer_on_stream(config, stream).await;
        let consumer = made.map_err(|error| Failure::of_consumer(&self.wire, &error))?;
        let messages = consumer.stream().max_messages_per_batch(self.batch);
        let messages = messages.expires(EXPIRES).heartbeat(HEARTBEAT).messages().await;
        let messages = messages.map_err(|error| Failure::new(&self.wire, &error, None))?;
        Ok(Open { messages, delivered: 0, times })
    }

    /// The next message; `None` when the stream is gone, or the connection for good. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Stored> {
        loop {
            if self.open.is_none() && !self.open_again().await {
                return None;
            }
            let wire = self.wire.clone();
            let open = self.open.as_mut().expect("BUG: it was opened above");
            let message = tokio::select! {
                biased;
                message = open.messages.next() => message,
                () = wire.made_again(open.times) => None,
            };
            match message {
                Some(Ok(message)) => {
                    if let Some(stored) = self.take(message) {
                        return Some(stored);
                    }
                }
                Some(Err(error)) => {
                    tracing::debug!("a consumer is made again: {error}");
                    self.open = None;
                }
                None => self.open = None,
            }
        }
    }

    /// A message that is the next one; otherwise the consumer is made again.
    fn take(&mut self, message: async_nats::jetstream::Message) -> Option<Stored> {
        let open = self.open.as_mut()?;
        let (sequence, delivered, pending) = match message.info() {
            Ok(info) => (info.stream_sequence, info.consumer_sequence, info.pending),
            Err(error) => {
                tracing::debug!("a message that was not stored: {error}");
                return None;
            }
        };
        if delivered != open.delivered + 1 {
            tracing::debug!("a consumer has missed a message, and is made again");
            self.open = None;
            return None;
        }
        open.delivered = delivered;
        if sequence <= self.last {
            return None;
        }
        self.last = sequence;
        let (message, _) = message.split();
        let async_nats::Message { subject, headers, payload, .. } = message;
        Some(Stored { subject, headers, payload, sequence, pending })
    }

    async fn open_again(&mut self) -> bool {
        let mut retry_after = FIRST_RETRY_AFTER;
        loop {
            let why = match self.make().await {
                Ok(open) => {
                    self.open = Some(open);
                    return true;
                }
                Err(failure) => failure.why,
            };
            tracing::debug!("a consumer cannot be made: {why}");
            if self.shared.is_surely_gone().await || self.wire.up().await.is_none() {
                return false;
            }
            tokio::time::sleep(retry_after).await;
            retry_after = (retry_after * 2).min(RETRY_AFTER);
        }
    }
}

/// Whether a message is known not to be stored any more.
pub(super) async fn is_deleted(shared: &Shared, sequence: u64) -> bool {
    let Ok(stream) = shared.control.context.get_stream_no_info(shared.names.stream()).await else {
        return false;
    };
    let found = stream.get_raw_message(sequence).await;
    found.is_err_and(|error| error.kind() == RawMessageErrorKind::NoMessageFound)
}
