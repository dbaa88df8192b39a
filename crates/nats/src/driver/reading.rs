//! What somebody reads who takes no part in a job.

use super::inbox::Positions;

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
