//! Who failed beside the first, by what they said and how they ended.

use std::collections::BTreeMap;

use lastline_jobs::{FirstFailure, OtherFailure, RankReport, Report};
use lastline_line::RankSet;

use super::ranks;

/// Those that failed with the same text as the first, which ended as `how` says.
pub(super) fn tell_same(
    report: &Report,
    failure: &FirstFailure,
    how: &str,
    lines: &mut Vec<String>,
) {
    if failure.same_text.is_empty() {
        return;
    }
    let who = who(report, &failure.same_text, how);
    let but = failure.same_text_but_for.as_deref().map(str::trim);
    lines.push(match but {
        Some(line) => format!("{who} failed with the same text but for: {line}"),
        None => format!("{who} failed with the same text"),
    });
}

/// Those that failed otherwise, a line for each statement.
pub(super) fn tell_others(
    report: &Report,
    failure: &FirstFailure,
    how: &str,
    lines: &mut Vec<String>,
) {
    for other in &failure.others {
        let who = who(report, &other.ranks, how);
        lines.push(match statement(other) {
            Some(words) => format!("{who} failed otherwise: {words}"),
            None => format!("{who} failed, too, saying nothing"),
        });
    }
}

/// How sure it is that it was the first, where ranks of several hosts failed.
pub(super) fn tell_clocks(failure: &FirstFailure, lines: &mut Vec<String>) {
    if let Some(within) = failure.clock_uncertainty_seconds {
        let millis = within * 1000.0;
        lines.push(format!(
            "a rank of another host failed within {millis:.1} ms of it, by which their clocks may differ: \
             that may have been the first"
        ));
    }
    if failure.clocks_unmeasured {
        lines.push(String::from(
            "ranks of several hosts failed, whose clocks were not all compared: another may have been the \
             first",
        ));
    }
}

/// The line that says why. Older reports have only the words.
fn statement(other: &OtherFailure) -> Option<&str> {
    let told = Some(other.statement.as_str()).filter(|words| !words.is_empty());
    told.or(other.last_words.last().map(String::as_str)).map(str::trim)
}

/// `ranks 1-3,7`, and how they ended where that is otherwise than the first did: `rank 1 and ranks
/// 2,3 (exit code 4)`.
fn who(report: &Report, failed: &[u32], how: &str) -> String {
    let mut ended: BTreeMap<String, RankSet> = BTreeMap::new();
    for rank in failed {
        let own = report.ranks.iter().filter(|report| report.rank == *rank);
        let ends = own.filter(|report| report.failed() && !report.started_again);
        let end = ends.map(RankReport::how).next().unwrap_or_else(|| how.to_owned());
        ended.entry(end).or_default().insert(*rank);
    }
    let so = ended.remove(how).map(|so| ranks(&so));
    let otherwise = ended.iter().map(|(how, set)| format!("{} ({how})", ranks(set)));
    so.into_iter().chain(otherwise).collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use lastline_line::Exit;

    use super::*;

    fn report(ends: &[Exit]) -> Report {
        let mut report = Report::new("j", Vec::new(), 8);
        for (rank, exit) in (0..).zip(ends) {
            let mut row = RankReport::new(rank, "a");
            row.set_exit(*exit);
            report.ranks.push(row);
        }
        report
    }

    fn told(ends: &[Exit], but_for: Option<&str>, statement: &str) -> Vec<String> {
        let mut failure = FirstFailure::new(0, "a");
        failure.same_text = vec![1, 2];
        failure.same_text_but_for = but_for.map(str::to_owned);
        let mut other = OtherFailure::new(vec![3, 4], vec!["the words".into()]);
        other.statement = statement.into();
        failure.others = vec![other, OtherFailure::new(vec![5], Vec::new())];
        let mut lines = Vec::new();
        tell_same(&report(ends), &failure, "exit code 1", &mut lines);
        tell_others(&report(ends), &failure, "exit code 1", &mut lines);
        lines
    }

    #[test]
    fn ranks_that_ended_alike_are_told_together() {
        let lines = told(&[Exit::Code(1); 6], None, "  what():  bad shard {3..4}");
        assert_eq!(
            lines,
            [
                "ranks 1,2 failed with the same text",
                "ranks 3,4 failed otherwise: what():  bad shard {3..4}",
                "rank 5 failed, too, saying nothing",
            ]
        );
    }

    #[test]
    fn clocks_that_may_change_the_order_are_told() {
        let mut failure = FirstFailure::new(0, "a");
        let mut lines = Vec::new();
        tell_clocks(&failure, &mut lines);
        assert_eq!(lines, <[String; 0]>::default());
        failure.clock_uncertainty_seconds = Some(0.0123);
        failure.clocks_unmeasured = true;
        tell_clocks(&failure, &mut lines);
        assert_eq!(
            lines,
            [
                "a rank of another host failed within 12.3 ms of it, by which their clocks may differ: that \
                 may have been the first",
                "ranks of several hosts failed, whose clocks were not all compared: another may have been \
                 the first",
            ]
        );
    }

    #[test]
    fn other_ends_of_the_same_text_are_told() {
        let (one, four, abort) = (Exit::Code(1), Exit::Code(4), Exit::Signal(6));
        let lines = told(&[one, one, four, four, abort, abort], Some("  bad {0..2}"), "");
        assert_eq!(
            lines,
            [
                "rank 1 and rank 2 (exit code 4) failed with the same text but for: bad {0..2}",
                "rank 3 (exit code 4) and rank 4 (signal 6 (SIGABRT)) failed otherwise: the words",
                "rank 5 (signal 6 (SIGABRT)) failed, too, saying nothing",
            ]
        );
    }
}
