//! What time it is.

use std::time::SystemTime;

use lastline_line::Timestamp;

pub(crate) fn now() -> Timestamp {
    Timestamp::from_system(SystemTime::now())
}
