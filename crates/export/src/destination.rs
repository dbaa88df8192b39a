//! Where lines go.

use std::time::Duration;

use crate::record::Record;

/// Takes lines, a batch at a time.
///
/// # Laws
///
/// 1. When [`export`](Self::export) returns `Ok`, every record of the batch has been taken, but for those that
///    it says were refused.
/// 2. After [`ExportError::Later`] the first `taken` records have been taken. The others may have been: they
///    are given again, and a destination may so have a line twice, and never not at all.
/// 3. It returns within `within`, and a moment.
pub trait Destination: Send {
    /// Gives a batch, which is not empty, in the order in which lines came. Blocks for `within` at most.
    ///
    /// # Errors
    ///
    /// When not all of it was taken, and whether to try again.
    fn export(&mut self, batch: &[Record], within: Duration) -> Result<Refused, ExportError>;
}

impl<D: Destination + ?Sized> Destination for &mut D {
    fn export(&mut self, batch: &[Record], within: Duration) -> Result<Refused, ExportError> {
        (**self).export(batch, within)
    }
}

impl<D: Destination + ?Sized> Destination for Box<D> {
    fn export(&mut self, batch: &[Record], within: Duration) -> Result<Refused, ExportError> {
        (**self).export(batch, within)
    }
}

/// What of a batch that was taken was refused for good, although it is not said which lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// How many lines.
    pub lines: u64,
    /// Why, in the destination's words.
    pub why: String,
}

/// Why a batch was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// It may be taken later.
    #[error("{why}")]
    Later {
        /// So many of its first records were taken.
        taken: usize,
        /// Not before this time has passed, where the destination says so.
        after: Option<Duration>,
        /// Why, in words.
        why: String,
    },
    /// It is too large, and none of it was taken: less may be. A single record that is too large is refused
    /// for good.
    #[error("{why}")]
    TooLarge {
        /// Why, in words.
        why: String,
    },
    /// It is refused, and would be again.
    #[error("{why}")]
    Never {
        /// So many of its first records were taken.
        taken: usize,
        /// How many of those behind them are refused; the others may be given again.
        refused: usize,
        /// Why, in words.
        why: String,
    },
}
