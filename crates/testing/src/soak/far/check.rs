//! Compares what the processes of a run did and said with what the ranks say that they wrote.

use std::path::Path;

use lastline_line::{Gaps, Stream};
use serde_json::Value;

use super::console::{Consoles, Name};
use super::run::Seen;
use super::scenario::{Scenario, Way};
use crate::soak::content;
use crate::soak::diary::Said;
use crate::soak::scenario::{End, RankPlan};

/// Everything that is not as it should be.
pub(super) fn differences(scenario: &Scenario, seen: &Seen) -> Vec<String> {
    let mut wrong: Vec<String> =
        seen.left_over.iter().map(|process| format!("left over: {process}")).collect();
    for (host, status) in seen.hosts.iter().enumerate() {
        match status {
            None => wrong.push(format!("host {host} did not end in time")),
            Some(_) if seen.killed[host] => {}
            Some(status) => {
                let failed = scenario.hosts[host].iter().any(|rank| rank.end != End::Exit(0));
                if status.success() == failed {
                    wrong.push(format!("host {host} ended with {status}"));
                }
                own_report(scenario, seen, host, &mut wrong);
            }
        }
    }
    if seen.unmet {
        return wrong;
    }
    if seen.status.is_none() {
        wrong.push("the last driver did not end in time".to_owned());
    }
    match read(&seen.logs.join("report.json")) {
        Ok(report) => with_report(scenario, seen, &report, &mut wrong),
        Err(error) => wrong.push(format!("the driver's report: {error}")),
    }
    wrong
}

fn read(path: &Path) -> Result<Value, String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    serde_json::from_slice(&bytes).map_err(|error| error.to_string())
}

/// What a stream writes if its rank is let.
fn written(scenario: &Scenario, name: &Name) -> Option<Vec<u8>> {
    let plan = scenario.hosts.iter().flatten().nth(usize::try_from(name.0).ok()?)?;
    let stream = Stream::SEPARATE.into_iter().find(|stream| stream.name() == name.1)?;
    let bytes = plan.bytes[usize::from(stream == Stream::Stderr)];
    let rank = u32::try_from(name.0).ok()?;
    Some(content::bytes(plan.shape, scenario.seed, rank, stream, bytes))
}

/// A host that lived says of its ranks what they say, and has it in files.
fn own_report(scenario: &Scenario, seen: &Seen, host: usize, wrong: &mut Vec<String>) {
    let first = scenario.first_rank(host);
    let report = match read(&seen.logs.join(format!("report.node-{first}.json"))) {
        Ok(report) => report,
        Err(error) => return wrong.push(format!("host {host}'s report: {error}")),
    };
    if report["balanced"] != true {
        wrong.push(format!("host {host}'s report: {}", report["imbalances"]));
    }
    for (at, plan) in scenario.hosts[host].iter().enumerate() {
        let rank = first + u32::try_from(at).expect("BUG: a few");
        rank_ended(&report["ranks"][at], rank, plan, wrong);
        for stream in Stream::SEPARATE {
            let name = (u64::from(rank), stream.name().to_owned());
            let file = format!("node-{first}/rank-{rank}.{stream}.log");
            let filed = std::fs::read(seen.logs.join(file)).unwrap_or_default();
            let bytes = written(scenario, &name).unwrap_or_default();
            let said = said(seen, rank, stream);
            if filed.len() as u64 != said.written || !bytes.starts_with(&filed) {
                wrong.push(format!("rank {rank} {stream}: {} bytes filed, {said:?}", filed.len()));
            }
        }
    }
}

fn said(seen: &Seen, rank: u32, stream: Stream) -> Said {
    let both = seen.said[rank as usize].unwrap_or_default();
    both[usize::from(stream == Stream::Stderr)]
}

fn rank_ended(found: &Value, rank: u32, plan: &RankPlan, wrong: &mut Vec<String>) {
    let as_planned = match plan.end {
        End::Signal(signal) => found["signal"] == signal,
        End::Exit(code) => found["code"] == code,
        _ => false,
    };
    if !as_planned || found["rank"] != rank {
        wrong.push(format!("rank {rank} was to end with {:?}: {found}", plan.end));
    }
}

fn with_report(scenario: &Scenario, seen: &Seen, report: &Value, wrong: &mut Vec<String>) {
    if report["balanced"] != true {
        wrong.push(format!("not balanced: {}", report["imbalances"]));
    }
    hosts(scenario, seen, report, wrong);
    exit_code(scenario, seen, report, wrong);
    let mut consoles = Consoles::default();
    for (at, console) in seen.consoles.iter().enumerate() {
        let printed = std::fs::read(console).unwrap_or_default();
        let cut = at + 1 < seen.consoles.len();
        let found = consoles.take(&printed, cut, &|name| written(scenario, name));
        wrong.extend(found.into_iter().take(5).map(|error| format!("console {at}: {error}")));
    }
    let ranks = report["ranks"].as_array().map(Vec::as_slice).unwrap_or_default();
    for rank in 0..scenario.ranks() {
        let rows: Vec<&Value> = ranks.iter().filter(|row| row["rank"] == rank).collect();
        match rows[..] {
            [row] => with_rank(scenario, seen, row, rank, &consoles, wrong),
            [] if may_be_unheard(scenario, seen, report, rank) => {}
            _ => wrong.push(format!("rank {rank} has {} rows", rows.len())),
        }
    }
}

/// Whether it is said of a rank that it was not heard of, and that may be: its host had ended before the
/// last driver was there, or was killed before it had said a word.
fn may_be_unheard(scenario: &Scenario, seen: &Seen, report: &Value, rank: u32) -> bool {
    let told = report["not_heard_of"].as_array().is_some_and(|ranks| ranks.contains(&rank.into()));
    let later = scenario.way == Way::Socket && seen.consoles.len() > 1;
    told && (later || seen.killed[scenario.host_of(rank)])
}

/// Who was killed is lost, and nobody else.
fn hosts(scenario: &Scenario, seen: &Seen, report: &Value, wrong: &mut Vec<String>) {
    let lost: Vec<&Value> = report["hosts"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|host| !host["lost"].is_null())
        .collect();
    for host in lost {
        let first = host["first_rank"].as_u64();
        let known = (0..scenario.hosts.len())
            .find(|host| first == Some(u64::from(scenario.first_rank(*host))));
        // One that was killed before it was heard of has no first rank, which is then 0.
        let unknown = host["procs"] == 0 && seen.killed.contains(&true);
        if !unknown && !known.is_some_and(|host| seen.killed[host]) {
            wrong.push(format!("a host is lost that was not killed: {host}"));
        }
    }
}

fn exit_code(scenario: &Scenario, seen: &Seen, report: &Value, wrong: &mut Vec<String>) {
    let Some(code) = seen.status.and_then(|status| status.code()) else { return };
    let failure = &report["first_failure"];
    let of_ranks = match (failure["code"].as_i64(), failure["signal"].as_i64()) {
        (_, Some(signal)) => 128 + signal,
        (Some(code), _) => code,
        _ => 0,
    };
    let hosts = report["hosts"].as_array().into_iter().flatten();
    let any_lost = hosts.into_iter().any(|host| !host["lost"].is_null());
    let unheard = report["not_heard_of"].is_array();
    let wanted = if of_ranks == 0 && (any_lost || unheard) { 1 } else { of_ranks };
    if i64::from(code) != wanted {
        wrong.push(format!("the driver ended with {code}, not {wanted}: {failure}"));
    }
    let lived = (0..scenario.hosts.len()).filter(|host| !seen.killed[*host]);
    let fails = lived.flat_map(|host| &scenario.hosts[host]).any(|rank| rank.end != End::Exit(0));
    if fails && of_ranks == 0 && !unheard {
        wrong.push("a rank failed, and the report has none".to_owned());
    }
}

fn with_rank(
    scenario: &Scenario,
    seen: &Seen,
    row: &Value,
    rank: u32,
    consoles: &Consoles,
    wrong: &mut Vec<String>,
) {
    let host = scenario.host_of(rank);
    let plan = &scenario.hosts[host][(rank - scenario.first_rank(host)) as usize];
    if !seen.killed[host] {
        rank_ended(row, rank, plan, wrong);
    }
    for stream in Stream::SEPARATE {
        let found = &row["streams"][stream.name()];
        let mut say = |what: String| wrong.push(format!("rank {rank} {stream}: {what}: {found}"));
        let said = said(seen, rank, stream);
        let read = found["read_bytes"].as_u64().unwrap_or(u64::MAX);
        if read > said.meant || (!seen.killed[host] && read != said.written) {
            say(format!("{read} bytes were read, the rank says {said:?}"));
        }
        let Ok(lost) = serde_json::from_value::<Gaps>(found["lost"].clone()) else {
            say(String::from("its losses cannot be read"));
            continue;
        };
        if !seen.killed[host] && !lost.is_empty() {
            say(String::from("lost without a reason"));
        }
        let name = (u64::from(rank), stream.name().to_owned());
        let missing = consoles.missing(&name, read, &lost);
        if !missing.is_empty() {
            say(format!("{missing:?} stands on no console"));
        }
    }
}
