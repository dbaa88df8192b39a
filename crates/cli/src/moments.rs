//! Moments as people write them.

use jiff::{SignedDuration, Zoned, civil};
use lastline_line::Timestamp;

use crate::units::duration;

/// So long ago, `10m`; `14:05:30`, today; `2026-11-27 14:05`, here; or with an offset, as in RFC 3339.
pub(crate) fn moment(text: &str) -> Result<Timestamp, String> {
    let found = at(text, &Zoned::now()).and_then(|at| u64::try_from(at.as_microsecond()).ok());
    let wrong = || {
        format!(
            "`{text}` is no time (write `10m` for ten minutes ago, `14:05`, `2026-11-27 14:05:30`, or RFC 3339)"
        )
    };
    found.map(Timestamp).ok_or_else(wrong)
}

fn at(text: &str, now: &Zoned) -> Option<jiff::Timestamp> {
    if let Ok(at) = text.parse() {
        return Some(at);
    }
    let of_today = || {
        // Without it, it is a number of seconds.
        let time: civil::Time = text.contains(':').then(|| text.parse().ok())??;
        Some(now.date().to_datetime(time))
    };
    if let Some(local) = text.parse().ok().or_else(of_today) {
        let local: civil::DateTime = local;
        return Some(local.to_zoned(now.time_zone().clone()).ok()?.timestamp());
    }
    let ago = SignedDuration::try_from(duration(text).ok()?).ok()?;
    now.timestamp().checked_sub(ago).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_people_write_them() {
        let now: Zoned = "2026-11-27T15:00:00+01:00[+01:00]".parse().unwrap();
        let table = [
            ("10m", "2026-11-27T13:50:00Z"),
            ("1d", "2026-11-26T14:00:00Z"),
            ("10", "2026-11-27T13:59:50Z"),
            ("14:05", "2026-11-27T13:05:00Z"),
            ("14:05:30", "2026-11-27T13:05:30Z"),
            ("2026-11-26 23:30", "2026-11-26T22:30:00Z"),
            ("2026-11-26", "2026-11-25T23:00:00Z"),
            ("2026-11-27T10:00:00Z", "2026-11-27T10:00:00Z"),
            ("2026-11-27T10:00:00-05:00", "2026-11-27T15:00:00Z"),
        ];
        for (text, wanted) in table {
            assert_eq!(at(text, &now), Some(wanted.parse().unwrap()), "{text}");
        }
        for text in ["", "soon", "25:00", "2026-13-01", "yesterday"] {
            assert_eq!(at(text, &now), None, "{text}");
        }
    }
}
