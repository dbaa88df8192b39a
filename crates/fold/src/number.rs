//! Numbers as programs print them.

/// A number at the start of a text; what follows it is its unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Number {
    /// What it is worth, as near as an `f64` comes: also `nan` and infinities.
    pub(crate) value: f64,
    /// How many bytes it takes.
    pub(crate) length: usize,
}

const POWERS: [f64; 19] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18,
];

impl Number {
    /// Longer ones are not read as numbers: the longest that C or Python print of an `f64` without
    /// being asked for more digits has 24 bytes.
    const MAX_LENGTH: usize = 40;
    /// How many digits an integer of 64 bits has for certain.
    const MAX_DIGITS: usize = 18;

    /// The number that `text` starts with, unless more digits follow that belong to something else
    /// (`12:30`, `10.0.0.1`, `0x1f`, `2024-01-02`).
    #[inline]
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let sign = usize::from(matches!(text.first(), Some(b'-' | b'+')));
        let (mut mantissa, mut digits, mut decimals) = (0_u64, 0, None);
        let mut at = sign;
        while let Some(&byte) = text.get(at) {
            match byte {
                b'0'..=b'9' => {
                    mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
                    digits += 1;
                }
                b'.' if decimals.is_none() && text.get(at + 1).is_some_and(u8::is_ascii_digit) => {
                    decimals = Some(digits);
                }
                b',' if is_group(text, at) => {}
                _ => break,
            }
            at += 1;
        }
        if digits == 0 {
            return Self::not_finite(text, sign);
        }
        let rest = &text[at..];
        let exponent = exponent(rest).unwrap_or(0);
        let end = at + exponent;
        if end > Self::MAX_LENGTH || !(rest.is_empty() || is_unit(&text[end..])) {
            return None;
        }
        if exponent > 0 || digits > Self::MAX_DIGITS {
            let whole = std::str::from_utf8(&text[..end]).ok()?;
            let value = whole.replace(',', "").parse().ok()?;
            return Some(Self { value, length: end });
        }
        let fraction = decimals.map_or(0, |whole| digits - whole);
        let value = mantissa as f64 / POWERS[fraction];
        Some(Self { value: if text[0] == b'-' { -value } else { value }, length: at })
    }

    /// `nan`, `inf`, `Infinity`, `-inf`: what follows is no letter.
    fn not_finite(text: &[u8], sign: usize) -> Option<Self> {
        let letters = text[sign..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        let name = &text[sign..sign + letters];
        let value = if name.eq_ignore_ascii_case(b"nan") {
            f64::NAN
        } else if name.eq_ignore_ascii_case(b"inf") || name.eq_ignore_ascii_case(b"infinity") {
            if text[0] == b'-' { f64::NEG_INFINITY } else { f64::INFINITY }
        } else {
            return None;
        };
        let length = sign + letters;
        (!has_digit(&text[length..])).then_some(Self { value, length })
    }

    /// The unit: what follows the number.
    #[inline]
    pub(crate) fn unit(self, text: &[u8]) -> &[u8] {
        &text[self.length..]
    }
}

/// Whether what follows a number may be its unit.
fn is_unit(rest: &[u8]) -> bool {
    !has_digit(rest) || is_total(rest)
}

/// Whether the comma at `at` groups digits.
fn is_group(text: &[u8], at: usize) -> bool {
    text.get(at + 1..at + 4).is_some_and(|group| group.iter().all(u8::is_ascii_digit))
}

/// Whether the number is how many of so many: `/60` follows it.
fn is_total(rest: &[u8]) -> bool {
    let total = rest.strip_prefix(b"/").unwrap_or_default();
    !total.is_empty() && total.iter().all(u8::is_ascii_digit)
}

fn has_digit(text: &[u8]) -> bool {
    text.iter().any(u8::is_ascii_digit)
}

/// The length of the exponent that `rest` starts with.
fn exponent(rest: &[u8]) -> Option<usize> {
    let digits = match rest {
        [b'e' | b'E', b'-' | b'+', digits @ ..] | [b'e' | b'E', digits @ ..] => digits,
        _ => return None,
    };
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (length > 0).then_some(rest.len() - digits.len() + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_with_its_unit_and_nothing_else_is() {
        let table: [(&str, Option<(f64, &str)>); 20] = [
            ("120", Some((120.0, ""))),
            ("-1.5", Some((-1.5, ""))),
            ("5.2 KB", Some((5.2, " KB"))),
            ("93%", Some((93.0, "%"))),
            ("1,234", Some((1234.0, ""))),
            ("1e-4", Some((1e-4, ""))),
            ("1.5e3s", Some((1500.0, "s"))),
            ("8/60", Some((8.0, "/60"))),
            ("0.0007812345678901234", Some((0.0007812345678901234, ""))),
            ("123456789012345678901 B", Some((123456789012345678901.0, " B"))),
            ("-inf", Some((f64::NEG_INFINITY, ""))),
            ("Infinity%", Some((f64::INFINITY, "%"))),
            ("info", None),
            ("nano", None),
            ("12/05/2024", None),
            ("0x1f", None),
            ("12:30", None),
            ("10.0.0.1", None),
            ("abc", None),
            ("", None),
        ];
        for (text, expected) in table {
            let read = Number::read(text.as_bytes());
            let read =
                read.map(|n| (n.value, std::str::from_utf8(n.unit(text.as_bytes())).unwrap()));
            assert_eq!(read, expected, "{text}");
        }
        assert!(Number::read(b"nan").is_some_and(|number| number.value.is_nan()));
    }
}
