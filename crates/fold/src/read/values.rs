//! Lines of a unit that are nothing but variables: rows of a printed array, numbers by themselves,
//! elements of a printed dictionary with their keys.

use super::{mix, word};
use crate::unit::is_literal;

const SHAPE: u64 = 0x8422_2325_cbf2_9ce4;

/// What a line of variables alone is compared by: its shape, which is the punctuation and how many
/// variables stand where, and the quoted keys (`'rank': 3`). `None` when the line has words, or nothing at all.
pub(super) fn read(line: &[u8], found: &mut impl FnMut(usize, usize)) -> Option<u64> {
    let mut places = Vec::new();
    let mut hash = SHAPE;
    let mut at = 0;
    while at < line.len() {
        let byte = line[at];
        if matches!(byte, b'"' | b'\'') {
            let end = at + end_of_quoted(&line[at..])?;
            if line[end..].trim_ascii_start().starts_with(b":") {
                hash = mix(hash ^ word(line, at, end), SHAPE);
            } else {
                places.push((at, end));
                hash = mix(hash ^ 1, SHAPE);
            }
            at = end;
            continue;
        }
        let length = value(&line[at..])?;
        if length > 0 {
            places.push((at, at + length));
            hash = mix(hash ^ 1, SHAPE);
        } else if !byte.is_ascii_whitespace() {
            hash = mix(hash ^ u64::from(byte) << 8, SHAPE);
        }
        at += length.max(1);
    }
    if places.is_empty() {
        return None;
    }
    places.into_iter().for_each(|(start, end)| found(start, end));
    Some(hash)
}

/// Where the quoted text that starts here ends.
fn end_of_quoted(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        at += memchr::memchr2(text[0], b'\\', text.get(at..)?)?;
        if text[at] == text[0] {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// How long the variable is that starts here, 0 for punctuation; `None` for a word.
fn value(text: &[u8]) -> Option<usize> {
    let part =
        |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(**byte, b'.' | b'_' | b'+' | b'-');
    let sign = usize::from(matches!(text, [b'-' | b'+', next, ..] if part(&next)));
    let length = sign + text[sign..].iter().take_while(part).count();
    let run = &text[sign..length];
    match text[0] {
        b'/' => Some(text.iter().take_while(|byte| !byte.is_ascii_whitespace()).count()),
        byte if byte >= 0x80 => None,
        _ if run.iter().all(|&byte| !byte.is_ascii_alphanumeric()) => Some(0),
        _ if run.strip_prefix(b".").unwrap_or(run)[0].is_ascii_digit() => Some(length),
        _ => is_literal(run).then_some(length),
    }
}

/// The hash of a text of which only numbers may differ.
pub(super) fn numbers(text: &[u8], found: &mut impl FnMut(usize, usize)) -> u64 {
    let mut hash = SHAPE;
    let mut at = 0;
    while at < text.len() {
        let digits = text[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits > 0 {
            found(at, at + digits);
        }
        hash = mix(hash ^ if digits > 0 { 1 } else { u64::from(text[at]) << 8 }, SHAPE);
        at += digits.max(1);
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(line: &str) -> Option<Vec<&str>> {
        let mut values = Vec::new();
        read(line.as_bytes(), &mut |start, end| values.push(&line[start..end]))?;
        Some(values)
    }

    #[test]
    fn lines_without_words_are_compared_by_their_shape() {
        let table: [(&str, Option<&[&str]>); 12] = [
            (" 'rank': 3}", Some(&["3"])),
            ("  \"name\": \"run \\\" 3\",", Some(&["\"run \\\" 3\""])),
            (" 'rank': 3 of 4", None),
            (" 'it isn't", None),
            ("        [0.3, 0.4]])", Some(&["0.3", "0.4"])),
            (" [3 -4]]", Some(&["3", "-4"])),
            (" [nan 1.e-05 inf]]", Some(&["nan", "1.e-05", "inf"])),
            ("  0x1f", Some(&["0x1f"])),
            ("  /data/shard-3", Some(&["/data/shard-3"])),
            ("  depth = 3", None),
            ("", None),
            ("]])", None),
        ];
        for (line, wanted) in table {
            assert_eq!(values(line).as_deref(), wanted, "{line}");
        }
        let shape = |line: &str| read(line.as_bytes(), &mut |_, _| ());
        assert_eq!(shape(" [3 4]]"), shape("  [30  -4.5]]"));
        assert_eq!(shape(" 'rank': 0}"), shape(" 'rank': 17}"));
        assert_ne!(shape(" 'rank': 0}"), shape(" 'size': 0}"));
        assert_ne!(shape(" [3 4]]"), shape(" [3, 4]]"));
        assert_ne!(shape(" [3 4]]"), shape(" [3 4 5]]"));
    }
}
