//! What is offered to subscribers, made only where one has room for it.

use lastline_line::{Entry, Line, Member};

use super::{Subscribed, SubscribedEntry, SubscribedLine};
use crate::entry::OwnedEntry;
use crate::printer::Block;
use crate::queue::{Amount, Offered};

/// A line.
pub(super) struct OneLine<'a> {
    pub(super) line: &'a SubscribedLine,
    pub(super) given: bool,
}

impl Offered<Subscribed> for OneLine<'_> {
    fn begin(&mut self) {
        self.given = false;
    }

    fn text_bytes(&mut self) -> Option<usize> {
        (!self.given).then_some(self.line.bytes.len())
    }

    fn take(&mut self) -> (Subscribed, usize) {
        self.given = true;
        (Subscribed::Line(self.line.clone()), self.line.bytes.len())
    }

    fn all(&self, add: &mut dyn FnMut(Amount)) -> u64 {
        let bytes = self.line.bytes.len() as u64 + u64::from(!self.line.partial);
        add(Amount { stream: self.line.stream, bytes, lines: 1 });
        1
    }
}

/// An entry, which is made once for all.
pub(super) struct OneEntry<'a> {
    pub(super) entry: &'a Entry<'a>,
    pub(super) made: Option<OwnedEntry>,
    pub(super) given: bool,
}

impl Offered<SubscribedEntry> for OneEntry<'_> {
    fn begin(&mut self) {
        self.given = false;
    }

    fn text_bytes(&mut self) -> Option<usize> {
        let bytes = match self.entry {
            Entry::Line(line) => line.text.len(),
            Entry::Folded(folded) => folded.text.len() + size_of_val(folded.members),
        };
        (!self.given).then_some(bytes)
    }

    fn take(&mut self) -> (SubscribedEntry, usize) {
        self.given = true;
        let owned = self.made.get_or_insert_with(|| OwnedEntry::from(self.entry));
        let bytes = match owned {
            OwnedEntry::Line(line) => line.text.len(),
            OwnedEntry::Folded(folded) => {
                folded.text.len() + size_of_val(&*folded.members) + size_of_val(&*folded.fields)
            }
        };
        (SubscribedEntry::Entry(owned.clone()), bytes)
    }

    fn all(&self, add: &mut dyn FnMut(Amount)) -> u64 {
        match self.entry {
            Entry::Line(line) => add(Amount { stream: line.stream, bytes: line.bytes, lines: 1 }),
            Entry::Folded(folded) => {
                let of = |m: &Member| Amount { stream: m.stream, bytes: m.bytes, lines: m.lines };
                folded.members.iter().map(of).for_each(add);
            }
        }
        1
    }
}

/// The lines of a block, each an entry.
pub(super) struct BlockLines<'a> {
    pub(super) block: Block<'a>,
    /// Those that were not given.
    pub(super) rest: &'a [u8],
    /// The length of the first of them, once it is known, without its newline.
    pub(super) next: Option<usize>,
}

impl BlockLines<'_> {
    fn amount(&self, of: &[u8], add: &mut dyn FnMut(Amount)) -> u64 {
        let lines = memchr::memchr_iter(b'\n', of).count() as u64;
        if lines > 0 {
            add(Amount { stream: self.block.stream, bytes: of.len() as u64, lines });
        }
        lines
    }
}

impl Offered<SubscribedEntry> for BlockLines<'_> {
    fn begin(&mut self) {
        (self.rest, self.next) = (self.block.bytes, None);
    }

    fn text_bytes(&mut self) -> Option<usize> {
        if self.next.is_none() {
            self.next = memchr::memchr(b'\n', self.rest);
        }
        self.next
    }

    fn take(&mut self) -> (SubscribedEntry, usize) {
        let end = self.next.take().unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        let given = self.block.bytes.len() - self.rest.len();
        self.rest = rest.get(1..).unwrap_or_default();
        let line = Line {
            stream: self.block.stream,
            start: self.block.start + given as u64,
            bytes: text.len() as u64 + 1,
            time: self.block.time,
            text,
            continuation: false,
            partial: false,
            redrawn: false,
        };
        let owned = OwnedEntry::from(&Entry::Line(line));
        (SubscribedEntry::Entry(owned), text.len())
    }

    fn taken(&self, add: &mut dyn FnMut(Amount)) -> u64 {
        let bytes = self.block.bytes.len() - self.rest.len();
        self.amount(&self.block.bytes[..bytes], add)
    }

    fn all(&self, add: &mut dyn FnMut(Amount)) -> u64 {
        self.amount(self.block.bytes, add)
    }
}
