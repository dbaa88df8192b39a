//! One try to store a message, and what came of it.

use std::error::Error as _;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;

use tokio::time::Instant;

use crate::asking::ASK_AGAIN_AFTER;
use crate::broker::Shared;
use crate::error::NatsError;
use crate::wire::Wire;

/// What came of one try.
pub(crate) enum Outcome {
    Stored(u64),
    /// It is not known whether it was stored; or the connection is new.
    Unknown,
    /// Another message is the last one.
    WrongLast,
    /// The broker cannot take it now.
    NotNow(String),
    NoStream,
}

/// Sends a message and waits for the answer; or until the connection was made again.
pub(crate) async fn try_once(
    wire: &Wire,
    times: u64,
    subject: &str,
    message: PublishMessage,
) -> Outcome {
    let acknowledged =
        async { wire.context.send_publish(subject.to_owned(), message).await?.await };
    let acknowledged = tokio::select! {
        acknowledged = acknowledged => acknowledged,
        () = wire.made_again(times) => return Outcome::Unknown,
    };
    match acknowledged {
        Ok(acknowledgement) => Outcome::Stored(acknowledgement.sequence),
        Err(error) => judge(&error),
    }
}

fn judge(error: &PublishError) -> Outcome {
    match error.kind() {
        PublishErrorKind::WrongLastSequence => Outcome::WrongLast,
        PublishErrorKind::StreamNotFound => Outcome::NoStream,
        PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe => Outcome::Unknown,
        _ => match broker_error(error) {
            Some(ErrorCode::STREAM_NOT_FOUND) => Outcome::NoStream,
            Some(_) => Outcome::NotNow(words_of(error)),
            None => Outcome::NotNow(error.to_string()),
        },
    }
}

/// What the broker answered, when it answered with an error.
fn broker_error(error: &PublishError) -> Option<ErrorCode> {
    let source = error.source()?.downcast_ref::<async_nats::jetstream::Error>()?;
    Some(source.error_code())
}

fn words_of(error: &PublishError) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

/// What became of a message that was to be the one after `last` on its subject.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// It is stored, with this sequence.
    Stored(u64),
    /// Another message came before it.
    Conflict,
}

/// Stores a message on a subject where several hosts may write, if `last` is still the last sequence
/// there. `id` tells it from all others.
///
/// A stream that another client is making at this moment may not be there for a while, and a broker that
/// is busy may not answer.
pub(crate) async fn put(
    shared: &Shared,
    subject: &str,
    id: &str,
    last: u64,
    payload: Bytes,
) -> Result<Put, NatsError> {
    let failed = |why| NatsError::Request { subject: subject.to_owned(), why };
    let wire = &shared.control;
    let begun = Instant::now();
    loop {
        let complaints = wire.complaints();
        let Some(times) = wire.up().await else {
            return Err(failed("the connection has ended".to_owned()));
        };
        let message = PublishMessage::build()
            .payload(payload.clone())
            .message_id(id)
            .expected_last_subject_sequence(last);
        let (why, is_over) = match try_once(wire, times, subject, message).await {
            Outcome::Stored(sequence) => return Ok(Put::Stored(sequence)),
            Outcome::WrongLast => return Ok(Put::Conflict),
            Outcome::NotNow(why) => {
                tokio::time::sleep(ASK_AGAIN_AFTER).await;
                (why, begun.elapsed() >= shared.options.answer_timeout)
            }
            Outcome::Unknown => {
                let why = "no answer in time".to_owned();
                shared.does_not_answer(&why);
                (wire.words_for(&why), complaints != wire.complaints())
            }
            Outcome::NoStream => {
                let is_gone = shared.is_surely_gone().await;
                tokio::time::sleep(ASK_AGAIN_AFTER).await;
                ("there is no stream".to_owned(), is_gone)
            }
        };
        if is_over || begun.elapsed() >= shared.options.busy_timeout {
            return Err(failed(why));
        }
    }
}
