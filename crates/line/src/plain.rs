//! Text that is harmless on a terminal.
//!
//! Text of Lastline's making must not carry what a rank would do to the terminal: a cursor moved once
//! for 64 ranks is moved to the wrong place, and a title set by an entry is nobody's. Control sequences
//! are understood and left out, or shown instead of sent.

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

/// Appends `text` to `into` as it is to be read: what moves the cursor, erases, sets a mode or a title,
/// or makes a link (control sequences, and operating system commands) is left out, other control
/// characters are made visible: one as `^G`, one of the second set, and a byte that is not UTF-8, as
/// `\x9b`. Tabs and newlines stay.
///
/// ```
/// use lastline_line::{Colours, plain_text};
///
/// let mut shown = Vec::new();
/// plain_text(b"\x1b[31mred\x1b[K\x07", Colours::Drop, &mut shown);
/// assert_eq!(shown, b"red^G");
/// ```
pub fn plain_text(text: &[u8], colours: Colours, into: &mut Vec<u8>) -> Controls {
    write(text, colours, false, into)
}

/// The same with nothing left out but colours: every other control character is made visible.
///
/// ```
/// use lastline_line::{Colours, visible_text};
///
/// let mut shown = Vec::new();
/// visible_text(b"\x1b[31mred\x1b[2J\x1b[0m", Colours::Keep, &mut shown);
/// assert_eq!(shown, b"\x1b[31mred^[[2J\x1b[0m");
/// ```
pub fn visible_text(text: &[u8], colours: Colours, into: &mut Vec<u8>) -> Controls {
    write(text, colours, true, into)
}

/// Gives `give` the colour sequences of `text`, each with the offset in the plain text (without
/// colours) before which it stands.
///
/// ```
/// let mut marks = Vec::new();
/// lastline_line::colour_marks(b"all \x1b[32mready\x1b[0m", |at, mark| marks.push((at, mark.len())));
/// assert_eq!(marks, [(4, 5), (9, 4)]);
/// ```
pub fn colour_marks<'t>(text: &'t [u8], mut give: impl FnMut(usize, &'t [u8])) {
    let mut at = 0;
    pieces(text, |piece| match piece {
        Piece::Text(text) => at += text.len(),
        Piece::Colour(sequence) => give(at, sequence),
        Piece::Sequence(_) => {}
        Piece::Control(byte) => at += shown(byte).len(),
    });
}

fn write(text: &[u8], colours: Colours, show_all: bool, into: &mut Vec<u8>) -> Controls {
    let mut found = Controls::Colours;
    let mut coloured = false;
    pieces(text, |piece| match piece {
        Piece::Text(text) => into.extend_from_slice(text),
        Piece::Colour(_) if colours == Colours::Drop => {}
        Piece::Colour(sequence) => {
            into.extend_from_slice(sequence);
            coloured = !is_reset(sequence);
        }
        Piece::Sequence(sequence) => {
            found = Controls::Other;
            if show_all {
                let is_text = |byte: &u8| !byte.is_ascii_control();
                let shown = |byte: &u8| if is_text(byte) { vec![*byte] } else { shown(*byte) };
                into.extend(sequence.iter().flat_map(shown));
            }
        }
        Piece::Control(byte) => {
            found = Controls::Other;
            into.extend_from_slice(&shown(byte));
        }
    });
    if coloured {
        into.extend_from_slice(RESET);
    }
    found
}

/// Whether a colour sequence sets everything back.
pub fn is_reset(colour: &[u8]) -> bool {
    matches!(colour, b"\x1b[m" | RESET)
}

/// A part of a text.
enum Piece<'t> {
    /// What may be shown as it is.
    Text(&'t [u8]),
    /// `ESC [ … m`.
    Colour(&'t [u8]),
    /// Another sequence that a terminal acts on.
    Sequence(&'t [u8]),
    /// A control character, or a byte that is not text.
    Control(u8),
}

/// Gives the parts of a text from left to right.
fn pieces<'t>(text: &'t [u8], mut give: impl FnMut(Piece<'t>)) {
    for chunk in text.utf8_chunks() {
        let mut rest = chunk.valid();
        while !rest.is_empty() {
            let is_text = |c: char| !c.is_control() || matches!(c, '\t' | '\n');
            let plain = rest.find(|c| !is_text(c)).unwrap_or(rest.len());
            if plain > 0 {
                give(Piece::Text(&rest.as_bytes()[..plain]));
                rest = &rest[plain..];
                continue;
            }
            let bytes = rest.as_bytes();
            let length = match (colour(bytes), sequence(bytes)) {
                (Some(length), _) => {
                    give(Piece::Colour(&bytes[..length]));
                    length
                }
                (None, Some(length)) => {
                    give(Piece::Sequence(&bytes[..length]));
                    length
                }
                (None, None) => {
                    let control = rest.chars().next().map_or(0, u32::from);
                    give(Piece::Control(control as u8));
                    if control < 0x80 { 1 } else { 2 }
                }
            };
            rest = &rest[length..];
        }
        chunk.invalid().iter().for_each(|&byte| give(Piece::Control(byte)));
    }
}

/// Whether nothing in `text` would be shown otherwise than it is, as far as a look at each byte alone
/// can tell: printable ASCII, tabs and newlines.
pub fn is_plain(text: &[u8]) -> bool {
    text.iter().all(|byte| matches!(byte, 0x20..=0x7e | b'\t' | b'\n'))
}

/// A byte that is no text, as it is shown.
fn shown(byte: u8) -> Vec<u8> {
    match byte {
        0..=0x7f => vec![b'^', byte ^ 0x40],
        _ => format!("\\x{byte:02x}").into_bytes(),
    }
}

/// The length of the colour sequence (`ESC [ … m`) that `text` starts with.
fn colour(text: &[u8]) -> Option<usize> {
    let parameters = text.strip_prefix(b"\x1b[")?;
    let length = parameters.iter().take_while(|b| matches!(b, b'0'..=b'9' | b';' | b':')).count();
    (parameters.get(length) == Some(&b'm')).then_some(length + 3)
}

/// The length of another sequence that `text` starts with: a control sequence (`ESC [ … letter`), an
/// operating system command (`ESC ] … BEL`, or `… ESC \`), a choice of characters (`ESC ( B`), or one
/// of the cursor (`ESC 7`). The forms are those of ECMA-48, and of xterm for what it lets end with BEL.
fn sequence(text: &[u8]) -> Option<usize> {
    let (&kind, rest) = text.strip_prefix(b"\x1b")?.split_first()?;
    let length = match kind {
        b'[' => {
            let parameters = rest.iter().take_while(|b| matches!(b, 0x20..=0x3f)).count();
            matches!(rest.get(parameters), Some(0x40..=0x7e)).then_some(parameters + 1)?
        }
        b']' => {
            let end = rest.iter().position(|byte| byte.is_ascii_control())?;
            match &rest[end..] {
                [0x07, ..] => end + 1,
                [0x1b, b'\\', ..] => end + 2,
                _ => return None,
            }
        }
        b'(' | b')' => rest.first().filter(|byte| byte.is_ascii_alphanumeric()).map(|_| 1)?,
        b'7' | b'8' | b'D' | b'E' | b'M' | b'=' | b'>' => 0,
        _ => return None,
    };
    Some(length + 2)
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
        let table: [(&[u8], &[u8], Controls); 15] = [
            (b"\x1b[1;31mred\x1b[0m", b"red", Controls::Colours),
            (b"\x1b[2Jgone", b"gone", Controls::Other),
            (b"\x1b]0;title\x07here", b"here", Controls::Other),
            (b"\x1b[?25l 3%\x1b[K\x1b[2K\x1b[1A\x1b[?25h", b" 3%", Controls::Other),
            (b"\x1b]8;;http://a.b/\x1b\\text\x1b]8;;\x1b\\", b"text", Controls::Other),
            (b"\x1b(B\x1b[m\x1b7done\x1b8", b"done", Controls::Other),
            (b"\x1b]0;no end", b"^[]0;no end", Controls::Other),
            (b"\x1b[12", b"^[[12", Controls::Other),
            (b"\x1b", b"^[", Controls::Other),
            (b"\x1b[1;\x1b[2Kx", b"^[[1;x", Controls::Other),
            ("\u{1b}[µ".as_bytes(), "^[[µ".as_bytes(), Controls::Other),
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
            (b"\x1b[31m\x1b[1A\x07", b"\x1b[31m^G\x1b[0m"),
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
            let mut visible = Vec::new();
            visible_text(&text, Colours::Keep, &mut visible);
            let visible = String::from_utf8(visible).unwrap();
            let left = |c: char| c == '\u{1b}' || c == '\t' || c == '\n';
            prop_assert!(visible.chars().all(|c| !c.is_control() || left(c)));
            prop_assert!(!is_plain(&text) || (plain.as_bytes() == text && control == Controls::Colours));
        }
    }
}
