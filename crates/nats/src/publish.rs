//! Storing messages of one subject at the broker, one after the other, each once.
//!
//! A message has an id of its own and names the sequence of the one before it on its subject. What
//! the answer to a message was may be lost: then the same message is sent again, and the broker says
//! that it has it (by its id), or that another one is the last on the subject (by the sequence), or
//! stores it. A message is never cut anew before it is known to be stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use bytes::Bytes;
use lastline_line::HostId;

use crate::asking::Failure;
use crate::attempt::{Outcome, try_once};
use crate::broker::Shared;
use crate::claim;
use crate::error::NatsError;
use crate::wire::{Wire, header, host_in};

/// Between two tries of what the broker does not take now.
const FIRST_RETRY_AFTER: Duration = Duration::from_millis(50);
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// A subject on which one host stores one message after the other.
#[derive(Debug)]
pub(crate) struct Row {
    subject: String,
    /// Whose output it is, when it is output: the rank may be taken over by another host.
    rank: Option<u32>,
    /// The sequence of the last message; unknown at first.
    last: Option<u64>,
    /// How many messages this host has stored here.
    number: u64,
}

impl Row {
    pub(crate) fn of_output(subject: String, rank: u32) -> Self {
        Self { subject, rank: Some(rank), last: None, number: 0 }
    }

    pub(crate) fn of_events(subject: String) -> Self {
        Self { subject, rank: None, last: None, number: 0 }
    }
}

/// Why a message will not be stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unstored {
    #[error("the job's stream is gone from the broker")]
    Gone,
    #[error("another host has taken over rank {rank}")]
    TakenOver { rank: u32 },
    #[error("the connection to the broker has ended")]
    Closed,
}

/// Stores messages for one host.
#[derive(Debug)]
pub(crate) struct Publisher {
    pub(crate) shared: Arc<Shared>,
    pub(crate) host: HostId,
    /// It was told that the broker takes nothing.
    told: AtomicBool,
}

impl Publisher {
    pub(crate) fn new(shared: Arc<Shared>, host: HostId) -> Self {
        Self { shared, host, told: AtomicBool::new(false) }
    }

    /// Stores one message, however often it has to be sent. Gives its sequence in the stream.
    /// Cancel-safe in so far as a message that was begun may be stored or not.
    pub(crate) async fn store(
        &self,
        wire: &Wire,
        row: &mut Row,
        payload: Bytes,
        mut headers: HeaderMap,
    ) -> Result<u64, Unstored> {
        row.number += 1;
        let id = format!("{}.{}.{}", self.host, row.subject, row.number);
        headers.insert(header::HOST, self.host.to_string());
        let mut retry_after = FIRST_RETRY_AFTER;
        loop {
            let times = wire.up().await.ok_or(Unstored::Closed)?;
            let last = match row.last {
                Some(last) => last,
                None => match self.look(wire, row, &id).await {
                    Some(Found::Last(last)) => last,
                    Some(Found::Ours(sequence)) => return Ok(row.stored(sequence)),
                    Some(Found::Other(last)) => {
                        self.check_claim(row).await?;
                        last
                    }
                    None => {
                        self.pause(&mut retry_after, wire).await?;
                        continue;
                    }
                },
            };
            row.last = Some(last);
            let message = PublishMessage::build()
                .payload(payload.clone())
                .headers(headers.clone())
                .message_id(&id)
                .expected_last_subject_sequence(last);
            match try_once(wire, times, &row.subject, message).await {
                Outcome::Stored(sequence) => {
                    self.takes_again();
                    return Ok(row.stored(sequence));
                }
                Outcome::Unknown => {}
                Outcome::WrongLast => match self.look(wire, row, &id).await {
                    Some(Found::Ours(sequence)) => return Ok(row.stored(sequence)),
                    Some(Found::Last(last)) => row.last = Some(last),
                    Some(Found::Other(last)) => {
                        self.check_claim(row).await?;
                        row.last = Some(last);
                    }
                    None => self.pause(&mut retry_after, wire).await?,
                },
                Outcome::NotNow(why) => {
                    self.takes_nothing(&why);
                    self.pause(&mut retry_after, wire).await?;
                }
                Outcome::NoStream => self.pause(&mut retry_after, wire).await?,
            }
        }
    }

    /// Waits a little, and finds out whether there is a stream at all.
    async fn pause(&self, retry_after: &mut Duration, wire: &Wire) -> Result<(), Unstored> {
        if self.shared.is_surely_gone().await {
            return Err(Unstored::Gone);
        }
        let times = wire.link.borrow().times;
        tokio::select! {
            () = tokio::time::sleep(*retry_after) => {}
            () = wire.made_again(times) => {}
        }
        *retry_after = (*retry_after * 2).min(RETRY_AFTER);
        Ok(())
    }

    /// Another host writes here: it may, if the rank is its own now.
    async fn check_claim(&self, row: &Row) -> Result<(), Unstored> {
        let Some(rank) = row.rank else {
            return Ok(());
        };
        match claim::holder(&self.shared, rank).await {
            Ok(Some(holder)) if holder != self.host => Err(Unstored::TakenOver { rank }),
            _ => Ok(()),
        }
    }

    /// Which message is the last one on the subject; `None` when the broker does not say.
    async fn look(&self, wire: &Wire, row: &Row, id: &str) -> Option<Found> {
        let times = wire.link.borrow().times;
        let found = tokio::select! {
            found = last_message(&self.shared, wire, &row.subject) => found,
            // The answer went with the connection.
            () = wire.made_again(times) => return None,
        };
        match found {
            Ok(None) => Some(Found::Last(0)),
            Ok(Some(found)) => {
                let headers = Some(&found.headers);
                let found_id = found.headers.get(async_nats::header::NATS_MESSAGE_ID);
                Some(if found_id.is_some_and(|found_id| found_id.as_str() == id) {
                    Found::Ours(found.sequence)
                } else if host_in(headers) == Some(self.host) {
                    Found::Last(found.sequence)
                } else {
                    Found::Other(found.sequence)
                })
            }
            Err(error) => {
                tracing::debug!(
                    "the broker does not say what it has of {}: {}",
                    row.subject,
                    error.why
                );
                None
            }
        }
    }

    fn takes_nothing(&self, why: &str) {
        if !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!("the broker takes nothing more of the job: {why}; it is tried again");
        }
    }

    fn takes_again(&self) {
        if self.told.load(Ordering::Relaxed) && self.told.swap(false, Ordering::Relaxed) {
            tracing::info!("the broker takes the job's output again");
        }
    }
}

impl Row {
    fn stored(&mut self, sequence: u64) -> u64 {
        self.last = Some(sequence);
        sequence
    }
}

/// The last message on a subject.
enum Found {
    /// The one that was to be stored.
    Ours(u64),
    /// An earlier one of this host, or none.
    Last(u64),
    /// Another host's.
    Other(u64),
}

impl Shared {
    /// The last message that is stored on a subject, if there is one, for who must know it to go on.
    pub(crate) async fn last_message(
        &self,
        subject: &str,
    ) -> Result<Option<StreamMessage>, NatsError> {
        let wire = &self.control;
        let found = self.patiently(wire, || last_message(self, wire, subject)).await;
        found.map_err(|Failure { why, .. }| NatsError::Request { subject: subject.to_owned(), why })
    }
}

/// The same, asked once.
pub(crate) async fn last_message(
    shared: &Shared,
    wire: &Wire,
    subject: &str,
) -> Result<Option<StreamMessage>, Failure> {
    let stream = wire.context.get_stream_no_info(shared.names.stream()).await;
    let stream = stream.map_err(|error| Failure::new(wire, &error, None))?;
    let found = stream.get_last_raw_message_by_subject(subject).await;
    found.map(Some).or_else(|error| match error.kind() {
        LastRawMessageErrorKind::NoMessageFound => Ok(None),
        LastRawMessageErrorKind::JetStream(answer) => {
            Err(Failure::new(wire, &error, Some(&answer)))
        }
        _ => Err(Failure::new(wire, &error, None)),
    })
}
