//! A line, or a piece of one.

use bytes::Bytes;
use lastline_line::{Offset, Span, StreamId, Timestamp};

/// A line of a rank, or a piece of one that is too long, as a destination is given it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// Whose line.
    pub stream: StreamId,
    /// Where it stands, with its newline where it has one.
    pub span: Span,
    /// When it was read, in microseconds since the Unix epoch; 0 where that is not known.
    pub time: Timestamp,
    /// Its bytes as they were written, without the newline.
    pub text: Bytes,
    /// It has no newline: the line goes on in the next record, or the stream ended in the middle of it.
    pub partial: bool,
}

impl Record {
    /// A line that begins there; its newline is counted unless it is `partial`.
    pub fn new(
        stream: StreamId,
        start: Offset,
        time: Timestamp,
        text: impl Into<Bytes>,
        partial: bool,
    ) -> Self {
        let text = text.into();
        let span = Span::new(start, start + text.len() as u64 + u64::from(!partial));
        Self { stream, span, time, text, partial }
    }
}
