//! What the lines of an entry have in one of their variable places.

use lastline_line::Field;
use rustc_hash::FxHashSet;

use crate::place::Place;
use crate::range::Range;
use crate::statement::{hash, is_bar};

/// How many different values are shown.
const SHOWN: usize = 3;
/// How many different values are told apart; past that, others are not counted.
const COUNTED: usize = 4096;

/// A variable place of an entry, gathered line by line.
#[derive(Debug)]
pub(crate) enum Variable {
    /// All the same: as in the entry's first line.
    Same,
    /// Numbers of one unit.
    Numbers(Range),
    /// Different values.
    Samples(Box<Samples>),
}

/// Different values of a place.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    values: Vec<Vec<u8>>,
    seen: FxHashSet<u64>,
}

impl Variable {
    /// Takes in the value at `place` of another text; the first one's is at `at` of `first`.
    #[inline]
    pub(crate) fn take(&mut self, first: &[u8], at: Place, text: &[u8], place: Place) {
        if let Self::Numbers(range) = self {
            let rest = text.get(place.start as usize..).unwrap_or_default();
            let length = place.end - place.start;
            if range.take_bare(rest, length)
                || range.take_alike(at.of(first), rest, length as usize)
            {
                return;
            }
        }
        self.merge(at.of(first), place.of(text));
    }

    fn merge(&mut self, first: &[u8], value: &[u8]) {
        match self {
            Self::Same if first == value => {}
            Self::Same => *self = Self::differing(first, value),
            Self::Numbers(range) => {
                if !range.take(first, value) {
                    let mut samples =
                        Samples::of(first, &with_unit(range.min(first).text(), range, first));
                    samples.add(&with_unit(range.max(first).text(), range, first));
                    samples.add(value);
                    *self = Self::Samples(Box::new(samples));
                }
            }
            Self::Samples(samples) => samples.add(value),
        }
    }

    fn differing(first: &[u8], value: &[u8]) -> Self {
        match Range::of(first, value) {
            Some(range) => Self::Numbers(range),
            None => Self::Samples(Box::new(Samples::of(first, value))),
        }
    }

    /// Writes it as it stands in an entry's text.
    pub(crate) fn write(&self, first: &[u8], into: &mut Vec<u8>) {
        match self {
            Self::Same => into.extend_from_slice(first),
            Self::Numbers(range) => {
                into.push(b'{');
                into.extend_from_slice(range.min(first).text());
                into.extend_from_slice(b"..");
                into.extend_from_slice(range.max(first).text());
                into.push(b'}');
                into.extend_from_slice(range.unit(first));
            }
            // How far it is stands in the numbers beside it.
            Self::Samples(_) if is_bar(first) => into.extend_from_slice(first),
            Self::Samples(samples) => samples.write(into),
        }
    }

    /// It, for whoever takes the entry.
    pub(crate) fn field(&self, first: &[u8]) -> Field {
        let string = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match self {
            Self::Same => Field::Same(string(first)),
            Self::Numbers(range) => Field::Numbers {
                min: string(&with_unit(range.min(first).text(), range, first)),
                max: string(&with_unit(range.max(first).text(), range, first)),
            },
            Self::Samples(samples) => Field::Samples {
                values: samples.values.iter().map(|value| string(value)).collect(),
                others: samples.others(),
            },
        }
    }
}

fn with_unit(number: &[u8], range: &Range, first: &[u8]) -> Vec<u8> {
    [number, range.unit(first)].concat()
}

impl Samples {
    fn of(first: &[u8], second: &[u8]) -> Self {
        let mut samples = Self::default();
        samples.add(first);
        samples.add(second);
        samples
    }

    fn add(&mut self, value: &[u8]) {
        let room = self.seen.len() < COUNTED;
        let new = room && self.seen.insert(hash::word(value, 0, value.len()));
        if new && self.values.len() < SHOWN {
            self.values.push(value.to_vec());
        }
    }

    fn others(&self) -> u64 {
        (self.seen.len() - self.values.len()) as u64
    }

    fn write(&self, into: &mut Vec<u8>) {
        into.push(b'{');
        for (at, value) in self.values.iter().enumerate() {
            if at > 0 {
                into.push(b',');
            }
            into.extend_from_slice(value);
        }
        if self.others() > 0 {
            into.extend_from_slice(format!("…(+{})", self.others()).as_bytes());
        }
        into.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(values: &[&str]) -> String {
        let mut variable = Variable::Same;
        for value in values {
            variable.merge(values[0].as_bytes(), value.as_bytes());
        }
        let mut text = Vec::new();
        variable.write(values[0].as_bytes(), &mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn numbers_become_ranges_and_other_values_samples() {
        let table: [(&[&str], &str); 11] = [
            (&["3", "3"], "3"),
            (&["2.07", "1.92", "1.99"], "{1.92..2.07}"),
            (&["10", "9", "11", "-1"], "{-1..11}"),
            (&["5.2 KB", "9.1 KB"], "{5.2..9.1} KB"),
            (&["5.2 KB", "9.1 MB"], "{5.2 KB,9.1 MB}"),
            (&["8/60", "10/60", "6/60"], "{6..10}/60"),
            (&["8/60", "8/70"], "{8/60,8/70}"),
            (&["1e-4", "2e-5"], "{2e-5..1e-4}"),
            (&["a", "b", "a", "c"], "{a,b,c}"),
            (&["a", "b", "c", "d", "e", "d"], "{a,b,c…(+2)}"),
            (&["1", "2", "x"], "{1,2,x}"),
        ];
        for (values, text) in table {
            assert_eq!(merged(values), text);
        }
    }
}
