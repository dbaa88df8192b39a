//! Numbers between two others, without reading them.

/// How many bytes a number has at most, with its unit.
const MOST: usize = 16;
const LOW: u128 = u128::MAX / 0xff;
const SEVENS: u128 = LOW * 0x7f;
const HIGH: u128 = LOW * 0x80;

/// Two numbers that are written alike: digits at the same places, the same bytes at all others. What
/// is written like them and between them as text is between them as a number.
#[derive(Debug)]
pub(super) struct Range {
    length: usize,
    /// Either number with zeroes for its digits.
    form: u128,
    /// What sets the high bit of a digit's byte from ten on, and of any other byte from one on.
    excess: u128,
    /// As texts compare: the greater of negative numbers first.
    from: u128,
    to: u128,
}

impl Range {
    /// Of two numbers, if they are short and written alike.
    pub(super) fn of(least: &[u8], greatest: &[u8]) -> Option<Self> {
        let (left, right) = (flush_right(least)?, flush_right(greatest)?);
        let (mut form, mut excess) = (0, 0);
        for &byte in least {
            let digit = byte.is_ascii_digit();
            form = form << 8 | u128::from(if digit { b'0' } else { byte });
            excess = excess << 8 | if digit { 0x76 } else { 0x7f };
        }
        let length = least.len();
        let range = Self { length, form, excess, from: left.min(right), to: left.max(right) };
        range.holds(greatest).then_some(range)
    }

    /// Whether a text is a number that is written alike and between them.
    #[inline]
    pub(super) fn holds(&self, value: &[u8]) -> bool {
        let Some(text) = flush_right(value).filter(|_| value.len() == self.length) else {
            return false;
        };
        let digits = text ^ self.form;
        let others = (digits | ((digits & SEVENS) + self.excess)) & HIGH;
        others == 0 && self.from <= text && text <= self.to
    }
}

/// A text as an integer that compares as texts of one length do.
#[inline]
fn flush_right(text: &[u8]) -> Option<u128> {
    let mut bytes = [0; MOST];
    bytes[MOST.checked_sub(text.len())?..].copy_from_slice(text);
    Some(u128::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::number::Number;

    #[test]
    fn what_is_written_otherwise_is_read() {
        let table = [
            ("1.50", "9.75", "2.00", true),
            ("1.50", "9.75", "9.76", false),
            ("1.50", "9.75", "1.49", false),
            ("1.50", "9.75", "12.0", false),
            ("1.50", "9.75", "2.0a", false),
            ("1.50", "9.75", "10.00", false),
            ("10 ms", "90 ms", "50 ms", true),
            ("10 ms", "90 ms", "50 us", false),
            ("-9.5", "-1.5", "-2.0", true),
            ("-9.5", "-1.5", "+2.0", false),
        ];
        for (least, greatest, value, held) in table {
            let range = Range::of(least.as_bytes(), greatest.as_bytes()).unwrap();
            assert_eq!(range.holds(value.as_bytes()), held, "{value} in {least}..{greatest}");
        }
        for (least, greatest) in
            [("9", "10"), ("1 s", "2 m"), ("12345678901234567", "22345678901234567")]
        {
            assert!(Range::of(least.as_bytes(), greatest.as_bytes()).is_none(), "{least}");
        }
    }

    proptest! {
        #[test]
        fn what_is_held_is_between(numbers in prop::array::uniform3("[-+]?[0-9]{1,3}(\\.[0-9]{2})?( kB)?")) {
            let value = |text: &String| Number::read(text.as_bytes()).unwrap().value;
            let [one, other, number] = &numbers;
            let (least, greatest) = if value(one) <= value(other) { (one, other) } else { (other, one) };
            if let Some(range) = Range::of(least.as_bytes(), greatest.as_bytes())
                && range.holds(number.as_bytes())
            {
                prop_assert!(value(least) <= value(number) && value(number) <= value(greatest));
                prop_assert_eq!(number.contains("kB"), least.contains("kB"));
            }
        }
    }
}
