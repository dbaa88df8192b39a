//! What somebody reads who takes no part in a job.

use super::inbox::Positions;
use crate::broker::Shared;
use crate::error::NatsError;
use crate::publish::last_message;

/// What somebody reads of a job who takes no part in it; see [`Broker::read`](crate::Broker::read).
///
/// It is the output of all ranks: that of a host that folds stands under the name of its first rank, so
/// that the broker cannot tell them apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reading {
    /// What is stored behind this place. Default: all.
    pub after: Positions,
    /// Up to this place, whatever comes behind it. Default, `None`: until the job is over.
    pub until: Option<Positions>,
}

impl Positions {
    /// The place of the last output that is stored; 0 when there is none.
    pub(crate) async fn last_stored(shared: &Shared) -> Result<Self, NatsError> {
        let subject = shared.names.all_output();
        let found = last_message(shared, &shared.control, &subject).await;
        let found = found.map_err(|why| NatsError::Request { subject, why })?;
        Ok(Self { output: found.map_or(0, |message| message.sequence) })
    }
}
