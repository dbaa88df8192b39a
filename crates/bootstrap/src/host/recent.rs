//! The last lines of a stream, as they are told.

use lastline_client::last_part;
use lastline_tee::Tee;

/// The last lines of a stream, of a progress bar its last state; bytes that are no text are replaced.
pub(super) fn recent_text(tee: &Tee) -> Vec<String> {
    text(&tee.recent())
}

/// The last twenty of them.
pub(super) fn last_twenty_text(tee: &Tee) -> Vec<String> {
    text(&tee.last_lines(20))
}

fn text(lines: &[Vec<u8>]) -> Vec<String> {
    lines.iter().map(|line| String::from_utf8_lossy(seen(line)).into_owned()).collect()
}

/// What is seen of a line in the end: what nothing was drawn over.
fn seen(line: &[u8]) -> &[u8] {
    last_part(line).map_or(&[], |part| &line[part])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_bar_the_last_state_is_told() {
        let table = [
            ("plain", "plain"),
            ("dos\r", "dos"),
            ("\r 10%|#  |\r 90%|## |", " 90%|## |"),
            ("\r 10%|#  |\r 90%|## |\r      \r", " 90%|## |"),
            ("", ""),
            ("\r", ""),
        ];
        for (line, told) in table {
            assert_eq!(seen(line.as_bytes()), told.as_bytes(), "{line:?}");
        }
    }
}
