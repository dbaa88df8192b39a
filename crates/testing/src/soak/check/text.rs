//! Lines of text, with their ranks before them.

use std::collections::HashMap;

use lastline_line::Stream;

use super::console::Marks;
use super::lines::{Piece, match_stream, show};
use super::{Facts, raw, without_half_words};
use crate::soak::reader::Reader;
use crate::soak::run::Seen;
use crate::soak::scenario::{Format, Scenario};

type Found<'a> = HashMap<(u32, Stream), Vec<Piece<'a>>>;

const CONTINUATION: &[u8] = "… ".as_bytes();

pub(super) fn check(
    scenario: &Scenario,
    seen: &Seen,
    all: &[Facts],
) -> Result<Vec<Marks>, Vec<String>> {
    let raw = scenario.format == Format::Text && scenario.ranks.len() == 1;
    if raw {
        return raw::check(scenario, seen, all);
    }
    let mut found = Found::new();
    let mut wrong = Vec::new();
    for (printed, stream) in seen.printed.iter().zip(Stream::SEPARATE) {
        let printed = without_half_words(scenario, seen, printed);
        if let Err(error) = parse(scenario, printed, stream, &mut found) {
            wrong.push(format!("{stream}: {error}"));
        }
    }
    if scenario.fold != "off" {
        return if wrong.is_empty() { Ok(vec![Marks::new(); all.len()]) } else { Err(wrong) };
    }
    let mut marks = Vec::new();
    for facts in all {
        let pieces = found.remove(&(facts.rank, facts.stream)).unwrap_or_default();
        match match_stream(facts, &pieces) {
            Ok(found) => marks.push(found),
            Err(error) => wrong.push(format!("{} on the console: {error}", facts.name())),
        }
    }
    if wrong.is_empty() { Ok(marks) } else { Err(wrong) }
}

/// Sorts the lines of one output by their ranks.
fn parse<'a>(
    scenario: &Scenario,
    printed: &'a [u8],
    output: Stream,
    found: &mut Found<'a>,
) -> Result<(), String> {
    let mut end = 0;
    for line in printed.split_inclusive(|byte| *byte == b'\n') {
        end += line.len() as u64;
        let Some(line) = line.strip_suffix(b"\n") else {
            return match scenario.reader_of(output) {
                Reader::Closes { .. } | Reader::Never => Ok(()),
                _ => Err(format!("half a line: {:?}", show(line))),
            };
        };
        if line.starts_with(b"lastline: ") {
            continue;
        }
        let merged = scenario.format == Format::Merged;
        let Some((ranks, stream, text)) = prefix(line, merged, output) else {
            return Err(format!("no prefix: {:?}", show(line)));
        };
        // A folded entry has more than a rank there.
        let Ok(rank) = ranks.parse() else {
            if scenario.fold == "off" {
                return Err(format!("no rank: {:?}", show(line)));
            }
            continue;
        };
        let rest = text.strip_prefix(CONTINUATION);
        let piece = Piece { text: rest.unwrap_or(text), continues: rest.is_some(), end };
        found.entry((rank, stream)).or_default().push(piece);
    }
    Ok(())
}

/// `[RANKS] text`, or `RANKS.STREAM: text`.
fn prefix(line: &[u8], merged: bool, output: Stream) -> Option<(&str, Stream, &[u8])> {
    if !merged {
        let rest = line.strip_prefix(b"[")?;
        let at = rest.windows(2).position(|two| two == b"] ")?;
        return Some((std::str::from_utf8(&rest[..at]).ok()?, output, &rest[at + 2..]));
    }
    let found = Stream::SEPARATE.into_iter().filter_map(|stream| {
        let name = format!(".{stream}: ");
        let at = line.windows(name.len()).position(|part| part == name.as_bytes())?;
        Some((at, stream, at + name.len()))
    });
    let (at, stream, text) = found.min_by_key(|(at, _, _)| *at)?;
    Some((std::str::from_utf8(&line[..at]).ok()?, stream, &line[text..]))
}
