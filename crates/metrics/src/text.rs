//! The exposition format: families of samples with labels.

use std::fmt::{self, Write as _};

use lastline_line::Timestamp;

/// What a family's samples are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// A sample's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value {
    /// A whole number.
    Count(u64),
    /// A number that may be below zero.
    Signed(i64),
    /// Microseconds, written as seconds.
    Micros(u64),
    /// Seconds.
    Seconds(f64),
}

impl From<bool> for Value {
    fn from(is: bool) -> Self {
        Self::Count(u64::from(is))
    }
}

impl From<Timestamp> for Value {
    fn from(time: Timestamp) -> Self {
        Self::Micros(time.0)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Signed(number) => number.fmt(f),
            Self::Micros(micros) => write!(f, "{}.{:06}", micros / 1_000_000, micros % 1_000_000),
            Self::Seconds(seconds) => seconds.fmt(f),
        }
    }
}

/// A text that is being written.
#[derive(Debug, Default)]
pub(crate) struct Text(String);

impl Text {
    /// Begins a family; its samples follow, all of them.
    pub(crate) fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        self.push(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        Family { text: self, name }
    }

    fn push(&mut self, words: fmt::Arguments<'_>) {
        self.0.write_fmt(words).expect("BUG: a string takes everything");
    }

    pub(crate) fn finish(self) -> String {
        self.0
    }
}

/// A family whose samples are being written.
pub(crate) struct Family<'a> {
    text: &'a mut Text,
    name: &'static str,
}

impl Family<'_> {
    /// One sample.
    pub(crate) fn sample(&mut self, labels: &[(&str, &dyn fmt::Display)], value: Value) {
        let name = self.name;
        self.text.push(format_args!("{name}{{"));
        for (at, (label, text)) in labels.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            self.text.push(format_args!("{comma}{label}=\""));
            write!(Escaped(&mut self.text.0), "{text}").expect("BUG: a string takes everything");
            self.text.push(format_args!("\""));
        }
        self.text.push(format_args!("}} {value}\n"));
    }
}

/// Writes a label's value: backslash, double quote and newline are escaped.
struct Escaped<'a>(&'a mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive(['\\', '"', '\n']) {
            let (plain, escaped) = match part.as_bytes().last() {
                Some(b'\\') => (&part[..part.len() - 1], "\\\\"),
                Some(b'"') => (&part[..part.len() - 1], "\\\""),
                Some(b'\n') => (&part[..part.len() - 1], "\\n"),
                _ => (part, ""),
            };
            self.0.push_str(plain);
            self.0.push_str(escaped);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_values_have_their_units() {
        let mut text = Text::default();
        let mut family = text.family("a_seconds", Kind::Gauge, "What it is.");
        family.sample(&[("job", &"a\\b\"c\nd"), ("rank", &7)], Value::Micros(1_000_023));
        family.sample(&[("job", &"é")], Value::Signed(-1));
        let expected = "# HELP a_seconds What it is.\n# TYPE a_seconds gauge\n\
            a_seconds{job=\"a\\\\b\\\"c\\nd\",rank=\"7\"} 1.000023\na_seconds{job=\"é\"} -1\n";
        assert_eq!(text.finish(), expected);
    }
}
