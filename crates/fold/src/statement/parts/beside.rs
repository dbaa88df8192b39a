//! What stands in a line of JSON beside its message.

use super::STEP;
use crate::statement::class::{CLASS, SPACE};
use crate::statement::hash;
use crate::statement::part::{Class, Follows, Part};
use crate::statement::scan::{BESIDE, Item};

/// All of a line of JSON but for its message.
pub(super) fn read(text: &[u8], items: &[Item], (from, to): (usize, usize)) -> Part {
    let hash = literal(text, items, (0, from), STEP);
    let hash = literal(text, items, (to, text.len()), hash);
    Part {
        hash,
        around: hash,
        places: (0, 0),
        class: Class::Fixed,
        follows: Follows::Other,
        comma: false,
        stands_for: (0, 0),
    }
}

/// The hash of what stands there but for what is variable by its look.
fn literal(text: &[u8], items: &[Item], (from, to): (usize, usize), hash: u64) -> u64 {
    let marks = |hash: u64, start: usize, end: usize| {
        let marks = text.get(start..end).unwrap_or_default().iter();
        let marks = marks.filter(|&&byte| CLASS[usize::from(byte)] & SPACE == 0);
        marks.fold(hash, |hash, &byte| hash::mix(hash ^ u64::from(byte), STEP))
    };
    let (mut hash, mut at, mut place) = (hash, from, BESIDE);
    let inside = |item: &&Item| item.start as usize >= from && item.end as usize <= to;
    for item in items.iter().filter(inside) {
        if item.place == BESIDE || item.place != place {
            hash = hash::mix(marks(hash, at, item.start as usize) ^ item.hash, STEP);
        }
        (at, place) = (item.end as usize, item.place);
    }
    marks(hash, at, to)
}
