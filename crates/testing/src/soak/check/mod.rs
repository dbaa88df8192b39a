//! Compares what lastline did and said with what the ranks say that they wrote.

mod console;
mod files;
mod json;
mod ledger;
mod lines;
mod outcome;
mod raw;
mod text;

use lastline_line::{Gaps, Stream};
use serde_json::Value;

use super::content;
use super::reader::Reader;
use super::run::Seen;
use super::scenario::Scenario;

/// One stream of a run: what was written, and what the report says of it.
pub(super) struct Facts {
    pub(super) rank: u32,
    pub(super) stream: Stream,
    /// The bytes that were read, or that might have been where no report says.
    pub(super) bytes: Vec<u8>,
    pub(super) lost: Gaps,
    pub(super) shown: bool,
    /// Whoever reads its output takes all.
    pub(super) reader: Reader,
}

impl Facts {
    fn name(&self) -> String {
        format!("rank {} {}", self.rank, self.stream)
    }
}

/// Everything that is not as it should be.
pub(super) fn differences(scenario: &Scenario, seen: &Seen) -> Vec<String> {
    let mut wrong = Vec::new();
    if seen.status.is_none() {
        wrong.push("lastline did not end in time".to_owned());
    }
    wrong.extend(seen.left_over.iter().map(|process| format!("left over: {process}")));
    let report = std::fs::read(&seen.report).ok();
    let report = report.map(|bytes| serde_json::from_slice::<Value>(&bytes));
    match report {
        Some(Ok(report)) => with_report(scenario, seen, &report, &mut wrong),
        Some(Err(error)) => wrong.push(format!("the report cannot be read: {error}")),
        None => {
            outcome::without_report(scenario, seen, &mut wrong);
            files::without_report(scenario, seen, &mut wrong);
        }
    }
    wrong
}

fn with_report(scenario: &Scenario, seen: &Seen, report: &Value, wrong: &mut Vec<String>) {
    // When all was over but this.
    if seen.socket_left && !cut_short(scenario, seen) {
        wrong.push("the control socket is still there".into());
    }
    outcome::with_report(scenario, seen, report, wrong);
    let mut all = Vec::new();
    for rank in 0..scenario.ranks.len() as u32 {
        for stream in Stream::SEPARATE {
            let found = &report["ranks"][rank as usize]["streams"][stream.name()];
            match facts(scenario, rank, stream, found) {
                Ok(facts) => {
                    ledger::check(scenario, seen, &facts, found, wrong);
                    files::with_report(scenario, seen, &facts, found, wrong);
                    all.push(facts);
                }
                Err(error) => wrong.push(format!("rank {rank} {stream}: {error}: {found}")),
            }
        }
    }
    console::check(scenario, seen, &all, wrong);
}

/// Whether lastline was killed, or told a third time, so that it may have ended anywhere.
fn cut_short(scenario: &Scenario, seen: &Seen) -> bool {
    scenario.is_killed() || seen.sent.len() > 2
}

/// What was printed, without the last of lastline's own words where it was stopped in the middle of
/// them.
fn without_half_words<'a>(scenario: &Scenario, seen: &Seen, printed: &'a [u8]) -> &'a [u8] {
    let start = printed.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let (whole, half) = printed.split_at(start);
    let own = half.starts_with(b"lastline: ") || b"lastline: ".starts_with(half);
    if own && cut_short(scenario, seen) { whole } else { printed }
}

/// The most that a stream of a rank may hold.
fn written(scenario: &Scenario, rank: u32, stream: Stream) -> Vec<u8> {
    let plan = &scenario.ranks[rank as usize];
    let bytes = plan.bytes[usize::from(stream == Stream::Stderr)];
    content::bytes(plan.shape, scenario.seed, rank, stream, bytes)
}

fn facts(
    scenario: &Scenario,
    rank: u32,
    stream: Stream,
    found: &Value,
) -> Result<Facts, serde_json::Error> {
    let mut bytes = written(scenario, rank, stream);
    bytes.truncate(found["read_bytes"].as_u64().unwrap_or(0) as usize);
    let lost = serde_json::from_value(found["lost"].clone())?;
    let shown = scenario.show_below.is_none_or(|below| rank < below);
    Ok(Facts { rank, stream, bytes, lost, shown, reader: scenario.reader_of(stream) })
}
