//! What the report says of one stream.

use lastline_line::Gaps;
use serde_json::Value;

use super::Facts;
use crate::soak::reader::Reader;
use crate::soak::run::Seen;
use crate::soak::scenario::{End, Scenario};

pub(super) fn check(
    scenario: &Scenario,
    seen: &Seen,
    facts: &Facts,
    found: &Value,
    wrong: &mut Vec<String>,
) {
    let name = facts.name();
    let mut say = |what: String| wrong.push(format!("{name}: {what}"));
    let number = |key: &str| found[key].as_u64().unwrap_or(u64::MAX);
    let read = number("read_bytes");
    bounds(scenario, seen, facts, found, &mut say);
    let lines = facts.bytes.iter().filter(|byte| **byte == b'\n').count() as u64
        + u64::from(facts.bytes.last().is_some_and(|byte| *byte != b'\n'));
    if lines != number("read_lines") {
        say(format!("{lines} lines were read, not {}", found["read_lines"]));
    }
    let withheld = &found["withheld"];
    let sum = |key: &str| withheld[key].as_u64().unwrap_or(u64::MAX);
    let withheld = sum("show").saturating_add(sum("streaming_off")).saturating_add(sum("redrawn"));
    let accounted = number("shown_bytes").saturating_add(withheld) + facts.lost.bytes();
    if accounted != read {
        say(format!("{accounted} bytes accounted for of {read}: {found}"));
    }
    if !facts.shown && sum("show") != read {
        say(format!("not to be shown, and {} of {read} withheld", sum("show")));
    }
    if facts.shown && sum("show") + sum("streaming_off") > 0 {
        say(format!("withheld without a reason: {found}"));
    }
    gaps("lost", &facts.lost, read, &mut say);
    // One thread prints both streams: when one output takes nothing, the other has to wait.
    let complete = facts.reader.takes_all()
        && scenario.reader != Reader::Never
        && scenario.when_full != Some("drop");
    if complete && !facts.lost.is_empty() {
        say(format!("lost without a reason: {}", found["lost"]));
    }
}

/// What was read is what was written, and no more.
fn bounds(
    scenario: &Scenario,
    seen: &Seen,
    facts: &Facts,
    found: &Value,
    say: &mut impl FnMut(String),
) {
    let read = found["read_bytes"].as_u64().unwrap_or(u64::MAX);
    let said = seen.said[facts.rank as usize].unwrap_or_default()
        [usize::from(facts.stream == lastline_line::Stream::Stderr)];
    if scenario.reader == Reader::Never && found["end"] == "aborted" {
        // Too little time to read what nobody prints.
        return;
    }
    let least = if found["end"] == "eof" { said.written } else { said.left };
    let killed = scenario.ranks[facts.rank as usize].end == End::HoldTalking;
    if read > said.meant || (read < least && !(killed && read >= said.left)) {
        say(format!("{read} bytes read, the rank says {said:?}, end {}", found["end"]));
    }
    if found["end"] == "aborted" {
        say(String::from("given up"));
    }
}

/// Ranges ascend, do not overlap, are within the stream, and say why.
pub(super) fn gaps(what: &str, gaps: &Gaps, read: u64, say: &mut impl FnMut(String)) {
    let mut at = 0;
    for gap in gaps.as_slice() {
        if gap.span.from.0 < at || gap.span.to.0 > read || gap.span.is_empty() {
            say(format!("{what} {} after {at}, of {read}", gap.span));
        }
        if gap.cause.is_empty() {
            say(format!("{what} {} without a cause", gap.span));
        }
        at = gap.span.to.0;
    }
}
