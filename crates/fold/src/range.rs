//! The least and the greatest of numbers.
//!
//! Numbers with as many digits before and after the point as each other compare as their bytes do,
//! and as their last eight bytes do when those before are equal. That is nearly every number of a
//! job's log, and it needs no arithmetic; the others are read.

use crate::number::Number;

/// The least and the greatest of numbers of one unit.
#[derive(Debug)]
pub(crate) struct Range {
    ends: Ends,
    /// How long the number is in the first value; the unit follows.
    unit_at: u8,
    /// There is no unit, and no number has more than eight bytes.
    bare: bool,
}

#[derive(Debug)]
enum Ends {
    /// All numbers have the form.
    Alike { form: Form, min: u64, max: u64 },
    /// They have not: the least and the greatest. Boxed, as there are many ranges and few like this.
    Apart(Box<(Written, Written)>),
}

/// A number as it was written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    value: f64,
    length: u8,
    text: [u8; Number::MAX_LENGTH],
}

/// How many bytes a number has and where its point is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Form {
    /// What takes each digit of the last eight bytes to its value, the point and what is unused to
    /// zero.
    zero: u64,
    length: u8,
    /// How many bytes come before the last eight; they are those of the first value.
    skipped: u8,
}

impl Range {
    /// Of two values, when they are numbers of one unit.
    pub(crate) fn of(first: &[u8], second: &[u8]) -> Option<Self> {
        let number = Number::read(first)?;
        let end = Written::of(number, first);
        let ends = match Form::of(end.text()) {
            Some((form, value)) => Ends::Alike { form, min: value, max: value },
            None => Ends::Apart(Box::new((end, end))),
        };
        let bare = number.length == first.len() && number.length <= 8;
        let mut range = Self { ends, unit_at: number.length as u8, bare };
        range.take(first, second).then_some(range)
    }

    /// Takes in another value; false when it is no number of the unit. `first` is the first value.
    pub(crate) fn take(&mut self, first: &[u8], value: &[u8]) -> bool {
        self.take_alike(first, value, value.len()) || self.take_apart(first, value)
    }

    /// Takes in the value that is the first `length` bytes of `text`, if it has the form of all
    /// numbers so far and nothing else needs to be looked at.
    #[inline]
    pub(crate) fn take_bare(&mut self, text: &[u8], length: u32) -> bool {
        if let Ends::Alike { form, min, max } = &mut self.ends
            && self.bare
            && u32::from(form.length) == length
            && let Some(bytes) = text.first_chunk::<8>()
            && let Some(packed) = form.pack_bytes(u64::from_be_bytes(*bytes))
        {
            *min = packed.min(*min);
            *max = packed.max(*max);
            return true;
        }
        false
    }

    /// The same, whatever has to be looked at.
    #[inline]
    pub(crate) fn take_alike(&mut self, first: &[u8], text: &[u8], length: usize) -> bool {
        let unit = first.len() - usize::from(self.unit_at);
        if let Ends::Alike { form, min, max } = &mut self.ends
            && form.length() + unit == length
            && (form.skipped == 0 || text.get(..form.skipped()) == Some(&first[..form.skipped()]))
            && (unit == 0 || text.get(length - unit..length) == Some(&first[first.len() - unit..]))
            && let Some(packed) = form.pack(text)
        {
            *min = packed.min(*min);
            *max = packed.max(*max);
            return true;
        }
        false
    }

    fn take_apart(&mut self, first: &[u8], value: &[u8]) -> bool {
        let unit = self.unit(first);
        let Some(number) = Number::read(value).filter(|number| number.unit(value) == unit) else {
            return false;
        };
        let (mut min, mut max) = (self.min(first), self.max(first));
        if number.value < min.value {
            min = Written::of(number, value);
        } else if number.value > max.value {
            max = Written::of(number, value);
        }
        self.ends = Ends::Apart(Box::new((min, max)));
        true
    }

    /// The least.
    pub(crate) fn min(&self, first: &[u8]) -> Written {
        match &self.ends {
            Ends::Alike { form, min, .. } => form.unpack(first, *min),
            Ends::Apart(ends) => ends.0,
        }
    }

    /// The greatest.
    pub(crate) fn max(&self, first: &[u8]) -> Written {
        match &self.ends {
            Ends::Alike { form, max, .. } => form.unpack(first, *max),
            Ends::Apart(ends) => ends.1,
        }
    }

    /// What follows the numbers.
    #[inline]
    pub(crate) fn unit<'a>(&self, first: &'a [u8]) -> &'a [u8] {
        first.get(usize::from(self.unit_at)..).unwrap_or_default()
    }
}

impl Written {
    fn of(number: Number, text: &[u8]) -> Self {
        let mut kept = [0; Number::MAX_LENGTH];
        kept[..number.length].copy_from_slice(&text[..number.length]);
        Self { value: number.value, length: number.length as u8, text: kept }
    }

    /// The number's bytes.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text[..usize::from(self.length)]
    }
}

impl Form {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    const LOW: u64 = 0x0101_0101_0101_0101;

    /// The form of a number, digits with at most one point, and its value in it.
    fn of(text: &[u8]) -> Option<(Self, u64)> {
        let digits = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
        if text.is_empty() || text.len() > Number::MAX_LENGTH || !text.iter().all(digits) {
            return None;
        }
        let skipped = text.len().saturating_sub(8);
        let mut zero = [0; 8];
        for (at, &byte) in text[skipped..].iter().enumerate() {
            zero[at] = if byte == b'.' { b'.' } else { b'0' };
        }
        let zero = u64::from_be_bytes(zero);
        let form = Self { zero, length: text.len() as u8, skipped: skipped as u8 };
        Some((form, form.pack(text)?))
    }

    fn length(&self) -> usize {
        usize::from(self.length)
    }

    fn skipped(&self) -> usize {
        usize::from(self.skipped)
    }

    /// A number of the form as an integer that compares as it does; `text` may go on after it.
    #[inline]
    fn pack(&self, text: &[u8]) -> Option<u64> {
        let text = text.get(self.skipped()..)?;
        let bytes = match text.first_chunk::<8>() {
            Some(bytes) => u64::from_be_bytes(*bytes),
            None => {
                let mut padded = [0; 8];
                padded.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
                u64::from_be_bytes(padded)
            }
        };
        self.pack_bytes(bytes)
    }

    #[inline]
    fn pack_bytes(&self, bytes: u64) -> Option<u64> {
        let unused = 8 * (8 - (self.length - self.skipped));
        let packed = (bytes >> unused << unused) ^ self.zero;
        // What sets the high bit of a digit's byte from ten on, and of any other byte from one on:
        // of `0`, `.` and nothing only `0` has the bit 0x10.
        let excess = !Self::HIGH - ((self.zero >> 4) & Self::LOW) * 9;
        let others = (packed | (packed & !Self::HIGH).wrapping_add(excess)) & Self::HIGH;
        (others == 0).then_some(packed)
    }

    fn unpack(&self, first: &[u8], packed: u64) -> Written {
        let mut text = [0; Number::MAX_LENGTH];
        let digits = (packed ^ self.zero).to_be_bytes();
        let (length, skipped) = (self.length(), self.skipped());
        text[..skipped].copy_from_slice(&first[..skipped]);
        text[skipped..length].copy_from_slice(&digits[..length - skipped]);
        let value = Number::read(&text[..length]).map_or(0.0, |number| number.value);
        Written { value, length: self.length, text }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_range_goes_from_the_least_to_the_greatest(
            values in prop::collection::vec((0_u32..200_000, 0_usize..4), 2..20),
            divisor in prop::sample::select(vec![1000.0, 1e9]),
        ) {
            let shown = |n: u32, d: usize| f64::from(n) / divisor * 10_f64.powi(d as i32);
            let texts: Vec<String> =
                values.iter().map(|&(n, d)| format!("{:.*} ms", 9 - d, shown(n, d))).collect();
            let number = |text: &String| text.trim_end_matches(" ms").parse::<f64>().unwrap();
            let mut range = Range::of(texts[0].as_bytes(), texts[1].as_bytes()).unwrap();
            for text in &texts[2..] {
                prop_assert!(range.take(texts[0].as_bytes(), text.as_bytes()));
            }
            let least = texts.iter().map(number).fold(f64::MAX, f64::min);
            let greatest = texts.iter().map(number).fold(f64::MIN, f64::max);
            let shown = |end: Written| String::from_utf8(end.text().to_vec()).unwrap();
            prop_assert_eq!(shown(range.min(texts[0].as_bytes())).parse::<f64>().unwrap(), least);
            prop_assert_eq!(shown(range.max(texts[0].as_bytes())).parse::<f64>().unwrap(), greatest);
        }
    }
}
