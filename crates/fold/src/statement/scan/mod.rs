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
//! - `(nil)` and `(null)`, which C libraries write for a pointer.
//! - A progress bar in its brackets, however full it is.
//! - ` ()`: what would stand in the brackets is absent in this line.

mod brackets;
mod items;
mod quotes;
mod words;

use std::ops::Range;

use super::class::{CLASS, CONTROL, PUNCT, RUN, SPACE};
use super::{hash, json, look};
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
        self.read_from_start(text, trusted)
    }

    /// Reads a value that stood in a place of a line, which has dealt with what must not reach a
    /// terminal. It is notation like JSON's: of its strings the keys alone are words.
    pub(crate) fn read_value(&mut self, value: &[u8]) {
        self.restart();
        (self.json, self.message) = (true, None);
        self.read_from_start(value, true);
    }

    fn read_from_start(&mut self, text: &[u8], trusted: bool) -> bool {
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

    /// A byte that is neither run, blank nor punctuation, known to be harmless.
    fn other(&mut self, text: &[u8], at: usize) -> usize {
        self.stick(text, at, at + 1);
        at + 1
    }
}
