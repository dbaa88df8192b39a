//! One pass over a line: its words, its variables, and the key of its statement.
//!
//! What is taken for a variable, and why that holds for any program:
//!
//! - Anything that starts with a digit or a sign and one, and names that end in one number: programs
//!   count. The name stays (`node-12`, `eth0`): it says what is counted.
//! - A number with its unit, also after a blank, also after `<`: a program that picks the unit by the
//!   size, or says `<1 sec`, says the same.
//! - Names of days, months and time zones next to a number: `ctime` and `strftime` write them.
//! - Paths, addresses with a scheme, names of hosts, hardware addresses, long hexadecimal numbers:
//!   they name what the statement is about.
//! - A list of variables is one however long, as the same loop prints it.
//! - After `=` what all languages write for a value: `true`, `null`, a dotted name, an object in
//!   braces, a quoted string. Not after the keys under which structured logs put the statement
//!   itself, and not in notation like JSON's, where everything is quoted.
//! - A progress bar in its brackets, however full it is.
//! - ` ()`: what would stand in the brackets is absent in this line.

use std::ops::Range;

use super::class::{CLASS, CONTROL, PUNCT, RUN, SPACE, is_alphanumeric};
use super::run::{self, Piece};
use super::{drawn, hash, json, look, words};
use crate::place::Place;

/// What stands at a place of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A word, the same in every line of the statement.
    Word,
    /// A name with a number at its end; the number is variable.
    Stem,
    /// A variable.
    Variable,
}

/// A word or variable of a line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    /// The hash of what must be equal; zero for a variable.
    pub(crate) hash: u64,
    /// Where it starts in the line.
    pub(crate) start: u32,
    /// Where what varies in it starts; `end` for a word.
    pub(crate) varies: u32,
    /// One past its last byte.
    pub(crate) end: u32,
    /// Its place, counted without what merely goes on with a list of variables.
    pub(crate) place: u32,
    /// What it is.
    pub(crate) kind: Kind,
}

/// The hash of a variable, at whichever place.
pub(crate) const VARIABLE: u64 = 0x5bd1_e995_7b1f_0d3b;
const STEM: u64 = 0x2545_f491_4f6c_dd1d;
/// The place of what is beside the statement.
pub(crate) const BESIDE: u32 = u32::MAX;
/// Behind so many brackets of a line that nothing closes no more are looked at.
pub(super) const MAX_UNCLOSED: u32 = 4;
const GLUE: u64 = 0x1000_0000_01b3;

/// What the last scanned line consists of; reused from line to line.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// Words and variables, from left to right.
    pub(crate) items: Vec<Item>,
    /// The key of the statement: a sum over the items and what stands between them.
    pub(crate) key: u64,
    /// Tells apart lines of one statement whose lists have different lengths.
    pub(crate) layout: u64,
    /// How many items are words with a letter in them.
    pub(crate) words: u32,
    place: u32,
    /// What stands between the last item and the next one, blanks left out.
    glue: u64,
    glue_byte: u8,
    /// A value comes next: the last thing seen was `=` or `:`.
    assigned: u8,
    /// The next variable has a sign like `<` before it.
    lead: Option<usize>,
    /// What ends before this is beside the statement: it tells layouts apart, not statements.
    beside: usize,
    /// Where what is beside the statement stands.
    pub(crate) glosses: Vec<Range<usize>>,
    /// How many brackets were looked at that nothing closes.
    unclosed: u32,
    /// In a line of JSON, where the message stands: the one string in it that is read.
    pub(crate) message: Option<Place>,
    /// The line is an object of JSON.
    json: bool,
}

impl Scan {
    /// Reads `text`. False when it holds something that must not reach a terminal in folded text
    /// and `trusted` does not say that this has been dealt with.
    pub(crate) fn read(&mut self, text: &[u8], trusted: bool) -> bool {
        self.restart();
        self.json = text.starts_with(b"{\"");
        self.message = if self.json { json::message(text) } else { None };
        let mut at = 0;
        while let Some(&byte) = text.get(at) {
            let class = CLASS[usize::from(byte)];
            at = if class & RUN != 0 {
                self.run(text, at)
            } else if class & SPACE != 0 {
                at + 1
            } else if class & PUNCT != 0 {
                self.punctuation(text, at)
            } else if trusted || (class & CONTROL != 0 && look::is_harmless(text, at)) {
                self.other(text, at)
            } else {
                return false;
            };
        }
        if self.glue != 0 {
            self.key = self.key.wrapping_add(hash::placed(self.glue, self.place));
        }
        true
    }

    fn restart(&mut self) {
        self.items.clear();
        self.key = 0;
        self.layout = 0;
        self.words = 0;
        self.place = 0;
        self.clear_glue();
        self.lead = None;
        self.beside = 0;
        self.glosses.clear();
        self.unclosed = 0;
    }

    /// Whether what stands at `at` is beside the statement.
    #[inline]
    fn is_beside(&self, at: usize) -> bool {
        at < self.beside
    }

    /// A run of letters, digits and marks. Returns where it ends.
    #[inline]
    fn run(&mut self, text: &[u8], start: usize) -> usize {
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

    /// Anything that stands between words. Returns where to go on.
    fn punctuation(&mut self, text: &[u8], at: usize) -> usize {
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

    /// A quoted string that is a value: a single word, or what a key other than a message's has.
    /// Returns where to go on.
    fn quoted(&mut self, text: &[u8], at: usize) -> Option<usize> {
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

    /// A byte that is neither run, blank nor punctuation, known to be harmless.
    fn other(&mut self, text: &[u8], at: usize) -> usize {
        self.stick(text, at, at + 1);
        at + 1
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

    #[inline]
    fn word(&mut self, text: &[u8], start: usize, end: usize) {
        let hash = hash::word(text, start, end);
        self.words += u32::from(!self.is_beside(start));
        self.item(hash, start, end, end, Kind::Word);
    }

    #[inline]
    fn variable(&mut self, start: usize, end: usize) {
        let start = self.lead.take().filter(|&lead| lead + 1 == start).unwrap_or(start);
        if self.items.last().is_some_and(|last| last.kind == Kind::Variable) && self.is_list() {
            return self.go_on(VARIABLE, start, start, end, Kind::Variable);
        }
        self.item(VARIABLE, start, start, end, Kind::Variable);
    }

    fn stem(&mut self, text: &[u8], start: usize, number: usize, end: usize) {
        let hash = hash::word(text, start, number) ^ STEM;
        let again = |last: &Item| last.kind == Kind::Stem && last.hash == hash;
        if self.items.last().is_some_and(again) && self.is_list() {
            return self.go_on(hash, start, number, end, Kind::Stem);
        }
        self.item(hash, start, number, end, Kind::Stem);
    }

    #[inline]
    fn item(&mut self, hash: u64, start: usize, varies: usize, end: usize, kind: Kind) {
        if self.is_beside(start) {
            self.layout = hash::mix(self.layout ^ hash, STEM);
            return self.push(hash, start, varies, end, BESIDE, kind);
        }
        if self.glue != 0 {
            self.key = self.key.wrapping_add(hash::placed(self.glue, self.place));
        }
        self.clear_glue();
        let place = self.place;
        self.place += 1;
        self.key = self.key.wrapping_add(hash::placed(hash, place));
        self.push(hash, start, varies, end, place, kind);
    }

    /// Another element of a list: the statement is the same however many there are.
    fn go_on(&mut self, hash: u64, start: usize, varies: usize, end: usize, kind: Kind) {
        self.layout = hash::mix(self.layout ^ self.glue ^ VARIABLE, STEM);
        if self.is_beside(start) {
            return self.push(hash, start, varies, end, BESIDE, kind);
        }
        self.clear_glue();
        self.push(hash, start, varies, end, self.place.saturating_sub(1), kind);
    }

    #[inline]
    fn push(&mut self, hash: u64, start: usize, varies: usize, end: usize, place: u32, kind: Kind) {
        self.items.push(Item {
            hash,
            start: start as u32,
            varies: varies as u32,
            end: end as u32,
            place,
            kind,
        });
    }

    /// Whether what stands before the next variable makes it the next one of a list.
    fn is_list(&self) -> bool {
        self.glue == 0 || self.glue == single(self.glue_byte) && b",:/".contains(&self.glue_byte)
    }

    /// Notes punctuation.
    #[inline]
    fn stick(&mut self, text: &[u8], start: usize, end: usize) {
        for &byte in &text[start..end] {
            if self.is_beside(start) {
                self.layout = hash::mix(self.layout ^ u64::from(byte) ^ 0x100, GLUE);
                self.assigned = if matches!(byte, b':' | b'=') { byte } else { 0 };
                continue;
            }
            self.glue = self.glue.wrapping_mul(GLUE) ^ u64::from(byte) ^ 0x100;
            self.glue_byte = byte;
            self.assigned = if matches!(byte, b':' | b'=') { byte } else { 0 };
        }
    }

    #[inline]
    fn clear_glue(&mut self) {
        self.glue = 0;
        self.assigned = 0;
    }
}

/// The glue that is this byte alone.
fn single(byte: u8) -> u64 {
    u64::from(byte) ^ 0x100
}
