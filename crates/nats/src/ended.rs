//! Where the broker has the ends of streams.
//!
//! An end is output, and stands behind all that its stream had. Who begins behind it never receives it, and
//! cannot know that it was there from the host's word that a stream has ended: that may be stored before or
//! after. So a host tells of each end, beside its events, under which sequence it is stored.

use lastline_line::{Offset, StreamId};
use serde::{Deserialize, Serialize};

/// The end of a stream, as output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredEnd {
    pub(crate) stream: StreamId,
    /// How long the stream is.
    pub(crate) at: Offset,
    /// Of the message that has it.
    pub(crate) sequence: u64,
}

/// As they are stored.
pub(crate) fn encode(ends: &[StoredEnd]) -> Vec<u8> {
    serde_json::to_vec(ends).expect("BUG: numbers and names become JSON")
}

/// What [`encode`] made.
pub(crate) fn decode(stored: &[u8]) -> Result<Vec<StoredEnd>, serde_json::Error> {
    serde_json::from_slice(stored)
}
