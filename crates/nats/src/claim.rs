//! Which host has which rank.
//!
//! A rank's claim is the last message on its subject, and a claim names the sequence of the one
//! before it. So of two hosts that come at once one is first, and the other one sees that.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use lastline_line::{HostId, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::anew::{self, WhenOver};
use crate::attempt::{Put, put};
use crate::broker::Shared;
use crate::error::{ClaimError, NatsError};
use crate::host::NatsTransport;
use crate::names::parse_id;
use crate::wire::header;

/// Between two questions to a host that does not answer.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(250);

/// What a host wants to be in a job.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HostClaim {
    /// What tells this host from all others, also from earlier ones of the same ranks. Default: a
    /// random number.
    pub id: HostId,
    /// Its ranks.
    pub ranks: Range<u32>,
    /// How many ranks the whole job has.
    pub world_size: u32,
    /// Its name, for who is told that it has a rank.
    pub host: String,
    /// The process that runs the ranks.
    pub pid: u32,
    /// What it does when the job is over already. Default: it joins it.
    pub when_over: WhenOver,
}

impl HostClaim {
    /// The claim of this process, with an id of its own.
    pub fn new(ranks: Range<u32>, world_size: u32, host: impl Into<String>) -> Self {
        let (id, pid) = (HostId(fastrand::u64(1..)), std::process::id());
        let when_over = WhenOver::default();
        Self { id, ranks, world_size, host: host.into(), pid, when_over }
    }
}

/// A rank's claim as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claim {
    /// Who has the rank, as 16 hexadecimal digits; nobody when it was given back.
    pub(crate) id: Option<String>,
    pub(crate) host: String,
    pub(crate) pid: u32,
    pub(crate) world_size: u32,
    pub(crate) time: Timestamp,
}

impl Claim {
    pub(crate) fn holder(&self) -> Option<HostId> {
        parse_id(self.id.as_deref()?)
    }

    pub(crate) fn parse(payload: &[u8]) -> Option<Self> {
        serde_json::from_slice(payload).ok()
    }
}

/// That a host was not let in, as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) id: String,
    pub(crate) host: String,
    pub(crate) pid: u32,
    pub(crate) why: String,
}

/// Who has `rank`, if anybody.
pub(crate) async fn holder(shared: &Shared, rank: u32) -> Result<Option<HostId>, NatsError> {
    let found = shared.last_message(&shared.names.claim(rank)).await?;
    Ok(found.and_then(|message| Claim::parse(&message.payload)).and_then(|claim| claim.holder()))
}

/// How many ranks the job has, as its first host has said.
pub(crate) async fn world_size(shared: &Shared) -> Result<Option<u32>, NatsError> {
    let found = shared.last_message(&shared.names.world()).await?;
    let claim = found.and_then(|message| Claim::parse(&message.payload));
    Ok(claim.map(|claim| claim.world_size))
}

/// Lets a host in, or says why not, here and to the drivers.
pub(crate) async fn admit(
    shared: &Arc<Shared>,
    wanted: HostClaim,
) -> Result<NatsTransport, ClaimError> {
    anew::prepare(shared, &wanted).await?;
    // It answers for itself before anybody can ask whether it is alive.
    let transport = NatsTransport::start(shared, wanted.id, wanted.ranks.start).await?;
    let applicant = Applicant { shared, wanted };
    match applicant.apply().await {
        Ok(()) => Ok(transport),
        Err(error) => {
            transport.give_up();
            applicant.refused(&error).await;
            Err(error)
        }
    }
}

/// Whether a host has said that it has left.
pub(crate) async fn has_left(shared: &Shared, host: HostId) -> Result<bool, NatsError> {
    let said = shared.last_message(&shared.names.host(host)).await?;
    Ok(said.is_some_and(|message| message.headers.get(header::LEFT).is_some()))
}

/// Whether a host has left, or answers nobody for as long as patience lasts.
pub(crate) async fn is_gone(shared: &Shared, host: HostId) -> Result<bool, NatsError> {
    if has_left(shared, host).await? {
        return Ok(true);
    }
    let deadline = Instant::now() + shared.options.claim_patience;
    let ask = shared.names.ask(host);
    while Instant::now() < deadline {
        let asked = shared.control.client.request(ask.clone(), Bytes::new());
        match tokio::time::timeout_at(deadline, asked).await {
            Ok(Ok(_)) => return Ok(false),
            Ok(Err(error)) => tracing::debug!("a claimed rank's host is silent: {error}"),
            Err(_) => break,
        }
        tokio::time::sleep_until((Instant::now() + ASK_AGAIN_AFTER).min(deadline)).await;
    }
    Ok(true)
}

struct Applicant<'a> {
    shared: &'a Shared,
    wanted: HostClaim,
}

impl Applicant<'_> {
    async fn apply(&self) -> Result<(), ClaimError> {
        self.agree_on_the_world().await?;
        // The first rank first: of two hosts with the same ranks one gets all.
        let mut ranks = self.wanted.ranks.clone();
        let mut held = Vec::new();
        let Some(first) = ranks.next() else {
            return Ok(());
        };
        held.push((first, self.claim(first).await?));
        let mut refused = None;
        for (rank, claimed) in
            join_all(ranks.map(async |rank| (rank, self.claim(rank).await))).await
        {
            match claimed {
                Ok(sequence) => held.push((rank, sequence)),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        let Some(error) = refused else {
            return Ok(());
        };
        for (rank, sequence) in held {
            self.give_back(rank, sequence).await;
        }
        Err(error)
    }

    /// The first host says how many ranks there are.
    async fn agree_on_the_world(&self) -> Result<(), ClaimError> {
        let subject = self.shared.names.world();
        let id = format!("{}.world", self.wanted.id);
        if put(self.shared, &subject, &id, 0, self.payload(true)).await? != Put::Conflict {
            return Ok(());
        }
        let found = self.shared.last_message(&subject).await?;
        match found.and_then(|message| Claim::parse(&message.payload)) {
            Some(first) if first.world_size != self.wanted.world_size => {
                Err(ClaimError::WorldSize {
                    wanted: self.wanted.world_size,
                    found: first.world_size,
                    host: first.host,
                })
            }
            _ => Ok(()),
        }
    }

    /// Claims one rank; the claim's sequence.
    async fn claim(&self, rank: u32) -> Result<u64, ClaimError> {
        let subject = self.shared.names.claim(rank);
        let mut last = 0;
        loop {
            let id = format!("{}.claim.{rank}.{last}", self.wanted.id);
            let stored = put(self.shared, &subject, &id, last, self.payload(true)).await;
            if let Put::Stored(sequence) = stored? {
                return Ok(sequence);
            }
            let found = self.shared.last_message(&subject).await?;
            let Some(found) = found else {
                last = 0;
                continue;
            };
            if let Some(claim) = Claim::parse(&found.payload)
                && let Some(holder) = claim.holder()
            {
                if holder == self.wanted.id {
                    return Ok(found.sequence);
                }
                if !is_gone(self.shared, holder).await? {
                    return Err(ClaimError::Taken { rank, host: claim.host, pid: claim.pid });
                }
            }
            last = found.sequence;
        }
    }

    async fn give_back(&self, rank: u32, sequence: u64) {
        let subject = self.shared.names.claim(rank);
        let id = format!("{}.back.{rank}.{sequence}", self.wanted.id);
        if let Err(why) = put(self.shared, &subject, &id, sequence, self.payload(false)).await {
            tracing::debug!("rank {rank} could not be given back: {why}");
        }
    }

    /// Tells the drivers that this host was refused.
    async fn refused(&self, error: &ClaimError) {
        let refusal = Refusal {
            id: self.wanted.id.to_string(),
            host: self.wanted.host.clone(),
            pid: self.wanted.pid,
            why: error.to_string(),
        };
        let payload = serde_json::to_vec(&refusal).expect("BUG: a refusal becomes JSON");
        let context = &self.shared.control.context;
        let told =
            async { context.publish(self.shared.names.refused(), payload.into()).await?.await };
        if let Err(error) = told.await {
            tracing::debug!("no driver is told of the refusal: {error}");
        }
    }

    fn payload(&self, held: bool) -> Bytes {
        let wanted = &self.wanted;
        let claim = Claim {
            id: held.then(|| wanted.id.to_string()),
            host: wanted.host.clone(),
            pid: wanted.pid,
            world_size: wanted.world_size,
            time: now(),
        };
        serde_json::to_vec(&claim).expect("BUG: a claim becomes JSON").into()
    }
}

#[expect(clippy::disallowed_methods, reason = "the time that goes into a timestamp")]
fn now() -> Timestamp {
    Timestamp::from_system(std::time::SystemTime::now())
}
