//! What time it is, and waiting for a while.

use std::time::{Duration, Instant, SystemTime};

use lastline_line::Timestamp;

/// The time of day, as ranks' output has it: for whoever looks at a job.
#[expect(clippy::disallowed_methods, reason = "the time that goes into a timestamp")]
pub fn now() -> Timestamp {
    Timestamp::from_system(SystemTime::now())
}

/// Waits before something is looked at again that tells nobody when it changes: the files of a job,
/// or its lock. Who calls says how often it looks, and how long at most.
pub(crate) fn pause(time: Duration) {
    let until = Instant::now() + time;
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|it| !it.is_zero()) {
        // It may come back early.
        std::thread::park_timeout(left);
    }
}
