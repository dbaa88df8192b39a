//! What time it is.

use std::time::{Duration, SystemTime};

use lastline_line::Timestamp;
use tokio::time::Instant;

/// The time of day, for what is shown to people and written to files.
#[expect(clippy::disallowed_methods, reason = "the time that goes into a timestamp")]
pub(crate) fn now() -> Timestamp {
    Timestamp::from_system(SystemTime::now())
}

/// Time since it was started, by a clock that nobody sets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// When `moment` was.
    pub(crate) fn at(self, moment: Instant) -> Duration {
        moment.saturating_duration_since(self.0)
    }

    pub(crate) fn now(self) -> Duration {
        self.0.elapsed()
    }

    /// Never, when there is no such time.
    pub(crate) async fn sleep_until(self, at: Option<Duration>) {
        match at {
            Some(at) => tokio::time::sleep_until(self.0 + at).await,
            None => std::future::pending().await,
        }
    }
}
