//! Since when a writer has been at its work.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const IDLE: u64 = u64::MAX;

/// Says from outside how long a writer has not come back: a disk that does not answer is not seen
/// from inside.
#[derive(Debug)]
pub(crate) struct Busy {
    epoch: Instant,
    /// In microseconds after the epoch.
    since: AtomicU64,
}

impl Busy {
    pub(crate) fn new() -> Self {
        Self { epoch: Instant::now(), since: AtomicU64::new(IDLE) }
    }

    /// It goes to work at `now`.
    pub(crate) fn begin(&self, now: Instant) {
        let since = now.saturating_duration_since(self.epoch).as_micros();
        self.since.store(u64::try_from(since).unwrap_or(IDLE), Ordering::Relaxed);
    }

    /// It is back.
    pub(crate) fn end(&self) {
        self.since.store(IDLE, Ordering::Relaxed);
    }

    /// How long it has been at it at `now`; zero while it waits for work.
    pub(crate) fn time(&self, now: Instant) -> Duration {
        match self.since.load(Ordering::Relaxed) {
            IDLE => Duration::ZERO,
            since => {
                let begun = self.epoch + Duration::from_micros(since);
                now.saturating_duration_since(begun)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_from_the_begin_and_not_after_the_end() {
        let busy = Busy::new();
        let (begun, later) =
            (busy.epoch + Duration::from_secs(3), busy.epoch + Duration::from_secs(10));
        assert_eq!(busy.time(later), Duration::ZERO);
        busy.begin(begun);
        assert_eq!((busy.time(begun), busy.time(later)), (Duration::ZERO, Duration::from_secs(7)));
        busy.end();
        assert_eq!(busy.time(later), Duration::ZERO);
    }
}
