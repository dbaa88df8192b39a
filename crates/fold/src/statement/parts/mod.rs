//! Cutting a line into its parts.
//!
//! A part is what stands between blanks; brackets belong to one part with all that they hold, and a
//! key is a part of its own (`state=`, `state:`), so that its value is one, too. In a line of JSON
//! with a message only the message has parts, and all else is one. A list of names is one part
//! however long it is.

mod beside;
mod lists;

use super::class::{CLASS, SPACE, is_alphanumeric, is_letter};
use super::part::{Class, Follows, MAX_PARTS, Part};
use super::scan::{BESIDE, Item, Kind, MAX_UNCLOSED, Scan};
use super::{hash, look, words};

/// A part that is being read.
#[derive(Clone, Copy, Debug)]
struct Draft {
    /// Of the items and what stands between them.
    hash: u64,
    lead: u64,
    tail: u64,
    items: u32,
    /// How many of them are variables.
    variables: u32,
    numbered: bool,
    start: u32,
    end: u32,
    places: (u32, u32),
    last_byte: u8,
    key: bool,
}

/// A part of which nothing is read.
const EMPTY: Draft = Draft {
    hash: 0x51_7c_c1_b7_27_22_0a_95,
    lead: 0,
    tail: 0,
    items: 0,
    variables: 0,
    numbered: false,
    start: 0,
    end: 0,
    places: (0, 0),
    last_byte: 0,
    key: false,
};
const STEP: u64 = 0x8cb9_2ba7_2f3d_8dd7;

/// The parts of a line; reused from line to line.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    drafts: Vec<Draft>,
    /// As they stand in the line.
    pub(crate) raw: Vec<Part>,
    /// The same with each list as one.
    pub(crate) joined: Vec<Part>,
    /// No blank came since the last byte.
    within: bool,
    /// Blanks before this are inside a bracket.
    until: usize,
    /// How many brackets were looked at that nothing closes.
    unclosed: u32,
}

impl Parts {
    /// Reads the parts of a line that `scan` has just read.
    pub(crate) fn read(&mut self, text: &[u8], scan: &Scan) {
        self.drafts.clear();
        self.raw.clear();
        self.joined.clear();
        (self.within, self.until, self.unclosed) = (false, 0, 0);
        let whole = (0, text.len());
        let range = scan.message.map_or(whole, |at| (at.start as usize, at.end as usize));
        self.cut(text, scan, range);
        self.finish(text);
        if scan.message.is_some() {
            let at = self.raw.len() as u32;
            let beside = beside::read(text, &scan.items, range);
            self.raw.push(Part { stands_for: (at, at + 1), ..beside });
        }
        if self.raw.len() <= MAX_PARTS {
            lists::join(&self.raw, &mut self.joined);
        }
    }

    /// Cuts what is in `range` into drafts.
    fn cut(&mut self, text: &[u8], scan: &Scan, (from, to): (usize, usize)) {
        let mut at = from;
        let before = |item: &&Item| (item.start as usize) < from;
        let mut items = scan.items.iter().skip_while(before).peekable();
        let mut glosses = scan.glosses.iter().peekable();
        let mut place = BESIDE;
        while at < to {
            while glosses.next_if(|gloss| gloss.end <= at).is_some() {}
            if let Some(item) = items.next_if(|item| item.start as usize <= at) {
                if item.place != BESIDE {
                    self.item(item, item.place == place);
                    place = item.place;
                }
                at = at.max(item.end as usize);
            } else if let Some(gloss) = glosses.peek().filter(|gloss| gloss.start <= at) {
                let next = items.peek().map_or(to, |item| item.start as usize);
                at = gloss.end.min(next).max(at + 1);
            } else if CLASS[usize::from(text[at])] & SPACE != 0 {
                self.within &= at < self.until;
                at += 1;
            } else {
                self.mark(text, at, (from, to));
                at += 1;
            }
        }
    }

    /// The part that goes on, or a new one.
    fn draft(&mut self) -> &mut Draft {
        if !self.within || self.drafts.is_empty() {
            self.drafts.push(EMPTY);
            self.within = true;
        }
        let last = self.drafts.len() - 1;
        &mut self.drafts[last]
    }

    /// A word or a variable, or one more of a list.
    fn item(&mut self, item: &Item, goes_on: bool) {
        if goes_on {
            // Only marks can stand between it and what it goes on with.
            while self.drafts.len() > 1 && self.drafts.last().is_some_and(|it| it.items == 0) {
                self.drafts.pop();
            }
            self.within = true;
            let draft = self.draft();
            (draft.tail, draft.end) = (0, item.end);
            return;
        }
        let draft = self.draft();
        if draft.items == 0 {
            (draft.start, draft.places.0) = (item.start, item.place);
            (draft.lead, draft.tail) = (draft.tail, 0);
        }
        draft.hash = hash::mix(draft.hash ^ draft.tail ^ item.hash, STEP);
        (draft.tail, draft.end, draft.places.1) = (0, item.end, item.place + 1);
        draft.items += 1;
        draft.variables += u32::from(item.kind == Kind::Variable);
        draft.numbered |= item.kind == Kind::Stem;
    }

    /// Punctuation.
    fn mark(&mut self, text: &[u8], at: usize, range: (usize, usize)) {
        let byte = text[at];
        if at >= self.until {
            self.until = self.end_of_whole(text, at, range).unwrap_or(self.until);
        }
        let outside = at >= self.until;
        let draft = self.draft();
        if draft.items == 0 {
            draft.start = if draft.tail == 0 { at as u32 } else { draft.start };
            draft.end = at as u32 + 1;
        }
        draft.tail = hash::mix(draft.tail ^ u64::from(byte) ^ 0x100, STEP);
        draft.last_byte = byte;
        if outside && ends_key(text, at, draft) {
            draft.key = true;
            self.within = false;
        }
    }

    /// Where what is in brackets or quotes ends that begins at `at`. What all of a line is in
    /// holds its parts.
    fn end_of_whole(
        &mut self,
        text: &[u8],
        at: usize,
        (from, to): (usize, usize),
    ) -> Option<usize> {
        let next = text.get(at + 1).copied().unwrap_or(b' ');
        let named = is_letter(next) || next == b'_';
        match text[at] {
            b'"' | b'\'' if at > from && text[at - 1] == b' ' => {
                self.end_of_quoted(&text[..to], at)
            }
            b'(' | b'[' | b'{' => self.end_of_bracket(text, at, (from, to)),
            b'<' if named => self.end_of_bracket(text, at, (from, to)),
            _ => None,
        }
    }

    fn end_of_bracket(
        &mut self,
        text: &[u8],
        at: usize,
        (from, to): (usize, usize),
    ) -> Option<usize> {
        if self.unclosed >= MAX_UNCLOSED {
            return None;
        }
        let end = look::closing(text, at).filter(|&end| end <= to);
        self.unclosed += u32::from(end.is_none());
        end.filter(|&end| at != from || end + 1 < to)
    }

    /// Where the quoted text ends that a word announces: `job "save all" is done`. After a variable
    /// it is as likely the statement itself, as in the log of a server.
    fn end_of_quoted(&self, text: &[u8], at: usize) -> Option<usize> {
        let announced = self.drafts.last().is_some_and(|last| last.variables < last.items);
        let end = at + 2 + memchr::memchr(text[at], &text[at + 1..])?;
        let closes = text.get(end).is_none_or(|&next| !is_alphanumeric(next));
        (announced && closes).then_some(end)
    }

    /// Makes parts of the drafts.
    fn finish(&mut self, text: &[u8]) {
        let mut follows = Follows::Nothing;
        for (at, draft) in (0..).zip(&self.drafts) {
            let word = &text[draft.start as usize..draft.end as usize];
            let (lead, tail) =
                if draft.items == 0 { (draft.tail, 0) } else { (draft.lead, draft.tail) };
            let around = hash::mix(lead ^ STEP, tail.rotate_left(1) ^ EMPTY.hash);
            let class = class(word, draft);
            self.raw.push(Part {
                hash: hash::mix(draft.hash ^ around, STEP),
                around,
                places: draft.places,
                class,
                follows,
                comma: draft.last_byte == b',' && draft.tail != 0,
                stands_for: (at, at + 1),
            });
            follows = match class {
                Class::Key => Follows::Key,
                Class::Heading => Follows::Heading,
                _ if words::is_title(word) => Follows::Title,
                _ if words::is_preposition(word) => Follows::Preposition,
                Class::Mark if follows != Follows::Nothing => follows,
                _ => Follows::Other,
            };
        }
    }
}

/// Whether the mark at `at` makes a key of the part that it ends.
fn ends_key(text: &[u8], at: usize, draft: &Draft) -> bool {
    let next = text.get(at + 1).copied().unwrap_or(b' ');
    let compares = |byte: u8| b"=<>!~:+*^".contains(&byte);
    let touches = draft.items == 1 && draft.variables == 0 && draft.end as usize == at;
    match text[at] {
        b'=' => touches && !compares(next) && at > 0 && !compares(text[at - 1]),
        b':' => touches && (is_alphanumeric(next) || b"'\"[({".contains(&next)),
        _ => false,
    }
}

/// How a part is written.
fn class(word: &[u8], draft: &Draft) -> Class {
    let colon = draft.last_byte == b':' && draft.tail != 0;
    match draft.items {
        // An empty value, where others have some in their brackets.
        0 if matches!(word, b"[]" | b"()" | b"{}") => return Class::Composite,
        0 => return Class::Mark,
        _ if draft.key => return Class::Key,
        1 if draft.variables == 1 => return Class::Variable,
        1 if draft.numbered => return Class::Numbered,
        1 if colon => return Class::Heading,
        1 if words::is_function_word(word) => return Class::Function,
        1 => {}
        items if items == draft.variables => return Class::Variable,
        _ => return Class::Composite,
    }
    let (mut small, mut capitals, mut joined) = (false, 0, false);
    for byte in word {
        match byte {
            b'a'..=b'z' => small = true,
            b'A'..=b'Z' => capitals += 1,
            b'.' | b'_' | b'/' | b'@' | b'$' => joined = true,
            _ => {}
        }
    }
    match word.first() {
        _ if !small && capitals > 1 => Class::Upper,
        _ if joined => Class::Identifier,
        Some(first) if first.is_ascii_uppercase() && capitals == 1 => Class::Capital,
        _ if small && capitals > 0 => Class::Identifier,
        _ => Class::Plain,
    }
}
