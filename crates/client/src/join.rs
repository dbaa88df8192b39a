//! How a client ended.

use crate::printer::PrintError;

/// Why a client has not printed all that it received.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// An output took no more; the first that did.
    #[error(transparent)]
    Output(#[from] PrintError),
    /// The fold, the printer or the client itself has panicked.
    #[error("{cause}")]
    Failed {
        /// What it said.
        cause: String,
    },
}
