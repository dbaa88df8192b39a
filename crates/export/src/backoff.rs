//! How long to wait until something is tried again.

use std::time::Duration;

/// The first pause.
const FIRST: Duration = Duration::from_millis(100);
/// The longest.
const LONGEST: Duration = Duration::from_secs(10);
/// The longest that a destination may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(300);

/// Pauses that double, from 100 ms to 10 s; one that is asked for is kept, up to 5 min.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backoff {
    /// How often nothing came of it.
    failures: u32,
}

impl Backoff {
    /// It failed; how long to wait, where the destination asks for that much.
    pub(crate) fn pause(&mut self, asked: Option<Duration>) -> Duration {
        let own = FIRST.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        own.max(asked.unwrap_or_default().min(LONGEST_ASKED))
    }

    /// It went well.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_what_is_asked_for_is_kept() {
        let mut backoff = Backoff::default();
        let millis: Vec<u128> = (0..9).map(|_| backoff.pause(None).as_millis()).collect();
        assert_eq!(millis, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        assert_eq!(backoff.pause(Some(Duration::from_secs(60))).as_secs(), 60);
        assert_eq!(backoff.pause(Some(Duration::from_secs(3600))).as_secs(), 300);
        backoff.reset();
        assert_eq!(backoff.pause(None).as_millis(), 100);
    }
}
