//! The state of a view. Pure: the time, keys and files are told.

use std::collections::VecDeque;

use lastline_line::{Stream, Timestamp};
use lastline_watch::protocol::{EntryMessage, Message};
use lastline_watch::{Change, RankView, Snapshot};

use crate::feed::Happening;
use crate::filter::Filter;
use crate::grid::{Grid, Look};
use crate::log::Log;
use crate::own_log::{At, Want, Window};
use crate::rates::Rates;

/// How far long lines are moved, in columns.
const MAX_SHIFT: usize = 64 << 10;

/// What fills the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Screen {
    /// The grid of ranks and the folded log.
    Job,
    /// One rank's own log.
    Rank,
    /// The first failure.
    Failure,
    /// What keys do.
    Help,
    /// What is to become of the job.
    Leave,
}

/// What is to become of a job when its view is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// It goes on.
    GoOn,
    /// It is stopped.
    StopJob,
}

/// What keys move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Focus {
    #[default]
    Log,
    Ranks,
}

/// What is typed after `/`.
#[derive(Debug, Default)]
pub(crate) struct Typing {
    pub(crate) text: String,
    /// Why it is no filter.
    pub(crate) error: Option<String>,
}

/// A view of a job.
#[derive(Debug)]
pub struct App {
    pub(crate) snapshot: Snapshot,
    pub(crate) log: Log,
    pub(crate) rates: Rates,
    pub(crate) now: Timestamp,
    pub(crate) screen: Screen,
    pub(crate) focus: Focus,
    /// The place of the selected rank.
    pub(crate) selected: usize,
    pub(crate) grid: Grid,
    /// Where the grid stands on the screen, and how many rows the log has.
    pub(crate) grid_at: (u16, u16),
    pub(crate) log_height: usize,
    pub(crate) typing: Option<Typing>,
    pub(crate) filter: String,
    pub(crate) window: Option<Window>,
    pub(crate) own_stream: Stream,
    pub(crate) own_follows: bool,
    pub(crate) own_height: usize,
    /// How many columns of long lines are left of the screen.
    pub(crate) shift: usize,
    /// How many lines of a longer text are above the screen.
    pub(crate) scrolled: usize,
    /// A snapshot has come.
    pub(crate) has_seen: bool,
    /// Nothing more is seen of the job, and why.
    pub(crate) over: Option<Option<String>>,
    /// The job runs inside this view.
    pub(crate) inside: bool,
    pub(crate) colours: bool,
    shown_failure: bool,
    wanted: VecDeque<Want>,
    leaving: Option<Leaving>,
}

impl App {
    /// A view in colours. Where the job runs `inside`, whoever leaves is asked what is to become of it.
    pub fn new(inside: bool) -> Self {
        Self {
            snapshot: Snapshot::default(),
            log: Log::default(),
            rates: Rates::default(),
            now: Timestamp::default(),
            screen: Screen::Job,
            focus: Focus::default(),
            selected: 0,
            grid: Grid::default(),
            grid_at: (0, 0),
            log_height: 1,
            typing: None,
            filter: String::new(),
            window: None,
            own_stream: Stream::Stdout,
            own_follows: true,
            own_height: 1,
            shift: 0,
            scrolled: 0,
            has_seen: false,
            over: None,
            inside,
            colours: true,
            shown_failure: false,
            wanted: VecDeque::new(),
            leaving: None,
        }
    }

    /// Without colours, as `NO_COLOR` asks: states are told by what stands in cells.
    pub fn without_colours(mut self) -> Self {
        self.colours = false;
        self
    }

    /// What is on the screen.
    pub fn screen(&self) -> Screen {
        self.screen
    }

    /// Why the view is over, once it is.
    pub fn leaving(&self) -> Option<Leaving> {
        self.leaving
    }

    /// Takes in what happens.
    pub fn handle_event(&mut self, happening: Happening) {
        match happening {
            Happening::Seen(message) => self.see(message),
            Happening::Entry(EntryMessage::Entry(entry)) => self.log.push(*entry),
            Happening::Entry(EntryMessage::LeftOut(left_out)) => self.log.left_out(left_out),
            Happening::Entry(EntryMessage::Refused(why)) => self.log.note(why.why),
            Happening::Entry(_) | Happening::Resized => {}
            Happening::Key(key) => self.key(key),
            Happening::Mouse(mouse) => self.mouse(mouse),
            Happening::Now(now) => self.tick(now),
            Happening::Read(window) => self.read(window),
            Happening::Over(why) => self.end(why),
            Happening::Stop => self.leave(Leaving::GoOn),
        }
        // Whoever was asked wanted to leave, and there is nothing left to ask.
        if self.screen == Screen::Leave && self.leaving.is_none() && !self.has_choice() {
            self.leave(Leaving::GoOn);
        }
    }

    /// Whether it is for who leaves to say what becomes of the job: it runs inside, and a rank of it
    /// runs or is yet to come.
    pub(crate) fn has_choice(&self) -> bool {
        let Snapshot { job, ranks, ended, .. } = &self.snapshot;
        let are_all = job.stopped_by.is_some() || ranks.len() >= job.world_size as usize;
        let has_ended =
            !ranks.is_empty() && are_all && ranks.iter().all(|rank| rank.state.is_over());
        self.inside && ended.is_none() && self.over.is_none() && !has_ended
    }

    fn see(&mut self, message: Message) {
        match message {
            Message::Snapshot(snapshot) => {
                self.snapshot = *snapshot;
                self.has_seen = true;
            }
            Message::Event(change) => {
                if let Change::Output(outputs) = &change {
                    outputs.iter().for_each(|output| self.rates.add(output.rank, output.bytes));
                }
                self.snapshot.apply(change);
            }
            Message::Refused(why) => self.end(Some(why.why)),
            _ => {}
        }
        // It shows itself once; whoever left it is not brought back.
        if self.snapshot.first_failure.is_some()
            && !std::mem::replace(&mut self.shown_failure, true)
        {
            if let Some(failure) = &self.snapshot.first_failure {
                let rank = failure.failure.rank;
                self.select(rank);
            }
            if self.screen == Screen::Job && self.typing.is_none() {
                self.open(Screen::Failure);
            }
        }
    }

    fn tick(&mut self, now: Timestamp) {
        self.now = now;
        self.rates.reach(now);
        for view in &mut self.snapshot.ranks {
            if self.over.is_none() {
                view.note_silence(now);
            }
        }
        if self.screen == Screen::Rank && self.own_follows {
            self.want(At::End);
        }
    }

    fn end(&mut self, why: Option<String>) {
        if self.over.is_none() {
            if let Some(why) = &why {
                self.log.note(why.clone());
            }
            self.over = Some(why);
        }
    }

    pub(crate) fn leave(&mut self, leaving: Leaving) {
        self.leaving = Some(leaving);
    }

    pub(crate) fn open(&mut self, screen: Screen) {
        self.screen = screen;
        (self.scrolled, self.shift) = (0, 0);
        if screen == Screen::Rank {
            (self.window, self.own_follows) = (None, true);
            self.want(At::End);
        }
    }

    /// The selected rank.
    pub(crate) fn rank(&self) -> Option<&RankView> {
        self.snapshot.ranks.get(self.selected)
    }

    fn select(&mut self, rank: u32) {
        let place = self.snapshot.ranks.iter().position(|view| view.rank == rank);
        self.selected = place.unwrap_or(self.selected);
    }

    /// Opens the log of the rank that failed first, where it says why.
    pub(crate) fn open_failed(&mut self) {
        if let Some(failed) = &self.snapshot.first_failure {
            let (rank, stream) = (failed.failure.rank, failed.failure.last_lines_of);
            self.select(rank);
            self.own_stream = stream.unwrap_or(self.own_stream);
        }
        self.open(Screen::Rank);
    }

    /// Moves the selection by so many places.
    pub(crate) fn move_by(&mut self, places: isize) {
        let last = self.snapshot.ranks.len().saturating_sub(1);
        self.selected = self.selected.saturating_add_signed(places).min(last);
    }

    /// Selects the next rank that does not run as it should.
    pub(crate) fn next_odd(&mut self) {
        let ranks = &self.snapshot.ranks;
        let odd = |place: &usize| {
            let look = ranks.get(*place).map(Look::of);
            matches!(look, Some(Look::Failed | Look::Silent | Look::Lost))
        };
        let places = (self.selected + 1..ranks.len()).chain(0..=self.selected);
        let found = places.into_iter().find(odd);
        self.selected = found.unwrap_or(self.selected);
    }

    pub(crate) fn set_filter(&mut self, text: &str) -> Result<(), String> {
        let filter: Filter = text.parse().map_err(|error| format!("{error}"))?;
        text.trim().clone_into(&mut self.filter);
        self.log.set_filter(filter);
        Ok(())
    }

    /// Asks for a part of the selected rank's own log.
    pub(crate) fn want(&mut self, at: At) {
        let Some(rank) = self.rank().map(|view| view.rank) else { return };
        self.own_follows = at == At::End;
        // Of several that were not read yet the last one counts.
        self.wanted.clear();
        let (stream, rows) = (self.own_stream, self.own_height.max(1));
        self.wanted.push_back(Want { rank, stream, rows, at });
    }

    /// The place is the same, and more or less of it is shown.
    pub(crate) fn read_again(&mut self) {
        let first = self.window.as_ref().and_then(|window| window.lines.first());
        let at = match first {
            Some(first) if !self.own_follows => At::From(first.start),
            _ => At::End,
        };
        self.want(at);
    }

    /// Moves long lines by so many columns.
    pub(crate) fn shift_by(&mut self, columns: isize) {
        self.shift = self.shift.saturating_add_signed(columns).min(MAX_SHIFT);
    }

    /// What is to be read next.
    pub(crate) fn take_want(&mut self) -> Option<Want> {
        self.wanted.pop_front()
    }

    fn read(&mut self, window: Window) {
        let is_wanted = self.screen == Screen::Rank
            && self.rank().is_some_and(|view| view.rank == window.rank)
            && self.own_stream == window.stream;
        if is_wanted {
            self.window = Some(window);
        }
    }

    /// How many ranks look like this.
    pub(crate) fn count(&self, look: Look) -> usize {
        self.snapshot.ranks.iter().filter(|view| Look::of(view) == look).count()
    }
}
