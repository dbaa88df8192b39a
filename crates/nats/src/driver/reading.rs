//! What somebody reads who takes no part in a job.

use lastline_line::Stream;

use super::inbox::Positions;
use crate::broker::Shared;
use crate::error::NatsError;
use crate::names::Names;
use crate::publish::last_message;

/// What somebody reads of a job who takes no part in it; see [`Broker::read`](crate::Broker::read).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reading {
    /// Output that is stored under this rank's name alone: its own, and where its host folds that of all
    /// of the host's ranks, if it is the first of them. Default: of all.
    pub rank: Option<u32>,
    /// What is stored under this stream's name alone, which is the standard output for all of a host that
    /// folds. Default: both.
    pub stream: Option<Stream>,
    /// What is stored behind this place. Default: all.
    pub after: Positions,
    /// Up to this place, whatever comes behind it. Default, `None`: until the job is over.
    pub until: Option<Positions>,
}

impl Reading {
    /// Whether some of the job's output is left out.
    pub(super) fn is_of_some(&self) -> bool {
        self.rank.is_some() || self.stream.is_some()
    }

    /// The subjects of its output.
    pub(super) fn subject(&self, names: &Names) -> String {
        if self.is_of_some() { names.output_of(self.rank, self.stream) } else { names.all_output() }
    }

    /// The place of the last output that is stored of it, wherever it begins and ends; 0 when there is
    /// none.
    pub(crate) async fn last_stored(&self, shared: &Shared) -> Result<Positions, NatsError> {
        let subject = self.subject(&shared.names);
        let found = last_message(shared, &shared.control, &subject).await;
        let found = found.map_err(|why| NatsError::Request { subject, why })?;
        Ok(Positions { output: found.map_or(0, |message| message.sequence) })
    }
}
