//! The last words: the first failure, then one line with the ledger.

mod failures;
mod logs;

use std::collections::{BTreeMap, BTreeSet};

use lastline_client::Output;
use lastline_jobs::{FirstFailure, RankReport, Report};
use lastline_line::{
    Colours, Gap, MemoryKills, RankSet, Stream, StreamEnd, StreamLedger, visible_text,
};

pub(crate) use self::logs::{Logs, hosts_of};
use crate::units::bytes;
use crate::{hyperlink, notices};

/// What stands on the console above the summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Above {
    /// The lines of several ranks, or none as the ranks wrote them.
    Other,
    /// What one rank wrote to stderr, and to stdout where that is the same output.
    OneRank { stdout: bool },
}

impl Above {
    /// Whether the failed rank's last lines are the last ones there, so that nobody has to be told
    /// them again. A text of which the middle is left out may have its head far up.
    fn has_last_lines(self, report: &Report, failure: &FirstFailure) -> bool {
        let (Self::OneRank { stdout }, Some(stream)) = (self, failure.last_lines_of) else {
            return false;
        };
        let seen = Output::from(stream) == Output::Stderr || stdout;
        let ledgers = report.ranks.iter().filter_map(|rank| rank.streams.get(&stream));
        let shown = |ledger: &StreamLedger| {
            ledger.lost.is_empty() && ledger.withheld.show + ledger.withheld.streaming_off == 0
        };
        seen && failure.left_out.is_none() && ledgers.map(|found| &found.ledger).all(shown)
    }
}

/// Prints the summary to stderr.
pub(crate) fn print(report: &Report, logs: Option<&Logs>, above: Above) {
    let mut text = text(report, logs, above);
    if let Some(dir) = logs.and_then(Logs::dir) {
        text = hyperlink::on_stderr(text, dir, &harmless(&dir.display().to_string()));
    }
    notices::put(text.into_bytes());
}

/// Says on stderr why ranks could not be started, which is no part of a summary.
pub(crate) fn print_not_started(report: &Report) {
    let mut causes: BTreeMap<&str, RankSet> = BTreeMap::new();
    for rank in report.ranks.iter().filter(|rank| !rank.stopped_by_lastline) {
        // Of a host that is lost no code is known.
        if let (Some(error), Some(_)) = (&rank.error, rank.code) {
            causes.entry(error).or_default().insert(rank.rank);
        }
    }
    for (cause, set) in causes {
        notices::say(&harmless(&format!("{} {cause}", ranks(&set))));
    }
}

/// The summary, every line of it beginning with `lastline: `.
pub(crate) fn text(report: &Report, logs: Option<&Logs>, above: Above) -> String {
    let mut lines = Vec::new();
    if let Some(failure) = &report.first_failure {
        let repeats = above.has_last_lines(report, failure);
        tell_failure(report, failure, logs, !repeats, &mut lines);
    }
    tell_restarts(report, &mut lines);
    tell_hosts(report, &mut lines);
    tell_leaks(report, &mut lines);
    for stage in report.teardown.iter().filter(|stage| stage.timed_out) {
        lines.push(format!("{} was not done in time ({:.1} s)", stage.stage, stage.seconds));
    }
    lines.extend(report.imbalances.iter().map(|why| format!("the ledger does not balance: {why}")));
    lines.push(totals(report, logs));
    lines.into_iter().map(|line| format!("lastline: {}\n", harmless(&line))).collect()
}

/// Words that may be a rank's own, on one line and without what they would do to a terminal.
pub(crate) fn harmless(words: &str) -> String {
    let mut shown = Vec::new();
    visible_text(words.as_bytes(), Colours::Drop, &mut shown);
    String::from_utf8_lossy(&shown).replace('\n', " ")
}

fn tell_failure(
    report: &Report,
    failure: &FirstFailure,
    logs: Option<&Logs>,
    with_last_lines: bool,
    lines: &mut Vec<String>,
) {
    let how = report.first_failed().map(RankReport::how).unwrap_or_default();
    let after = failure.after_seconds;
    let last = match failure.last_lines.is_empty() {
        true => "; it printed nothing",
        false if with_last_lines => "; its last lines:",
        false => "",
    };
    // Of one rank there is no other to be before.
    let first = if report.world_size > 1 { " first" } else { "" };
    lines.push(format!("rank {} failed{first}: {how}, after {after:.2} s{last}", failure.rank));
    if with_last_lines {
        tell_last_lines(failure, logs, lines);
    }
    failures::tell_clocks(failure, lines);
    failures::tell_same(report, failure, &how, lines);
    failures::tell_others(report, failure, &how, lines);
    lines.extend(report.memory_kills.iter().filter_map(|kills| memory(report, failure, kills)));
    let stopped = report.ranks.iter().filter(|rank| rank.stopped_by_lastline);
    // Those whose turn to be started had not come have no process.
    let (ran, waited): (Vec<_>, Vec<_>) = stopped.partition(|rank| rank.pid.is_some());
    for (which, what) in [(ran, "stopped by lastline"), (waited, "not started")] {
        let which: RankSet = which.iter().map(|rank| rank.rank).collect();
        if !which.is_empty() {
            let verb = if which.len() == 1 { "was" } else { "were" };
            lines.push(format!("{} {verb} {what}", ranks(&which)));
        }
    }
}

fn tell_last_lines(failure: &FirstFailure, logs: Option<&Logs>, lines: &mut Vec<String>) {
    let last = &failure.last_lines;
    let Some(left_out) = failure.left_out.filter(|left_out| left_out.after < last.len()) else {
        return lines.extend(last.iter().map(|line| format!("  {line}")));
    };
    let (head, rest) = last.split_at(left_out.after);
    let file = logs.zip(failure.last_lines_of);
    let file = file.and_then(|(logs, stream)| logs.file(failure.rank, stream));
    let whole = file.map(|file| format!("; the whole is in {}", file.display()));
    let plural = if left_out.lines == 1 { "line" } else { "lines" };
    lines.extend(head.iter().map(|line| format!("  {line}")));
    lines.push(format!("  … {} {plural} left out{}", left_out.lines, whole.unwrap_or_default()));
    lines.extend(rest.iter().map(|line| format!("  {line}")));
}

/// What the first failure's own line does not say of processes that the kernel killed.
fn memory(report: &Report, failure: &FirstFailure, kills: &MemoryKills) -> Option<String> {
    let killed = |rank: u32| report.ranks.iter().any(|r| r.rank == rank && r.killed_for_memory);
    let told = |rank: &u32| killed(*rank);
    let number = match kills.processes {
        1 => String::from("a process"),
        many => format!("{many} processes"),
    };
    let killed = format!("the kernel killed {number} for want of memory in {}", kills.cgroup);
    if !kills.ranks.iter().all(told) {
        let candidates = ranks(&kills.ranks.iter().copied().collect());
        return Some(format!("{killed}; which of {candidates} that was cannot be told"));
    }
    if kills.ranks.is_empty() {
        return Some(killed);
    }
    let others = kills.ranks.iter().copied().filter(|rank| *rank != failure.rank);
    let others: RankSet = others.collect();
    let verb = if others.len() == 1 { "was" } else { "were" };
    (!others.is_empty())
        .then(|| format!("{} {verb} killed for want of memory, too", ranks(&others)))
}

pub(crate) fn ranks(set: &RankSet) -> String {
    format!("{} {set}", if set.len() == 1 { "rank" } else { "ranks" })
}

/// Which ranks were started again, and how often.
fn tell_restarts(report: &Report, lines: &mut Vec<String>) {
    let mut restarts: BTreeMap<u32, u32> = BTreeMap::new();
    let failed: BTreeSet<u32> =
        report.ranks.iter().filter(|row| row.started_again).map(|row| row.rank).collect();
    // The first start is none, and one that was to come may not have.
    let starts = report.ranks.iter().filter(|row| row.pid.is_some() && failed.contains(&row.rank));
    for rank in starts {
        *restarts.entry(rank.rank).or_default() += 1;
    }
    restarts.retain(|_, starts| {
        *starts -= 1;
        *starts > 0
    });
    let mut by_count: BTreeMap<u32, RankSet> = BTreeMap::new();
    for (rank, count) in restarts {
        by_count.entry(count).or_default().insert(rank);
    }
    lines.extend(by_count.into_iter().map(|(count, set)| {
        let verb = if set.len() == 1 { "was" } else { "were" };
        let often = match count {
            1 => String::from("once"),
            2 => String::from("twice"),
            many => format!("{many} times"),
        };
        format!("{} {verb} started again {often}", ranks(&set))
    }));
}

fn tell_hosts(report: &Report, lines: &mut Vec<String>) {
    for host in &report.hosts {
        if let Some(why) = &host.lost {
            let own: RankSet =
                (host.first_rank..host.first_rank.saturating_add(host.procs)).collect();
            let later = match host.spoke_again {
                true => {
                    "; it spoke again, and what its ranks said then is not here, but in its files"
                }
                false => "",
            };
            lines.push(format!("host {} with {} was lost: {why}{later}", host.host, ranks(&own)));
        }
    }
    let unheard: RankSet = report.not_heard_of.iter().copied().collect();
    if !unheard.is_empty() {
        let verb = if unheard.len() == 1 { "was" } else { "were" };
        lines.push(format!(
            "{} {verb} not heard of: ended before this driver was there, or never started",
            ranks(&unheard)
        ));
    }
    let refused = report.refused.iter();
    lines.extend(
        refused.map(|host| format!("a host was refused, and is no part of this: {}", host.why)),
    );
}

fn tell_leaks(report: &Report, lines: &mut Vec<String>) {
    for rank in &report.ranks {
        for (stream, found) in &rank.streams {
            if found.end != StreamEnd::Leaked {
                continue;
            }
            let holders = found.leaked_to.iter().map(|h| format!("{} (pid {})", h.command, h.pid));
            let holders: Vec<String> = holders.collect();
            let by = if holders.is_empty() {
                "a process that cannot be seen".to_owned()
            } else {
                holders.join(", ")
            };
            let (rank, what) =
                (rank.rank, if *stream == Stream::Merged { "output" } else { stream.name() });
            lines.push(format!("rank {rank} exited, but its {what} is still held by {by}"));
        }
    }
}

fn totals(report: &Report, logs: Option<&Logs>) -> String {
    let totals = report.totals();
    let plural =
        |count: u64, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let mut parts = vec![
        plural(report.world_size.into(), "rank"),
        plural(totals.lines, "line"),
        bytes(totals.bytes),
        match totals.gone_bytes {
            // What a lost host did not send nobody here can count.
            0 if report.hosts.iter().any(|host| host.lost.is_some()) => {
                String::from("nothing lost of what came here")
            }
            0 => String::from("nothing lost"),
            gone => format!("{} LOST", bytes(gone)),
        },
    ];
    parts.extend(not_shown(report, totals.lost_bytes - totals.gone_bytes));
    let mut place = String::new();
    if let Some(logs) = logs {
        if totals.not_filed_bytes > 0 {
            parts.push(format!("{} NOT FILED", bytes(totals.not_filed_bytes)));
        }
        if totals.filing_unknown_bytes > 0 {
            let unknown = bytes(totals.filing_unknown_bytes);
            parts.push(format!("{unknown} of which it is not known here whether they are filed"));
        }
        match totals.not_synced_bytes {
            0 if report.not_synced.is_empty() => {}
            0 => parts.push(String::from("the files' directory NOT FORCED TO DISK")),
            not_synced => parts.push(format!("{} NOT FORCED TO DISK", bytes(not_synced))),
        }
        place = format!("; {}", logs.in_words(report));
    }
    let stopped = report.stopped_by.as_ref();
    let stopped = stopped.map(|by| format!("stopped by {by}; ")).unwrap_or_default();
    format!("{stopped}{}{place}", parts.join(", "))
}

/// What the console has not of what was filed, and why.
fn not_shown(report: &Report, not_shown_bytes: u64) -> Option<String> {
    let ledgers = report.ranks.iter().flat_map(|rank| rank.streams.values()).map(|of| &of.ledger);
    let gaps = ledgers.flat_map(|ledger| {
        let filed = |gap: &&Gap| ledger.not_filed.bytes_within(gap.span) < gap.span.len();
        ledger.lost.as_slice().iter().filter(filed)
    });
    let causes: BTreeSet<&str> = gaps.map(|gap| gap.cause.as_str()).collect();
    let causes = causes.into_iter().collect::<Vec<_>>().join(", ");
    (not_shown_bytes > 0)
        .then(|| format!("{} filed but not shown: {causes}", bytes(not_shown_bytes)))
}
