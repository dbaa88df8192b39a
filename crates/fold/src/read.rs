//! What a rank said, as a fold compares it.

use lastline_line::{Colours, Controls, plain_text};

use crate::miner::Miner;
use crate::place::Place;
use crate::statement::hash::{mix, placed, word};
use crate::unit::{Match, Said};

/// What a rank said, read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading<'a> {
    /// The same for what folds into one entry, the stream's kind aside.
    pub(crate) key: u64,
    /// The text without control sequences.
    pub(crate) plain: &'a [u8],
    /// What varies in `plain`.
    pub(crate) places: &'a [Place],
    /// What control sequences the text had.
    pub(crate) control: Option<Controls>,
}

/// Reads lines and units with one miner.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    miner: Miner,
    plain: Vec<u8>,
    line: Vec<u8>,
    places: Vec<Place>,
}

impl Reader {
    pub(crate) fn new(miner: Miner) -> Self {
        Self { miner, ..Self::default() }
    }

    /// Reads what was said.
    #[inline]
    pub(crate) fn read<'a>(&'a mut self, said: Said<'a>) -> Reading<'a> {
        if said.lines.len() > 1 {
            return self.read_unit(said);
        }
        let statement = self.miner.statement(said.text);
        Reading {
            key: mix(statement.group.0 ^ 1, statement.layout ^ 0x9e37_79b9_7f4a_7c15),
            plain: statement.text,
            places: statement.variables,
            control: statement.control,
        }
    }

    fn read_unit(&mut self, said: Said<'_>) -> Reading<'_> {
        self.plain.clear();
        self.places.clear();
        let mut key = said.lines.len() as u64;
        let mut control = None;
        for (at, (meta, text)) in (0..).zip(said.each()) {
            if at > 0 {
                self.plain.push(b'\n');
            }
            let (line, found) = match meta.compares {
                Match::Statement => self.read_statement(text),
                Match::Place => self.read_place(text),
            };
            key = key.wrapping_add(placed(line, at));
            control = control.max(found);
        }
        Reading { key, plain: &self.plain, places: &self.places, control }
    }

    /// Reads one line of a unit as a statement, onto the end of what was read.
    fn read_statement(&mut self, text: &[u8]) -> (u64, Option<Controls>) {
        let statement = self.miner.statement(text);
        let from = self.plain.len() as u32;
        self.plain.extend_from_slice(statement.text);
        let shift = |place: &Place| Place { start: place.start + from, end: place.end + from };
        self.places.extend(statement.variables.iter().map(shift));
        (mix(statement.group.0 ^ 1, statement.layout ^ 2), statement.control)
    }

    /// Reads one line of a unit as a place in a program: only addresses may differ.
    fn read_place(&mut self, text: &[u8]) -> (u64, Option<Controls>) {
        self.line.clear();
        let control = plain_text(text, Colours::Drop, &mut self.line);
        let from = self.plain.len() as u32;
        self.plain.extend_from_slice(&self.line);
        let (mut hash, mut at) = (3, 0);
        while let Some((start, end)) = next_address(&self.line, at) {
            hash = mix(hash ^ word(&self.line, at, start), 5);
            self.places.push(Place { start: from + start as u32, end: from + end as u32 });
            at = end;
        }
        let rest = word(&self.line, at, self.line.len());
        (mix(hash ^ rest, 7), (self.line != text).then_some(control))
    }
}

/// The next thing at or after `from` that differs between processes at the same place of a program:
/// an address (`0x…`, `+0x…`), a thread's or goroutine's number.
fn next_address(line: &[u8], from: usize) -> Option<(usize, usize)> {
    let rest = &line[from..];
    let hex = memchr::memmem::find(rest, b"0x").map(|at| (at, at + 2));
    let names: [&[u8]; 2] = [b"goroutine ", b"' ("];
    let thread = names.into_iter().filter_map(|name| {
        let at = memchr::memmem::find(rest, name)? + name.len();
        Some((at, at))
    });
    let (start, digits) = hex.into_iter().chain(thread).min()?;
    let length = rest[digits..].iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    if length == 0 {
        return next_address(line, from + digits).filter(|_| digits > 0);
    }
    Some((from + start, from + digits + length))
}
