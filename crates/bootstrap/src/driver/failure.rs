//! Which rank failed first, who failed like it, and who otherwise.

use std::time::Duration;

use lastline_jobs::{FirstFailure, OtherFailure};
use lastline_line::Exit;

use super::record::{Record, RunRecord, RunState};

/// The first failure, with the others by what they said last.
pub(super) fn first_failure(record: &Record) -> Option<FirstFailure> {
    let run = record.first_failure()?;
    let last_lines = run.last_lines();
    let (mut same_text, others) = split_others(record, run, &last_words(last_lines));
    same_text.sort_unstable();
    let mut first = FirstFailure::new(run.rank, record.host_name(run.node));
    match run.state {
        RunState::Exited(Exit::Signal(signal)) => first.signal = Some(signal),
        _ => first.code = run.exit_code(),
    }
    first.killed_for_memory = record.was_killed_for_memory(run.rank);
    let ran = run.ended.map_or(Duration::ZERO, |ended| ended.since(run.started));
    first.after_seconds = ran.as_secs_f64();
    first.last_lines = last_lines.to_vec();
    (first.same_text, first.others) = (same_text, others);
    Some(first)
}

/// The other ranks that failed by themselves: those with the same last words, and the rest by
/// theirs.
fn split_others(
    record: &Record,
    first: &RunRecord,
    words: &[String],
) -> (Vec<u32>, Vec<OtherFailure>) {
    let (mut same, mut others) = (Vec::new(), Vec::<OtherFailure>::new());
    let own = record.runs().into_iter().filter(|run| run.failed() && !run.stopped);
    for run in own.filter(|run| (run.rank, run.launch) != (first.rank, first.launch)) {
        let last_words = last_words(run.last_lines());
        if same_words(words, &last_words) && !words.is_empty() {
            same.push(run.rank);
            continue;
        }
        match others.iter_mut().find(|other| same_words(&other.last_words, &last_words)) {
            Some(other) => other.ranks.push(run.rank),
            None => others.push(OtherFailure::new(vec![run.rank], last_words)),
        }
    }
    (same, others)
}

/// The last statement of these lines: a whole traceback where there is one.
fn last_words(lines: &[String]) -> Vec<String> {
    let unit = lastline_fold::units(&bytes(lines)).pop();
    unit.map_or_else(Vec::new, |unit| lines[unit].to_vec())
}

fn same_words(left: &[String], right: &[String]) -> bool {
    lastline_fold::same_statement(&bytes(left), &bytes(right))
}

fn bytes(lines: &[String]) -> Vec<&[u8]> {
    lines.iter().map(|line| line.as_bytes()).collect()
}
