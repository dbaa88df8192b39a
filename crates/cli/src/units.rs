//! Durations and sizes as people write them.

use std::time::Duration;

use bytesize::ByteSize;
use jiff::{Span, SpanRelativeTo};

/// `250ms`, `3s`, `1m`, `2h`, `7d`, `2w`; a number alone is seconds, a day 24 hours.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no duration (write `250ms`, `3s`, `1m`, `2h` or `7d`)");
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).map_err(|_| wrong());
    }
    let span: Span = text.parse().map_err(|_| wrong())?;
    let parsed = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
    Duration::try_from(parsed).map_err(|_| wrong())
}

/// The same for what is older than that, where a number alone might be meant as days.
pub(crate) fn age(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(_) => {
            Err(format!("`{text}` has no unit (write `{text}d` for days, `{text}h` for hours)"))
        }
        Err(_) => duration(text),
    }
}

/// `64KiB`, `8MiB`, `1GiB`, or powers of ten: `10MB`; a number alone is bytes.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let parsed: Result<ByteSize, _> = text.parse();
    let size = parsed.map_err(|_| format!("`{text}` is no size (write `64KiB`, `8MiB`, `10MB`)"));
    size.map(|size| size.as_u64())
}

/// A size for people, `1.2 MB`.
pub(crate) fn bytes(bytes: u64) -> String {
    ByteSize::b(bytes).display().si().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let short =
            [("250ms", 250), ("3s", 3000), ("1m", 60_000), ("1.5", 1500), ("1.5h", 5_400_000)];
        let long =
            [("2h", 7_200_000), ("1d", 86_400_000), ("1d 2h", 93_600_000), ("2w", 1_209_600_000)];
        for (text, millis) in short.into_iter().chain(long) {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "-1s", "-3", "-1d", "soon", "3 parsecs", "1 month"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        let table = [("100", 100), ("64KiB", 65536), ("8MiB", 8 << 20), ("10MB", 10_000_000)];
        for (text, bytes) in table {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        assert!(size("big").is_err());
        assert!(size("-1").is_err());
    }
}
