//! Who wrote a byte, and where in their stream it stands.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Serialize};

/// One of the streams that a rank writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// File descriptor 1.
    Stdout,
    /// File descriptor 2.
    Stderr,
    /// Both through one pipe, in the order in which they were written.
    Merged,
}

impl Stream {
    /// All there may be: a rank has the first two, or one.
    pub const ALL: [Self; 3] = [Self::Stdout, Self::Stderr, Self::Merged];

    /// Those of a rank whose outputs are taken apart, in the order of their descriptors.
    pub const SEPARATE: [Self; 2] = [Self::Stdout, Self::Stderr];

    /// `stdout`, `stderr` or `merged`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Merged => "merged",
        }
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A random number made when a rank is started; a rank started again is another launch.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Launch(pub u64);

impl fmt::Display for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// One host of a job: a process that runs ranks.
///
/// Drawn at random by a host at a distance, so that two that claim the same rank are told apart, and one
/// that was started again from the one before; 0 where host and driver are one process.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct HostId(pub u64);

impl HostId {
    /// The host in the driver's own process.
    pub const HERE: Self = Self(0);
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// One stream of one launch of one rank of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StreamId {
    /// Which start of the rank.
    pub launch: Launch,
    /// The rank, from 0.
    pub rank: u32,
    /// Which of its streams.
    pub stream: Stream,
}

impl StreamId {
    /// The stream of a rank in the given launch.
    pub const fn new(launch: Launch, rank: u32, stream: Stream) -> Self {
        Self { launch, rank, stream }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {} {}", self.rank, self.stream)
    }
}

/// Bytes from the start of a stream.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Offset(pub u64);

impl Offset {
    /// The start of every stream.
    pub const ZERO: Self = Self(0);
}

impl Add<u64> for Offset {
    type Output = Self;
    fn add(self, bytes: u64) -> Self {
        Self(self.0 + bytes)
    }
}

impl AddAssign<u64> for Offset {
    fn add_assign(&mut self, bytes: u64) {
        self.0 += bytes;
    }
}

impl Sub for Offset {
    type Output = u64;
    /// Bytes between two places; zero when `rhs` is the later one.
    fn sub(self, rhs: Self) -> u64 {
        self.0.saturating_sub(rhs.0)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The bytes of a stream from `from` up to, not including, `to`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Span {
    /// The first byte.
    pub from: Offset,
    /// One past the last byte; never below `from`.
    pub to: Offset,
}

impl Span {
    /// From one offset to another; empty when `to` is not above `from`.
    pub fn new(from: Offset, to: Offset) -> Self {
        Self { from, to: to.max(from) }
    }

    /// How many bytes it covers.
    pub fn len(&self) -> u64 {
        self.to - self.from
    }

    /// Whether it covers none.
    pub fn is_empty(&self) -> bool {
        self.from >= self.to
    }

    /// What both cover; empty when they do not meet.
    pub fn intersection(&self, other: &Self) -> Self {
        Self::new(self.from.max(other.from), self.to.min(other.to))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.from, self.to)
    }
}

/// Microseconds since the Unix epoch; zero where a time is not known.
///
/// The pure crates never read a clock: a time is always handed to them.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The time of a wall clock reading; zero for one before the epoch.
    pub fn from_system(time: std::time::SystemTime) -> Self {
        let since = time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    }

    /// The time, unless it is not known.
    pub fn known(self) -> Option<Self> {
        (self.0 > 0).then_some(self)
    }

    /// This time and `duration` more.
    pub fn after(self, duration: std::time::Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}
