//! What time it is.

use std::time::SystemTime;

use lastline_line::Timestamp;

/// The time of day, as ranks' output has it: for whoever looks at a job.
#[expect(clippy::disallowed_methods, reason = "the time that goes into a timestamp")]
pub fn now() -> Timestamp {
    Timestamp::from_system(SystemTime::now())
}
