//! A job's id that is used again: what the broker keeps of the job before.
//!
//! Whoever begins a job anew stores a mark, and has all removed that is stored before it. A mark names the
//! sequence of the one before it, so that of several hosts that come at once one stores it; what comes behind it is
//! the new job's, and is removed by nobody.

use std::collections::BTreeSet;

use async_nats::jetstream::message::StreamMessage;
use bytes::Bytes;
use futures_util::future::join_all;
use lastline_line::HostId;
use tokio::time::Instant;

use crate::asking::{ASK_AGAIN_AFTER, Failure};
use crate::attempt::{Put, put};
use crate::broker::Shared;
use crate::claim::{Claim, HostClaim, has_left, is_gone};
use crate::error::{ClaimError, NatsError};

/// What a host does that comes to a job that is over: each of its ranks was claimed, and all their hosts have
/// left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenOver {
    /// Its ranks are further launches of the same job.
    #[default]
    Join,
    /// It is not let in.
    Refuse,
    /// What is stored of the job is removed, and it begins anew. Here a host counts as gone that answers
    /// nobody, too. Hosts that come at the same time join the new job.
    BeginAnew,
}

/// Prepares the job for a host that comes.
pub(crate) async fn prepare(shared: &Shared, wanted: &HostClaim) -> Result<(), ClaimError> {
    if wanted.when_over == WhenOver::Join {
        return Ok(());
    }
    loop {
        // Before the job is looked at: who stores a mark meanwhile is in the way of this one's. What stands
        // behind the mark is of one job.
        let mark = sequence(last_mark(shared).await?);
        if is_being_removed(shared, mark).await? {
            continue;
        }
        let first = world(shared).await?;
        let silent_are_gone = wanted.when_over == WhenOver::BeginAnew;
        if !is_over_for(shared, wanted.ranks.start, silent_are_gone).await? {
            return Ok(());
        }
        if wanted.when_over == WhenOver::Refuse {
            return Err(ClaimError::Over);
        }
        // It may have been removed meanwhile.
        if world(shared).await? != first {
            continue;
        }
        let (subject, id) = (shared.names.anew(), format!("{}.anew.{mark}", wanted.id));
        if let Put::Stored(sequence) = put(shared, &subject, &id, mark, Bytes::new()).await? {
            remove_before(shared, sequence).await?;
            tracing::info!("what the broker had of the job before is removed");
            return Ok(());
        }
    }
}

/// Whether the job is over: all its ranks were claimed, and their hosts have left.
pub(crate) async fn is_over(shared: &Shared) -> Result<bool, NatsError> {
    is_over_for(shared, 0, false).await
}

/// The same, for somebody who wants this rank: where nobody has had it the job is not over, and the
/// others are not looked for.
async fn is_over_for(shared: &Shared, rank: u32, silent_too: bool) -> Result<bool, NatsError> {
    let Some(claim) = claim_of(shared, rank).await?.filter(|claim| claim.holder().is_some()) else {
        return Ok(false);
    };
    let claims = join_all((0..claim.world_size).map(|rank| claim_of(shared, rank))).await;
    let mut holders: BTreeSet<HostId> = BTreeSet::new();
    for claim in claims {
        match claim?.and_then(|claim| claim.holder()) {
            Some(holder) => holders.insert(holder),
            None => return Ok(false),
        };
    }
    let mut silent = Vec::new();
    for holder in holders {
        match has_left(shared, holder).await? {
            true => {}
            false if silent_too => silent.push(holder),
            false => return Ok(false),
        }
    }
    // Whoever's word is removed at this moment says nothing either: nobody is asked for nothing.
    if !silent.is_empty() && claim_of(shared, rank).await?.as_ref() != Some(&claim) {
        return Ok(true);
    }
    let gone = join_all(silent.into_iter().map(|holder| is_gone(shared, holder))).await;
    gone.into_iter().try_fold(true, |all, gone| Ok(all && gone?))
}

async fn claim_of(shared: &Shared, rank: u32) -> Result<Option<Claim>, NatsError> {
    let found = shared.last_message(&shared.names.claim(rank)).await?;
    Ok(found.and_then(|message| Claim::parse(&message.payload)))
}

async fn last_mark(shared: &Shared) -> Result<Option<StreamMessage>, NatsError> {
    shared.last_message(&shared.names.anew()).await
}

/// Where the first host's word stands; 0 where it does not.
async fn world(shared: &Shared) -> Result<u64, NatsError> {
    Ok(sequence(shared.last_message(&shared.names.world()).await?))
}

fn sequence(message: Option<StreamMessage>) -> u64 {
    message.map_or(0, |message| message.sequence)
}

/// Whether somebody else has stored the last mark, and was seen to remove what is before it; nobody who
/// takes longer than patience lasts is waited for.
async fn is_being_removed(shared: &Shared, mark: u64) -> Result<bool, NatsError> {
    let deadline = Instant::now() + shared.options.claim_patience;
    let mut waited = false;
    while Instant::now() < deadline {
        let world = world(shared).await?;
        if world == 0 || world > mark {
            return Ok(waited);
        }
        waited = true;
        tokio::time::sleep(ASK_AGAIN_AFTER).await;
    }
    Ok(false)
}

/// Removes all that is stored before this.
async fn remove_before(shared: &Shared, sequence: u64) -> Result<(), NatsError> {
    let (wire, stream) = (&shared.control, shared.names.stream());
    let remove = async || {
        let found = wire.context.get_stream_no_info(&stream).await;
        let found = found.map_err(|error| Failure::new(wire, &error, None))?;
        let removed = found.purge().sequence(sequence).await;
        removed.map(drop).map_err(|error| Failure::new(wire, &error, None))
    };
    let removed = shared.patiently(wire, remove).await;
    removed.map_err(|Failure { why, .. }| NatsError::Stream { stream: stream.clone(), why })
}
