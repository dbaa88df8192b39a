//! A broker, and the stream of a job there.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{Config, DiscardPolicy, StorageType};
use tokio::time::Instant;

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
    shared.patiently(&shared.control, || shared.open_stream()).await?;
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
    told: AtomicBool,
}

/// So often in a row a broker has to say that there is no stream.
const SURELY_GONE: u32 = 3;
/// After how long it is asked again, for the first time; then twice as long each time.
pub(crate) const ASK_AGAIN_AFTER: Duration = Duration::from_millis(50);

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
    /// What `ask` gets of the broker by `wire`. Where that is no answer it asks again, for as long as the
    /// broker may be busy; unless that has complained, as of what this client may not ask.
    pub(crate) async fn patiently<T, E: Display, Answer>(
        &self,
        wire: &Wire,
        ask: impl Fn() -> Answer,
    ) -> Result<T, E>
    where
        Answer: Future<Output = Result<T, E>>,
    {
        let given_up = Instant::now() + self.options.busy_timeout;
        loop {
            let (asked, complaints) = (Instant::now(), wire.complaints());
            match ask().await {
                Err(error)
                    if asked.elapsed() >= self.options.answer_timeout
                        && complaints == wire.complaints()
                        && Instant::now() < given_up =>
                {
                    self.does_not_answer(&error);
                }
                answer => return answer,
            }
        }
    }

    pub(crate) fn does_not_answer(&self, error: &dyn Display) {
        if !self.told.swap(true, Ordering::Relaxed) {
            let within = self.options.busy_timeout;
            tracing::warn!(
                "the broker is there and does not answer ({error}); it is asked again for up to {within:?}"
            );
        }
    }

    async fn open_stream(&self) -> Result<(), NatsError> {
        let name = self.names.stream();
        let failed = |why: String| NatsError::Stream { stream: name.clone(), why };
        let wire = &self.control;
        match wire.context.get_stream(&name).await {
            Ok(_) => return Ok(()),
            Err(error) if is_missing(&error.kind()) => {}
            Err(error) => return Err(failed(wire.words_for(&error))),
        }
        if !self.options.create_stream {
            let gone = self.is_surely_gone().await;
            return if gone { Err(NatsError::NoStream { stream: name }) } else { Ok(()) };
        }
        match wire.context.create_stream(self.stream_config()).await {
            Ok(_) => Ok(()),
            // Somebody else may have been faster. While that one makes it, its subjects are said to overlap
            // with those of another stream.
            Err(_) if self.presence().await == Presence::There => Ok(()),
            Err(error) => Err(failed(wire.words_for(&error))),
        }
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
        match self.control.context.get_stream(self.names.stream()).await {
            Ok(_) => Presence::There,
            Err(error) if is_missing(&error.kind()) => Presence::Gone,
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
        found.map_err(|why| NatsError::Request { subject: subject.to_owned(), why })
    }

    /// The last sequence of the stream.
    pub(crate) async fn last_sequence(&self) -> Result<u64, NatsError> {
        let (stream, wire) = (self.names.stream(), &self.control);
        match self.patiently(wire, || wire.context.get_stream(&stream)).await {
            Ok(found) => Ok(found.cached_info().state.last_sequence),
            Err(error) => Err(NatsError::Stream { stream, why: self.control.words_for(&error) }),
        }
    }
}

fn is_missing(kind: &GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}
