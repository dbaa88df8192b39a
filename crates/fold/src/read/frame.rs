//! Frames: places in a program, which are the same in every process that runs it.

use super::{mix, word};

/// From how many digits on a number in brackets, without any prefix, is a hash.
const HASH_DIGITS: usize = 12;

/// The hash of a frame without what is a process's own; `found` gets where that stands.
///
/// A process's own are addresses (`0x55e984bd71c0`), hashes of symbols (`::h0123456789abcdef`,
/// `std[e28293b1aa0f68bd]`), the numbers of threads and goroutines, names of threads, and the values
/// of arguments (`shard=17`). An offset (`+0x1d`, `+ 0x1d`) is how far into a function or a library
/// the place is, and stays.
pub(super) fn read(line: &[u8], found: &mut impl FnMut(usize, usize)) -> u64 {
    let (mut hash, mut from, mut at) = (3, 0, 0);
    while at < line.len() {
        match own(line, at) {
            Some((start, end)) if end > start => {
                hash = mix(hash ^ word(line, from, start), 5);
                found(start, end);
                (from, at) = (end, end);
            }
            _ => at += 1,
        }
    }
    mix(hash ^ word(line, from, line.len()), 7)
}

/// What is a process's own and announced at `at`.
fn own(line: &[u8], at: usize) -> Option<(usize, usize)> {
    let rest = &line[at..];
    match rest[0] {
        b'0' if rest.starts_with(b"0x") && !is_offset(&line[..at]) => {
            Some((at, at + 2 + hexadecimal(&rest[2..]))).filter(|&(start, end)| end > start + 2)
        }
        b'g' if rest.starts_with(b"goroutine ") => Some(digits(line, at + 10)),
        b'\'' if rest.starts_with(b"' (") => Some(digits(line, at + 3)),
        b't' if rest.starts_with(b"thread '") => {
            let start = at + 8;
            let length = memchr::memchr(b'\'', &line[start..])?;
            Some((start, start + length))
        }
        b':' if rest.starts_with(b"::h") => {
            let length = hexadecimal(&rest[3..]);
            (length == 16).then_some((at + 3, at + 3 + length))
        }
        b'[' => {
            let length = hexadecimal(&rest[1..]);
            let closed = rest.get(1 + length) == Some(&b']');
            (closed && length >= HASH_DIGITS).then_some((at + 1, at + 1 + length))
        }
        b'=' => Some(number(line, at + 1)),
        _ => None,
    }
}

/// Whether what follows is an offset: a sign stands before it.
fn is_offset(before: &[u8]) -> bool {
    matches!(before, [.., b'+' | b'-'] | [.., b'+', b' '])
}

fn hexadecimal(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_hexdigit()).count()
}

fn digits(line: &[u8], start: usize) -> (usize, usize) {
    let length = line[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    (start, start + length)
}

/// A decimal number, or none; one that is hexadecimal is found by its prefix.
fn number(line: &[u8], start: usize) -> (usize, usize) {
    let text = &line[start..];
    let sign = usize::from(text.first() == Some(&b'-'));
    let number = |byte: &&u8| byte.is_ascii_digit() || **byte == b'.';
    let length = text[sign..].iter().take_while(number).count();
    let hexadecimal = text[sign..].starts_with(b"0x");
    (start, start + if length > 0 && !hexadecimal { sign + length } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(left: &str, right: &str) -> bool {
        let hash = |line: &str| read(line.as_bytes(), &mut |_, _| ());
        hash(left) == hash(right)
    }

    #[test]
    fn only_what_is_a_processes_own_may_differ() {
        let table = [
            (
                "  0: 0x55d1c3a4b2f1 - app::main::h0123456789abcdef",
                "  0: 0x7f - app::main::hfedcba9876543210",
                true,
            ),
            ("./app(step+0xc)[0x55e984bd71c0]", "./app(step+0xc)[0x560000001234]", true),
            ("./app(step+0xc)[0x55e984bd71c0]", "./app(step+0xd)[0x55e984bd71c0]", false),
            (
                "frame #1: f + 0x42 (0x7f14 in /l/c.so)",
                "frame #1: f + 0x42 (0x7f15 in /l/c.so)",
                true,
            ),
            (
                "frame #1: f + 0x42 (0x7f14 in /l/c.so)",
                "frame #1: f + 0x43 (0x7f14 in /l/c.so)",
                false,
            ),
            (
                "#0  0x0055 in load (shard=3, p=0x0) at c.c:1",
                "#0  0x0056 in load (shard=17, p=0x9) at c.c:1",
                true,
            ),
            (
                "#0  0x0055 in load (shard=3) at c.c:1",
                "#0  0x0055 in load (shard=3) at c.c:2",
                false,
            ),
            ("goroutine 17 [running]:", "goroutine 5 [running]:", true),
            (
                "thread 'w-3' (99) panicked at a.rs:1:2:",
                "thread 'w-17' (1) panicked at a.rs:1:2:",
                true,
            ),
            ("thread 'w' panicked at a.rs:1:2:", "thread 'w' panicked at a.rs:1:3:", false),
            ("  0: std[e28293b1aa0f68bd]::rt", "  0: std[e28293b1aa0f68be]::rt", true),
            ("  File \"a.py\", line 3, in f", "  File \"a.py\", line 4, in f", false),
            ("x[12345]", "x[12346]", false),
        ];
        for (left, right, equal) in table {
            assert_eq!(same(left, right), equal, "{left} / {right}");
        }
    }
}
