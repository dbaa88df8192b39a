//! The stream of a job: whether it is there, and making it.

use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::stream::{Config, DiscardPolicy, StorageType, Stream};
use async_nats::jetstream::{self, ErrorCode};

use crate::asking::{ASK_AGAIN_AFTER, Failure};
use crate::broker::Shared;
use crate::error::NatsError;
use crate::options::Storage;

/// So often in a row a broker has to say that there is no stream.
const SURELY_GONE: u32 = 3;

/// Whether the job has its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    There,
    /// The broker says that there is none.
    Gone,
    /// The broker does not say.
    Unknown,
}

impl Shared {
    /// The stream is there when this has returned, unless it was not to be made and the broker does not say.
    pub(crate) async fn open_stream(&self) -> Result<(), NatsError> {
        let stream = self.names.stream();
        let failed = |Failure { why, .. }| NatsError::Stream { stream: stream.clone(), why };
        let wire = &self.control;
        let found = self.patiently(wire, || self.find_stream()).await.map_err(failed)?;
        if !self.options.create_stream {
            // Whoever has made it has done so before any client comes.
            let is_gone = found.is_none() && self.is_surely_gone().await;
            return if is_gone { Err(NatsError::NoStream { stream }) } else { Ok(()) };
        }
        match found {
            Some(found) if found.cached_info().state.last_sequence > 0 => return Ok(()),
            Some(_) => {}
            None => self.patiently(wire, || self.make_stream()).await.map_err(failed)?,
        }
        if let Err(failure) = self.patiently(wire, || self.try_stream()).await {
            tracing::debug!("whether the stream is made is not known: {}", failure.why);
        }
        Ok(())
    }

    async fn find_stream(&self) -> Result<Option<Stream>, Failure> {
        match self.look_up_stream().await {
            Ok(found) => Ok(Some(found)),
            Err((error, _)) if is_missing(&error) => Ok(None),
            Err((_, failure)) => Err(failure),
        }
    }

    async fn make_stream(&self) -> Result<(), Failure> {
        let wire = &self.control;
        match wire.context.create_stream(self.stream_config()).await {
            Ok(_) => Ok(()),
            // Somebody else may have been faster.
            Err(_) if self.presence().await == Presence::There => Ok(()),
            Err(error) => {
                let kind = error.kind();
                let answer = match &kind {
                    CreateStreamErrorKind::JetStream(answer) => Some(answer),
                    _ => None,
                };
                Err(Failure::new(wire, &error, answer))
            }
        }
    }

    /// Makes a consumer, which the broker removes when nobody asks it for anything. A stream that another
    /// client is making at this moment is found already, and said to be made, and takes none yet. (A
    /// `nats-server` 2.9 that is asked for a message of it crashes.)
    async fn try_stream(&self) -> Result<(), Failure> {
        let (wire, stream) = (&self.control, self.names.stream());
        let config = pull::Config {
            name: Some(format!("try-{:016x}", fastrand::u64(..))),
            ack_policy: AckPolicy::None,
            inactive_threshold: self.options.answer_timeout,
            num_replicas: 1,
            memory_storage: true,
            ..pull::Config::default()
        };
        let made = wire.context.create_consumer_on_stream(config, stream).await;
        made.map(drop).map_err(|error| Failure::of_consumer(wire, &error))
    }

    async fn look_up_stream(&self) -> Result<Stream, (GetStreamErrorKind, Failure)> {
        let wire = &self.control;
        let found = wire.context.get_stream(self.names.stream()).await;
        found.map_err(|error| {
            let kind = error.kind();
            let failure = Failure::new(wire, &error, answer_in(&kind));
            (kind, failure)
        })
    }

    fn stream_config(&self) -> Config {
        let options = &self.options;
        Config {
            name: self.names.stream(),
            subjects: self.names.stored(),
            storage: match options.storage {
                Storage::File => StorageType::File,
                Storage::Memory => StorageType::Memory,
            },
            num_replicas: options.replicas,
            max_bytes: options.max_bytes.map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(-1)),
            max_messages: -1,
            max_messages_per_subject: -1,
            max_consumers: -1,
            max_age: options.max_age,
            // What is full says so: nothing that was acknowledged goes away to make room.
            discard: DiscardPolicy::New,
            description: Some(format!("output of the Lastline job {}", options.job)),
            ..Config::default()
        }
    }

    /// Asks whether the stream is there.
    async fn presence(&self) -> Presence {
        match self.find_stream().await {
            Ok(Some(_)) => Presence::There,
            Ok(None) => Presence::Gone,
            Err(_) => Presence::Unknown,
        }
    }

    /// Whether the broker says, and says again, that the job has no stream: one that starts may say it
    /// once.
    pub(crate) async fn is_surely_gone(&self) -> bool {
        let mut ask_again_after = ASK_AGAIN_AFTER;
        for asked in 1.. {
            if self.presence().await != Presence::Gone {
                return false;
            }
            if asked == SURELY_GONE {
                break;
            }
            tokio::time::sleep(ask_again_after).await;
            ask_again_after *= 2;
        }
        true
    }

    /// The last sequence of the stream.
    pub(crate) async fn last_sequence(&self) -> Result<u64, NatsError> {
        let ask = async || self.look_up_stream().await.map_err(|(_, failure)| failure);
        let found = self.patiently(&self.control, ask).await;
        match found {
            Ok(found) => Ok(found.cached_info().state.last_sequence),
            Err(failure) => {
                Err(NatsError::Stream { stream: self.names.stream(), why: failure.why })
            }
        }
    }
}

fn answer_in(kind: &GetStreamErrorKind) -> Option<&jetstream::Error> {
    match kind {
        GetStreamErrorKind::JetStream(answer) => Some(answer),
        _ => None,
    }
}

fn is_missing(kind: &GetStreamErrorKind) -> bool {
    answer_in(kind).is_some_and(|answer| answer.error_code() == ErrorCode::STREAM_NOT_FOUND)
}
