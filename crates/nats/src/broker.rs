//! A broker, as a client of a job sees it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::claim::{self, HostClaim};
use crate::driver::{From, NatsInbox, Positions, Reading};
use crate::error::{ClaimError, NatsError};
use crate::host::NatsTransport;
use crate::names::Names;
use crate::options::NatsOptions;
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
