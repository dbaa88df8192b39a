//! How lastline and the ranks ended.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;

use serde_json::Value;

use crate::soak::run::Seen;
use crate::soak::scenario::{End, Files, Scenario};

/// Without a report lastline was killed, or left at once because it was told three times.
pub(super) fn without_report(scenario: &Scenario, seen: &Seen, wrong: &mut Vec<String>) {
    let Some(status) = seen.status else {
        return;
    };
    let killed = status.signal() == Some(libc::SIGKILL) && scenario.is_killed();
    let refused = scenario.around.descriptors.is_some()
        && status.code() == Some(2)
        && seen.said.iter().all(Option::is_none)
        && seen.printed.iter().any(|printed| contains(printed, b"raise it (`ulimit -n`)"));
    let told_thrice = seen.sent.len() >= 3 && matches!(status.code(), Some(130 | 143));
    if !killed && !told_thrice && !refused {
        let errors = seen.printed.concat();
        let errors = String::from_utf8_lossy(&errors);
        let own: Vec<&str> = errors.lines().filter(|line| line.contains("lastline: ")).collect();
        wrong.push(format!("{status} without a report: {own:?}"));
    }
}

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|part| part == what)
}

pub(super) fn with_report(
    scenario: &Scenario,
    seen: &Seen,
    report: &Value,
    wrong: &mut Vec<String>,
) {
    if report["balanced"] != true {
        wrong.push(format!("not balanced: {}", report["imbalances"]));
    }
    let versions: Vec<u64> = report["barriers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|barrier| barrier["version"].as_u64())
        .collect();
    if !versions.is_sorted_by(|left, right| left < right) {
        wrong.push(format!("barriers' versions: {versions:?}"));
    }
    for (rank, plan) in scenario.ranks.iter().enumerate() {
        rank_ended(&report["ranks"][rank], rank, plan.end, wrong);
    }
    failures(report, wrong);
    exit_code(scenario, seen, report, wrong);
}

fn rank_ended(found: &Value, rank: usize, end: End, wrong: &mut Vec<String>) {
    if found["stopped_by_lastline"] == true {
        return;
    }
    let as_planned = match end {
        End::Exit(code) => found["code"] == code,
        End::Signal(signal) => found["signal"] == signal,
        End::Wait | End::Stubborn => false,
        _ => found["code"] == 0,
    };
    if !as_planned {
        let (code, signal, error) = (&found["code"], &found["signal"], &found["error"]);
        wrong.push(format!("rank {rank} ended with {code}, {signal}, {error}, not as {end:?}"));
    }
}

fn failures(report: &Value, wrong: &mut Vec<String>) {
    let failed = |rank: &&Value| rank["stopped_by_lastline"] != true && rank["code"] != 0;
    let ranks = report["ranks"].as_array().into_iter().flatten();
    let failed: Vec<&Value> = ranks.filter(failed).map(|rank| &rank["rank"]).collect();
    let first = &report["first_failure"];
    let right = if first.is_null() { failed.is_empty() } else { failed.contains(&&first["rank"]) };
    if !right {
        wrong.push(format!("{failed:?} failed, the first one is said to be {first}"));
    }
}

/// Whether both files are there and hold the same.
fn same(left: &Path, right: &Path) -> bool {
    let (left, right) = (std::fs::read(left), std::fs::read(right));
    left.is_ok_and(|left| right.is_ok_and(|right| left == right))
}

fn exit_code(scenario: &Scenario, seen: &Seen, report: &Value, wrong: &mut Vec<String>) {
    let Some(code) = seen.status.and_then(|status| status.code()) else {
        // It may be killed when all is over but its own end.
        if !scenario.is_killed() {
            wrong.push(format!("lastline ended with {:?}", seen.status));
        }
        return;
    };
    let failure = &report["first_failure"];
    let has = |gaps: &str| {
        let streams = |rank: &Value| {
            ["stdout", "stderr"].iter().any(|name| rank["streams"][*name][gaps][0].is_object())
        };
        report["ranks"].as_array().into_iter().flatten().any(streams)
    };
    // Of output on the console, of output in files, or of the report beside them.
    let kept = scenario.files != Files::Off;
    let written = same(&seen.logs.join("report.json"), &seen.report);
    let lost = has("lost") || kept && (has("not_filed") || !written);
    let of_ranks = match (failure["code"].as_i64(), failure["signal"].as_i64()) {
        (_, Some(signal)) => 128 + signal,
        (Some(code), _) => code,
        _ if lost && scenario.strict => 74,
        _ => 0,
    };
    let told = |signal: &i32| if *signal == libc::SIGINT { 130 } else { 143 };
    let of_signals: Vec<i64> = seen.sent.iter().map(told).collect();
    let stopped = report["stopped_by"].as_str();
    let right = match (stopped, of_signals.first()) {
        // Two that are sent at once may be heard in any order.
        (Some(_), Some(_)) => of_signals.contains(&code.into()),
        // It came when all was over, or a failure had stopped the job already.
        (None, Some(_)) => of_signals.contains(&code.into()) || i64::from(code) == of_ranks,
        (_, None) => stopped.is_none() && i64::from(code) == of_ranks,
    };
    if !right {
        let sent = &seen.sent;
        wrong.push(format!("exit code {code}: ranks {of_ranks}, signals {sent:?}, {stopped:?}"));
    }
}
