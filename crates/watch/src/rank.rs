//! One rank as it is seen.

use lastline_line::{Exit, Launch, Timestamp};
use serde::{Deserialize, Serialize};

use crate::address;
use crate::snapshot::SILENT_AFTER;

/// The longest [`RankView::last_line`], in bytes.
pub const LAST_LINE_BYTES: usize = 256;

/// Where a rank stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RankState {
    /// It has not been started yet.
    #[default]
    Waiting,
    /// It runs.
    Running,
    /// It has exited.
    Exited(Exit),
    /// It could not be started, and why.
    NotStarted(String),
    /// Its host is lost, and how that is known; or its end is not known, as of a job that was
    /// interrupted.
    Lost(String),
}

impl RankState {
    /// Whether it will do nothing more.
    pub fn is_over(&self) -> bool {
        !matches!(self, Self::Waiting | Self::Running)
    }

    /// Whether it is known to have failed, or could not be started.
    pub fn failed(&self) -> bool {
        match self {
            Self::Exited(exit) => exit.is_failure(),
            Self::NotStarted(_) => true,
            Self::Waiting | Self::Running | Self::Lost(_) => false,
        }
    }
}

/// A rank as it stands: its last start, and what came of that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RankView {
    /// Which rank.
    pub rank: u32,
    /// Where it runs; empty while that is not known.
    #[serde(default)]
    pub host: String,
    /// Which start of it; none before the first. In JSON 16 hexadecimal digits.
    #[serde(default, with = "address::optional_launch")]
    pub launch: Option<Launch>,
    /// Where it stands.
    pub state: RankState,
    /// Its process on its host.
    #[serde(default)]
    pub pid: Option<u32>,
    /// When it was started, in microseconds since the Unix epoch, as are all times here.
    #[serde(default)]
    pub started: Option<Timestamp>,
    /// When it ended.
    #[serde(default)]
    pub ended: Option<Timestamp>,
    /// Whether an exit was caused by the job's end: it was told to end before it did.
    #[serde(default)]
    pub stopped: bool,
    /// Bytes of both streams that were read, or received where its host is another process.
    #[serde(default)]
    pub bytes: u64,
    /// Lines of both streams that were read; none of another process are known before a stream ends.
    #[serde(default)]
    pub lines: u64,
    /// Bytes of both streams that stand on the console.
    #[serde(default)]
    pub shown_bytes: u64,
    /// When it said something last; none when it has said nothing.
    #[serde(default)]
    pub last_output: Option<Timestamp>,
    /// Since when it runs and says nothing, once that is longer than
    /// [`SILENT_AFTER`](crate::SILENT_AFTER).
    #[serde(default)]
    pub silent_since: Option<Timestamp>,
    /// Its last line, of the stream that spoke last; at most [`LAST_LINE_BYTES`] of it. As the rank
    /// wrote it, escape sequences included, but for bytes that are not UTF-8. Empty while it is not
    /// known: lines of a rank whose host is another process are not seen here.
    #[serde(default)]
    pub last_line: String,
}

impl RankView {
    /// A rank of which nothing is known yet.
    pub fn waiting(rank: u32) -> Self {
        Self { rank, ..Self::default() }
    }

    /// It is `now`: whether it is silent.
    pub fn note_silence(&mut self, now: Timestamp) {
        let since = self.last_output.max(self.started);
        let silent = |since: &Timestamp| now.since(*since) >= SILENT_AFTER;
        self.silent_since = since.filter(silent).filter(|_| self.state == RankState::Running);
    }
}

/// As much of a line as a view has, cut between characters.
pub fn cut_line(line: &str) -> &str {
    &line[..line.floor_char_boundary(LAST_LINE_BYTES)]
}
