//! What a rank said, as a fold compares it.

mod frame;
mod values;

use lastline_line::{Colours, Controls, plain_text};

use crate::miner::{GroupId, Miner};
use crate::place::Place;
use crate::statement::hash::{mix, placed, word};
use crate::unit::{Compared, Match, Said};

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
    /// The group of a line; a unit is of several.
    pub(crate) group: Option<GroupId>,
    /// What was read before may be read otherwise now; see [`Reader::take_changed`].
    pub(crate) changed: bool,
}

/// Reads lines and units with one miner.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    miner: Miner,
    plain: Vec<u8>,
    line: Vec<u8>,
    places: Vec<Place>,
    /// Those of one line of a unit.
    variables: Vec<Place>,
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
            group: Some(statement.group),
            changed: statement.changed,
        }
    }

    /// The groups of lines that are read otherwise from now on, since this was last asked.
    pub(crate) fn take_changed(&mut self) -> Vec<GroupId> {
        self.miner.take_changed()
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
            let (line, found) = self.read_line(text, meta.compares);
            key = key.wrapping_add(placed(line, at));
            control = control.max(found);
        }
        let changed = self.miner.has_changed();
        let (plain, places) = (&self.plain[..], &self.places[..]);
        Reading { key, plain, places, control, group: None, changed }
    }

    /// Reads one line of a unit onto the end of what was read.
    fn read_line(&mut self, text: &[u8], compared: Compared) -> (u64, Option<Controls>) {
        self.line.clear();
        let control = plain_text(text, Colours::Drop, &mut self.line);
        let control = (self.line != text).then_some(control);
        let margin = self.line.len().min(compared.margin as usize);
        let (before, line) = self.line.split_at(margin);
        let from = self.plain.len();
        self.plain.extend_from_slice(before);
        let place = |start: usize, end: usize| Place { start: start as u32, end: end as u32 };
        let margin = values::numbers(before, &mut |start, end| {
            self.places.push(place(from + start, from + end));
        });
        let from = self.plain.len();
        let mut found = |start, end| self.places.push(place(from + start, from + end));
        let hash = match compared.by {
            Match::Place => Some(frame::read(line, &mut found)),
            Match::Statement | Match::Message => values::read(line, &mut found),
        };
        let hash = hash.unwrap_or_else(|| {
            self.variables.clear();
            let shape = self.miner.shape_of_variables(line, &mut self.variables);
            let hash = shape.unwrap_or_else(|| {
                let statement = self.miner.statement(line);
                self.variables.extend_from_slice(statement.variables);
                mix(statement.group.0 ^ 1, statement.layout ^ 2)
            });
            let variables = self.variables.iter();
            self.places.extend(
                variables.map(|at| place(from + at.start as usize, from + at.end as usize)),
            );
            hash
        });
        self.plain.extend_from_slice(line);
        (mix(hash ^ margin, 13), control)
    }
}
