//! Quoted strings, and those of JSON.

use super::Scan;
use crate::statement::class::{CLASS, CONTROL, is_alphanumeric};
use crate::statement::{json, look, words};

impl Scan {
    /// A quoted string that is a value: a single word, or what a key other than a message's has.
    /// Returns where to go on.
    pub(super) fn quoted(&mut self, text: &[u8], at: usize) -> Option<usize> {
        let quote = text[at];
        if self.json && self.is_structured(text, at) {
            return self.json_string(text, at);
        }
        if at > 0 && (is_alphanumeric(text[at - 1]) || text[at - 1] == quote) {
            return None;
        }
        let rest = &text[at + 1..text.len().min(at + 1 + look::MAX_VALUE_BYTES)];
        let length = memchr::memchr(quote, rest)?;
        let after = text.get(at + length + 2).copied().unwrap_or(b' ');
        if is_alphanumeric(after) || after == b':' && self.is_structured(text, at) {
            return None;
        }
        let value = &rest[..length];
        let keyed = at > 0 && text[at - 1] == b'=';
        let single = memchr::memchr2(b' ', b'\t', value).is_none();
        let message = keyed && words::carries_message(look::key_before(text, at - 1));
        let control = value.iter().any(|&b| CLASS[usize::from(b)] & CONTROL != 0);
        if control || message || !(single || keyed) || self.is_structured(text, at) {
            return None;
        }
        self.stick(text, at, at + 1);
        self.variable(at + 1, at + 1 + length);
        self.stick(text, at + 1 + length, at + 2 + length);
        Some(at + 2 + length)
    }

    /// A string of JSON that is neither a key nor the message. Returns where to go on.
    fn json_string(&mut self, text: &[u8], at: usize) -> Option<usize> {
        let end = json::end_of_string(text, at)?;
        let value = &text[at + 1..end - 1];
        let key = text[end..].trim_ascii_start().first() == Some(&b':');
        let message = self.message.is_some_and(|it| it.start as usize == at + 1);
        let control = value.iter().any(|&b| CLASS[usize::from(b)] & CONTROL != 0);
        if key || message || control {
            return None;
        }
        self.stick(text, at, at + 1);
        self.variable(at + 1, end - 1);
        self.stick(text, end - 1, end);
        Some(end)
    }

    /// Whether the quote at `at` belongs to notation like JSON's, where everything is quoted.
    fn is_structured(&self, text: &[u8], at: usize) -> bool {
        at > 0 && matches!(text[at - 1], b'{' | b':' | b'[' | b',')
            || at > 1 && text[at - 1] == b' ' && matches!(text[at - 2], b':' | b',')
    }
}
