//! Lines of text, with their ranks before them.

use std::collections::HashMap;

use lastline_line::Stream;

use super::Facts;
use super::console::{Marks, present};
use crate::soak::run::Seen;
use crate::soak::scenario::{Format, Reader, Scenario};

/// A printed line of a stream.
#[derive(Clone, Copy)]
struct Piece<'a> {
    text: &'a [u8],
    continues: bool,
    /// Where it ends on the console.
    end: u64,
}

type Found<'a> = HashMap<(u32, Stream), Vec<Piece<'a>>>;

const CONTINUATION: &[u8] = "… ".as_bytes();

pub(super) fn check(
    scenario: &Scenario,
    seen: &Seen,
    all: &[Facts],
) -> Result<Vec<Marks>, Vec<String>> {
    let raw = scenario.format == Format::Text && scenario.ranks.len() == 1;
    if raw {
        return check_raw(scenario, seen, all);
    }
    let mut found = Found::new();
    let mut wrong = Vec::new();
    for (printed, stream) in seen.printed.iter().zip(Stream::ALL) {
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
    let found = Stream::ALL.into_iter().filter_map(|stream| {
        let name = format!(".{stream}: ");
        let at = line.windows(name.len()).position(|part| part == name.as_bytes())?;
        Some((at, stream, at + name.len()))
    });
    let (at, stream, text) = found.min_by_key(|(at, _, _)| *at)?;
    Some((std::str::from_utf8(&line[..at]).ok()?, stream, &line[text..]))
}

fn show(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned()
}

/// Whether it only says that a line stands open, which is printed whole when its end comes. No rank
/// ends a line so.
fn is_announced(piece: &Piece<'_>) -> bool {
    !piece.continues && piece.text.ends_with(" …".as_bytes())
}

/// Finds every line of a stream among the lines that were printed of it.
fn match_stream(facts: &Facts, pieces: &[Piece<'_>]) -> Result<Marks, String> {
    if !facts.shown {
        return if pieces.is_empty() { Ok(Marks::new()) } else { Err("it was not to be".into()) };
    }
    let pieces: Vec<Piece<'_>> =
        pieces.iter().filter(|piece| !is_announced(piece)).copied().collect();
    let mut marks = Marks::new();
    let (mut next, cut) = (0, !facts.reader.takes_all());
    for (from, to) in present(facts) {
        let mut at = from;
        let part = &facts.bytes[from as usize..to as usize];
        for line in part.split_inclusive(|byte| *byte == b'\n') {
            let after_gap = at == from && from > 0;
            let content = line.strip_suffix(b"\n").unwrap_or(line);
            let whole = content.len() < line.len();
            if next == pieces.len() {
                return if facts.reader.takes_all() && !content.iter().all(|b| *b == b'\r') {
                    Err(format!("the line at byte {at} is not there: {:?}", show(line)))
                } else {
                    Ok(marks)
                };
            }
            let starts = !pieces[next].continues || after_gap;
            let took = starts.then(|| match_line(content, whole, cut, &pieces[next..])).flatten();
            let Some(took) = took else {
                let found = show(pieces[next].text);
                return Err(format!("at byte {at} {:?} stands for {:?}", found, show(line)));
            };
            for (piece, through) in pieces[next..].iter().zip(&took) {
                marks.push((at + *through as u64, piece.end));
            }
            next += took.len();
            at += line.len() as u64;
            if let (Some(last), true) = (marks.last_mut(), whole) {
                last.0 = at;
            }
        }
    }
    match pieces.get(next) {
        Some(piece) => Err(format!("{:?} stands there once more", show(piece.text))),
        None => Ok(marks),
    }
}

/// The text of a line that a console shows.
fn visible(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|byte| *byte != b'\r').map_or(0, |at| at + 1);
    let start = text[..end].iter().rposition(|byte| *byte == b'\r').map_or(0, |at| at + 1);
    &text[start..end]
}

/// The pieces that make up a line: how far each of them goes in it. Where they may be cut short,
/// the last one there is need not end it.
fn match_line(content: &[u8], whole: bool, cut: bool, pieces: &[Piece<'_>]) -> Option<Vec<usize>> {
    let (first, rest) = pieces.split_first()?;
    let continues = rest.first().is_some_and(|piece| piece.continues);
    let plain = !content.contains(&b'\r');
    let ends = if plain {
        let end = first.text.len();
        end..=end
    } else {
        0..=content.len()
    };
    for end in ends.rev() {
        if content.get(..end).is_none_or(|part| visible(part) != first.text) {
            continue;
        }
        let left = &content[end..];
        // A bar's state is a line of its own, and what draws over it another.
        let more = continues || (left.starts_with(b"\r") && !rest.is_empty());
        if more && let Some(others) = match_line(left, whole, cut, rest) {
            let others = others.into_iter().map(|other| end + other);
            return Some(std::iter::once(end).chain(others).collect());
        }
        if left.is_empty()
            || (cut && rest.is_empty())
            || (!whole && left.iter().all(|byte| *byte == b'\r'))
        {
            return Some(vec![end]);
        }
    }
    None
}

/// One rank alone: its bytes go through as they come, but for what is drawn over.
fn check_raw(scenario: &Scenario, seen: &Seen, all: &[Facts]) -> Result<Vec<Marks>, Vec<String>> {
    let mut wrong = Vec::new();
    for facts in all.iter().filter(|_| scenario.fold == "off") {
        let printed = &seen.printed[usize::from(facts.stream == Stream::Stderr)];
        let parts = if facts.shown { present(facts) } else { Vec::new() };
        let parts = parts.iter().flat_map(|(from, to)| &facts.bytes[*from as usize..*to as usize]);
        let expected: Vec<u8> = parts.copied().collect();
        let printed = lines(printed);
        let expected = lines(&expected);
        let same = printed.iter().zip(&expected).take_while(|(left, right)| left == right).count();
        let cut = printed
            .get(same)
            .zip(expected.get(same))
            .is_none_or(|(left, right)| same + 1 == printed.len() && right.starts_with(left));
        // Lastline's own words may stand where a line was not ended yet, and it goes on after them.
        let joined = |lines: &[&[u8]]| lines.concat();
        let right = if facts.reader.takes_all() {
            printed == expected
                || (facts.stream == Stream::Stderr && joined(&printed) == joined(&expected))
        } else {
            (cut && printed.len() <= expected.len() + 1)
                || (facts.stream == Stream::Stderr
                    && joined(&expected).starts_with(&joined(&printed)))
        };
        if !right {
            let left = printed.get(same).map(|line| show(line));
            let right = expected.get(same).map(|line| show(line));
            wrong.push(format!("{}: line {same} is {left:?}, not {right:?}", facts.name()));
        }
    }
    if wrong.is_empty() { Ok(vec![Marks::new(); all.len()]) } else { Err(wrong) }
}

/// The visible lines, but for lastline's own; an empty last one is none.
fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"lastline: "));
    let mut lines: Vec<&[u8]> = lines.map(visible).collect();
    while lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    lines
}
