//! Printed arrays and dictionaries: they go on until their brackets are closed.

/// How many brackets `line` leaves open; negative when it closes more than it opens. Brackets in
/// quotes count as well: one that is taken amiss costs a unit that ends too early or too late.
pub(super) fn depth(line: &[u8]) -> i32 {
    (0..line.len()).map(|at| step(line, at)).sum()
}

/// Whether the byte opens a bracket (1), closes one (-1), or neither. The bracket of a control sequence
/// (`ESC [`) is none.
fn step(line: &[u8], at: usize) -> i32 {
    match line[at] {
        b'(' | b'[' | b'{' => i32::from(at == 0 || line[at - 1] != 0x1b),
        b')' | b']' | b'}' => -1,
        _ => 0,
    }
}

/// How many brackets a line leaves open that starts a printed value, if it does: what follows the
/// outermost open bracket looks like an element (`tensor([[0.1,`, `[[1 2]`, `{'a': 1,`), or nothing
/// follows it. That tells it from an unfinished bracket in a sentence or a bar.
#[inline]
pub(super) fn opened_by(line: &[u8]) -> Option<i32> {
    memchr::memchr3(b'(', b'[', b'{', line)?;
    unclosed(line)
}

fn unclosed(line: &[u8]) -> Option<i32> {
    let depth = depth(line);
    if depth <= 0 {
        return None;
    }
    let mut closed = 0;
    let innermost = (0..line.len()).rev().find(|&at| {
        closed -= step(line, at);
        closed < 0
    })?;
    let element = match line[innermost + 1..].trim_ascii_start() {
        [] => true,
        [b'-' | b'+' | b'.', digit, ..] => digit.is_ascii_digit() || *digit == b'.',
        [first, ..] => {
            first.is_ascii_digit() || b"([{'\"".contains(first) || is_literal(line, innermost)
        }
    };
    element.then_some(depth)
}

/// Whether one of the words that are values follows the bracket.
fn is_literal(line: &[u8], bracket: usize) -> bool {
    let rest = line[bracket + 1..].trim_ascii_start();
    let length = rest.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    super::looks::is_literal(&rest[..length])
}

/// Whether a line goes on with a printed value: numpy, torch, `pprint` and JSON indent what is in
/// brackets.
pub(super) fn goes_on(line: &[u8]) -> bool {
    matches!(line.first(), Some(b' ' | b'\t' | b')' | b']' | b'}')) && !line.trim_ascii().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_value_opens_and_a_sentence_does_not() {
        let table = [
            ("tensor([[0.1, 0.2],", Some(2)),
            ("[[1 2]", Some(1)),
            ("[0.1 0.2 0.3", Some(1)),
            ("[[ 1.  2.]", Some(1)),
            ("weights: [[-0.5, nan],", Some(1)),
            ("{'a': 1,", Some(1)),
            ("[nan 0.5", Some(1)),
            ("Model(", Some(1)),
            ("[[1 2]]", None),
            ("[====>      10%", None),
            ("step 3 (see below", None),
            (":(", Some(1)),
            ("done :)", None),
            ("[INFO] step 3", None),
            ("loss \x1b[31m0.5", None),
            ("\x1b[31mModel(", Some(1)),
        ];
        for (line, opened) in table {
            assert_eq!(opened_by(line.as_bytes()), opened, "{line}");
        }
    }
}
