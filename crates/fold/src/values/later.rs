//! What is kept of values when there are too many to keep each.

mod range;

use self::range::Range;
use crate::number::Number;

/// So many values that are no numbers are kept past the rows, for each place.
const MAX_STRANGE: usize = 64;

/// What is kept of values past the rows.
#[derive(Debug, Default)]
pub(super) struct Later {
    least: Option<(f64, Kept)>,
    greatest: Option<(f64, Kept)>,
    /// Both of them, where numbers between them need not be read.
    range: Option<Range>,
    strange: Vec<Kept>,
}

/// A value and who said it.
pub(super) type Kept = (u32, Box<[u8]>);

impl Later {
    /// Whether nothing is kept.
    pub(super) fn is_empty(&self) -> bool {
        self.least.is_none() && self.strange.is_empty()
    }

    /// Whether a value is a number between two that are kept.
    #[inline]
    pub(super) fn holds(&self, value: &[u8]) -> bool {
        self.range.as_ref().is_some_and(|range| range.holds(value))
    }

    pub(super) fn take(&mut self, member: u32, value: &[u8]) {
        let kept = || (member, Box::from(value));
        match Number::read(value).filter(|number| number.value.is_finite()) {
            Some(number) => {
                if self.least.as_ref().is_none_or(|(least, _)| number.value < *least) {
                    self.least = Some((number.value, kept()));
                }
                if self.greatest.as_ref().is_none_or(|(greatest, _)| number.value > *greatest) {
                    self.greatest = Some((number.value, kept()));
                }
                let ends = self.least.as_ref().zip(self.greatest.as_ref());
                self.range = ends.and_then(|((_, least), (_, most))| Range::of(&least.1, &most.1));
            }
            None => {
                let known = self.strange.iter().any(|(of, text)| *of == member && **text == *value);
                if !known && self.strange.len() < MAX_STRANGE {
                    self.strange.push(kept());
                }
            }
        }
    }

    pub(super) fn each(&self) -> impl Iterator<Item = &Kept> {
        let ends = self.least.iter().chain(&self.greatest).map(|(_, kept)| kept);
        ends.chain(&self.strange)
    }
}
