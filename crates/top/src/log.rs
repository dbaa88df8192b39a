//! The folded log: entries as they came, a place in them, and what of them is shown.

use std::collections::VecDeque;
use std::time::Duration;

use lastline_line::{RankNumbers, Stream, Timestamp, Who};
use lastline_watch::{Entry, LeftOut};

use crate::clean::clean;
use crate::filter::Filter;

/// How much of the log is kept, in bytes: 16 MiB. What is older is in the job's files.
pub const LOG_BYTES: usize = 16 << 20;
/// The longest text of one entry that is kept, in bytes; of a longer one the start is.
const TEXT_BYTES: usize = 64 << 10;

/// A line of the log.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Who said it: `[0-63] `.
    pub(crate) prefix: String,
    pub(crate) text: String,
    pub(crate) kind: Kind,
}

/// What a line of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Stdout,
    Stderr,
    /// A word of this program.
    Note,
}

/// What came, in its order.
#[derive(Debug)]
enum Item {
    Entry { entry: Box<Entry>, plain: String },
    Note(String),
}

impl Item {
    fn bytes(&self) -> usize {
        match self {
            Self::Entry { entry, plain } => {
                let members = entry.members.len() * size_of::<lastline_watch::EntryMember>();
                size_of::<Entry>() + plain.len() + members
            }
            Self::Note(text) => text.len() + size_of::<Self>(),
        }
    }

    fn rows(&self) -> usize {
        match self {
            Self::Entry { plain, .. } => plain.split('\n').count(),
            Self::Note(_) => 1,
        }
    }
}

/// The log.
#[derive(Debug, Default)]
pub(crate) struct Log {
    items: VecDeque<Item>,
    bytes: usize,
    /// How many entries are not there any more.
    forgotten: u64,
    filter: Filter,
    /// The items that fit the filter, by their number since the start.
    shown: VecDeque<u64>,
    /// The number of the first item that is there.
    first: u64,
    /// How many rows of what is shown are below the screen; 0 follows.
    below: usize,
}

impl Log {
    pub(crate) fn push(&mut self, mut entry: Entry) {
        entry.text.truncate(entry.text.floor_char_boundary(TEXT_BYTES));
        let plain = clean(&entry.text);
        // Who said which value is for others to show. What is empty takes no memory.
        (entry.text, entry.fields) = (String::new(), Vec::new());
        entry.members.shrink_to_fit();
        self.push_item(Item::Entry { entry: Box::new(entry), plain });
    }

    /// Says that entries are missing here.
    pub(crate) fn left_out(&mut self, left_out: LeftOut) {
        self.note(format!("{left_out}"));
    }

    /// Says something in the log.
    pub(crate) fn note(&mut self, text: String) {
        self.push_item(Item::Note(text));
    }

    fn push_item(&mut self, item: Item) {
        let number = self.first + self.items.len() as u64;
        self.bytes += item.bytes();
        if self.fits(&item) {
            self.shown.push_back(number);
            if self.below > 0 {
                // What is looked at stays where it is.
                self.below += item.rows();
            }
        }
        self.items.push_back(item);
        while self.bytes > LOG_BYTES && self.items.len() > 1 {
            if let Some(oldest) = self.items.pop_front() {
                self.bytes -= oldest.bytes();
                self.forgotten += 1;
                self.first += 1;
            }
            while self.shown.front().is_some_and(|number| *number < self.first) {
                self.shown.pop_front();
            }
        }
    }

    fn fits(&self, item: &Item) -> bool {
        match item {
            Item::Entry { entry, plain } => self.filter.fits(entry, plain),
            Item::Note(_) => true,
        }
    }

    /// Shows what fits from now on.
    pub(crate) fn set_filter(&mut self, filter: Filter) {
        self.filter = filter;
        let fits: VecDeque<u64> = (self.first..)
            .zip(&self.items)
            .filter(|(_, item)| self.fits(item))
            .map(|(number, _)| number)
            .collect();
        (self.shown, self.below) = (fits, 0);
    }

    /// How many entries fit, of how many.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.shown.len(), self.items.len())
    }

    pub(crate) fn follows(&self) -> bool {
        self.below == 0
    }

    pub(crate) fn follow(&mut self) {
        self.below = 0;
    }

    /// Goes so many rows towards the start, or the end where it is negative. Not beyond what there is.
    pub(crate) fn scroll(&mut self, rows: isize, height: usize) {
        let most = self.shown_rows().saturating_sub(height);
        self.below = self.below.saturating_add_signed(rows).min(most);
    }

    fn shown_rows(&self) -> usize {
        self.shown_items().map(Item::rows).sum()
    }

    fn shown_items(&self) -> impl DoubleEndedIterator<Item = &Item> {
        let at = |number: &u64| usize::try_from(*number - self.first).ok();
        self.shown.iter().filter_map(move |number| self.items.get(at(number)?))
    }

    /// What others than `rank` said within `around` of a time: the rows nearest to it, `most` at most,
    /// in their order.
    pub(crate) fn around(
        &self,
        time: Timestamp,
        around: Duration,
        rank: u32,
        most: usize,
    ) -> Vec<Row> {
        let distance = |entry: &Entry| entry.time.since(time).max(time.since(entry.time));
        let mut near: Vec<(Duration, usize, &Item)> = (0..)
            .zip(&self.items)
            .filter_map(|(place, item)| match item {
                Item::Entry { entry, .. } if entry.ranks.iter().any(|other| other != rank) => {
                    Some((distance(entry), place, item))
                }
                _ => None,
            })
            .filter(|(distance, ..)| *distance <= around)
            .collect();
        near.sort_by_key(|(distance, place, _)| (*distance, *place));
        near.truncate(most);
        near.sort_by_key(|(_, place, _)| *place);
        let mut rows: Vec<Row> = near.into_iter().flat_map(|(.., item)| rows_of(item)).collect();
        rows.truncate(most);
        rows
    }

    /// The last `height` rows above the place in the log, oldest first.
    pub(crate) fn rows(&self, height: usize) -> Vec<Row> {
        let (mut rows, mut skip) = (VecDeque::new(), self.below);
        for item in self.shown_items().rev() {
            if rows.len() >= height {
                break;
            }
            let count = item.rows();
            if skip >= count {
                skip -= count;
                continue;
            }
            let take = count - std::mem::take(&mut skip);
            for row in rows_of(item).into_iter().take(take).rev() {
                if rows.len() < height {
                    rows.push_front(row);
                }
            }
        }
        if rows.len() < height && self.forgotten > 0 {
            let text = format!("{} older entries are in the files", self.forgotten);
            rows.push_front(Row { prefix: String::new(), text, kind: Kind::Note });
        }
        rows.into()
    }
}

fn rows_of(item: &Item) -> Vec<Row> {
    let Item::Entry { entry, plain } = item else {
        let Item::Note(text) = item else { return Vec::new() };
        return vec![Row { prefix: String::new(), text: text.clone(), kind: Kind::Note }];
    };
    let who = Who { ranks: &entry.ranks, except: entry.except.as_ref(), names: &RankNumbers };
    let prefix = format!("[{}] ", who.short());
    let kind = match entry.stream {
        Stream::Stderr => Kind::Stderr,
        Stream::Stdout | Stream::Merged => Kind::Stdout,
    };
    plain
        .split('\n')
        .map(|text| Row { prefix: prefix.clone(), text: text.to_owned(), kind })
        .collect()
}

#[cfg(test)]
mod tests {
    use lastline_line::{Entry as Printed, Launch, Line, Offset, StreamId};

    use super::*;

    #[test]
    fn the_text_of_an_entry_is_kept_once() {
        let line = Line {
            stream: StreamId::new(Launch(1), 0, Stream::Stdout),
            start: Offset::ZERO,
            bytes: 1_000,
            time: Timestamp(0),
            text: &[b'x'; 999],
            continuation: false,
            partial: false,
            redrawn: false,
        };
        let mut log = Log::default();
        log.push(Entry::from(&Printed::Line(line)));
        let Some(Item::Entry { entry, plain }) = log.items.front() else { panic!("{log:?}") };
        assert_eq!((entry.text.capacity(), plain.len()), (0, 999));
    }
}
