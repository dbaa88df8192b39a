//! The ranks' files, byte for byte.

use std::io;

use lastline_line::{Gaps, Stream};
use serde_json::Value;

use super::{Facts, ledger, written};
use crate::soak::run::Seen;
use crate::soak::scenario::{Files, Scenario};

fn file(seen: &Seen, rank: u32, stream: Stream) -> io::Result<Vec<u8>> {
    match std::fs::read(seen.logs.join(format!("rank-{rank}.{stream}.log"))) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other,
    }
}

pub(super) fn with_report(
    scenario: &Scenario,
    seen: &Seen,
    facts: &Facts,
    found: &Value,
    wrong: &mut Vec<String>,
) {
    let name = facts.name();
    let mut say = |what: String| wrong.push(format!("{name}: {what}"));
    let missing = match serde_json::from_value::<Gaps>(found["not_filed"].clone()) {
        Ok(missing) => missing,
        Err(error) => return say(format!("not_filed: {error}")),
    };
    ledger::gaps("not filed", &missing, facts.bytes.len() as u64, &mut say);
    if scenario.files_kept() && found["end"] != "aborted" && !missing.is_empty() {
        say(format!("not filed without a reason: {}", found["not_filed"]));
    }
    if scenario.files == Files::Off && missing.bytes() != facts.bytes.len() as u64 {
        say(format!("filed, with --no-files: {found}"));
    }
    let mut expected = Vec::new();
    let mut at = 0;
    for gap in missing.as_slice() {
        expected.extend_from_slice(slice(&facts.bytes, at, gap.span.from.0));
        at = gap.span.to.0;
    }
    expected.extend_from_slice(slice(&facts.bytes, at, facts.bytes.len() as u64));
    if found["filed_bytes"] != expected.len() {
        say(format!("{} bytes filed, the ranges leave {}", found["filed_bytes"], expected.len()));
    }
    match file(seen, facts.rank, facts.stream) {
        Ok(bytes) if bytes == expected => {}
        Ok(bytes) => say(format!(
            "its file has {} bytes, {} were to be there; they differ at {:?}; not filed {}",
            bytes.len(),
            expected.len(),
            bytes.iter().zip(&expected).position(|(left, right)| left != right),
            found["not_filed"],
        )),
        Err(error) => say(format!("its file cannot be read: {error}")),
    }
}

fn slice(bytes: &[u8], from: u64, to: u64) -> &[u8] {
    let end = (to as usize).min(bytes.len());
    &bytes[(from as usize).min(end)..end]
}

/// Nothing is said of what was filed: what is there is what the rank wrote, from its start.
pub(super) fn without_report(scenario: &Scenario, seen: &Seen, wrong: &mut Vec<String>) {
    if matches!(scenario.files, Files::Small { .. }) {
        // There may be gaps, which only the index knows.
        return;
    }
    for rank in 0..scenario.ranks.len() as u32 {
        for stream in Stream::SEPARATE {
            let bytes = written(scenario, rank, stream);
            match file(seen, rank, stream) {
                Ok(filed) if bytes.starts_with(&filed) => {}
                Ok(filed) => wrong.push(format!(
                    "rank {rank} {stream}: its file of {} bytes is not what it wrote",
                    filed.len()
                )),
                Err(error) => wrong.push(format!("rank {rank} {stream}: {error}")),
            }
        }
    }
}
