//! What it takes for a word to be a variable, in one place.
//!
//! Found by looking at labelled logs; what each number is worth there is in `docs/folding.md`.

use crate::statement::part::{Class, Follows, Part};

/// Statements that agree in less, in hundredths of a word, say little about what differs in them.
const LITTLE: u32 = 150;
/// How many more values a place needs in such statements.
const MORE_IN_LITTLE: u32 = 3;
/// How many more values the first place needs: it says what a line is about.
const MORE_AT_FIRST: u32 = 3;
/// More than any place can have.
const NEVER: u32 = 1_000_000;

/// What a part counts for in which statements agree, in hundredths of a word.
pub(super) fn weight(class: Class) -> u32 {
    match class {
        Class::Plain | Class::Capital | Class::Upper | Class::Identifier | Class::Heading => 100,
        Class::Numbered => 70,
        Class::Key | Class::Composite => 60,
        Class::Function => 50,
        Class::Variable => 30,
        Class::Mark => 10,
        Class::Fixed => 0,
    }
}

/// What a part costs in which a statement differs from its family, in hundredths of a word; `known`
/// is how it is written there.
pub(super) fn penalty(known: Class, part: &Part) -> u32 {
    let (left, right) = (cost(known), cost(part.class));
    // What holds a sentence together is no value, whatever else stands in its place.
    let least = if left.max(right) > 100 { left.max(right) } else { left.min(right) };
    match part.follows {
        Follows::Nothing => least * 2,
        Follows::Key | Follows::Heading => least / 2,
        Follows::Title | Follows::Preposition => least * 7 / 10,
        Follows::Other => least,
    }
}

fn cost(class: Class) -> u32 {
    match class {
        Class::Plain | Class::Mark => 100,
        Class::Capital => 90,
        Class::Upper => 80,
        Class::Identifier | Class::Numbered => 60,
        Class::Composite => 50,
        Class::Variable => 40,
        Class::Heading | Class::Function => 150,
        Class::Key => 200,
        Class::Fixed => NEVER,
    }
}

/// How many different values a place needs that has these two: what the easier one needs, and one
/// more where both have several words or variables, and are printed in two ways.
pub(super) fn needed(known: Class, around: u32, part: &Part) -> u32 {
    let needed = values(known, part.follows).min(values(part.class, part.follows));
    let two_ways = known == part.class
        && (known == Class::Variable || known == Class::Composite && around != part.around as u32);
    needed + u32::from(two_ways)
}

/// How many different values a place needs that has one like this: more where programs say
/// different things in the same words than where they print names.
fn values(class: Class, follows: Follows) -> u32 {
    let values = match class {
        Class::Plain | Class::Capital => 5,
        Class::Upper | Class::Identifier | Class::Numbered | Class::Mark => 4,
        Class::Composite | Class::Variable => 2,
        Class::Heading | Class::Key => 6,
        Class::Function => 8,
        Class::Fixed => NEVER,
    };
    let fewer = match follows {
        Follows::Nothing => return values + MORE_AT_FIRST,
        Follows::Title | Follows::Preposition => 2,
        Follows::Key if class != Class::Plain => 2,
        Follows::Key | Follows::Heading => 1,
        Follows::Other => 0,
    };
    (values - fewer).max(2)
}

/// How many more values each place needs in statements that agree in so much.
pub(super) fn more_where_little_agrees(agrees: u32) -> u32 {
    if agrees < LITTLE { MORE_IN_LITTLE } else { 0 }
}
