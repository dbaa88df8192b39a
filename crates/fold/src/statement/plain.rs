//! Text that is harmless on a terminal.
//!
//! A folded entry is text of Lastline's making, so it must not carry what a rank would do to the
//! terminal: a cursor moved once for 64 ranks is moved to the wrong place, and a title set by an
//! entry is nobody's. Colours are dropped; every other control sequence is shown instead of sent.

/// What control sequences a text holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Control {
    /// Colours and nothing else.
    Colours,
    /// Something that moves, clears, rings or sets.
    Other,
}

/// Writes `text` to `into` without colours and with everything else that is not text made visible:
/// a control character as `^[`, one of the second set as `\x9b`.
pub(crate) fn write(text: &[u8], into: &mut Vec<u8>) -> Control {
    into.clear();
    let mut found = Control::Colours;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        if let Some(length) = colour(&text[at..]) {
            at += length;
            continue;
        }
        let second = byte == 0xc2 && text.get(at + 1).is_some_and(|b| (0x80..=0x9f).contains(b));
        if second {
            into.extend_from_slice(format!("\\x{:02x}", text[at + 1]).as_bytes());
            found = Control::Other;
            at += 2;
            continue;
        }
        match byte {
            b'\t' | b'\n' | 0x20..=0x7e | 0x80..=0xff => into.push(byte),
            _ => {
                into.extend_from_slice(&[b'^', byte ^ 0x40]);
                found = Control::Other;
            }
        }
        at += 1;
    }
    found
}

/// The length of the colour sequence (`ESC [ … m`) that `text` starts with.
fn colour(text: &[u8]) -> Option<usize> {
    let parameters = text.strip_prefix(b"\x1b[")?;
    let length = parameters.iter().take_while(|b| matches!(b, b'0'..=b'9' | b';' | b':')).count();
    (parameters.get(length) == Some(&b'm')).then_some(length + 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_go_and_the_rest_is_shown() {
        let table: [(&[u8], &[u8], Control); 6] = [
            (b"\x1b[1;31mred\x1b[0m", b"red", Control::Colours),
            (b"\x1b[2Jgone", b"^[[2Jgone", Control::Other),
            (b"\x1b]0;title\x07", b"^[]0;title^G", Control::Other),
            (b"a\x7fb\rc", b"a^?b^Mc", Control::Other),
            (b"\xc2\x9b2J \xc2\xb5s", b"\\x9b2J \xc2\xb5s", Control::Other),
            (b"tab\there\xff", b"tab\there\xff", Control::Colours),
        ];
        let mut shown = Vec::new();
        for (text, harmless, control) in table {
            assert_eq!((write(text, &mut shown), &shown[..]), (control, harmless));
        }
    }
}
