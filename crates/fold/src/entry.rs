//! An entry that is being gathered.

use std::sync::Arc;

use lastline_line::{
    Address, Controls, Emit, Entry, Field, FieldSource, Folded, Member, RankNames, RankNumbers,
    RankSet, StreamId, exceptions,
};
use rustc_hash::FxHashMap;

use crate::colours::{self, Painter};
use crate::column::{Column, Told};
use crate::field;
use crate::keys::Keys;
use crate::place::Place;
use crate::read::Reading;
use crate::unit::{Meta, Said};
use crate::values::{Text, Values};

/// From how many streams on an entry looks them up in a table.
const MANY_STREAMS: usize = 16;

/// Lines that fold, gathered.
///
/// The first one is kept whole; of the others only what differs, who said it and how much.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    /// The first statement's lines.
    metas: Vec<Meta>,
    /// Its text as it was.
    text: Vec<u8>,
    /// Its text without control sequences, where that is another one.
    plain: Option<Vec<u8>>,
    control: Option<Controls>,
    /// The colours of all statements, where they agree on them; see [`colours::key`].
    colours: u64,
    places: Vec<Place>,
    values: Values,
    /// Every statement had the same bytes.
    equal: bool,
    pub(crate) ranks: RankSet,
    /// What they are called; their numbers by default.
    pub(crate) names: Option<Arc<dyn RankNames>>,
    members: Vec<Member>,
    /// Where a stream's member is, once there are many.
    member_of: FxHashMap<StreamId, usize>,
    lines: u64,
    count: u64,
    last: Option<Address>,
}

impl Gathered {
    /// An entry of one statement.
    pub(crate) fn of(said: Said<'_>, reading: &Reading<'_>) -> Self {
        let mut entry = Self::default();
        entry.start(said, reading);
        entry
    }

    /// Makes it an entry of one statement, keeping its memory.
    pub(crate) fn start(&mut self, said: Said<'_>, reading: &Reading<'_>) {
        self.metas.clear();
        self.metas.extend_from_slice(said.lines);
        self.text.clear();
        self.text.extend_from_slice(said.text);
        self.plain = reading.control.map(|_| reading.plain.to_vec());
        self.control = reading.control;
        self.colours = reading.control.map_or(0, |_| colours::key(said.text, reading.places));
        self.places.clear();
        self.places.extend_from_slice(reading.places);
        self.values.start(self.places.len());
        self.equal = true;
        self.ranks.clear();
        self.members.clear();
        self.member_of.clear();
        (self.lines, self.count) = (0, 0);
        self.count_in(said, 0);
    }

    /// Takes in a statement of a stream that may have said it before.
    #[inline]
    pub(crate) fn join(&mut self, said: Said<'_>, reading: &Reading<'_>) {
        let member = self.member(said.stream());
        self.compare(member, said, reading);
        self.count_in(said, member);
    }

    /// Takes in a statement of a stream that has not said it before.
    #[inline]
    pub(crate) fn join_first(&mut self, said: Said<'_>, reading: &Reading<'_>) {
        let member = self.members.len();
        self.compare(member, said, reading);
        self.count_in(said, member);
    }

    /// Notes what differs. The statement has as many places as the first.
    #[inline]
    fn compare(&mut self, member: usize, said: Said<'_>, reading: &Reading<'_>) {
        if self.equal && self.text.len() == said.text.len() && self.text == said.text {
            return;
        }
        self.equal = false;
        if self.colours != 0 && self.colours != colours::key(said.text, reading.places) {
            self.colours = 0;
        }
        let first =
            Text { text: self.plain.as_deref().unwrap_or(&self.text), places: &self.places };
        let said = Text { text: reading.plain, places: reading.places };
        self.values.take(member as u32, self.members.len() as u32, first, said);
    }

    /// Counts a statement as one of the member's.
    #[inline]
    fn count_in(&mut self, said: Said<'_>, member: usize) {
        let stream = said.stream();
        self.ranks.insert(stream.rank);
        let lines = said.lines.len() as u64;
        let bytes = said.lines.iter().map(|meta| meta.bytes).sum::<u64>();
        self.lines += lines;
        self.count += 1;
        let last = said.lines[said.lines.len() - 1];
        self.last = Some(Address { stream, start: last.start });
        match self.members.get_mut(member) {
            Some(member) => {
                member.lines += lines;
                member.bytes += bytes;
            }
            None => self.members.push(Member { stream, lines, bytes }),
        }
    }

    /// Which member the stream is; one past the last when it is none yet.
    #[inline]
    fn member(&mut self, stream: StreamId) -> usize {
        let next = self.members.len();
        if next < MANY_STREAMS {
            let found = self.members.iter().position(|member| member.stream == stream);
            return found.unwrap_or(next);
        }
        if self.member_of.is_empty() {
            self.member_of = (0..).zip(&self.members).map(|(at, m)| (m.stream, at)).collect();
        }
        *self.member_of.entry(stream).or_insert(next)
    }

    /// The places in which two statements or more agree with each other and not with this one.
    pub(crate) fn agreed_otherwise(&self, reading: &Reading<'_>) -> Vec<usize> {
        let differs =
            |place: &usize| self.values.agree(*place) && !self.starts_with(*place, reading);
        let agreed = if self.count > 1 { reading.places.len() } else { 0 };
        (0..agreed).filter(differs).collect()
    }

    /// Whether the first statement has the same value in a place.
    pub(crate) fn starts_with(&self, place: usize, reading: &Reading<'_>) -> bool {
        let first = self.plain.as_deref().unwrap_or(&self.text);
        let value = reading.places.get(place).map(|at| at.of(reading.plain));
        value == self.places.get(place).map(|at| at.of(first))
    }

    /// The bytes of text and values that it holds.
    pub(crate) fn held_bytes(&self) -> usize {
        let text = self.text.len() + self.plain.as_ref().map_or(0, Vec::len);
        text + self.values.held_bytes()
    }

    /// Gives it out: as lines when it is one statement, as an entry otherwise. `live` are the ranks
    /// that might have said it, when that is known.
    pub(crate) fn emit(&self, live: Option<&RankSet>, emit: &mut Emit<'_>) {
        if self.count == 1 {
            let said = Said { text: &self.text, lines: &self.metas };
            return lines(said, emit);
        }
        let names = self.names.as_deref().unwrap_or(&RankNumbers);
        let except = live.and_then(|live| exceptions(&self.ranks, live, names));
        let mut rendered = Vec::new();
        let text = match self.shown_as_it_is() {
            Some(text) => text,
            None => {
                self.render(names, &mut rendered);
                &rendered
            }
        };
        let first = &self.metas[0];
        let address = Address { stream: first.stream, start: first.start };
        emit(Entry::Folded(Folded {
            stream: first.stream.stream,
            text,
            lines: self.lines,
            count: self.count,
            ranks: &self.ranks,
            except: except.as_ref(),
            fields: self,
            first: address,
            last: self.last.unwrap_or(address),
            time: first.time,
            members: &self.members,
        }));
    }

    /// The text, when all have the same and it may be shown.
    fn shown_as_it_is(&self) -> Option<&[u8]> {
        (self.equal && self.control != Some(Controls::Other)).then_some(&self.text)
    }

    fn render(&self, names: &dyn RankNames, into: &mut Vec<u8>) {
        let first = self.first();
        let (mut at, mut column, mut keys) = (0, Column::default(), Keys::default());
        let members = self.members.len() as u32;
        let mut painter = Painter::new(first, (self.colours != 0).then_some(&self.text));
        for (number, place) in self.places.iter().enumerate() {
            let (start, end) = (place.start as usize, place.end as usize);
            painter.copy(at, start, into);
            at = end;
            if self.values.agree(number) {
                painter.copy(start, end, into);
                continue;
            }
            painter.mark(start, into);
            let value = place.of(first);
            match keys.ends(&self.values, number, members, value) {
                Some(ends) => field::write_range(&ends, into),
                None => field::write(&self.tell(number, &mut column), value, names, into),
            }
        }
        painter.copy(at, first.len(), into);
        painter.finish(into);
    }

    /// Tells the values of a place apart.
    fn tell<'a>(&'a self, place: usize, column: &mut Column<'a>) -> Told<'a> {
        column.clear();
        let first = self.places[place].of(self.first());
        let members = self.members.len() as u32;
        self.values.each(place, members, |member, value| {
            column.push(member, value.unwrap_or(first));
        });
        column.tell(&self.members)
    }

    /// The first statement without control sequences.
    fn first(&self) -> &[u8] {
        self.plain.as_deref().unwrap_or(&self.text)
    }
}

impl FieldSource for Gathered {
    fn fields(&self) -> Vec<Field> {
        let mut column = Column::default();
        let places = 0..self.places.len();
        places.map(|at| field::field(&self.tell(at, &mut column), self.values.more(at))).collect()
    }
}

/// Gives out what was said line by line.
pub(crate) fn lines(said: Said<'_>, emit: &mut Emit<'_>) {
    for (meta, text) in said.each() {
        emit(Entry::Line(meta.line(text)));
    }
}
