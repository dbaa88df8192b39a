//! The range of numbers, without reading them.
//!
//! Numbers with as many digits after the point as each other, set flush right, compare as their bytes
//! do once each digit is taken to its value. That is nearly every number of a job's log, and it needs
//! no arithmetic but for two limits: where a quarter of the numbers and more is in the lowest two
//! fifths of the range, and as many in the highest two fifths, nothing can be beyond Tukey's outer
//! fences, nor can one value be the common one. (The quartiles are then in these fifths, one fifth of
//! the range apart at least, and three times that is more than the two fifths beyond them.) Whatever
//! is otherwise is for [`Column`](crate::column::Column) to tell.

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

/// Rows' slots of one place, or how many have the first value.
#[derive(Debug)]
pub(crate) enum Slots<'a> {
    Same(usize),
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

/// Up to as many bytes of text as it has, flush right.
pub(crate) trait Key:
    Copy
    + Ord
    + Default
    + std::ops::BitAnd<Output = Self>
    + std::ops::BitOr<Output = Self>
    + std::ops::BitXor<Output = Self>
    + std::ops::Shr<u32, Output = Self>
{
    const BYTES: usize;
    /// 0x01 in every byte.
    const LOW: Self;
    /// 0x7f in every byte.
    const SEVENS: Self;
    /// 0x80 in every byte.
    const HIGH: Self;

    /// The last bytes of sixteen.
    fn of_bytes(bytes: &[u8; 16]) -> Self;
    /// What stands in a slot.
    fn read(rows: &[u8], at: usize, width: usize) -> Self;
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    fn nine_times(self) -> Self;
    /// The lowest bits set.
    fn low(bits: u32) -> Self;
    /// Without the lowest bits.
    fn drop(self, bits: u32) -> Self;
    /// How many bytes of text it holds.
    fn length(self) -> usize;
    /// All bits of these set.
    fn mask(self) -> Self;
    /// A byte, counted from the last one.
    fn byte(self, at: usize) -> u8;

    /// A text of so many bytes at most.
    fn of(text: &[u8]) -> Self {
        let mut bytes = [0; 16];
        bytes[16 - text.len().min(16)..].copy_from_slice(&text[..text.len().min(16)]);
        Self::of_bytes(&bytes)
    }

    /// The text.
    fn bytes(self) -> Vec<u8> {
        (0..self.length()).rev().map(|at| self.byte(at)).collect()
    }
}

macro_rules! key {
    ($type:ty, $bytes:literal) => {
        impl Key for $type {
            const BYTES: usize = $bytes;
            const LOW: Self = <$type>::MAX / 0xff;
            const SEVENS: Self = <$type>::MAX / 0xff * 0x7f;
            const HIGH: Self = <$type>::MAX / 0xff * 0x80;

            fn of_bytes(bytes: &[u8; 16]) -> Self {
                u128::from_be_bytes(*bytes) as Self
            }
            #[inline]
            fn read(rows: &[u8], at: usize, width: usize) -> Self {
                let word = match rows.get(at..at + $bytes) {
                    Some(bytes) => Self::from_be_bytes(bytes.try_into().unwrap_or_default()),
                    None => {
                        let mut padded = [0; $bytes];
                        let rest = rows.get(at..).unwrap_or_default();
                        padded[..rest.len()].copy_from_slice(rest);
                        Self::from_be_bytes(padded)
                    }
                };
                // The bytes after the slot, and those after the value, are not part of it.
                let value = word >> (8 * ($bytes - width) as u32);
                value >> (value.trailing_zeros().min(8 * $bytes - 8) & !7)
            }
            #[inline]
            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
            #[inline]
            fn minus(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }
            #[inline]
            fn nine_times(self) -> Self {
                self.wrapping_mul(9)
            }
            #[inline]
            fn low(bits: u32) -> Self {
                !Self::MAX.checked_shl(bits).unwrap_or(0)
            }
            #[inline]
            fn drop(self, bits: u32) -> Self {
                self.checked_shr(bits).unwrap_or(0)
            }
            #[inline]
            fn length(self) -> usize {
                $bytes - (self.leading_zeros() / 8) as usize
            }
            #[inline]
            fn mask(self) -> Self {
                Self::MAX.checked_shr(self.leading_zeros() & !7).unwrap_or(0)
            }
            #[inline]
            fn byte(self, at: usize) -> u8 {
                (self >> (8 * at as u32)) as u8
            }
        }
    };
}

key!(u64, 8);
key!(u128, 16);

#[cfg(test)]
mod tests {
    use lastline_line::{Member, RankNumbers};
    use lastline_testing::stdout;
    use proptest::prelude::*;

    use super::*;
    use crate::column::Column;
    use crate::field;
    use crate::place::Place;
    use crate::values::Text;

    /// The values as they are kept when ranks say them one after the other.
    fn kept(said: &[String]) -> Values {
        let whole = |text: &String| [Place { start: 0, end: text.len() as u32 }];
        let places = whole(&said[0]);
        let first = Text { text: said[0].as_bytes(), places: &places };
        let mut values = Values::default();
        values.start(1);
        for (member, text) in (1..).zip(&said[1..]) {
            let places = whole(text);
            values.take(member, member, first, Text { text: text.as_bytes(), places: &places });
        }
        values
    }

    /// What is shown with keys, if they can tell, and without.
    fn shown(said: &[String]) -> (Option<String>, String) {
        let (values, first) = (kept(said), said[0].as_bytes());
        let members: Vec<Member> = (0..said.len() as u32)
            .map(|rank| Member { stream: stdout(rank), lines: 1, bytes: 1 })
            .collect();
        let mut column = Column::default();
        values.each(0, members.len() as u32, |member, value| {
            column.push(member, value.unwrap_or(first))
        });
        let text = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut text = Vec::new();
            write(&mut text);
            String::from_utf8(text).unwrap()
        };
        let ends = Keys::default().ends(&values, 0, members.len() as u32, first);
        let told = column.tell(&members);
        (
            ends.map(|ends| text(&|into| field::write_range(&ends, into))),
            text(&|into| field::write(&told, first, &RankNumbers, into)),
        )
    }

    #[test]
    fn numbers_of_one_form_are_compared_by_their_bytes() {
        let table: [(&str, Option<&str>); 9] = [
            ("0.75 0.81 0.79", Some("{0.75..0.81}")),
            ("9.98 10.02 9.99", Some("{9.98..10.02}")),
            ("1 2 3 40 50 60 70", Some("{1..70}")),
            ("8/60 10/60 6/60", Some("{6..10}/60")),
            ("0.0012345 0.0912345", Some("{0.0012345..0.0912345}")),
            ("1 2.5", None),
            ("1 -2", None),
            ("1 2 3 4 5000000", None),
            ("7 7 7 8", None),
        ];
        for (said, expected) in table {
            let said: Vec<String> = said.split(' ').map(str::to_owned).collect();
            let (keys, column) = shown(&said);
            assert_eq!(keys.as_deref(), expected, "{said:?}");
            assert!(keys.is_none_or(|keys| keys == column));
        }
    }

    fn value() -> impl Strategy<Value = String> {
        let decimals = (0_u32..2000, prop::sample::select(vec!["", " ms", "/60"]));
        prop_oneof![
            9 => decimals.prop_map(|(n, unit)| format!("{}.{:02}{unit}", n / 100, n % 100)),
            9 => (0_u32..2000).prop_map(|n| n.to_string()),
            1 => Just("nan".to_owned()),
            1 => Just("-3".to_owned()),
            1 => Just("12345678.12345678".to_owned()),
            1 => "[a-z]{1,60}",
        ]
    }

    proptest! {
        /// Both are written alike, wherever the keys can tell.
        #[test]
        fn keys_tell_what_a_look_at_each_value_tells(
            some in prop::collection::vec(value(), 1..5),
            picks in prop::collection::vec(any::<prop::sample::Index>(), 2..40),
            spread in prop::collection::vec(0_u32..5000, 2..70),
            form in 0..4,
        ) {
            let picked: Vec<String> = picks.iter().map(|at| at.get(&some).clone()).collect();
            let spread: Vec<String> = spread.iter().map(|n| match form {
                0 => n.to_string(),
                1 => format!("{n:04} s"),
                2 => format!("{}.{:03}", n / 1000, n % 1000),
                _ => format!("0.00000{n:05}"),
            }).collect();
            for said in [picked, spread] {
                let (keys, column) = shown(&said);
                prop_assert!(keys.is_none() || keys.as_ref() == Some(&column), "{:?} {}", keys, column);
            }
        }

        /// Every value is read back as it was put in, with who said it.
        #[test]
        fn values_are_kept(said in prop::collection::vec(prop_oneof![value(), "[a-zµ]{0,70}"], 1..60)) {
            let values = kept(&said);
            let mut read = vec![None; said.len()];
            values.each(0, said.len() as u32, |member, value| {
                read[member as usize] = Some(value.unwrap_or(said[0].as_bytes()).to_vec());
            });
            let put: Vec<_> = said.iter().map(|text| Some(text.clone().into_bytes())).collect();
            prop_assert_eq!(read, put);
        }
    }
}
