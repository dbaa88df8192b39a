//! A broker, and the stream of a job there.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{Config, DiscardPolicy, StorageType, Stream};
use async_nats::jetstream::{self, ErrorCode};

use crate::asking::{ASK_AGAIN_AFTER, Failure};
use crate::claim::{self, HostClaim};
use crate::driver::{From, NatsInbox, Positions, Reading};
use crate::error::{ClaimError, NatsError};
use crate::host::NatsTransport;
use crate::names::Names;
use crate::options::{NatsOptions, Storage};
use crate::publish::last_message;
use crate::wire::Wire;

/// Connects to a broker, and makes the job's stream there if it is not there yet, unless
/// [`create_stream`](NatsOptions::create_stream) is false.
///
/// Must be called on a tokio runtime, where the connections stay: one for output and one for all
/// that must not wait behind it.
///
/// # Errors
///
/// When the broker cannot be reached in time, does not let this client in, or the stream cannot be
/// used.
pub async fn connect(options: NatsOptions) -> Result<Broker, NatsError> {
    let names = Names::new(&options.job).ok_or(NatsError::JobId { bytes: options.job.len() })?;
    let control = Wire::connect(&options, &names).await?;
    let data = Wire::connect(&options, &names).await?;
    let shared = Arc::new(Shared { options, names, control, data, told: AtomicBool::new(false) });
    shared.open_stream().await?;
    Ok(Broker { shared })
}

/// A broker where a job has its stream; see [`connect`]. Clones share the connections, which end with
/// the last of them, of its transports and its inboxes.
#[derive(Clone, Debug)]
pub struct Broker {
    shared: Arc<Shared>,
}

impl Broker {
    /// Takes part in the job as a host, after its ranks were claimed.
    ///
    /// # Errors
    ///
    /// When another host that is alive has one of the ranks, or the job has another number of ranks:
    /// nothing of this host is in the job then but that it was refused. Or when the broker cannot be
    /// used.
    pub async fn host(&self, claim: HostClaim) -> Result<NatsTransport, ClaimError> {
        claim::admit(&self.shared, claim).await
    }

    /// Reads what the job has stored and stores, and takes no part in it: no host and no driver notices.
    /// The inbox hands on what a driver's does, as far as it is read, and events of hosts from the start.
    /// It closes at the end of the reading.
    ///
    /// # Errors
    ///
    /// When the broker cannot be used.
    pub async fn read(&self, reading: Reading) -> Result<NatsInbox, NatsError> {
        NatsInbox::read(&self.shared, reading).await
    }

    /// The place of the last output that is stored, for [`Reading::until`]; 0 when there is none.
    ///
    /// # Errors
    ///
    /// When the broker does not say.
    pub async fn last_stored(&self) -> Result<Positions, NatsError> {
        let subject = self.shared.names.all_output();
        let found = self.shared.last_message(&subject).await?;
        Ok(Positions { output: found.map_or(0, |message| message.sequence) })
    }

    /// How many ranks the job has, as its first host has said; `None` when none has come yet, or the
    /// broker does not keep its word any more.
    ///
    /// # Errors
    ///
    /// When the broker does not say.
    pub async fn world_size(&self) -> Result<Option<u32>, NatsError> {
        claim::world_size(&self.shared).await
    }

    /// Whether the broker says, and says again, that it has no stream of the job.
    pub async fn is_gone(&self) -> bool {
        self.shared.is_surely_gone().await
    }

    /// Takes part in the job as one of its drivers. Each gets all that the job has stored and stores,
    /// from where it wants: events of hosts always from the start.
    ///
    /// # Errors
    ///
    /// When the broker cannot be used.
    pub async fn driver(&self, from: From) -> Result<NatsInbox, NatsError> {
        NatsInbox::start(&self.shared, from).await
    }
}

/// What all parts of one client share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: NatsOptions,
    pub(crate) names: Names,
    /// For events, controls, heartbeats, claims.
    pub(crate) control: Wire,
    /// For output.
    pub(crate) data: Wire,
    /// It was told that the broker does not answer.
    pub(crate) told: AtomicBool,
}

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
    async fn open_stream(&self) -> Result<(), NatsError> {
        let stream = self.names.stream();
        let failed = |Failure { why, .. }| NatsError::Stream { stream: stream.clone(), why };
        let wire = &self.control;
        match self.patiently(wire, || self.find_stream()).await.map_err(failed)? {
            // Whoever has it made makes it before a client comes.
            Some(_) if !self.options.create_stream => return Ok(()),
            Some(found) if found.cached_info().state.last_sequence > 0 => return Ok(()),
            Some(_) => {}
            None if !self.options.create_stream => {
                let is_gone = self.is_surely_gone().await;
                return if is_gone { Err(NatsError::NoStream { stream }) } else { Ok(()) };
            }
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

    /// Makes a consumer, which the broker removes when nobody asks it for anything. A stream that another client is making at this moment is found
    /// already, and said to be made, and takes none yet. (A `nats-server` 2.9 that is asked for a message
    /// of it crashes.)
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

    /// The last message that is stored on a subject, if there is one, for who must know it to go on.
    pub(crate) async fn last_message(
        &self,
        subject: &str,
    ) -> Result<Option<StreamMessage>, NatsError> {
        let wire = &self.control;
        let found = self.patiently(wire, || last_message(self, wire, subject)).await;
        found.map_err(|Failure { why, .. }| NatsError::Request { subject: subject.to_owned(), why })
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
