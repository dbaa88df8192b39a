//! Numbers that a skeleton leaves open.

use super::bytes::{eight, end_of_digits, leading_digits};
use crate::statement::scan::{Item, Kind};

/// A number that is left open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number {
    pub(super) start: u32,
    pub(super) end: u32,
    width: Width,
    /// How many bytes stand between the number before it and this one.
    pub(super) gap: u32,
    /// The first eight of them, and which bits of these count.
    pub(super) gap_bytes: (u64, u64),
}

/// How many bytes an open number may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    /// As many as in the first line, all digits.
    Fixed,
    /// Any: digits, and perhaps a fraction.
    Free,
    /// Any, and a sign.
    Signed,
}

impl Number {
    fn open(start: usize, end: usize, width: Width) -> Self {
        Self { start: start as u32, end: end as u32, width, gap: 0, gap_bytes: (0, 0) }
    }

    /// Where the number that starts at `at` ends, if one does.
    #[inline]
    pub(super) fn read(self, line: &[u8], at: usize) -> Option<usize> {
        // Nearly all are short and unsigned, and do not end the line.
        if self.width != Width::Fixed
            && let Some(bytes) = eight(line, at)
            && let whole @ 1..8 = leading_digits(bytes)
        {
            if (bytes >> (8 * whole)) as u8 != b'.' {
                return Some(at + whole);
            }
            if let Some(bytes) = eight(line, at + whole + 1)
                && let fraction @ 1..8 = leading_digits(bytes)
            {
                return Some(at + whole + 1 + fraction);
            }
        }
        self.read_any(line, at)
    }

    fn read_any(self, line: &[u8], at: usize) -> Option<usize> {
        if self.width == Width::Fixed {
            let end = at + (self.end - self.start) as usize;
            let digits = line.get(at..end)?;
            return digits.iter().all(u8::is_ascii_digit).then_some(end);
        }
        let signed = self.width == Width::Signed && matches!(line.get(at), Some(b'-' | b'+'));
        let at = at + usize::from(signed);
        let end = end_of_digits(line, at);
        if end == at {
            return None;
        }
        if line.get(end) != Some(&b'.') {
            return Some(end);
        }
        let fraction = end_of_digits(line, end + 1);
        Some(if fraction > end + 1 { fraction } else { end })
    }
}

/// Opens the numbers in a variable or stem.
pub(super) fn open_numbers(line: &[u8], item: &Item, numbers: &mut Vec<Number>) {
    let (start, end) = (item.varies as usize, item.end as usize);
    let mut at = start;
    while at < end {
        if !line[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let stop = end_of_digits(line, at).min(end);
        let free = free_width(line, item, at).map(|(width, from, to)| (width, from, to.min(end)));
        let (width, from, to) = free.unwrap_or((Width::Fixed, at, stop));
        numbers.push(Number::open(from, to, width));
        at = to;
    }
}

/// The whole number at `at`, sign included, when it may have any length: it is all that varies in
/// its item but for a unit, and no commas next to it could make a group of it.
fn free_width(line: &[u8], item: &Item, at: usize) -> Option<(Width, usize, usize)> {
    let start = item.varies as usize;
    let signed = at == start + 1 && matches!(line[start], b'-' | b'+');
    let before = start.checked_sub(1).map(|before| line[before]);
    let end = Number::open(0, 0, Width::Free).read(line, at)?;
    let after = line.get(end).copied();
    let alone = end == item.end as usize || end < item.end as usize && after == Some(b' ');
    let ends = after
        .is_none_or(|byte| !byte.is_ascii_alphanumeric() && !b",_-#~%+$*&/\\:@".contains(&byte));
    // A full stop; a dot in front of anything else may be part of a name: `0.00.:1`.
    let stops = after != Some(b'.') || line.get(end + 1).is_none_or(u8::is_ascii_whitespace);
    let comma = before == Some(b',');
    if (at != start && !signed) || !alone || !ends || !stops || comma {
        return None;
    }
    if item.kind == Kind::Stem {
        let name = &line[item.start as usize..start];
        let hexadecimal = name.iter().all(u8::is_ascii_hexdigit);
        return (!hexadecimal && !signed).then_some((Width::Free, at, end));
    }
    // `queue[3]` is a name with its number, `queue[0.5]` is a name and a number.
    let indexed = matches!(before, Some(b'[' | b'('))
        && line[..start - 1].last().is_some_and(|&byte| is_name_byte(byte));
    match before {
        _ if indexed => None,
        None | Some(b' ' | b'\t' | b'=' | b'(' | b'[' | b'{' | b'|') => {
            Some((Width::Signed, start, end))
        }
        Some(b'"' | b'\'') if !signed => Some((Width::Free, at, end)),
        Some(b':' | b'#') if !signed && is_named(line, start) => Some((Width::Free, at, end)),
        _ => None,
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-./:".contains(&byte)
}

/// Whether the run that the number at `start` ends has more in it than hexadecimal numbers, and is no
/// host's name before a port, so that no length of this one makes it an address or a time.
fn is_named(line: &[u8], start: usize) -> bool {
    let label = |byte: &&u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(**byte, b'-' | b'.')
    };
    let host = line[..start.saturating_sub(1)].iter().rev().take_while(label);
    if line[start - 1] == b':' && host.into_iter().any(|&byte| byte == b'.') {
        return false;
    }
    let ends = |byte: &&u8| !byte.is_ascii_whitespace() && !b",=()[]{}<>\"'`|;!?".contains(byte);
    let before = line[..start].iter().rev().take_while(ends);
    let mut marked = false;
    for byte in before {
        let letter = byte.is_ascii_alphanumeric();
        // Marks at the start of a run are cut off before it is looked at.
        if letter && (marked || !byte.is_ascii_hexdigit()) {
            return true;
        }
        marked |= !letter && *byte != b':';
    }
    false
}
