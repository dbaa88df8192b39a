//! The range of numbers, without reading them.
//!
//! Numbers with as many digits after the point as each other, set flush right, compare as their bytes
//! do once each digit is taken to its value. That is nearly every number of a job's log, and it needs
//! no arithmetic but for two limits: where a quarter of the numbers and more is in the lowest two
//! fifths of the range, and as many in the highest two fifths, nothing can be beyond Tukey's outer
//! fences, nor can one value be the common one. (The quartiles are then in these fifths, one fifth of
//! the range apart at least, and three times that is more than the two fifths beyond them.) Whatever
//! is otherwise is for [`Column`](crate::column::Column) to tell.

mod key;

use self::key::Key;
use crate::number::Number;
use crate::values::Values;

/// Up to so many numbers have no outliers, and no common value.
const FEW: usize = 3;

/// The least and the greatest of a place's numbers, as they were written, and the length of their
/// unit; none where not all are numbers of one form, or one might be an outlier.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    short: Vec<u64>,
    long: Vec<u128>,
}

/// The ends of a range, as they were written, with their unit of so many bytes.
#[derive(Debug, PartialEq)]
pub(crate) struct Ends {
    pub(crate) min: Vec<u8>,
    pub(crate) max: Vec<u8>,
    pub(crate) unit: usize,
}

impl Keys {
    /// Of a place whose first value is `first`.
    pub(crate) fn ends(
        &mut self,
        values: &Values,
        place: usize,
        members: u32,
        first: &[u8],
    ) -> Option<Ends> {
        let number = Number::read(first).filter(|number| number.value.is_finite())?;
        let unit = number.unit(first);
        if values.fits(place, 8) && first.len() <= 8 {
            ends(&mut self.short, values, place, members, first, unit)
        } else if values.fits(place, 16) && first.len() <= 16 {
            ends(&mut self.long, values, place, members, first, unit)
        } else {
            None
        }
    }
}

fn ends<K: Key>(
    keys: &mut Vec<K>,
    values: &Values,
    place: usize,
    members: u32,
    first: &[u8],
    unit: &[u8],
) -> Option<Ends> {
    keys.clear();
    values.slots(place, members, |slots| match slots {
        Slots::Same(count) => keys.extend(std::iter::repeat_n(K::of(first), count)),
        Slots::Later(value) => keys.push(K::of(value)),
        Slots::Rows { rows, stride, offset, width } => {
            keys.extend(
                (0..rows.len() / stride).map(|row| K::read(rows, row * stride + offset, width)),
            );
        }
    });
    let form = Form::of(keys, K::of(unit), unit.len())?;
    let (min, max) = if form.aligned { form.even_range(keys)? } else { form.range(keys)? };
    Some(Ends { min: min.bytes(), max: max.bytes(), unit: unit.len() })
}

/// Rows' slots of one place, how many have the first value, or a value that came past the rows.
#[derive(Debug)]
pub(crate) enum Slots<'a> {
    Same(usize),
    Later(&'a [u8]),
    Rows { rows: &'a [u8], stride: usize, offset: usize, width: usize },
}

/// How the numbers are written: what takes each digit to its value, and the point to zero.
struct Form<K> {
    zero: K,
    /// What sets the high bit of a digit's byte from ten on, and of any other byte from one on.
    excess: K,
    unit: K,
    unit_bits: u32,
    /// All are equally long.
    aligned: bool,
    shortest: K,
    longest: K,
}

impl<K: Key> Form<K> {
    /// That of the longest number, if no number is too short to have the same point.
    fn of(keys: &[K], unit: K, unit_length: usize) -> Option<Self> {
        // Of numbers flush right the longest is the greatest.
        let first = *keys.first()?;
        let (mut shortest, mut longest) = (first, first);
        for &key in keys {
            shortest = shortest.min(key);
            longest = longest.max(key);
        }
        let unit_bits = 8 * unit_length as u32;
        let mut zero = [0; 16];
        let written = longest.bytes();
        let number = written.len().checked_sub(unit_length)?;
        let mut point = None;
        for (at, &byte) in written[..number].iter().enumerate() {
            zero[16 - number + at] = match byte {
                b'0'..=b'9' => b'0',
                b'.' if point.is_none() => {
                    point = Some(number - at);
                    b'.'
                }
                _ => return None,
            };
        }
        let fits = shortest.length() > unit_length + point.unwrap_or(0);
        let zero = K::of_bytes(&zero);
        let digits = (zero >> 4) & K::LOW;
        let excess = K::SEVENS.minus(digits.nine_times());
        let aligned = shortest.length() == written.len();
        fits.then_some(Self { zero, excess, unit, unit_bits, aligned, shortest, longest })
    }

    /// The number's value in the form, as an integer that compares as it does.
    #[inline]
    fn pack(&self, key: K) -> Option<K> {
        let unit = key & K::low(self.unit_bits);
        let number = key.drop(self.unit_bits);
        let packed = number ^ (self.zero & number.mask());
        let others = (packed | (packed & K::SEVENS).plus(self.excess)) & K::HIGH;
        (unit == self.unit && others == K::default()).then_some(packed)
    }

    /// The least and the greatest of numbers that are equally long: they compare as they are.
    fn even_range(&self, keys: &[K]) -> Option<(K, K)> {
        let (min, max) = (self.shortest, self.longest);
        let (least, greatest) = (self.pack(min)?, self.pack(max)?);
        let (low, high) = self.fifths(least, greatest);
        let (mut lows, mut highs, mut strange) = (0, 0, K::default());
        for &key in keys {
            let packed = key.drop(self.unit_bits) ^ self.zero;
            strange = strange | packed | (packed & K::SEVENS).plus(self.excess);
            strange = strange | self.other_unit(key);
            lows += usize::from(packed <= low);
            highs += usize::from(packed >= high);
        }
        let even = self.are_even(keys.len(), lows, highs) && least != greatest;
        (strange & K::HIGH == K::default() && even).then_some((min, max))
    }

    /// The same of numbers that are not.
    fn range(&self, keys: &[K]) -> Option<(K, K)> {
        let first = *keys.first()?;
        let packed = self.pack(first)?;
        let (mut least, mut greatest) = ((packed, first), (packed, first));
        for &key in keys {
            let packed = self.pack(key)?;
            if packed < least.0 {
                least = (packed, key);
            }
            if packed > greatest.0 {
                greatest = (packed, key);
            }
        }
        let (low, high) = self.fifths(least.0, greatest.0);
        let packed = |&key: &K| self.pack(key).unwrap_or_default();
        let lows = keys.iter().map(packed).filter(|&packed| packed <= low).count();
        let highs = keys.iter().map(packed).filter(|&packed| packed >= high).count();
        let even = self.are_even(keys.len(), lows, highs) && least.0 != greatest.0;
        even.then_some((least.1, greatest.1))
    }

    /// The upper end of the lowest two fifths of a range, and the lower end of the highest two.
    fn fifths(&self, least: K, greatest: K) -> (K, K) {
        let (from, to) = (self.integer(least), self.integer(greatest));
        let part = (to - from) / 5;
        (self.packed(from + 2 * part), self.packed(to - 2 * part))
    }

    /// Whether more than a quarter is in the lowest two fifths of the range, and in the highest; or
    /// there are so few that it does not matter.
    fn are_even(&self, all: usize, lows: usize, highs: usize) -> bool {
        all <= FEW || lows > all / 4 && highs > all / 4
    }

    /// The high bit of a byte when the unit is another one.
    #[inline]
    fn other_unit(&self, key: K) -> K {
        if key & K::low(self.unit_bits) == self.unit { K::default() } else { K::HIGH }
    }

    /// The digits of a packed number as an integer.
    fn integer(&self, packed: K) -> u64 {
        let mut integer = 0;
        for at in (0..K::BYTES).rev() {
            if self.zero.byte(at) == b'0' {
                integer = integer * 10 + u64::from(packed.byte(at));
            }
        }
        integer
    }

    /// An integer's digits as a packed number.
    fn packed(&self, mut integer: u64) -> K {
        let mut bytes = [0; 16];
        for at in 0..K::BYTES {
            if self.zero.byte(at) == b'0' {
                bytes[15 - at] = (integer % 10) as u8;
                integer /= 10;
            }
        }
        K::of_bytes(&bytes)
    }
}

#[cfg(test)]
mod tests;
