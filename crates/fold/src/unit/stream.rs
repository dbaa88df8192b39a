//! Holding the lines of open units, stream by stream.

use lastline_line::{Line, Offset, StreamId, Timestamp};
use rustc_hash::FxHashMap;

use super::{Compared, Part, Shape};

/// A unit with more lines than this is not folded.
const MAX_LINES: usize = 1000;
/// Nor one with more bytes.
const MAX_BYTES: usize = 64 << 10;

/// What is kept of a line beside its text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meta {
    pub(crate) stream: StreamId,
    pub(crate) start: Offset,
    pub(crate) bytes: u64,
    pub(crate) time: Timestamp,
    /// The length of the text.
    pub(crate) len: usize,
    pub(crate) continuation: bool,
    pub(crate) partial: bool,
    pub(crate) redrawn: bool,
    /// It begins and ends here: with a newline, or with its stream.
    pub(crate) whole: bool,
    /// How it is compared, in a unit.
    pub(crate) compares: Compared,
}

impl Meta {
    /// What is kept of `line`.
    #[inline]
    fn of(line: &Line<'_>, whole: bool) -> Self {
        Self {
            stream: line.stream,
            start: line.start,
            bytes: line.bytes,
            time: line.time,
            len: line.text.len(),
            continuation: line.continuation,
            partial: line.partial,
            redrawn: line.redrawn,
            whole,
            compares: Compared::ALONE,
        }
    }

    /// The line again.
    pub(crate) fn line<'a>(&self, text: &'a [u8]) -> Line<'a> {
        Line {
            stream: self.stream,
            start: self.start,
            bytes: self.bytes,
            time: self.time,
            text,
            continuation: self.continuation,
            partial: self.partial,
            redrawn: self.redrawn,
        }
    }
}

/// What a rank said: a line, or the lines of a unit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said<'a> {
    /// The lines, a newline between two.
    pub(crate) text: &'a [u8],
    /// What is known of each; never empty, all of one stream.
    pub(crate) lines: &'a [Meta],
}

impl<'a> Said<'a> {
    /// Whose it is.
    pub(crate) fn stream(&self) -> StreamId {
        self.lines[0].stream
    }

    /// The lines one by one.
    pub(crate) fn each(&self) -> impl Iterator<Item = (&'a Meta, &'a [u8])> {
        let (text, mut at) = (self.text, 0);
        self.lines.iter().map(move |meta| {
            let line = &text[at..at + meta.len];
            at += meta.len + 1;
            (meta, line)
        })
    }
}

/// The open unit of one stream.
#[derive(Debug)]
struct Held {
    shape: Shape,
    text: Vec<u8>,
    lines: Vec<Meta>,
    /// How many of the lines are in the unit for certain; blank ones may follow.
    certain: usize,
    last: Timestamp,
}

impl Held {
    /// When it is whole if nothing more is said.
    fn deadline(&self) -> Timestamp {
        self.last.after(self.shape.patience())
    }

    fn take(&mut self, line: &Line<'_>, now: Timestamp, part: Part) {
        if !self.lines.is_empty() {
            self.text.push(b'\n');
        }
        self.text.extend_from_slice(line.text);
        let compares = self.shape.compares(line.text);
        self.lines.push(Meta { compares, ..Meta::of(line, true) });
        if part == Part::Inside {
            self.certain = self.lines.len();
        }
        self.last = now;
    }

    /// Gives the unit, then what turned out not to be in it.
    fn give(&self, give: &mut impl FnMut(Said<'_>)) {
        let certain = self.certain;
        let whole = Said { text: &self.text, lines: &self.lines };
        let length = self.lines[..certain].iter().map(|meta| meta.len + 1).sum::<usize>() - 1;
        give(Said { text: &self.text[..length], lines: &self.lines[..certain] });
        for (meta, text) in whole.each().skip(certain) {
            let alone = Meta { compares: Compared::ALONE, ..*meta };
            give(Said { text, lines: &[alone] });
        }
    }
}

/// The open units of all streams.
#[derive(Debug, Default)]
pub(crate) struct Units {
    open: FxHashMap<StreamId, Held>,
    bytes: usize,
}

impl Units {
    /// Takes the next line of a stream; gives what is complete by it, in order.
    #[inline]
    pub(crate) fn push(
        &mut self,
        line: &Line<'_>,
        now: Timestamp,
        give: &mut impl FnMut(Said<'_>),
    ) {
        self.take(line, !line.continuation && !line.partial, now, give);
    }

    /// The same of the last line of a stream, which has no newline.
    pub(crate) fn push_last(
        &mut self,
        line: &Line<'_>,
        now: Timestamp,
        give: &mut impl FnMut(Said<'_>),
    ) {
        self.take(line, !line.continuation, now, give);
        self.close(line.stream, give);
    }

    #[inline]
    fn take(
        &mut self,
        line: &Line<'_>,
        whole: bool,
        now: Timestamp,
        give: &mut impl FnMut(Said<'_>),
    ) {
        if !self.open.is_empty() && self.goes_on(line, whole, now, give) {
            return;
        }
        match Shape::opened_by(line.text).filter(|_| whole) {
            None => give(Said { text: line.text, lines: &[Meta::of(line, whole)] }),
            Some(shape) => self.hold(shape, line, now),
        }
    }

    #[cold]
    fn hold(&mut self, shape: Shape, line: &Line<'_>, now: Timestamp) {
        let (text, lines) = (Vec::with_capacity(line.text.len()), Vec::new());
        let mut held = Held { shape, text, lines, certain: 0, last: now };
        held.take(line, now, Part::Inside);
        self.bytes += line.text.len();
        self.open.insert(line.stream, held);
    }

    /// Whether the line was taken into the stream's open unit; if not, that unit is closed.
    #[cold]
    fn goes_on(
        &mut self,
        line: &Line<'_>,
        whole: bool,
        now: Timestamp,
        give: &mut impl FnMut(Said<'_>),
    ) -> bool {
        let Some(held) = self.open.get_mut(&line.stream) else {
            return false;
        };
        let room = held.lines.len() < MAX_LINES && held.text.len() + line.text.len() < MAX_BYTES;
        if whole && room && now < held.deadline() {
            let part = held.shape.offer(line.text);
            if part != Part::Foreign {
                self.bytes += line.text.len();
                held.take(line, now, part);
                return true;
            }
        }
        self.close(line.stream, give);
        false
    }

    fn close(&mut self, stream: StreamId, give: &mut impl FnMut(Said<'_>)) {
        if let Some(held) = self.open.remove(&stream) {
            let bytes: usize = held.lines.iter().map(|meta| meta.len).sum();
            self.bytes = self.bytes.saturating_sub(bytes);
            held.give(give);
        }
    }

    /// Closes those for which `closes` holds, in the order of their streams.
    fn close_if(
        &mut self,
        closes: impl Fn(&StreamId, &Held) -> bool,
        give: &mut impl FnMut(Said<'_>),
    ) {
        let chosen = self.open.iter().filter(|(stream, held)| closes(stream, held));
        let mut streams: Vec<_> = chosen.map(|(&stream, held)| (held.last, stream)).collect();
        streams.sort_unstable();
        for (_, stream) in streams {
            self.close(stream, give);
        }
    }

    /// Closes units whose streams have been silent; says when the next one will have been.
    pub(crate) fn due(
        &mut self,
        now: Timestamp,
        give: &mut impl FnMut(Said<'_>),
    ) -> Option<Timestamp> {
        if self.open.is_empty() {
            return None;
        }
        self.close_if(|_, held| held.deadline() <= now, give);
        self.open.values().map(Held::deadline).min()
    }

    /// Closes the units of a rank.
    pub(crate) fn ended(&mut self, rank: u32, give: &mut impl FnMut(Said<'_>)) {
        self.close_if(|stream, _| stream.rank == rank, give);
    }

    /// Closes all.
    pub(crate) fn finish(&mut self, give: &mut impl FnMut(Said<'_>)) {
        self.close_if(|_, _| true, give);
    }

    /// How many bytes of text are held.
    pub(crate) fn held_bytes(&self) -> usize {
        self.bytes
    }
}
