//! An entry that is being gathered.

use std::sync::Arc;

use lastline_line::{
    Address, Controls, Emit, Entry, Field, FieldSource, Folded, Member, RankNames, RankNumbers,
    RankSet, exceptions,
};

use crate::colours::{self, Painter};
use crate::column::Column;
use crate::field;
use crate::inside;
use crate::keys::Keys;
use crate::place::Place;
use crate::read::Reading;
use crate::speakers::Speakers;
use crate::unit::{Meta, Said};
use crate::values::{Text, Values, same};

mod merge;

/// Memory for giving entries out, used again from one to the next.
#[derive(Debug, Default)]
pub(crate) struct Rendering {
    text: Vec<u8>,
    members: Vec<Member>,
    keys: Keys,
}

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
    speakers: Speakers,
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
        self.speakers.clear();
        (self.lines, self.count) = (0, 0);
        self.speakers.push(said);
        self.count_in(said);
    }

    /// Takes in a statement of a stream that may have said it before.
    #[inline]
    pub(crate) fn join(&mut self, said: Said<'_>, reading: &Reading<'_>) {
        let members = self.speakers.len();
        let member = self.speakers.add(said);
        self.compare((member, members), said, reading);
        self.count_in(said);
    }

    /// Takes in a statement of a stream that has not said it before.
    #[inline]
    pub(crate) fn join_first(&mut self, said: Said<'_>, reading: &Reading<'_>) {
        let members = self.speakers.len();
        self.speakers.push(said);
        self.compare((members, members), said, reading);
        self.count_in(said);
    }

    /// The same of one that [is the first one again](Self::starts_like).
    #[inline]
    pub(crate) fn join_same(&mut self, said: Said<'_>) {
        let members = self.speakers.len();
        self.speakers.push(said);
        if !self.equal {
            let first = Text { text: &self.text, places: &self.places };
            self.values.take(members as u32, members as u32, first, first);
        }
        self.count_in(said);
    }

    /// Whether a line is the first one again, byte for byte: there is nothing to be read in it.
    #[inline]
    pub(crate) fn starts_like(&self, said: Said<'_>) -> bool {
        let alone = said.lines.len() == 1 && self.metas.len() == 1 && self.control.is_none();
        alone && self.text.len() == said.text.len() && self.text == said.text
    }

    /// Notes what differs in a statement of a member, of which there were so many before. The statement
    /// has as many places as the first.
    #[inline]
    fn compare(&mut self, of: (usize, usize), said: Said<'_>, reading: &Reading<'_>) {
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
        let (member, members) = of;
        self.values.take(member as u32, members as u32, first, said);
    }

    /// Counts a statement.
    #[inline]
    fn count_in(&mut self, said: Said<'_>) {
        let stream = said.stream();
        self.ranks.insert(stream.rank);
        self.lines += said.lines.len() as u64;
        self.count += 1;
        let last = said.lines[said.lines.len() - 1];
        self.last = Some(Address { stream, start: last.start });
    }

    /// The places in which two statements or more agree with each other and not with this one.
    pub(crate) fn agreed_otherwise(&self, reading: &Reading<'_>) -> Vec<usize> {
        let agreed = if self.count > 1 { reading.places.len() } else { 0 };
        (0..agreed).filter(|&place| self.is_otherwise(place, reading)).collect()
    }

    /// Whether there are such places.
    #[inline]
    pub(crate) fn has_agreed_otherwise(&self, reading: &Reading<'_>) -> bool {
        let agreed = if self.count > 1 { reading.places.len() } else { 0 };
        (0..agreed).any(|place| self.is_otherwise(place, reading))
    }

    #[inline]
    fn is_otherwise(&self, place: usize, reading: &Reading<'_>) -> bool {
        self.values.agree(place) && !self.starts_with(place, reading)
    }

    /// Whether the first statement has the same value in a place.
    #[inline]
    pub(crate) fn starts_with(&self, place: usize, reading: &Reading<'_>) -> bool {
        match (self.places.get(place), reading.places.get(place)) {
            (Some(&first), Some(&said)) => same(self.first(), first, reading.plain, said),
            (first, said) => first.is_none() && said.is_none(),
        }
    }

    /// The bytes that it takes: of text, of values, of who said them, and by itself.
    #[inline]
    pub(crate) fn held_bytes(&self) -> usize {
        let text = self.text.capacity() + self.plain.as_ref().map_or(0, Vec::capacity);
        let metas = self.metas.capacity() * size_of::<Meta>();
        let places = self.places.capacity() * size_of::<Place>();
        let own = size_of::<Self>() + text + metas + places;
        own + self.values.held_bytes() + self.speakers.held_bytes()
    }

    /// Gives it out: as lines when it is one statement, as an entry otherwise. `live` are the ranks
    /// that might have said it, when that is known.
    pub(crate) fn emit(
        &self,
        live: Option<&RankSet>,
        rendering: &mut Rendering,
        emit: &mut Emit<'_>,
    ) {
        if self.count == 1 {
            let said = Said { text: &self.text, lines: &self.metas };
            return lines(said, emit);
        }
        let names = self.names.as_deref().unwrap_or(&RankNumbers);
        let except = live.and_then(|live| exceptions(&self.ranks, live, names));
        self.speakers.list(&mut rendering.members);
        if self.shown_as_it_is().is_none() {
            self.render(names, rendering);
        }
        let text = self.shown_as_it_is().unwrap_or(&rendering.text);
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
            members: &rendering.members,
        }));
    }

    /// The text, when all have the same and it may be shown.
    fn shown_as_it_is(&self) -> Option<&[u8]> {
        (self.equal && self.control != Some(Controls::Other)).then_some(&self.text)
    }

    /// Writes the text with what differs; the members are there already.
    fn render(&self, names: &dyn RankNames, rendering: &mut Rendering) {
        let Rendering { text: into, members, keys } = rendering;
        into.clear();
        let first = self.first();
        let (mut at, mut column) = (0, Column::default());
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
            match keys.ends(&self.values, number, members.len() as u32, value) {
                Some(ends) => field::write_range(&ends, into),
                None => {
                    self.gather(number, members, &mut column);
                    inside::write(&column, value, members, names, into);
                }
            }
        }
        painter.copy(at, first.len(), into);
        painter.finish(into);
    }

    /// Gathers what was said in a place.
    fn gather<'a>(&'a self, place: usize, members: &[Member], column: &mut Column<'a>) {
        column.clear();
        let first = self.places[place].of(self.first());
        self.values.each(place, members.len() as u32, |member, value| {
            column.push(member, value.unwrap_or(first));
        });
    }

    /// The first statement without control sequences.
    fn first(&self) -> &[u8] {
        self.plain.as_deref().unwrap_or(&self.text)
    }
}

impl FieldSource for Gathered {
    fn fields(&self) -> Vec<Field> {
        let (mut column, mut members) = (Column::default(), Vec::new());
        self.speakers.list(&mut members);
        let mut fields = Vec::with_capacity(self.places.len());
        for place in 0..self.places.len() {
            self.gather(place, &members, &mut column);
            inside::fields(&column, &members, self.values.more(place), &mut fields);
        }
        fields
    }
}

/// Gives out what was said line by line.
pub(crate) fn lines(said: Said<'_>, emit: &mut Emit<'_>) {
    for (meta, text) in said.each() {
        emit(Entry::Line(meta.line(text)));
    }
}
