//! One rank alone on the console, without a prefix.

use lastline_line::Stream;

use super::console::{Marks, present};
use super::lines::{show, visible};
use super::{Facts, without_half_words};
use crate::soak::run::Seen;
use crate::soak::scenario::Scenario;

/// One rank alone: its bytes go through as they come, but for what is drawn over.
pub(super) fn check(
    scenario: &Scenario,
    seen: &Seen,
    all: &[Facts],
) -> Result<Vec<Marks>, Vec<String>> {
    let mut wrong = Vec::new();
    for facts in all.iter().filter(|_| scenario.fold == "off") {
        let printed = &seen.printed[usize::from(facts.stream == Stream::Stderr)];
        let printed = without_half_words(scenario, seen, printed);
        let parts = if facts.shown { present(facts) } else { Vec::new() };
        let parts = parts.iter().flat_map(|(from, to)| &facts.bytes[*from as usize..*to as usize]);
        let expected: Vec<u8> = parts.copied().collect();
        let printed = lines(printed);
        let expected = lines(&expected);
        let same = printed.iter().zip(&expected).take_while(|(left, right)| left == right).count();
        let cut = printed
            .get(same)
            .zip(expected.get(same))
            .is_none_or(|(left, right)| same + 1 == printed.len() && right.starts_with(left));
        // Lastline's own words may stand where a line was not ended yet, and it goes on after them.
        let joined = |lines: &[&[u8]]| lines.concat();
        let right = if facts.reader.takes_all() {
            printed == expected
                || (facts.stream == Stream::Stderr && joined(&printed) == joined(&expected))
        } else {
            (cut && printed.len() <= expected.len() + 1)
                || (facts.stream == Stream::Stderr
                    && joined(&expected).starts_with(&joined(&printed)))
        };
        if !right {
            let left = printed.get(same).map(|line| show(line));
            let right = expected.get(same).map(|line| show(line));
            wrong.push(format!("{}: line {same} is {left:?}, not {right:?}", facts.name()));
        }
    }
    if wrong.is_empty() { Ok(vec![Marks::new(); all.len()]) } else { Err(wrong) }
}

/// The visible lines, but for lastline's own; an empty last one is none.
fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"lastline: "));
    let mut lines: Vec<&[u8]> = lines.map(visible).collect();
    while lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    lines
}
