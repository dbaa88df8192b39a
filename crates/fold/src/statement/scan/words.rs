//! Runs of letters, digits and marks: words, variables, units, dates.

use super::{Kind, Scan};
use crate::statement::run::{self, Piece};
use crate::statement::{look, words};

impl Scan {
    /// A run of letters, digits and marks. Returns where it ends.
    #[inline]
    pub(super) fn run(&mut self, text: &[u8], start: usize) -> usize {
        let (end, classes) = run::measure(text, start);
        if run::is_plain(classes) {
            if run::has_letter(classes) {
                return self.word_or_value(text, start, end);
            }
            self.stick(text, start, end);
            return end;
        }
        if run::is_digits(classes) {
            let end = look::grouped_digits(text, start, end);
            self.variable(start, end);
            return end;
        }
        if run::starts_url(text, start, end, classes) {
            let end = run::end_of_url(text, start);
            self.variable(start, end);
            return end;
        }
        if let Some(end) = self.end_of_braced(text, end) {
            self.variable(start, end);
            return end;
        }
        self.pieces(text, start, end);
        end
    }

    #[inline]
    fn pieces(&mut self, text: &[u8], start: usize, end: usize) {
        if look::is_decimal(&text[start..end]) {
            return self.variable(start, end);
        }
        if run::is_endpoint(&text[start..end]) {
            return self.variable(start, end);
        }
        run::cut(text, start, end, &mut |piece, from, to| match piece {
            // A dotted name as the value of a key names a class, a package or a host.
            Piece::Word if self.assigned == b'=' && text[from..to].contains(&b'.') => {
                self.variable(from, to);
            }
            Piece::Word => self.word(text, from, to),
            Piece::Variable => self.variable(from, to),
            Piece::Stem(number) => self.stem(text, from, from + number, to),
            Piece::Glue => self.stick(text, from, to),
        });
    }

    /// A plain word, unless it is the unit of the number before it, a value, or part of a date.
    #[inline]
    fn word_or_value(&mut self, text: &[u8], start: usize, end: usize) -> usize {
        let short = end - start <= 12;
        if short && self.goes_on_with_number(text, start, end) {
            if let Some(last) = self.items.last_mut() {
                last.end = end as u32;
            }
            return end;
        }
        let word = &text[start..end];
        if let Some(end) = look::end_of_bytes(text, start, end) {
            self.variable(start, end);
            return end;
        }
        if self.assigned != 0 {
            if short && words::is_literal(word) {
                self.variable(start, end);
                return end;
            }
            if let Some(end) = self.end_of_braced(text, end) {
                self.variable(start, end);
                return end;
            }
        }
        if short && words::is_not_a_number(word) && !self.items.is_empty() {
            self.variable(start, end);
            return end;
        }
        let hexadecimal = word.len() >= 8 && word.iter().all(u8::is_ascii_hexdigit);
        if hexadecimal || word.len() <= 4 && self.is_in_date(text, start, end) {
            self.variable(start, end);
        } else {
            return self.word_or_counted(text, start, end);
        }
        end
    }

    /// A word, or a name with its number in brackets: `LOCAL(0)`, `lane[1]`. Returns where it ends.
    #[inline]
    fn word_or_counted(&mut self, text: &[u8], start: usize, end: usize) -> usize {
        match look::number_in_brackets(text, end) {
            Some(close) => {
                self.stem(text, start, end + 1, close);
                close
            }
            None => {
                self.word(text, start, end);
                end
            }
        }
    }

    /// Whether the word is a unit, one blank after a number.
    #[inline]
    fn goes_on_with_number(&self, text: &[u8], start: usize, end: usize) -> bool {
        self.glue == 0
            && self.items.last().is_some_and(|last| {
                last.kind == Kind::Variable
                    && last.end as usize + 1 == start
                    && text[last.end as usize - 1].is_ascii_digit()
                    && words::is_unit(&text[start..end])
            })
    }

    /// Where the braces end that belong to a key's value: `source=Work{1000 android}`.
    #[inline]
    fn end_of_braced(&self, text: &[u8], open: usize) -> Option<usize> {
        let braced = self.assigned == b'=' && text.get(open) == Some(&b'{');
        if braced { look::closing_brace(text, open) } else { None }
    }

    fn is_in_date(&self, text: &[u8], start: usize, end: usize) -> bool {
        let word = &text[start..end];
        let after = text[end..].trim_ascii_start();
        let number = match after {
            [b'-' | b'+', digit, ..] | [digit, ..] => digit.is_ascii_digit(),
            [] => false,
        };
        if words::is_date(word) {
            return number || after.get(..3).is_some_and(words::is_date);
        }
        let after_variable =
            self.glue == 0 && self.items.last().is_some_and(|last| last.kind == Kind::Variable);
        after_variable && words::is_zone(word) && (number || after.is_empty())
    }
}
