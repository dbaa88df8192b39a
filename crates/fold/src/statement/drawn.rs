//! Progress bars: `|███▎      |` as tqdm draws them, `[=====>    ]` as wget does.
//!
//! How far it is stands in the numbers beside a bar, so a bar is a variable however full it is.

/// A bar has at least so many places.
const MIN_PLACES: usize = 5;
/// And takes at most so many bytes.
const MAX_BYTES: usize = 512;

/// Where the bar ends that the bracket at `open` begins, if it does: at its other bracket.
pub(super) fn end_of_bar(text: &[u8], open: usize) -> Option<usize> {
    let close = if text[open] == b'[' { b']' } else { b'|' };
    let (length, places) = measure(&text[open + 1..text.len().min(open + 1 + MAX_BYTES)]);
    let end = open + 1 + length;
    (places >= MIN_PLACES && text.get(end) == Some(&close)).then_some(end)
}

/// Whether all of `text` is what bars are drawn with.
pub(crate) fn is_bar(text: &[u8]) -> bool {
    let (length, places) = measure(text);
    places >= MIN_PLACES && length == text.len()
}

/// How much of the start of `text` bars are drawn with: bytes and places.
fn measure(text: &[u8]) -> (usize, usize) {
    let (mut at, mut places) = (0, 0);
    while let Some(length) = glyph(&text[at..]) {
        at += length;
        places += 1;
    }
    (at, places)
}

/// The length of a glyph that bars are drawn with: block elements and heavy lines of Unicode, or what
/// stands for them in ASCII. No digits, so that a number beside it stays one.
fn glyph(text: &[u8]) -> Option<usize> {
    match text {
        [b' ' | b'#' | b'=' | b'-' | b'>' | b'.' | b'*', ..] => Some(1),
        [0xe2, 0x96, 0x80..=0x9f, ..]
        | [0xe2, 0x94, 0x80..=0x83, ..]
        | [0xe2, 0x95, 0xb8..=0xbf, ..] => Some(3),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_told_from_other_text_in_brackets() {
        let bars = ["|███▎      |", "[=====>    ]", "|          |", "[━━━━━╸    ]", "[#####]"];
        for text in bars {
            assert_eq!(end_of_bar(text.as_bytes(), 0), Some(text.len() - 1), "{text}");
        }
        let others = ["[ OK ]", "[   12.345678]", "||", "[...]", "| name |", "[=====>", "[12345]"];
        for text in others {
            assert_eq!(end_of_bar(text.as_bytes(), 0), None, "{text}");
        }
    }
}
