//! Punctuation: brackets and what they hold, bounds.

use super::{Kind, MAX_UNCLOSED, Scan};
use crate::statement::{drawn, look};

impl Scan {
    /// Anything that stands between words. Returns where to go on.
    pub(super) fn punctuation(&mut self, text: &[u8], at: usize) -> usize {
        let byte = text[at];
        match byte {
            b'"' | b'\'' | b'`' => {
                if let Some(end) = self.quoted(text, at) {
                    return end;
                }
            }
            b'|' | b'[' if let Some(end) = drawn::end_of_bar(text, at) => {
                self.stick(text, at, at + 1);
                self.variable(at + 1, end);
                // Where there is nothing but numbers beside it, it tells what the line says.
                self.words += 1;
                return end;
            }
            // `<1 sec`: a bound is part of the amount.
            b'<' | b'>' if self.is_bound(text, at) => {
                self.lead = Some(at);
                return at + 1;
            }
            b'(' if self.is_gloss(text, at) => {
                if let Some(end) = self.closing(text, at) {
                    self.beside = end;
                    self.glosses.push(at..end);
                }
            }
            b'(' if let Some(end) = look::end_of_absent(text, at) => {
                self.variable(at, end);
                return end;
            }
            b'<' | b'(' | b'{' | b'[' if look::opens_literal(text, at) => {
                if let Some(end) = self.closing(text, at).or_else(|| look::end_of_cut(text, at)) {
                    self.variable(at, end);
                    return end;
                }
            }
            // ` ()`: a value that is absent.
            b'(' if text.get(at + 1) == Some(&b')') && at > 0 && text[at - 1] == b' ' => {
                self.stick(text, at, at + 1);
                self.variable(at + 1, at + 1);
                self.stick(text, at + 1, at + 2);
                return at + 2;
            }
            _ => {}
        }
        self.stick(text, at, at + 1);
        if byte == b'=' {
            self.assigned = byte;
        }
        at + 1
    }

    /// One past the bracket that closes the one at `open`.
    fn closing(&mut self, text: &[u8], open: usize) -> Option<usize> {
        if self.unclosed >= MAX_UNCLOSED {
            return None;
        }
        let end = look::closing(text, open);
        self.unclosed += u32::from(end.is_none());
        end
    }

    /// Whether the bracket at `at` explains the variable before it: `1190 bytes (1.16 KB)`.
    fn is_gloss(&self, text: &[u8], at: usize) -> bool {
        if self.glue != 0 || self.is_beside(at) || at == 0 || text[at - 1] != b' ' {
            return false;
        }
        // Another one after the first explains the same.
        let again = self.beside > 0 && text[self.beside..at].iter().all(|&byte| byte == b' ');
        again
            || self.items.last().is_some_and(|last| {
                last.kind != Kind::Word
                    && last.end as usize <= at
                    && text[last.end as usize..at].iter().all(|b| b" )]".contains(b))
            })
    }

    fn is_bound(&self, text: &[u8], at: usize) -> bool {
        self.glue == 0
            && text.get(at + 1).is_some_and(u8::is_ascii_digit)
            && at > 0
            && text[at - 1] == b' '
    }
}
