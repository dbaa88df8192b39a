//! What a barrier comes to.

use std::fmt;
use std::time::Duration;

use lastline_line::{BarrierOutcome, Offset, Span, StreamId, Version};

/// What a barrier can say of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Everything below the mark has been shown.
    Reached,
    /// The stream has ended, and all of it has been shown.
    Ended,
    /// A part of what the barrier covers was lost.
    Lost {
        /// The first range that was lost.
        span: Span,
        /// Why.
        cause: String,
    },
    /// The deadline came first.
    TimedOut {
        /// Shown up to here.
        shown: Offset,
        /// The mark, as far as it was known.
        wanted: Option<Offset>,
    },
}

impl Verdict {
    /// Whether everything that was printed before the barrier has arrived.
    pub fn is_reached(&self) -> bool {
        matches!(self, Self::Reached | Self::Ended)
    }

    /// `reached`, `ended`, `lost` or `timed out`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Reached => "reached",
            Self::Ended => "ended",
            Self::Lost { .. } => "lost",
            Self::TimedOut { .. } => "timed out",
        }
    }

    /// What is missing, in words: `shown up to byte 7 of 9`; none of what was reached or has ended.
    pub fn why(&self) -> Option<String> {
        match self {
            Self::Reached | Self::Ended => None,
            Self::Lost { span, cause } => Some(format!("bytes {span} were lost: {cause}")),
            Self::TimedOut { shown, wanted: Some(wanted) } => {
                Some(format!("shown up to byte {shown} of {wanted}"))
            }
            Self::TimedOut { shown, wanted: None } => Some(format!("shown up to byte {shown}")),
        }
    }
}

/// One verdict per stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdicts {
    /// Which barrier.
    pub version: Version,
    /// In the order of launch, rank and stream.
    pub streams: Vec<(StreamId, Verdict)>,
    /// How many hosts had not listed their streams at the deadline.
    pub missing_hosts: usize,
    /// Hosts that could not be reached, as far as the owner of the client knows of any.
    pub unreachable: Vec<Unreachable>,
}

/// A host whose heartbeats have stopped: what its ranks printed since is in its own files, if anywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unreachable {
    /// Its name.
    pub host: String,
    /// For how long nothing had been heard of it; where it was given up, by then.
    pub silent_for: Duration,
}

impl Unreachable {
    /// A host that has been silent for so long.
    pub fn new(host: impl Into<String>, silent_for: Duration) -> Self {
        Self { host: host.into(), silent_for }
    }
}

/// `a (silent for 60 s)`.
impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (silent for {} s)", self.host, self.silent_for.as_secs())
    }
}

impl Verdicts {
    /// Whether all hosts could be reached and have listed their streams, and all of those have been
    /// reached or have ended.
    pub fn all_reached(&self) -> bool {
        self.summary() == BarrierOutcome::Reached
    }

    /// The worst one.
    pub fn summary(&self) -> BarrierOutcome {
        let outcome = |(_, verdict): &(StreamId, Verdict)| match verdict {
            Verdict::Reached | Verdict::Ended => BarrierOutcome::Reached,
            Verdict::Lost { .. } => BarrierOutcome::Lost,
            Verdict::TimedOut { .. } => BarrierOutcome::TimedOut,
        };
        if self.missing_hosts > 0 {
            return BarrierOutcome::TimedOut;
        }
        let at_best = if self.unreachable.is_empty() {
            BarrierOutcome::Reached
        } else {
            BarrierOutcome::Lost
        };
        self.streams.iter().map(outcome).max().unwrap_or(at_best).max(at_best)
    }
}
