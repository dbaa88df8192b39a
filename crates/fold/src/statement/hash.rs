//! Hashes of words, and of a word at its place.
//!
//! The key of a statement is a sum of one hash per word and place, made while the line is read.

const SEEDS: [u64; 3] = [0x9e37_79b9_7f4a_7c15, 0xd6e8_feb8_6659_fd93, 0xa076_1d64_78bd_642f];

/// Multiplies to 128 bits and folds the halves (the mixing step of wyhash).
#[inline]
pub(crate) fn mix(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    (product as u64) ^ ((product >> 64) as u64)
}

/// The hash of `text[start..end]`.
#[inline]
pub(crate) fn word(text: &[u8], start: usize, end: usize) -> u64 {
    let mut hash = (end - start) as u64 ^ SEEDS[0];
    let mut at = start;
    while end - at > 8 {
        hash = mix(hash ^ eight(text, at), SEEDS[1]);
        at += 8;
    }
    let spare = 8 * (8 - (end - at));
    // Shifted in two steps: a shift by 64 would overflow.
    let tail = eight(text, at) << (spare / 2) << (spare - spare / 2);
    mix(hash ^ tail, SEEDS[2])
}

/// The hash of a word at a place.
#[inline]
pub(crate) fn placed(hash: u64, place: u32) -> u64 {
    mix(hash ^ SEEDS[1], (u64::from(place) + 1).wrapping_mul(SEEDS[0]))
}

/// Eight bytes from `at`; zeroes past the end.
#[inline]
fn eight(text: &[u8], at: usize) -> u64 {
    match text.get(at..at + 8) {
        Some(bytes) => u64::from_le_bytes(bytes.try_into().unwrap_or_default()),
        None => {
            let mut padded = [0; 8];
            let rest = text.get(at..).unwrap_or_default();
            padded[..rest.len()].copy_from_slice(rest);
            u64::from_le_bytes(padded)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_hashes_alike_wherever_it_stands() {
        let text = b"loss of the longest_word_of_all loss longest_word_of_all";
        assert_eq!(word(text, 0, 4), word(text, 32, 36));
        assert_eq!(word(text, 12, 31), word(text, 37, 56));
        assert_ne!(word(text, 0, 4), word(text, 0, 3));
        assert_ne!(word(b"ab\0", 0, 3), word(b"ab", 0, 2));
    }
}
