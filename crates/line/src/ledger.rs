//! The four watermarks, and the arithmetic that proves that nothing was lost in silence.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::{Offset, Span};

/// An offset that only ever grows. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Watermark(Arc<AtomicU64>);

impl Watermark {
    /// Raises it to `offset`; a lower one changes nothing.
    pub fn raise(&self, offset: Offset) {
        self.0.fetch_max(offset.0, Ordering::Release);
    }

    /// Where it stands.
    pub fn get(&self) -> Offset {
        Offset(self.0.load(Ordering::Acquire))
    }
}

/// Why output was not shown although nothing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Withheld {
    /// The rank is not among those to show.
    Show,
    /// Streaming to the client was off.
    StreamingOff,
    /// A later part of the same line was drawn over it.
    Redrawn,
}

/// Why bytes were not shown, or not filed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// As asked for.
    Withheld(Withheld),
    /// A loss, in words.
    Lost(Cow<'static, str>),
}

impl Cause {
    /// The word for a withholding, the loss's own words otherwise.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Withheld(Withheld::Show) => "show",
            Self::Withheld(Withheld::StreamingOff) => "streaming_off",
            Self::Withheld(Withheld::Redrawn) => "redrawn",
            Self::Lost(words) => words,
        }
    }

    /// The cause that [`as_str`](Self::as_str) writes as `text`.
    pub fn parse(text: &str) -> Self {
        match text {
            "show" => Self::Withheld(Withheld::Show),
            "streaming_off" => Self::Withheld(Withheld::StreamingOff),
            "redrawn" => Self::Withheld(Withheld::Redrawn),
            words => Self::Lost(Cow::Owned(words.to_owned())),
        }
    }

    /// A loss for a reason in words.
    pub fn lost(words: impl Into<Cow<'static, str>>) -> Self {
        Self::Lost(words.into())
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A range of a stream that is missing somewhere, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Which bytes.
    #[serde(flatten)]
    pub span: Span,
    /// Why, in words.
    pub cause: String,
}

/// Gaps in the order of their offsets, neighbours of one cause joined.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Gaps(Vec<Gap>);

impl Gaps {
    /// Declares that `span` is missing because of `cause`. Spans come in ascending order and do
    /// not overlap.
    pub fn declare(&mut self, span: Span, cause: &str) {
        if span.is_empty() {
            return;
        }
        match self.0.last_mut() {
            Some(last) if last.span.to == span.from && last.cause == cause => {
                last.span.to = span.to;
            }
            _ => self.0.push(Gap { span, cause: cause.to_owned() }),
        }
    }

    /// How many bytes are missing.
    pub fn bytes(&self) -> u64 {
        self.0.iter().map(|gap| gap.span.len()).sum()
    }

    /// The gaps.
    pub fn as_slice(&self) -> &[Gap] {
        &self.0
    }

    /// How many bytes of `span` are missing.
    pub fn bytes_within(&self, span: Span) -> u64 {
        let from = self.0.partition_point(|gap| gap.span.to <= span.from);
        let gaps = self.0[from..].iter().take_while(|gap| gap.span.from < span.to);
        gaps.map(|gap| gap.span.to.min(span.to) - gap.span.from.max(span.from)).sum()
    }

    /// Whether nothing is missing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first gap that has bytes below `mark`.
    pub fn first_below(&self, mark: Offset) -> Option<&Gap> {
        self.0.first().filter(|gap| gap.span.from < mark)
    }
}

/// Bytes not shown as asked for, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithheldBytes {
    /// Of ranks that are not among those to show.
    pub show: u64,
    /// While streaming to the client was off.
    pub streaming_off: u64,
    /// Drawn over by a later part of the same line.
    pub redrawn: u64,
}

impl WithheldBytes {
    /// Counts `bytes` more.
    pub fn add(&mut self, reason: Withheld, bytes: u64) {
        *match reason {
            Withheld::Show => &mut self.show,
            Withheld::StreamingOff => &mut self.streaming_off,
            Withheld::Redrawn => &mut self.redrawn,
        } += bytes;
    }

    /// All reasons together.
    pub fn total(&self) -> u64 {
        self.show + self.streaming_off + self.redrawn
    }
}

/// What became of one stream's bytes.
///
/// Balanced means: `read = filed + not filed` and `read = shown + withheld + lost`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamLedger {
    /// Taken from the pipe, in bytes.
    pub read_bytes: u64,
    /// Lines taken from the pipe; a last one without newline counts.
    pub read_lines: u64,
    /// In the rank's file, in bytes.
    pub filed_bytes: u64,
    /// On the console, in bytes of the stream (not of what was printed for them).
    pub shown_bytes: u64,
    /// What the file does not have.
    pub not_filed: Gaps,
    /// What the console does not have, as asked for.
    pub withheld: WithheldBytes,
    /// What the console does not have, and should.
    pub lost: Gaps,
}

/// Where a ledger does not add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Imbalance {
    /// `read` is not `filed + not filed`.
    #[error("read {read} bytes, filed or declared {accounted}")]
    Filed {
        /// Bytes read.
        read: u64,
        /// Bytes filed or declared.
        accounted: u64,
    },
    /// `read` is not `shown + withheld + lost`.
    #[error("read {read} bytes, shown or declared {accounted}")]
    Shown {
        /// Bytes read.
        read: u64,
        /// Bytes shown, withheld or declared lost.
        accounted: u64,
    },
}

impl StreamLedger {
    /// Whether it adds up, and where not.
    pub fn balance(&self) -> Result<(), Imbalance> {
        let read = self.read_bytes;
        let accounted = self.filed_bytes + self.not_filed.bytes();
        if read != accounted {
            return Err(Imbalance::Filed { read, accounted });
        }
        let accounted = self.shown_bytes + self.withheld.total() + self.lost.bytes();
        if read != accounted {
            return Err(Imbalance::Shown { read, accounted });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span(from: u64, to: u64) -> Span {
        Span::new(Offset(from), Offset(to))
    }

    #[test]
    fn a_watermark_never_falls() {
        let mark = Watermark::default();
        mark.raise(Offset(9));
        mark.raise(Offset(4));
        assert_eq!(mark.get(), Offset(9));
    }

    #[test]
    fn neighbouring_gaps_of_one_cause_are_one() {
        let mut gaps = Gaps::default();
        gaps.declare(span(0, 5), "full");
        gaps.declare(span(5, 5), "nothing");
        gaps.declare(span(5, 8), "full");
        gaps.declare(span(8, 9), "gone");
        gaps.declare(span(20, 21), "gone");
        assert_eq!(gaps.bytes(), 10);
        assert_eq!(gaps.as_slice().len(), 3);
        assert_eq!(gaps.first_below(Offset(1)).map(|gap| gap.span), Some(span(0, 8)));
        assert_eq!(gaps.first_below(Offset(0)), None);
    }

    #[test]
    fn what_is_missing_of_a_span_is_counted_at_its_borders() {
        let mut gaps = Gaps::default();
        gaps.declare(span(2, 5), "full");
        gaps.declare(span(5, 6), "gone");
        gaps.declare(span(10, 20), "full");
        let within = |from, to| gaps.bytes_within(span(from, to));
        assert_eq!([within(0, 2), within(0, 3), within(3, 11), within(6, 10)], [0, 1, 4, 0]);
        assert_eq!([within(12, 13), within(0, 100), within(20, 30), within(4, 4)], [1, 14, 0, 0]);
    }

    #[test]
    fn a_cause_reads_back_as_it_was_written() {
        let withheld = [Withheld::Show, Withheld::StreamingOff, Withheld::Redrawn];
        let causes = withheld.map(Cause::Withheld).into_iter().chain([Cause::lost("no route")]);
        for cause in causes {
            assert_eq!(Cause::parse(cause.as_str()), cause);
        }
    }

    proptest! {
        /// Whatever becomes of each byte, a ledger that is given all of them balances, and one
        /// that misses one does not.
        #[test]
        fn a_ledger_balances_exactly_when_every_byte_is_accounted_for(
            fates in proptest::collection::vec((any::<bool>(), 0_u8..5), 1..200),
            forgotten in any::<proptest::sample::Index>(),
        ) {
            let forgotten = forgotten.index(fates.len());
            let mut whole = StreamLedger { read_bytes: fates.len() as u64, ..Default::default() };
            let mut holed = whole.clone();
            for (at, (filed, shown)) in fates.into_iter().enumerate() {
                account_for(&mut whole, at as u64, filed, shown);
                if at != forgotten {
                    account_for(&mut holed, at as u64, filed, shown);
                }
            }
            prop_assert_eq!(whole.balance(), Ok(()));
            prop_assert!(holed.balance().is_err());
        }
    }

    fn account_for(ledger: &mut StreamLedger, at: u64, filed: bool, shown: u8) {
        if filed {
            ledger.filed_bytes += 1;
        } else {
            ledger.not_filed.declare(span(at, at + 1), "no space left on device");
        }
        match shown {
            0 => ledger.shown_bytes += 1,
            1 => ledger.withheld.add(Withheld::Show, 1),
            2 => ledger.withheld.add(Withheld::StreamingOff, 1),
            3 => ledger.withheld.add(Withheld::Redrawn, 1),
            _ => ledger.lost.declare(span(at, at + 1), "console closed"),
        }
    }
}
