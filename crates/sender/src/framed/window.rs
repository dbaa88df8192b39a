//! How much may be on the way to a peer.

/// How much may be on the way to the peer, and how much is.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// Unknown until the peer's first credit.
    limit: Option<u64>,
    pub(super) in_flight: u64,
}

impl Window {
    /// The peer gives leave for so many bytes more.
    pub(super) fn credit(&mut self, bytes: u64) {
        match self.limit {
            None => self.limit = Some(bytes),
            Some(_) => self.in_flight = self.in_flight.saturating_sub(bytes),
        }
    }

    /// Whether so many bytes may be sent.
    pub(super) fn has_room(&self, bytes: u64) -> bool {
        self.limit.is_some_and(|limit| self.in_flight == 0 || self.in_flight + bytes <= limit)
    }
}
