//! What time it is.

use std::time::SystemTime;

use lastline_line::Timestamp;

#[expect(clippy::disallowed_methods, reason = "the time that goes into a timestamp")]
pub(crate) fn now() -> Timestamp {
    Timestamp::from_system(SystemTime::now())
}
