//! What became of the streams of a job, in numbers that only grow.

use std::collections::BTreeMap;

use lastline_line::Stream;

/// What came of every rank and stream of a job, over all its starts.
///
/// A [`Snapshot`](crate::Snapshot) tells of the last start of a rank, and begins again with each; what
/// is here adds up all of them, so that no number is ever smaller than it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// By rank: those that were started, or could not be.
    pub ranks: BTreeMap<u32, RankTally>,
    /// By rank and stream: those that were opened.
    pub streams: BTreeMap<(u32, Stream), StreamTally>,
}

/// How often a rank started and ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RankTally {
    /// How often it was started.
    pub starts: u64,
    /// How often it ended well.
    pub successes: u64,
    /// How often it failed by itself, or could not be started.
    pub failures: u64,
    /// How often it ended because it was told to.
    pub stops: u64,
}

/// What became of a stream, in bytes and lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamTally {
    /// Bytes read; received, where the host is another process.
    pub read_bytes: u64,
    /// Lines read; none of another process are known before a stream ends.
    pub read_lines: u64,
    /// Bytes in files and bytes that no file has; none where there are no files.
    pub filed: Option<FiledTally>,
    /// Bytes on the console.
    pub shown_bytes: u64,
    /// Bytes not on the console, as asked for.
    pub withheld_bytes: u64,
    /// Bytes not on the console that should be.
    pub lost_bytes: u64,
}

/// What became of a stream's bytes in files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FiledTally {
    /// Bytes in files, with those that were removed again to keep within a bound.
    pub filed_bytes: u64,
    /// Bytes that no file has, and none will.
    pub not_filed_bytes: u64,
}

impl FiledTally {
    /// So many, and so many not.
    pub fn new(filed_bytes: u64, not_filed_bytes: u64) -> Self {
        Self { filed_bytes, not_filed_bytes }
    }
}
