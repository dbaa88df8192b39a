//! Eight bytes at a time.

use crate::statement::hash::mix;

/// One past the digits that start at `at`.
#[inline]
pub(super) fn end_of_digits(line: &[u8], at: usize) -> usize {
    match eight(line, at).map(leading_digits) {
        Some(length) if length < 8 => at + length,
        _ => end_of_many_digits(line, at),
    }
}

#[cold]
fn end_of_many_digits(line: &[u8], at: usize) -> usize {
    let rest = line.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// How many of eight bytes, from the lowest, are digits.
#[inline]
pub(super) fn leading_digits(bytes: u64) -> usize {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // A digit becomes 0 to 9; adding 0x76 to anything from 10 on sets the high bit.
    let values = bytes ^ 0x3030_3030_3030_3030;
    let others = (((values & !HIGH) + 0x7676_7676_7676_7676) | values) & HIGH;
    (others.trailing_zeros() / 8) as usize
}

/// What lines that differ in numbers alone have in common, cheaply: the first stretch of four bytes
/// or more without a digit, and the last bytes if none of them is one.
#[inline]
pub(crate) fn print(line: &[u8]) -> u64 {
    const STRETCH: usize = 32;
    let mut start = 0;
    let mut hash = 0_u64;
    while start < line.len() && start < 2 * STRETCH {
        let mut at = start;
        let most = start + STRETCH;
        while let Some(bytes) = eight(line, at).filter(|_| at < most) {
            let others = leading_others(bytes);
            let kept = if others == 8 { bytes } else { bytes & !(u64::MAX << (8 * others)) };
            hash = mix(hash ^ kept ^ 0x9e37_79b9_7f4a_7c15, 0xd6e8_feb8_6659_fd93);
            at += others;
            if others < 8 {
                break;
            }
        }
        if at - start >= 4 || eight(line, at).is_none() {
            break;
        }
        hash = 0;
        start = end_of_digits(line, at).max(start + 1);
    }
    let tail = line.len().checked_sub(8).and_then(|tail| eight(line, tail));
    let tail = tail.filter(|&bytes| leading_others(bytes) == 8).unwrap_or(0);
    mix(hash ^ tail, 0xa076_1d64_78bd_642f)
}

/// How many of eight bytes, from the lowest, are no digits.
#[inline]
fn leading_others(bytes: u64) -> usize {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let values = bytes ^ 0x3030_3030_3030_3030;
    let others = (((values & !HIGH) + 0x7676_7676_7676_7676) | values) & HIGH;
    ((others ^ HIGH).trailing_zeros() / 8) as usize
}

/// Eight bytes from `at`, the first one lowest.
#[inline]
pub(super) fn eight(text: &[u8], at: usize) -> Option<u64> {
    text.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}
