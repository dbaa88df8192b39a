//! What a fold gives out, to be kept.

use bytes::Bytes;
use lastline_line::{
    Address, Entry, Field, Folded, Line, Member, Offset, RankSet, Stream, StreamId, Timestamp,
};

/// A [`Line`] that owns its text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OwnedLine {
    /// Whose line.
    pub stream: StreamId,
    /// Where the line starts in its stream.
    pub start: Offset,
    /// How many bytes of the stream it stands for.
    pub bytes: u64,
    /// When it arrived.
    pub time: Timestamp,
    /// The visible text, without its line ending.
    pub text: Bytes,
    /// It goes on with what was given out of it before.
    pub continuation: bool,
    /// It had no newline yet.
    pub partial: bool,
    /// A state of a progress bar that the rank has drawn over since.
    pub redrawn: bool,
}

/// A [`Folded`] that owns what it holds.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OwnedFolded {
    /// Which of the console's streams it belongs to.
    pub stream: Stream,
    /// The text, without the last newline.
    pub text: Bytes,
    /// How many lines of the ranks it stands for.
    pub lines: u64,
    /// How many times the statement was made.
    pub count: u64,
    /// Who made it.
    pub ranks: RankSet,
    /// The ranks that live and did not make it, when that is a shorter way to say who did.
    pub except: Option<RankSet>,
    /// What differs, in the order in which it stands in the text.
    pub fields: Vec<Field>,
    /// The first line.
    pub first: Address,
    /// The last line.
    pub last: Address,
    /// When the first line arrived.
    pub time: Timestamp,
    /// The lines by stream.
    pub members: Vec<Member>,
}

/// An [`Entry`] that owns what it holds.
#[derive(Clone, Debug, PartialEq)]
pub enum OwnedEntry {
    /// A line that stands for itself.
    Line(OwnedLine),
    /// Several lines as one.
    Folded(OwnedFolded),
}

impl OwnedEntry {
    /// The same, as a printer takes it.
    pub fn as_entry(&self) -> Entry<'_> {
        match self {
            Self::Line(line) => Entry::Line(Line {
                stream: line.stream,
                start: line.start,
                bytes: line.bytes,
                time: line.time,
                text: &line.text,
                continuation: line.continuation,
                partial: line.partial,
                redrawn: line.redrawn,
            }),
            Self::Folded(folded) => Entry::Folded(Folded {
                stream: folded.stream,
                text: &folded.text,
                lines: folded.lines,
                count: folded.count,
                ranks: &folded.ranks,
                except: folded.except.as_ref(),
                fields: &folded.fields,
                first: folded.first,
                last: folded.last,
                time: folded.time,
                members: &folded.members,
            }),
        }
    }
}

impl From<&Entry<'_>> for OwnedEntry {
    fn from(entry: &Entry<'_>) -> Self {
        match entry {
            Entry::Line(line) => Self::Line(OwnedLine {
                stream: line.stream,
                start: line.start,
                bytes: line.bytes,
                time: line.time,
                text: Bytes::copy_from_slice(line.text),
                continuation: line.continuation,
                partial: line.partial,
                redrawn: line.redrawn,
            }),
            Entry::Folded(folded) => Self::Folded(OwnedFolded {
                stream: folded.stream,
                text: Bytes::copy_from_slice(folded.text),
                lines: folded.lines,
                count: folded.count,
                ranks: folded.ranks.clone(),
                except: folded.except.cloned(),
                fields: folded.fields.fields(),
                first: folded.first,
                last: folded.last,
                time: folded.time,
                members: folded.members.to_vec(),
            }),
        }
    }
}
