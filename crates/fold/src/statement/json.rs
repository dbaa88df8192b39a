//! Lines that are an object of JSON.
//!
//! Structured loggers (zap, pino, bunyan, structlog, tracing) write the constant text of the call
//! under a key of its own; all other values are the call's arguments.

use super::look::closing;
use crate::place::Place;

/// The keys under which loggers put the constant text.
const KEYS: [&[u8]; 3] = [b"msg", b"message", b"event"];

/// Where the message of a line stands, without its quotes: the value of a key of the outer object.
pub(super) fn message(text: &[u8]) -> Option<Place> {
    let mut at = 1;
    while let Some(&byte) = text.get(at) {
        at = match byte {
            b'"' => {
                let end = end_of_string(text, at)?;
                let value =
                    end + text[end..].iter().take_while(|&&b| b == b' ' || b == b':').count();
                if value > end
                    && KEYS.contains(&&text[at + 1..end - 1])
                    && text.get(value) == Some(&b'"')
                {
                    let close = end_of_string(text, value)?;
                    return Some(Place { start: value as u32 + 1, end: close as u32 - 1 });
                }
                end
            }
            b'{' | b'[' => closing(text, at)?,
            _ => at + 1,
        };
    }
    None
}

/// One past the string that starts with the quote at `at`.
pub(super) fn end_of_string(text: &[u8], at: usize) -> Option<usize> {
    let mut from = at + 1;
    loop {
        let next = from + memchr::memchr2(text[at], b'\\', text.get(from..)?)?;
        if text[next] == text[at] {
            return Some(next + 1);
        }
        from = next + 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_the_outer_objects() {
        let table = [
            (r#"{"level":"info","msg":"saved model","step":1}"#, Some("saved model")),
            (r#"{"a":{"msg":"no"},"message": "a \"b\" c"}"#, Some(r#"a \"b\" c"#)),
            (r#"{"a":"msg","b":1}"#, None),
            (r#"{"msg":"cut"#, None),
        ];
        for (text, wanted) in table {
            let found = message(text.as_bytes()).map(|at| at.of(text.as_bytes()).to_vec());
            assert_eq!(found, wanted.map(|wanted| wanted.as_bytes().to_vec()), "{text}");
        }
    }
}
