//! Lists of names: one part, however long they are.

use super::STEP;
use crate::statement::hash;
use crate::statement::part::{Class, Follows, Part};

/// From how many names in a row on they are a list.
const MIN_NAMES: usize = 3;

/// Joins lists.
pub(super) fn join(raw: &[Part], joined: &mut Vec<Part>) {
    let mut at = 0;
    while at < raw.len() {
        let names = list(&raw[at..]);
        joined.push(if names > 1 { as_one(&raw[at..at + names]) } else { raw[at] });
        at += names;
    }
}

/// How many parts from the first one on are a list of names.
fn list(parts: &[Part]) -> usize {
    let named = |part: &Part| part.class < Class::Mark;
    let commas = parts.iter().take_while(|part| part.comma && named(part)).count();
    let enough = if matches!(parts[0].follows, Follows::Key | Follows::Heading) { 1 } else { 2 };
    if commas >= enough && parts.get(commas).is_some_and(named) {
        return commas + 1;
    }
    let counted = |part: &&Part| matches!(part.class, Class::Numbered | Class::Variable);
    let names = parts.iter().take_while(counted).count();
    if names >= MIN_NAMES { names } else { 1 }
}

/// The one part that a list is.
fn as_one(parts: &[Part]) -> Part {
    let (first, last) = (parts[0], parts[parts.len() - 1]);
    let of = parts.iter().fold(STEP, |hash, part| hash::mix(hash ^ part.hash, STEP));
    Part {
        hash: of,
        around: first.around,
        places: (first.places.0, last.places.1),
        class: Class::Composite,
        follows: first.follows,
        comma: last.comma,
        stands_for: (first.stands_for.0, last.stands_for.1),
    }
}
