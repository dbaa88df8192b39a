//! What comes out of a stream's bytes, for the console.

use lastline_line::Offset;

/// What came out of a stream's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Out<'a> {
    /// Bytes that a later part of the line was drawn over.
    Redrawn(u64),
    /// A line, or a part of one.
    Line {
        /// Where the visible text starts.
        start: Offset,
        /// Bytes of the stream that it stands for.
        bytes: u64,
        /// The text that is in memory: all but the first `filed` bytes.
        text: &'a [u8],
        /// How many bytes before `text` were released and stand in the file.
        filed: u64,
        continuation: bool,
        partial: bool,
        /// A state that a later part of the line was drawn over.
        redrawn: bool,
    },
}
