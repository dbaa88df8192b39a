//! Text that is harmless on a terminal.
//!
//! Text of Lastline's making must not carry what a rank would do to the terminal: a cursor moved once
//! for 64 ranks is moved to the wrong place, and a title set by an entry is nobody's. Control sequences
//! are shown instead of sent.

/// What becomes of colours (`ESC [ … m`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colours {
    /// They pass, and what is still coloured at the end is reset.
    Keep,
    /// They are left out.
    Drop,
}

/// What control sequences a text holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Controls {
    /// Colours and nothing else.
    Colours,
    /// Something that moves, clears, rings or sets, or that is no text.
    Other,
}

const RESET: &[u8] = b"\x1b[0m";

/// Appends `text` to `into` with everything that is not text made visible: a control character as
/// `^[`, one of the second set, and a byte that is not UTF-8, as `\x9b`. Tabs and newlines stay.
///
/// ```
/// use lastline_line::{Colours, plain_text};
///
/// let mut shown = Vec::new();
/// plain_text(b"\x1b[31mred\x1b[2J", Colours::Drop, &mut shown);
/// assert_eq!(shown, b"red^[[2J");
/// ```
pub fn plain_text(text: &[u8], colours: Colours, into: &mut Vec<u8>) -> Controls {
    let mut found = Controls::Colours;
    let mut coloured = false;
    for chunk in text.utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some(next) = rest.chars().next() {
            let length = match colour(rest.as_bytes()) {
                Some(length) if colours == Colours::Drop => length,
                Some(length) => {
                    let sequence = &rest.as_bytes()[..length];
                    into.extend_from_slice(sequence);
                    coloured = !matches!(sequence, b"\x1b[m" | RESET);
                    length
                }
                None if !next.is_control() || matches!(next, '\t' | '\n') => {
                    into.extend_from_slice(&rest.as_bytes()[..next.len_utf8()]);
                    next.len_utf8()
                }
                None => {
                    show(next as u8, into);
                    found = Controls::Other;
                    next.len_utf8()
                }
            };
            rest = &rest[length..];
        }
        for &byte in chunk.invalid() {
            show(byte, into);
            found = Controls::Other;
        }
    }
    if coloured {
        into.extend_from_slice(RESET);
    }
    found
}

/// Whether nothing in `text` would be shown otherwise than it is, as far as a look at each byte alone
/// can tell: printable ASCII, tabs and newlines.
pub fn is_plain(text: &[u8]) -> bool {
    text.iter().all(|byte| matches!(byte, 0x20..=0x7e | b'\t' | b'\n'))
}

fn show(byte: u8, into: &mut Vec<u8>) {
    match byte {
        0..=0x7f => into.extend_from_slice(&[b'^', byte ^ 0x40]),
        _ => into.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
    }
}

/// The length of the colour sequence (`ESC [ … m`) that `text` starts with.
fn colour(text: &[u8]) -> Option<usize> {
    let parameters = text.strip_prefix(b"\x1b[")?;
    let length = parameters.iter().take_while(|b| matches!(b, b'0'..=b'9' | b';' | b':')).count();
    (parameters.get(length) == Some(&b'm')).then_some(length + 3)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &[u8], colours: Colours) -> (Controls, Vec<u8>) {
        let mut into = Vec::new();
        (plain_text(text, colours, &mut into), into)
    }

    #[test]
    fn colours_go_and_the_rest_is_shown() {
        let table: [(&[u8], &[u8], Controls); 7] = [
            (b"\x1b[1;31mred\x1b[0m", b"red", Controls::Colours),
            (b"\x1b[2Jgone", b"^[[2Jgone", Controls::Other),
            (b"\x1b]0;title\x07", b"^[]0;title^G", Controls::Other),
            (b"a\x7fb\rc", b"a^?b^Mc", Controls::Other),
            (b"\xc2\x9b2J \xc2\xb5s", b"\\x9b2J \xc2\xb5s", Controls::Other),
            (b"tab\there\xff", b"tab\there\\xff", Controls::Other),
            (b"\x9b2J", b"\\x9b2J", Controls::Other),
        ];
        for (text, harmless, control) in table {
            assert_eq!(shown(text, Colours::Drop), (control, harmless.to_vec()));
        }
    }

    #[test]
    fn colours_that_are_kept_end_with_the_text() {
        let table: [(&[u8], &[u8]); 3] = [
            (b"\x1b[31mred", b"\x1b[31mred\x1b[0m"),
            (b"\x1b[31mred\x1b[0m now", b"\x1b[31mred\x1b[0m now"),
            (b"\x1b[31m\x1b[1A", b"\x1b[31m^[[1A\x1b[0m"),
        ];
        for (text, harmless) in table {
            assert_eq!(shown(text, Colours::Keep).1, harmless);
        }
    }

    proptest! {
        #[test]
        fn nothing_but_text_comes_out(text in prop::collection::vec(any::<u8>(), 0..60)) {
            let (control, plain) = shown(&text, Colours::Drop);
            let plain = String::from_utf8(plain).unwrap();
            prop_assert!(plain.chars().all(|c| !c.is_control() || c == '\t' || c == '\n'));
            prop_assert!(!is_plain(&text) || (plain.as_bytes() == text && control == Controls::Colours));
        }
    }
}
