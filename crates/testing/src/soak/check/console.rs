//! What lastline printed.

use lastline_line::Stream;

use super::{Facts, json, text};
use crate::soak::callers::Answer;
use crate::soak::reader::Reader;
use crate::soak::run::Seen;
use crate::soak::scenario::{Format, Scenario};

/// How far a stream is on the console at which of the console's bytes, both ascending.
pub(super) type Marks = Vec<(u64, u64)>;

/// Why output is missing that nobody took.
const NOT_TAKEN: [&str; 2] = ["console closed", "not shown before the deadline"];

/// The parts of a stream that are to be on the console. Where its reader has gone they may end
/// anywhere.
pub(super) fn present(facts: &Facts) -> Vec<(u64, u64)> {
    let (mut parts, mut at) = (Vec::new(), 0);
    for gap in facts.lost.as_slice() {
        if NOT_TAKEN.iter().any(|cause| gap.cause.starts_with(cause)) && !facts.reader.takes_all() {
            continue;
        }
        parts.push((at, gap.span.from.0));
        at = gap.span.to.0;
    }
    parts.push((at, facts.bytes.len() as u64));
    parts.retain(|(from, to)| from < to);
    parts
}

pub(super) fn check(scenario: &Scenario, seen: &Seen, all: &[Facts], wrong: &mut Vec<String>) {
    let found = match scenario.format {
        Format::Json => json::check(scenario, &seen.printed[0], all),
        _ => text::check(scenario, seen, all),
    };
    match found {
        Ok(marks) => barriers(scenario, &seen.answers, all, &marks, wrong),
        Err(mut found) => wrong.append(&mut found),
    }
    for answer in &seen.answers {
        let answer_timeout =
            std::time::Duration::from_millis(scenario.flush_timeout_millis + 10_000);
        if answer.took > answer_timeout {
            wrong.push(format!("a barrier took {:?}", answer.took));
        }
        let known = ["reached", "lost", "timed out"];
        if let Some(verdict) = &answer.verdict
            && !known.contains(&verdict.as_str())
        {
            wrong.push(format!("a barrier said `{verdict}`"));
        }
    }
}

/// Whoever was told `reached` finds on the console what had been written before the question.
fn barriers(
    scenario: &Scenario,
    answers: &[Answer],
    all: &[Facts],
    marks: &[Marks],
    wrong: &mut Vec<String>,
) {
    for answer in answers.iter().filter(|answer| answer.verdict.as_deref() == Some("reached")) {
        for (facts, marks) in all.iter().zip(marks).filter(|(facts, _)| facts.shown) {
            let output = output(scenario, facts.stream);
            let known = facts.reader.takes_all() && !matches!(facts.reader, Reader::Stopped { .. });
            let (Some(before), Some(delivered), true) =
                (answer.before[facts.rank as usize], answer.delivered[output], known)
            else {
                continue;
            };
            let wanted = before[usize::from(facts.stream == Stream::Stderr)].written;
            let count = marks.partition_point(|(_, console)| *console <= delivered);
            let shown = count.checked_sub(1).map_or(0, |last| marks[last].0);
            if marks.is_empty() || shown >= wanted || ends_hidden(&facts.bytes, shown, wanted) {
                continue;
            }
            wrong.push(format!(
                "{}: a barrier said `reached` at {shown} of {wanted} bytes ({delivered} printed)",
                facts.name()
            ));
        }
    }
}

/// Whether of these bytes nothing is to be seen: a return hides them.
fn ends_hidden(bytes: &[u8], from: u64, to: u64) -> bool {
    bytes.get(from as usize..to as usize).is_none_or(|bytes| bytes.ends_with(b"\r"))
}

fn output(scenario: &Scenario, stream: Stream) -> usize {
    usize::from(scenario.format == Format::Text && stream == Stream::Stderr)
}
