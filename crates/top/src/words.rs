//! Numbers and states in few words.

use std::time::Duration;

use lastline_watch::{RankState, RankView};

/// `999 B`, `12 kB`, `1.5 GB`.
pub(crate) fn bytes(count: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut unit = 0;
    #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
    let mut number = count as f64;
    while number >= 999.5 && unit + 1 < units.len() {
        number /= 1000.0;
        unit += 1;
    }
    match (unit, number < 9.95) {
        (0, _) | (_, false) => format!("{number:.0} {}", units[unit]),
        (_, true) => format!("{number:.1} {}", units[unit]),
    }
}

/// `8 s`, `3:07`, `1:02:03`.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes}:{seconds:02}"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// How a rank stands.
pub(crate) fn state(view: &RankView) -> String {
    match &view.state {
        RankState::Waiting => String::from("not started yet"),
        RankState::Running => String::from("running"),
        RankState::Exited(exit) => {
            if view.stopped {
                format!("{exit}, stopped")
            } else {
                exit.to_string()
            }
        }
        RankState::NotStarted(why) => format!("not started: {why}"),
        RankState::Lost(why) => format!("lost: {why}"),
        _ => String::from("unknown"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let table =
            [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (12_345, "12 kB"), (999_600, "1.0 MB")];
        for (count, text) in table {
            assert_eq!(bytes(count), text);
        }
        let table = [(8, "8 s"), (187, "3:07"), (3_723, "1:02:03")];
        for (seconds, text) in table {
            assert_eq!(duration(Duration::from_secs(seconds)), text);
        }
    }
}
