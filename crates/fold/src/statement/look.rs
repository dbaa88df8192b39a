//! How values look: numbers, braces, keys.

use super::class::{CLASS, CONTROL, is_alphanumeric};

/// How long a bracket with all that it holds may be to be taken as one; lines above are rare.
const MAX_LITERAL_BYTES: usize = 8192;
/// How long a quoted or braced value may be to be taken as one.
pub(super) const MAX_VALUE_BYTES: usize = 256;

/// Digits in groups of three: `1,234,567`.
pub(super) fn grouped_digits(text: &[u8], start: usize, end: usize) -> usize {
    let mut end = end;
    while end - start <= 3 || text[start..end].contains(&b',') {
        let group = text.get(end + 1..end + 4).is_some_and(|g| g.iter().all(u8::is_ascii_digit));
        let more = text.get(end + 4).is_some_and(|&b| b.is_ascii_digit() || is_alphanumeric(b));
        if text.get(end) != Some(&b',') || !group || more {
            break;
        }
        end += 4;
    }
    end
}

/// Whether the run is a plain decimal number, perhaps with a sign or a fraction.
#[inline]
pub(super) fn is_decimal(run: &[u8]) -> bool {
    let digits = match run {
        [b'-' | b'+', digits @ ..] => digits,
        digits => digits,
    };
    let mut dots = 0;
    for byte in digits {
        match byte {
            b'0'..=b'9' => {}
            b'.' => dots += 1,
            _ => return false,
        }
    }
    dots <= 1
        && digits.first().is_some_and(u8::is_ascii_digit)
        && digits.last().is_some_and(u8::is_ascii_digit)
}

/// Where the brace that opens at `open` is closed again: one past it.
pub(super) fn closing_brace(text: &[u8], open: usize) -> Option<usize> {
    let mut depth = 0_u32;
    for (at, &byte) in text.iter().enumerate().skip(open).take(MAX_VALUE_BYTES) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return Some(at + 1),
            b'}' => depth -= 1,
            _ if CLASS[usize::from(byte)] & CONTROL != 0 => return None,
            _ => {}
        }
    }
    None
}

/// One past the bracket when nothing but digits stands in brackets at `open`.
pub(super) fn number_in_brackets(text: &[u8], open: usize) -> Option<usize> {
    let close = match text.get(open)? {
        b'(' => b')',
        b'[' => b']',
        _ => return None,
    };
    let digits = text[open + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let end = open + 1 + digits;
    (digits > 0 && text.get(end) == Some(&close)).then_some(end + 1)
}

/// One past the bracket that closes the one at `open`; brackets in quotes do not count.
pub(super) fn closing(text: &[u8], open: usize) -> Option<usize> {
    let (mut depth, mut at) = (0_u32, open);
    // Elsewhere they are as often signs as brackets, and no bracket closes between them.
    let angles = text.get(open) == Some(&b'<');
    while let Some(&byte) = text.get(at).filter(|_| at < open + MAX_LITERAL_BYTES) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b'<' if angles
                && text.get(at + 1).is_some_and(|&b| is_alphanumeric(b) || b == b'_') =>
            {
                depth += 1;
            }
            b'>' if at > 0 && text[at - 1] == b'-' => {}
            b')' | b']' | b'}' => depth = depth.checked_sub(1)?,
            b'>' if angles => depth = depth.checked_sub(1)?,
            b'"' | b'\'' if !is_alphanumeric(text[at - 1]) || text[at - 1] == b'b' => {
                at += 1 + memchr::memchr(byte, &text[at + 1..])?;
            }
            _ if CLASS[usize::from(byte)] & CONTROL != 0 => return None,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// Where the bracket ends that stands for a pointer or a text which is not there, as `printf` of the
/// C libraries writes it.
pub(super) fn end_of_absent(text: &[u8], open: usize) -> Option<usize> {
    let alone = open == 0 || !is_alphanumeric(text[open - 1]);
    let absent = [&b"(nil)"[..], b"(null)"];
    let found = absent.iter().find(|absent| text[open..].starts_with(absent)).filter(|_| alone)?;
    Some(open + found.len())
}

/// Whether a value in a language's own notation opens at `at`, one that a program printed whole:
/// `{'op': 'stop'}`, `('a', 9)`, `["x"]`, and `<Worker 'w', status: running>`; behind a key also
/// without a blank, as in `args:('a', 9)`.
pub(super) fn opens_literal(text: &[u8], at: usize) -> bool {
    let Some(before) = at.checked_sub(1).map(|before| text[before]) else { return false };
    let inside = &text[at + 1..];
    match text[at] {
        b'<' => {
            let named =
                inside.first().is_some_and(|&byte| byte.is_ascii_alphabetic() || byte == b'_');
            let stop = memchr::memchr2(b' ', b'>', inside);
            named && before == b' ' && stop.is_some_and(|stop| inside[stop] == b' ')
        }
        _ => {
            let keyed = matches!(before, b':' | b'=') && at > 1 && is_alphanumeric(text[at - 2]);
            // What a key has is a value, whatever stands in its brackets.
            keyed && before == b'='
                || (before == b' ' || keyed) && matches!(inside.first(), Some(b'\'' | b'"'))
        }
    }
}

/// Where the program cut the value short that opens at `open`: `{'a': 1, 'b': [2,...`.
pub(super) fn end_of_cut(text: &[u8], open: usize) -> Option<usize> {
    let within = &text[open..text.len().min(open + MAX_LITERAL_BYTES)];
    if within.iter().any(|&byte| CLASS[usize::from(byte)] & CONTROL != 0) {
        return None;
    }
    let ends = |at: &usize| within.get(at + 3).is_none_or(|byte| b" )]}".contains(byte));
    memchr::memmem::find_iter(within, b"...").find(ends).map(|at| open + at + 3)
}

/// Where a Python value of bytes ends whose `b` is the word from `start` to `end`: `b'\x80\r\n'`.
#[inline]
pub(super) fn end_of_bytes(text: &[u8], start: usize, end: usize) -> Option<usize> {
    let quote = *text.get(end).filter(|byte| matches!(byte, b'\'' | b'"'))?;
    if &text[start..end] != b"b" {
        return None;
    }
    let mut at = end + 1;
    while let Some(&byte) = text.get(at).filter(|_| at < end + MAX_LITERAL_BYTES) {
        match byte {
            b'\\' => at += 2,
            _ if byte == quote => return Some(at + 1),
            _ if CLASS[usize::from(byte)] & CONTROL != 0 => return None,
            _ => at += 1,
        }
    }
    None
}

/// The word before the `=` at `at`.
pub(super) fn key_before(text: &[u8], at: usize) -> &[u8] {
    let key = text[..at].iter().rev().take_while(|&&byte| is_alphanumeric(byte)).count();
    &text[at - key..at]
}

/// Whether the byte at `at`, which may be part of something harmful, is not.
pub(super) fn is_harmless(text: &[u8], at: usize) -> bool {
    text[at] == 0xc2 && text.get(at + 1).is_none_or(|next| !(0x80..=0x9f).contains(next))
}
