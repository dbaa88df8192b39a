//! What is open: it is drawn, or shown now and then, or said to stand.

use std::time::Duration;

use lastline_line::{Entry, Line, Offset, Stream, StreamId, Timestamp};

use super::Worker;
use crate::entry::OwnedEntry;
use crate::lines::{OpenLine, OpenSince};
use crate::presenter::now;
use crate::printer::OpenLines;
use crate::progress::StateGate;
use crate::starts::Starts;
use crate::state::Progress;

/// What is open is drawn ten times a second at most.
const DRAW_EVERY: Duration = Duration::from_millis(100);
/// What is drawn and does not change is drawn again after this: the console may have another size.
const DRAW_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// A line that is not ended is shown when it has stood for this.
const STANDS_AFTER: Duration = Duration::from_secs(2);

/// Lines that come to stand within this are told together.
const TOGETHER_WITHIN: Duration = Duration::from_millis(500);

/// When to look at what is open.
#[derive(Debug, Default)]
pub(super) struct Watch {
    look_at: Option<Timestamp>,
    gate: StateGate,
    /// When something was drawn last, and whether it stands.
    drawn_at: Timestamp,
    drawn: bool,
}

impl Watch {
    /// When to look next.
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.look_at
    }

    fn look_by(&mut self, at: Timestamp) {
        self.look_at = Some(self.look_at.map_or(at, |before| before.min(at)));
    }

    /// What is open has changed; it may have been opened before.
    fn changed(&mut self, line: &mut OpenLine, draws: bool, announces: bool, now: Timestamp) {
        let since = line.open.get_or_insert(OpenSince { time: now, told: false });
        let (stands_at, told) = (since.time.after(STANDS_AFTER), since.told);
        if draws {
            let next = self.drawn_at.after(DRAW_EVERY).max(now);
            return self.look_by(if line.is_bar() { next } else { next.max(stands_at) });
        }
        if line.is_in_doubt() || announces && !told && !line.is_bar() {
            self.look_by(stands_at);
        }
        if line.is_bar() && line.has_news() {
            let (bar, tenth) = line.progress();
            let due = self.gate.due(bar, tenth, now);
            self.look_by(due);
        }
    }
}

impl Worker {
    /// Something came of a stream: what is open of it may have changed.
    pub(super) fn watch(&mut self, stream: StreamId, was_open: bool) {
        let mode = self.presenter.console.open_lines;
        let Some(line) = self.lines.get_mut(&stream) else {
            return;
        };
        if line.is_open() && !self.presenter.options.raw_partials {
            let (draws, announces) = (mode == OpenLines::Drawn, mode == OpenLines::Announced);
            self.watch.changed(line, draws, announces, now());
        } else if was_open && self.watch.drawn {
            self.watch.look_by(self.watch.drawn_at.after(DRAW_EVERY));
        }
    }

    /// Does what is due for what is open.
    pub(super) fn look_at_open(&mut self) {
        let Some(due) = self.watch.look_at else {
            return;
        };
        let now = now();
        if due > now {
            return;
        }
        self.watch.look_at = None;
        if self.presenter.console.open_lines == OpenLines::Drawn {
            self.draw(now);
        } else {
            self.settle_doubts(now);
            self.show_states(now);
            self.announce(now);
        }
    }

    /// The lines that are open, by rank.
    fn open_streams(&self) -> Vec<StreamId> {
        let open = self.lines.iter().filter(|(_, line)| line.is_open() && line.open.is_some());
        let mut streams: Vec<StreamId> = open.map(|(stream, _)| *stream).collect();
        streams.sort_by_key(|id| (id.rank, id.stream == Stream::Stderr, id.launch));
        streams
    }

    /// Draws everything that is open.
    fn draw(&mut self, now: Timestamp) {
        let mut states = Vec::new();
        for stream in self.open_streams() {
            let line = &self.lines[&stream];
            let stands_at = line.open.map_or(now, |open| open.time.after(STANDS_AFTER));
            if line.is_bar() || stands_at <= now {
                states.extend(line.rows().into_iter().map(|row| (stream, row)));
            } else {
                self.watch.look_by(stands_at);
            }
        }
        if states.is_empty() && !self.watch.drawn {
            return;
        }
        let lines: Vec<_> = states.iter().map(|(id, text)| state_of(*id, text, now)).collect();
        let entries = self.presenter.fold_states(&lines, now);
        (self.watch.drawn, self.watch.drawn_at) = (!entries.is_empty(), now);
        if self.watch.drawn {
            self.watch.look_by(now.after(DRAW_AGAIN_AFTER));
        }
        let entries: Vec<Entry<'_>> = entries.iter().map(OwnedEntry::as_entry).collect();
        self.presenter.console.draw(&entries);
    }

    /// Nothing is drawn from now on.
    pub(super) fn wipe(&mut self) {
        if std::mem::take(&mut self.watch).drawn {
            self.presenter.console.draw(&[]);
        }
    }

    /// Lines that were held because something may be drawn over them, and that nothing came of.
    fn settle_doubts(&mut self, now: Timestamp) {
        for stream in self.open_streams() {
            let Some(line) = self.lines.get_mut(&stream).filter(|line| line.is_in_doubt()) else {
                continue;
            };
            let stands_at = line.open.map_or(now, |open| open.time.after(STANDS_AFTER));
            if stands_at > now {
                self.watch.look_by(stands_at);
                continue;
            }
            let mut out = self.presenter.of(stream, line.time);
            line.settle(&mut |piece| out.take(piece));
        }
    }

    /// Shows states of bars as lines, if it is time: what folds is given all of them, otherwise one
    /// stands for all.
    fn show_states(&mut self, now: Timestamp) {
        let (mut due, mut all) = (Vec::new(), Vec::new());
        for stream in self.open_streams() {
            let Some(line) = self.lines.get_mut(&stream) else {
                continue;
            };
            if line.is_bar() && line.has_news() {
                let (bar, tenth) = line.progress();
                all.push((stream, bar, tenth));
                let at = self.watch.gate.due(bar, tenth, now);
                if at <= now {
                    due.push((stream, bar, tenth));
                }
            }
        }
        if !due.is_empty() {
            let slowest = due.iter().min_by_key(|(_, bar, tenth)| (*bar, *tenth)).copied();
            let alone = self.presenter.fold.is_transparent();
            let shown = if alone { slowest.into_iter().collect() } else { all.clone() };
            for &(stream, bar, tenth) in &shown {
                self.show_state(stream);
                self.watch.gate.show(bar, tenth, now);
            }
            all.retain(|state| !shown.contains(state));
        }
        for (_, bar, tenth) in all {
            let due = self.watch.gate.due(bar, tenth, now);
            self.watch.look_by(due);
        }
    }

    fn show_state(&mut self, stream: StreamId) {
        if let Some(line) = self.lines.get_mut(&stream) {
            let mut out = self.presenter.of(stream, line.time);
            line.give_state(&mut |piece| out.take(piece));
        }
    }

    /// Says which lines stand open, each once; several ranks that wait for the same are told together.
    fn announce(&mut self, now: Timestamp) {
        if self.presenter.console.open_lines != OpenLines::Announced {
            return;
        }
        let (streams, mut standing, mut oldest) = (self.open_streams(), Vec::new(), now);
        let mut next: Option<Timestamp> = None;
        for stream in &streams {
            let line = &self.lines[stream];
            let untold = line.open.filter(|open| !open.told && !line.is_bar());
            let Some(stands_at) = untold.map(|open| open.time.after(STANDS_AFTER)) else {
                continue;
            };
            if stands_at > now {
                next = Some(next.map_or(stands_at, |next| next.min(stands_at)));
            } else {
                standing.push(*stream);
                oldest = oldest.min(stands_at);
            }
        }
        let until = oldest.after(TOGETHER_WITHIN);
        if let Some(next) = next {
            self.watch.look_by(next);
            if !standing.is_empty() && next <= until && now < until {
                return;
            }
        }
        self.announce_of(&standing, now);
    }

    fn announce_of(&mut self, streams: &[StreamId], now: Timestamp) {
        if !streams.is_empty() {
            // What they said before comes before.
            self.presenter.release();
        }
        let mut texts = Vec::new();
        for stream in streams {
            let Some(line) = self.lines.get_mut(stream) else {
                continue;
            };
            line.open.as_mut().into_iter().for_each(|open| open.told = true);
            let last = line.rows().pop();
            texts.extend(last.map(|row| (*stream, [&*row, " …".as_bytes()].concat())));
        }
        let lines: Vec<_> = texts.iter().map(|(id, text)| state_of(*id, text, now)).collect();
        for entry in self.presenter.fold_states(&lines, now) {
            self.presenter.console.announce(&entry.as_entry());
        }
    }

    /// Says which ranks are silent.
    pub(super) fn look_for_silence(&mut self) {
        let Some(silence) = &mut self.silence else {
            return;
        };
        let (shared, starts) = (&self.shared, &self.presenter.options.starts);
        let is_over = |rank| is_over(starts, &shared.state(), rank);
        for note in silence.look(self.started.elapsed(), is_over) {
            self.presenter.console.note(&note);
        }
    }
}

/// Whether a rank says nothing more. Where nobody tells of its starts, there is one.
fn is_over(starts: &Starts, state: &Progress, rank: u32) -> bool {
    let has_ended = |id: &StreamId| state.has_ended(id);
    starts.is_over(rank, has_ended).unwrap_or_else(|| {
        let mut known = state.accounts.keys().filter(|id| id.rank == rank);
        known.next().is_some_and(|id| starts.is_last_word(*id, has_ended))
    })
}

/// A state as a line, of no bytes.
fn state_of<'a>(stream: StreamId, text: &'a [u8], time: Timestamp) -> Line<'a> {
    let (start, bytes, continuation, partial) = (Offset::ZERO, 0, false, false);
    Line { stream, start, bytes, time, text, continuation, partial, redrawn: true }
}
