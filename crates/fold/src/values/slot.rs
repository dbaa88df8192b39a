//! Values in slots of whole words.

use crate::place::Place;

/// Whether two places of two texts hold the same.
#[inline]
pub(crate) fn same(left: &[u8], at: Place, right: &[u8], place: Place) -> bool {
    let length = (at.end - at.start) as usize;
    if length != (place.end - place.start) as usize {
        return false;
    }
    if length <= 8 {
        return word(left, at.start as usize, length) == word(right, place.start as usize, length);
    }
    at.of(left) == place.of(right)
}

/// Stores `length` bytes of `text` into a slot of `width` bytes, and zeroes after them. Whole words
/// are stored: what is behind the slot is to be stored later.
#[inline]
pub(super) fn put_short(slot: &mut [u8], width: usize, text: &[u8], start: usize, length: usize) {
    let mut done = 0;
    while done < width {
        let rest = length.saturating_sub(done).min(8);
        let word = if rest == 0 { 0 } else { word(text, start + done, rest) };
        if let Some(bytes) = slot.get_mut(done..done + 8) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        done += 8;
    }
}

/// Up to eight bytes of `text`, the first one in the lowest byte, zeroes after the last.
#[inline]
fn word(text: &[u8], start: usize, length: usize) -> u64 {
    let mask = u64::MAX.checked_shr(64 - 8 * length as u32).unwrap_or(0);
    if let Some(bytes) = text.get(start..start + 8) {
        return u64::from_le_bytes(bytes.try_into().unwrap_or_default()) & mask;
    }
    let mut padded = [0; 8];
    let rest = text.get(start..).unwrap_or_default();
    padded[..rest.len()].copy_from_slice(rest);
    u64::from_le_bytes(padded) & mask
}
