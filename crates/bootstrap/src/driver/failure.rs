//! Which rank failed first, who failed like it, and who otherwise.

use std::collections::BTreeSet;
use std::time::Duration;

use lastline_fold::{Cause, Excerpt, Failures, fold_failures};
use lastline_jobs::{FirstFailure, LeftOut, OtherFailure};
use lastline_line::{Capture, Exit, Stream};
use lastline_watch::FailureView;

use super::record::{First, Record};
use super::runs::{RunRecord, RunState};

/// How many lines of a rank are told.
const MAX_LINES: usize = 20;

/// The first failure, with the others by what they said. Found once for as long as it stays the same.
pub(super) fn first_failure(record: &Record) -> Option<&FailureView> {
    record.told_failure.get_or_init(|| find(record)).as_ref()
}

pub(super) fn find(record: &Record) -> Option<FailureView> {
    let First { run, uncertainty, unmeasured } = record.first_failure()?;
    let mut first = FirstFailure::new(run.rank, record.host_name(run.host));
    match run.state {
        RunState::Exited(Exit::Signal(signal)) => first.signal = Some(signal),
        _ => first.code = run.exit_code(),
    }
    first.killed_for_memory = record.was_killed_for_memory(run.rank);
    let ran = run.ended.map_or(Duration::ZERO, |ended| ended.since(run.started));
    first.after_seconds = ran.as_secs_f64();
    first.clock_uncertainty_seconds = uncertainty.map(|within| within.as_secs_f64());
    first.clocks_unmeasured = unmeasured;
    let failed = failed_ranks(record, run);
    if let Some(cause) = &failed[0].cause {
        let lines = &run.stream(cause.stream).last_lines;
        let excerpt = cause.excerpt(lines, MAX_LINES);
        first.left_out =
            (excerpt.left_out() > 0).then(|| LeftOut::new(excerpt.head.len(), excerpt.left_out()));
        first.last_lines = told(lines, excerpt);
        first.last_lines_of = Some(cause.stream);
    }
    tell_others(&mut first, &failed);
    Some(FailureView::new(run.ended, first))
}

/// A rank that failed by itself.
struct Failed<'a> {
    run: &'a RunRecord,
    /// Nothing when it said nothing.
    cause: Option<Cause>,
}

impl<'a> Failed<'a> {
    fn of(run: &'a RunRecord) -> Self {
        let last = |stream| &run.stream(stream).last_lines[..];
        let cause = match run.capture {
            Capture::Merged => Cause::find_in(Stream::Merged, last(Stream::Merged)),
            Capture::Pipes | Capture::Terminal => {
                Cause::find(last(Stream::Stdout), last(Stream::Stderr))
            }
        };
        Self { run, cause }
    }

    /// The lines that say why.
    fn said(&self) -> &'a [String] {
        let run = self.run;
        let lines = |cause: &Cause| &run.stream(cause.stream).last_lines[cause.lines.clone()];
        self.cause.as_ref().map(lines).unwrap_or_default()
    }

    /// The same, or as much of it as is told.
    fn excerpt(&self) -> Vec<String> {
        let Some(cause) = &self.cause else {
            return Vec::new();
        };
        // Without what stands before and after it.
        let lines = &self.run.stream(cause.stream).last_lines[..cause.lines.end];
        let mut excerpt = cause.excerpt(lines, MAX_LINES);
        excerpt.rest.start = excerpt.rest.start.max(cause.lines.start);
        told(lines, excerpt)
    }
}

/// Those that failed by themselves, the first failure first; of a rank that was started again what
/// it failed of first.
fn failed_ranks<'a>(record: &'a Record, first: &'a RunRecord) -> Vec<Failed<'a>> {
    let mut seen = BTreeSet::from([first.rank]);
    let mut failed = vec![Failed::of(first)];
    let own = record.runs.in_order().into_iter().filter(|run| run.failed_for_good());
    failed.extend(own.filter(|run| seen.insert(run.rank)).map(Failed::of));
    failed
}

/// The other ranks: those that said the same as the first, and the rest by what they said.
fn tell_others(first: &mut FirstFailure, failed: &[Failed<'_>]) {
    let (speaking, silent): (Vec<_>, Vec<_>) =
        failed.iter().partition(|failed| !failed.said().is_empty());
    let said: Vec<(u32, &[String])> =
        speaking.iter().map(|failed| (failed.run.rank, failed.said())).collect();
    for same in fold_failures(&said) {
        if same.ranks.contains(first.rank) {
            first.same_text_but_for = same.differs.map(|at| same.lines[at].clone());
            first.same_text = same.ranks.iter().filter(|rank| *rank != first.rank).collect();
        } else if let Some(one) = speaking.iter().find(|one| same.ranks.contains(one.run.rank)) {
            first.others.push(other(same, one));
        }
    }
    let silent: Vec<u32> = silent.iter().map(|failed| failed.run.rank).collect();
    let silent: Vec<u32> = silent.into_iter().filter(|rank| *rank != first.rank).collect();
    if !silent.is_empty() {
        first.others.push(OtherFailure::new(silent, Vec::new()));
    }
}

fn other(same: Failures, one: &Failed<'_>) -> OtherFailure {
    let mut other = OtherFailure::new(same.ranks.iter().collect(), one.excerpt());
    other.statement.clone_from(&same.lines[same.message]);
    other
}

fn told(lines: &[String], excerpt: Excerpt) -> Vec<String> {
    [&lines[excerpt.head], &lines[excerpt.rest]].concat()
}
