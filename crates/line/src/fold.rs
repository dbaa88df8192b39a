//! The seam for folding: what a line is to a fold, and what a fold gives out.

use crate::{FieldSource, Offset, RankSet, Stream, StreamId, Timestamp};

/// A line as the console sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Whose line.
    pub stream: StreamId,
    /// Where the line starts in its stream.
    pub start: Offset,
    /// How many bytes of the stream count as shown when this line is.
    pub bytes: u64,
    /// When it arrived.
    pub time: Timestamp,
    /// The visible text, without its line ending; any bytes but a newline.
    pub text: &'a [u8],
    /// It goes on with what a barrier printed of it before.
    pub continuation: bool,
    /// It had no newline yet when it had to be printed.
    pub partial: bool,
    /// A state of a progress bar, which the rank draws over in the same line; it stands for itself.
    pub redrawn: bool,
}

/// Lines and bytes of one stream that an entry stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The stream.
    pub stream: StreamId,
    /// How many of its lines.
    pub lines: u64,
    /// The sum of their [`Line::bytes`].
    pub bytes: u64,
}

/// One line of one stream, by address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// Whose line.
    pub stream: StreamId,
    /// Where it starts.
    pub start: Offset,
}

/// One entry that stands for several lines.
#[derive(Clone, Copy, Debug)]
pub struct Folded<'a> {
    /// Which of the console's streams it belongs to.
    pub stream: Stream,
    /// What to print, without the last newline; a unit has several lines.
    pub text: &'a [u8],
    /// How many lines of the ranks it stands for.
    pub lines: u64,
    /// How many times the statement was made.
    pub count: u64,
    /// Who made it.
    pub ranks: &'a RankSet,
    /// The ranks that live and did not make it, when that is a shorter way to say who did.
    pub except: Option<&'a RankSet>,
    /// What differs, in the order in which it stands in the text.
    pub fields: &'a dyn FieldSource,
    /// The first line.
    pub first: Address,
    /// The last line.
    pub last: Address,
    /// When the first line arrived.
    pub time: Timestamp,
    /// The lines by stream.
    pub members: &'a [Member],
}

/// What a fold gives out.
#[derive(Clone, Copy, Debug)]
pub enum Entry<'a> {
    /// A line that stands for itself.
    Line(Line<'a>),
    /// Several lines as one.
    Folded(Folded<'a>),
}

/// Takes what a fold gives out, in the order in which it is to be printed.
pub type Emit<'e> = dyn FnMut(Entry<'_>) + 'e;

/// Groups similar lines.
///
/// Pure: no clock, no IO. `now` never decreases.
///
/// # Laws
///
/// 1. **Conservation.** Lines in = lines given out alone + lines counted in entries + lines held;
///    after `finish` none is held. The same for bytes, stream by stream.
/// 2. **Order.** Lines of one stream are given out in the order in which they came. A fold that
///    gathers what is similar over a window, whichever else comes between, cannot promise this and
///    says so.
/// 3. **Release.** A held line is given out by `due` at the time that `due` named, at the latest.
/// 4. **Bounded.** What is held is bounded; over the bound lines pass unfolded.
///
/// `lastline_testing::laws::fold` runs them against any implementation.
pub trait Fold: Send {
    /// Takes the next line of a stream.
    fn push(&mut self, line: &Line<'_>, now: Timestamp, emit: &mut Emit<'_>);

    /// Takes the last line of a stream that ended without a newline: it is [partial](Line::partial), and
    /// nothing goes on with it. Default: as `push`.
    fn push_last(&mut self, line: &Line<'_>, now: Timestamp, emit: &mut Emit<'_>) {
        self.push(line, now, emit);
    }

    /// Gives out what is due at `now`, and says when it wants to be asked next, if at all.
    fn due(&mut self, now: Timestamp, emit: &mut Emit<'_>) -> Option<Timestamp>;

    /// Gives out all that is held: a barrier, a change of mode, the end.
    fn finish(&mut self, emit: &mut Emit<'_>);

    /// A rank will say nothing more: nobody waits for it from now on.
    fn ended(&mut self, _rank: u32, _now: Timestamp, _emit: &mut Emit<'_>) {}

    /// By how many lines a stream is ahead of others, if it is so far ahead that what comes of it next
    /// had better wait for them: pushed now, it would have to give out unfolded what they are about to say,
    /// too. A caller that has room keeps it for a moment, rather of who is further ahead. Default: zero,
    /// nobody waits.
    fn ahead(&self, _stream: StreamId) -> u64 {
        0
    }

    /// Whether `push` gives out every line at once and as it is, so that a caller may print whole
    /// blocks without asking.
    fn is_transparent(&self) -> bool {
        false
    }

    /// What it is called where somebody asks how output is folded: `ranks`, say. Default: `other`.
    fn name(&self) -> &'static str {
        "other"
    }

    /// A fold for what `ranks` show at one moment, the states of their progress bars, say: it is
    /// given these at the same time, finished, and thrown away. Default: one that folds nothing.
    fn for_states(&self, _ranks: RankSet) -> Box<dyn Fold> {
        Box::new(Off)
    }
}

impl<F: Fold + ?Sized> Fold for Box<F> {
    fn push(&mut self, line: &Line<'_>, now: Timestamp, emit: &mut Emit<'_>) {
        (**self).push(line, now, emit);
    }
    fn push_last(&mut self, line: &Line<'_>, now: Timestamp, emit: &mut Emit<'_>) {
        (**self).push_last(line, now, emit);
    }
    fn due(&mut self, now: Timestamp, emit: &mut Emit<'_>) -> Option<Timestamp> {
        (**self).due(now, emit)
    }
    fn finish(&mut self, emit: &mut Emit<'_>) {
        (**self).finish(emit);
    }
    fn ended(&mut self, rank: u32, now: Timestamp, emit: &mut Emit<'_>) {
        (**self).ended(rank, now, emit);
    }
    fn ahead(&self, stream: StreamId) -> u64 {
        (**self).ahead(stream)
    }
    fn is_transparent(&self) -> bool {
        (**self).is_transparent()
    }
    fn name(&self) -> &'static str {
        (**self).name()
    }
    fn for_states(&self, ranks: RankSet) -> Box<dyn Fold> {
        (**self).for_states(ranks)
    }
}

/// Folds nothing: every line as it comes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Off;

impl Fold for Off {
    fn push(&mut self, line: &Line<'_>, _now: Timestamp, emit: &mut Emit<'_>) {
        emit(Entry::Line(*line));
    }
    fn due(&mut self, _now: Timestamp, _emit: &mut Emit<'_>) -> Option<Timestamp> {
        None
    }
    fn finish(&mut self, _emit: &mut Emit<'_>) {}
    fn is_transparent(&self) -> bool {
        true
    }
    fn name(&self) -> &'static str {
        "off"
    }
}
