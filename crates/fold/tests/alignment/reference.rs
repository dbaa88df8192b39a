//! The rule by which lines join entries, in plain lists, with no time passing and no bounds.

use std::collections::BTreeMap;

use lastline_line::{Stream, StreamId};

use super::Said;

/// Where a new entry opens.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Right behind the last one of its stream that is open or shared, and what has been closed
    /// behind that; what a stream alone has said since the last entry that it shares goes ahead of
    /// what it joins.
    RightBehind,
    /// At the end, and a stream joins only what is behind all that it has said.
    AtTheEnd,
}

struct Entry {
    statement: String,
    values: Vec<String>,
    lines: Vec<Said>,
    open: bool,
    /// It goes out as soon as nothing ahead of it holds its stream.
    ready: bool,
}

impl Entry {
    fn is_by(&self, stream: StreamId) -> bool {
        self.lines.iter().any(|(other, _)| *other == stream)
    }

    /// Several agree on a value that is another one.
    fn agrees_otherwise(&self, value: &str) -> bool {
        self.values.len() > 1
            && self.values.iter().all(|other| *other == self.values[0])
            && self.values[0] != value
    }
}

/// How often a line had the value of the entry that it came to first, which one stream had said.
#[derive(Clone, Copy, Default)]
struct Agreement {
    agreed: usize,
    differed: usize,
}

impl Agreement {
    /// Where ranks have values of their own, some having the same says nothing about the others.
    fn is_chance(self) -> bool {
        self.differed >= 2 && self.differed > self.agreed / 4
    }
}

#[derive(Clone, Copy, PartialEq)]
enum User {
    One(StreamId),
    Many,
}

/// All entries that ever were.
pub(crate) struct Alignment {
    rule: Rule,
    ranks: usize,
    /// In their order, the closed ones too.
    list: Vec<Entry>,
    /// Lines that were given out alone, without an entry.
    alone: Vec<Said>,
    users: BTreeMap<(Stream, String), User>,
    agreements: BTreeMap<(Stream, String), Agreement>,
}

impl Alignment {
    pub(crate) fn new(rule: Rule, ranks: usize) -> Self {
        let (list, alone) = (Vec::new(), Vec::new());
        let (users, agreements) = (BTreeMap::new(), BTreeMap::new());
        Self { rule, ranks, list, alone, users, agreements }
    }

    pub(crate) fn take(&mut self, said: Said, text: &str) {
        let (statement, value) = text.rsplit_once(' ').unwrap_or((text, ""));
        let stream = said.0;
        match self.choose(stream, statement, value) {
            Some(at) => self.join(at, said, value),
            None => self.open(said, statement, value),
        }
    }

    /// The lines of each entry.
    pub(crate) fn entries(&self) -> Vec<Vec<Said>> {
        let alone = self.alone.iter().map(|&said| vec![said]);
        self.list.iter().map(|entry| entry.lines.clone()).chain(alone).collect()
    }

    /// One past the last entry of the stream in the list, of those that count.
    fn behind(&self, stream: StreamId, counts: impl Fn(&Entry) -> bool) -> usize {
        let last = self.list.iter().rposition(|entry| entry.is_by(stream) && counts(entry));
        last.map_or(0, |at| at + 1)
    }

    fn choose(&mut self, stream: StreamId, statement: &str, value: &str) -> Option<usize> {
        let from = match self.rule {
            Rule::RightBehind => self.behind(stream, |entry| entry.lines.len() > 1),
            Rule::AtTheEnd => self.behind(stream, |_| true),
        };
        let fits = |&at: &usize| {
            let entry = &self.list[at];
            entry.open
                && entry.statement == statement
                && entry.lines[0].0.stream == stream.stream
                && !entry.is_by(stream)
        };
        let mut fitting = (from..self.list.len()).filter(fits);
        let first = fitting.next();
        let agreement = self.agreements.entry((stream.stream, statement.to_owned())).or_default();
        let is_chance = agreement.is_chance();
        if let Some(first) = first {
            let entry = &self.list[first];
            match entry.values[0] == value {
                _ if entry.lines.len() > 1 => {}
                true => agreement.agreed += 1,
                false => agreement.differed += 1,
            }
            if is_chance || !entry.agrees_otherwise(value) {
                return Some(first);
            }
        }
        let has_it = |&at: &usize| match first {
            Some(_) => self.list[at].values[0] == value,
            None => !self.list[at].agrees_otherwise(value),
        };
        if let Some(later) = fitting.take(16).find(|at| first.is_some() && has_it(at)) {
            return Some(later);
        }
        if self.rule == Rule::AtTheEnd || from == 0 {
            return first;
        }
        let alike = |&at: &usize| {
            let entry = &self.list[at];
            entry.open && entry.statement == statement && entry.lines[0].0.stream == stream.stream
        };
        let near: Vec<usize> = (0..from).rev().filter(alike).take(8).collect();
        let near = near.into_iter().filter(|at| fits(at) && has_it(at));
        let found =
            near.filter_map(|at| Some((at, self.moves_behind(at, from - 1, stream)?))).next_back();
        match found {
            Some((_, moved)) => Some(self.put_behind(&moved, from - 1)),
            None => first,
        }
    }

    /// What has to go behind an entry so that another one can: all that streams said after it.
    fn moves_behind(&self, at: usize, shared: usize, stream: StreamId) -> Option<Vec<usize>> {
        let mut moved = vec![at];
        for next in at + 1..=shared {
            let held = self.list[next].open
                && moved.iter().any(|&ahead| {
                    self.list[ahead].lines.iter().any(|said| self.list[next].is_by(said.0))
                });
            if held {
                moved.push(next);
            }
        }
        let own = moved.iter().any(|&at| self.list[at].is_by(stream));
        (!own && !moved.contains(&shared)).then_some(moved)
    }

    /// Where the first of those is then.
    fn put_behind(&mut self, moved: &[usize], shared: usize) -> usize {
        let (mut put, mut rest) = (Vec::new(), Vec::new());
        for (at, entry) in std::mem::take(&mut self.list).into_iter().enumerate() {
            if moved.contains(&at) { put.push(entry) } else { rest.push(entry) }
        }
        let at = shared + 1 - moved.len();
        let tail = rest.split_off(at);
        self.list = rest.into_iter().chain(put).chain(tail).collect();
        at
    }

    fn join(&mut self, at: usize, said: Said, value: &str) {
        let user = (said.0.stream, self.list[at].statement.clone());
        self.users.insert(user, User::Many);
        self.list[at].lines.push(said);
        self.list[at].values.push(value.to_owned());
        self.list[at].ready = false;
        // Lone ones of the stream that are behind it go ahead of it.
        let (mut own, mut rest) = (Vec::new(), Vec::new());
        for entry in self.list.drain(at + 1..) {
            let moves = entry.lines.len() == 1 && entry.is_by(said.0);
            if moves { own.push(entry) } else { rest.push(entry) }
        }
        let at = at + own.len();
        let joined = self.list.pop().expect("the entry");
        self.list.extend(own);
        self.list.push(joined);
        self.list.extend(rest);
        if self.list[at].lines.len() == self.ranks {
            self.close(at);
            self.close_ready();
        }
    }

    fn open(&mut self, said: Said, statement: &str, value: &str) {
        let stream = said.0;
        let user = (stream.stream, statement.to_owned());
        let known = self.users.get(&user).copied();
        let alone = known == Some(User::One(stream)) || self.ranks == 1;
        let holds = self.list.iter().any(|entry| entry.open && entry.is_by(stream));
        if alone && !holds {
            return self.alone.push(said);
        }
        if !alone && known.is_some() {
            self.users.insert(user, User::Many);
        }
        let entry = Entry {
            statement: statement.to_owned(),
            values: vec![value.to_owned()],
            lines: vec![said],
            open: true,
            ready: alone,
        };
        let at = match self.rule {
            Rule::RightBehind => {
                let last = self.behind(stream, |entry| entry.open || entry.lines.len() > 1);
                last + self.list[last..].iter().take_while(|entry| !entry.open).count()
            }
            Rule::AtTheEnd => self.list.len(),
        };
        self.list.insert(at, entry);
    }

    /// Closes an entry and what is ahead of it in any of its streams.
    fn close(&mut self, at: usize) {
        let streams: Vec<StreamId> = self.list[at].lines.iter().map(|said| said.0).collect();
        for stream in streams {
            for ahead in 0..at {
                if self.list[ahead].open && self.list[ahead].is_by(stream) {
                    self.close(ahead);
                }
            }
        }
        self.list[at].open = false;
        let entry = &self.list[at];
        if let [(stream, _)] = entry.lines[..] {
            let user = (stream.stream, entry.statement.clone());
            let user = self.users.entry(user).or_insert(User::One(stream));
            if *user != User::One(stream) {
                *user = User::Many;
            }
        }
    }

    /// Closes what has only waited for others.
    fn close_ready(&mut self) {
        for at in 0..self.list.len() {
            let entry = &self.list[at];
            let stream = entry.lines[0].0;
            let first = self.list.iter().position(|other| other.open && other.is_by(stream));
            if entry.ready && first == Some(at) {
                self.close(at);
            }
        }
    }
}
