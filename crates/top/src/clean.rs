//! Text of ranks as it may be drawn.

use lastline_line::{Colours, plain_text};

/// How far apart tab stops are, in columns.
const TAB: usize = 8;

/// The text without anything that a terminal would act on: sequences are left out, other control
/// characters made visible, tabs filled with blanks. What changes the direction of writing is left
/// out, too, since it would turn around what stands beside it.
pub(crate) fn clean(text: &str) -> String {
    let mut plain = Vec::with_capacity(text.len());
    plain_text(text.as_bytes(), Colours::Drop, &mut plain);
    let plain = String::from_utf8_lossy(&plain);
    let mut clean = String::with_capacity(plain.len());
    let mut column = 0;
    for character in plain.chars() {
        match character {
            '\t' => {
                let blanks = TAB - column % TAB;
                clean.extend(std::iter::repeat_n(' ', blanks));
                column += blanks;
            }
            '\n' => {
                clean.push('\n');
                column = 0;
            }
            other if other.is_control() || turns_text(other) => {}
            other => {
                clean.push(other);
                column += unicode_width::UnicodeWidthChar::width(other).unwrap_or(0);
            }
        }
    }
    clean
}

/// The controls of the bidirectional algorithm (Unicode Standard Annex 9, section 2).
fn turns_text(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_act_on_is_gone() {
        assert_eq!(clean("a\tb"), "a       b");
        assert_eq!(clean("\x1b[31mred\x1b[2J\x07 \u{202e}evil\r"), "red^G evil^M");
        assert_eq!(clean("日本\tx"), "日本    x");
        assert!(!clean("\x1b]0;title\x07\u{9b}31m\x00\x7f").chars().any(char::is_control));
    }
}
