//! Which rank failed first, who failed like it, and who otherwise.

use std::time::Duration;

use lastline_spawn::Exit;

use crate::rank::{RankState, StreamState};
use crate::report::{FirstFailure, OtherFailure};
use crate::supervisor::Supervisor;

/// The first failure, with the others by what they said last.
pub(crate) fn first_failure(job: &Supervisor) -> Option<FirstFailure> {
    let rank = &job.ranks[job.first_failure? as usize];
    let last_lines = last_lines(rank);
    let (mut same_text, others) = split_others(job, rank, &last_words(&last_lines));
    same_text.sort_unstable();
    let signal = match rank.exit {
        Some(Exit::Signal(signal)) => Some(signal),
        _ => None,
    };
    let ran = rank.ended.map_or(Duration::ZERO, |ended| ended.since(rank.started));
    Some(FirstFailure {
        rank: rank.rank,
        host: job.inner.host.clone(),
        code: if signal.is_some() { None } else { rank.exit_code() },
        signal,
        killed_for_memory: job.memory.tally().has(rank.rank),
        after_seconds: ran.as_secs_f64(),
        last_lines,
        same_text,
        others,
    })
}

/// The other ranks that failed by themselves: those with the same last words, and the rest by
/// theirs.
fn split_others(
    job: &Supervisor,
    first: &RankState,
    words: &[String],
) -> (Vec<u32>, Vec<OtherFailure>) {
    let (mut same, mut others) = (Vec::new(), Vec::<OtherFailure>::new());
    let failed = |rank: &&RankState| rank.exit_code().is_some_and(|code| code != 0);
    let own = job.ranks.iter().filter(failed).filter(|rank| !rank.stopped_by_lastline);
    for rank in own.filter(|rank| rank.rank != first.rank) {
        let last_words = last_words(&last_lines(rank));
        if same_words(words, &last_words) && !words.is_empty() {
            same.push(rank.rank);
            continue;
        }
        match others.iter_mut().find(|other| same_words(&other.last_words, &last_words)) {
            Some(other) => other.ranks.push(rank.rank),
            None => others.push(OtherFailure { ranks: vec![rank.rank], last_words }),
        }
    }
    (same, others)
}

/// The last lines of its stderr, or of its stdout when that is empty.
fn last_lines(rank: &RankState) -> Vec<String> {
    let recent = |stream: &StreamState| stream.tee.as_ref().map(lastline_tee::Tee::recent);
    let lines = rank.streams.iter().rev().filter_map(recent).find(|lines| !lines.is_empty());
    let text = |line: Vec<u8>| String::from_utf8_lossy(&line).into_owned();
    lines.unwrap_or_default().into_iter().map(text).collect()
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
