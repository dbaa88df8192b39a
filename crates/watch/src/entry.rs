//! What the console shows, with who said what.

use lastline_line::{
    Entry as Shown, Field, Folded, Line, Member, Offset, RankSet, Span, Stream, StreamId, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::address;

/// A line, or several that were folded into one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Entry {
    /// Which of the console's streams it belongs to.
    pub stream: Stream,
    /// What is shown, without the last newline; a traceback has several lines. As ranks wrote it,
    /// escape sequences included, but for bytes that are not UTF-8: the bytes themselves are in the
    /// files. What differs among ranks stands in braces where the fold puts it.
    pub text: String,
    /// How many lines of the ranks it stands for.
    pub lines: u64,
    /// How many times the statement was made; 1 for a line that stands for itself.
    pub count: u64,
    /// Who made it. In JSON `"0-3,8"`.
    #[serde(with = "address::ranks")]
    pub ranks: RankSet,
    /// The ranks that live and did not make it, when that is a shorter way to say who did.
    #[serde(default, with = "address::optional_ranks", skip_serializing_if = "Option::is_none")]
    pub except: Option<RankSet>,
    /// When the first line arrived.
    pub time: Timestamp,
    /// The first line.
    pub first: Place,
    /// The last line.
    pub last: Place,
    /// The lines by stream.
    pub members: Vec<EntryMember>,
    /// What differs, in the order in which it stands in the text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<EntryField>,
    /// Several lines were folded into it; else it is a line that stands for itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub folded: bool,
    /// It goes on with what was shown of the line before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub continuation: bool,
    /// It had no newline yet when it was shown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    /// A state of a progress bar that the rank has drawn over since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub redrawn: bool,
}

/// Where a line starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Place {
    /// In which stream.
    #[serde(flatten, with = "address::stream")]
    pub stream: StreamId,
    /// At which byte of it.
    pub start: Offset,
}

/// What of an entry is of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EntryMember {
    /// Which stream.
    #[serde(flatten, with = "address::stream")]
    pub stream: StreamId,
    /// How many of its lines.
    pub lines: u64,
    /// How many of its bytes.
    pub bytes: u64,
    /// From the start of the first of them to the end of the last, where the fold keeps the order of
    /// a stream's lines: nothing else stands between them, but for what was drawn over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<Span>,
}

/// A value, and who said it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Outlying {
    /// Who. In JSON `"0-3,8"`.
    #[serde(with = "address::ranks")]
    pub ranks: RankSet,
    /// The value, as it was written.
    pub value: String,
}

/// What a rank has in a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RankValue {
    /// Which rank.
    pub rank: u32,
    /// Its values, as they were written, in the order in which they came.
    pub values: Vec<String>,
}

/// What the lines of an entry have in one of their variable places.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EntryField {
    /// The value of all, or of nearly all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The least number that is no outlier, as it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<String>,
    /// The greatest number that is no outlier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<String>,
    /// Up to three values, where they are neither the same nor numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<String>,
    /// How many different values.
    pub distinct: u64,
    /// There may be more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
    /// Those that are far off, and who said them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outliers: Vec<Outlying>,
    /// Every rank's own, where that is known; empty otherwise. What a rank said is in its file, at
    /// the span of its [`EntryMember`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_rank: Vec<RankValue>,
}

/// Entries that a watcher was not told, for it was too slow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LeftOut {
    /// How many entries.
    pub entries: u64,
    /// How many lines of ranks those stood for.
    pub lines: u64,
}

impl LeftOut {
    /// So much is left out.
    pub fn new(entries: u64, lines: u64) -> Self {
        Self { entries, lines }
    }
}

impl std::fmt::Display for LeftOut {
    /// `1,204 entries (3,000 lines) left out`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (entries, lines) = (grouped(self.entries), grouped(self.lines));
        let named = |count, one, many| if count == 1 { one } else { many };
        let entry = named(self.entries, "entry", "entries");
        let line = named(self.lines, "line", "lines");
        write!(f, "{entries} {entry} ({lines} {line}) left out")
    }
}

/// A number with a comma between every three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let rest = digits.as_bytes()[first..].chunks(3);
    let groups = std::iter::once(&digits.as_bytes()[..first]).chain(rest);
    let groups = groups.filter(|group| !group.is_empty()).map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join(",")
}

impl From<&Shown<'_>> for Entry {
    fn from(entry: &Shown<'_>) -> Self {
        match entry {
            Shown::Line(line) => Self::of_line(line),
            Shown::Folded(folded) => Self::of_folded(folded),
        }
    }
}

impl Entry {
    fn of_line(line: &Line<'_>) -> Self {
        let place = Place { stream: line.stream, start: line.start };
        let span = Some(Span::new(line.start, line.start + line.bytes));
        Self {
            stream: line.stream.stream,
            text: String::from_utf8_lossy(line.text).into_owned(),
            lines: 1,
            count: 1,
            ranks: [line.stream.rank].into_iter().collect(),
            except: None,
            time: line.time,
            first: place,
            last: place,
            members: vec![EntryMember { stream: line.stream, lines: 1, bytes: line.bytes, span }],
            fields: Vec::new(),
            folded: false,
            continuation: line.continuation,
            partial: line.partial,
            redrawn: line.redrawn,
        }
    }

    fn of_folded(folded: &Folded<'_>) -> Self {
        let place = |at: lastline_line::Address| Place { stream: at.stream, start: at.start };
        let member = |member: &Member| EntryMember {
            stream: member.stream,
            lines: member.lines,
            bytes: member.bytes,
            span: None,
        };
        Self {
            stream: folded.stream,
            text: String::from_utf8_lossy(folded.text).into_owned(),
            lines: folded.lines,
            count: folded.count,
            ranks: folded.ranks.clone(),
            except: folded.except.cloned(),
            time: folded.time,
            first: place(folded.first),
            last: place(folded.last),
            members: folded.members.iter().map(member).collect(),
            fields: folded.fields.fields().into_iter().map(EntryField::from).collect(),
            folded: true,
            continuation: false,
            partial: false,
            redrawn: false,
        }
    }
}

impl From<Field> for EntryField {
    fn from(field: Field) -> Self {
        let outlying = |outliers: Vec<lastline_line::Outlier>| {
            let each = outliers.into_iter();
            each.map(|outlier| Outlying { ranks: outlier.ranks, value: outlier.value }).collect()
        };
        match field {
            Field::Same(value) => Self { value: Some(value), distinct: 1, ..Self::default() },
            Field::Common { value, distinct, more, outliers } => Self {
                value: Some(value),
                distinct,
                more,
                outliers: outlying(outliers),
                ..Self::default()
            },
            Field::Numbers { min, max, distinct, more, outliers } => Self {
                min: Some(min),
                max: Some(max),
                distinct,
                more,
                outliers: outlying(outliers),
                ..Self::default()
            },
            Field::Samples { samples, distinct, more } => {
                Self { samples, distinct, more, ..Self::default() }
            }
        }
    }
}
