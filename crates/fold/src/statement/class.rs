//! What a byte is to the scanner.

/// `0`–`9`.
pub(super) const DIGIT: u8 = 1;
/// A letter, `_` left out; every byte of a character beyond ASCII counts.
pub(super) const LETTER: u8 = 2;
/// Holds a word together and says nothing else about it: `_-#~%+$*&`.
pub(super) const JOIN: u8 = 4;
/// Holds a word together and may make it a path, an address, a name or a time: `./\:@`.
pub(super) const MARK: u8 = 8;
/// Blank or tab.
pub(super) const SPACE: u8 = 16;
/// Stands between words.
pub(super) const PUNCT: u8 = 32;
/// Must not reach a terminal as part of folded text, or may start such a character.
pub(super) const CONTROL: u8 = 64;

/// What a run of bytes consists of.
pub(super) const RUN: u8 = DIGIT | LETTER | JOIN | MARK;

/// The class of each byte.
pub(super) static CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = class(byte as u8);
        byte += 1;
    }
    table
}

const fn class(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => DIGIT,
        b'a'..=b'z' | b'A'..=b'Z' => LETTER,
        b'_' | b'-' | b'#' | b'~' | b'%' | b'+' | b'$' | b'*' | b'&' => JOIN,
        b'.' | b'/' | b'\\' | b':' | b'@' => MARK,
        b' ' | b'\t' => SPACE,
        0..=0x1f | 0x7f | 0xc2 => CONTROL,
        0x80..=0xff => LETTER,
        _ => PUNCT,
    }
}

/// Whether the byte is in a run of letters and digits.
pub(super) fn is_alphanumeric(byte: u8) -> bool {
    CLASS[usize::from(byte)] & (DIGIT | LETTER) != 0
}

/// Whether the byte is a letter.
pub(super) fn is_letter(byte: u8) -> bool {
    CLASS[usize::from(byte)] & LETTER != 0
}
