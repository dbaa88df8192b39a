//! Lines as JSON, each with its place in its stream.

use std::collections::HashMap;

use serde_json::Value;

use super::Facts;
use super::console::{Marks, present};
use crate::soak::scenario::Scenario;

struct Line {
    offset: u64,
    text: Vec<u8>,
    partial: bool,
    end: u64,
}

impl Line {
    /// Whether it is a state of a progress bar, which the rest of the line draws over.
    fn is_state(&self, bytes: &[u8]) -> bool {
        let rest = &bytes[bytes.len().min(self.offset as usize + self.text.len())..];
        let returns = rest.iter().take_while(|byte| **byte == b'\r').count();
        self.partial && returns > 0 && returns < rest.len()
    }
}

type Found = HashMap<(u64, String), Vec<Line>>;

pub(super) fn check(
    scenario: &Scenario,
    printed: &[u8],
    all: &[Facts],
) -> Result<Vec<Marks>, Vec<String>> {
    let (mut found, mut lines_seen, mut end) = (Found::new(), 0, 0);
    for text in printed.split_inclusive(|byte| *byte == b'\n') {
        end += text.len() as u64;
        if !text.ends_with(b"\n") && !scenario.reader.takes_all() {
            break;
        }
        let object: Value = serde_json::from_slice(text)
            .map_err(|error| vec![format!("no object: {error}: {:?}", show(text))])?;
        if object["ranks"].is_string() {
            lines_seen += object["lines"].as_u64().unwrap_or(0);
            continue;
        }
        let key = (object["rank"].as_u64().unwrap_or(u64::MAX), word(&object["stream"]));
        let line = line(&object, end).ok_or_else(|| vec![format!("no line: {object}")])?;
        found.entry(key).or_default().push(line);
    }
    let mut wrong = Vec::new();
    let mut marks = Vec::new();
    for facts in all {
        let key = (u64::from(facts.rank), facts.stream.name().to_owned());
        let lines = found.remove(&key).unwrap_or_default();
        lines_seen += lines.iter().filter(|line| !line.is_state(&facts.bytes)).count() as u64;
        let matched = match_stream(facts, &lines, scenario.fold == "off");
        match matched {
            Ok(found) => marks.push(if scenario.fold == "off" { found } else { Marks::new() }),
            Err(error) => wrong.push(format!("{} in the objects: {error}", facts.name())),
        }
    }
    count(scenario, all, lines_seen, &mut wrong);
    if wrong.is_empty() { Ok(marks) } else { Err(wrong) }
}

/// Folding hides no line: each stands for itself or is counted.
fn count(scenario: &Scenario, all: &[Facts], printed: u64, wrong: &mut Vec<String>) {
    let pieces = !scenario.flushers.is_empty() || scenario.buffer < 8 << 20;
    let complete = scenario.reader.takes_all() && all.iter().all(|facts| facts.lost.is_empty());
    let lines = |facts: &Facts| {
        let ends = facts.bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        let rest = facts.bytes.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        ends + u64::from(!rest.is_empty())
    };
    let expected: u64 = all.iter().filter(|facts| facts.shown).map(lines).sum();
    // A barrier cuts lines in pieces, and a stop is one.
    let exact = !pieces && scenario.signals.is_empty() && scenario.on_failure == "continue";
    // States of bars that were folded are counted with the lines.
    let drawn = all.iter().any(|facts| facts.bytes.contains(&b'\r'));
    let exact = exact && (scenario.fold == "off" || !drawn);
    if complete && (printed < expected || (exact && scenario.files_kept() && printed > expected)) {
        wrong.push(format!("{printed} lines are printed or counted, {expected} were written"));
    }
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn line(object: &Value, end: u64) -> Option<Line> {
    let text = match object["line"].as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => data_encoding::BASE64.decode(object["line_base64"].as_str()?.as_bytes()).ok()?,
    };
    let offset = object["offset"].as_u64()?;
    Some(Line { offset, text, partial: object["partial"] == true, end })
}

fn show(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned()
}

/// Every line stands at its place, in order; what is between two of them is not to be seen. With
/// folding there may be more between them.
fn match_stream(facts: &Facts, lines: &[Line], exact: bool) -> Result<Marks, String> {
    if !facts.shown {
        return if lines.is_empty() { Ok(Marks::new()) } else { Err("it was not to be".into()) };
    }
    let (mut marks, mut at) = (Marks::new(), 0);
    let ordered = exact;
    for line in lines {
        let end = line.offset + line.text.len() as u64;
        let there = facts.bytes.get(line.offset as usize..end as usize);
        if there != Some(&line.text[..]) {
            return Err(format!("byte {} is not {:?}", line.offset, show(&line.text)));
        }
        if ordered && line.offset < at {
            return Err(format!("byte {} comes after {at}", line.offset));
        }
        if exact {
            hidden(facts, at, line.offset)?;
        }
        at = end;
        if !line.partial {
            let rest = &facts.bytes[at as usize..];
            let returns = rest.iter().take_while(|byte| **byte == b'\r').count();
            if rest.get(returns) != Some(&b'\n') {
                return Err(format!("the line at {} is not whole", line.offset));
            }
            at += returns as u64 + 1;
        }
        marks.push((at, line.end));
    }
    if exact && facts.reader.takes_all() {
        hidden(facts, at, facts.bytes.len() as u64)?;
    }
    Ok(marks)
}

/// What is present from one offset to another is drawn over, or nothing but returns.
fn hidden(facts: &Facts, from: u64, to: u64) -> Result<(), String> {
    for (start, end) in present(facts) {
        let (start, end) = (start.max(from), end.min(to));
        if start >= end {
            continue;
        }
        let bytes = &facts.bytes[start as usize..end as usize];
        if bytes.contains(&b'\n') || !bytes.ends_with(b"\r") {
            return Err(format!("{start}..{end} is not there: {:?}", show(bytes)));
        }
    }
    Ok(())
}
