//! Reading a stream's bytes again.

use crate::{Offset, Span, StreamId};

/// What came of reading back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadOutcome {
    /// This many bytes, at least one, stand at the front of the buffer.
    Read(usize),
    /// The bytes are not filed yet; they may be later.
    NotYet,
    /// They will never be there: from the offset asked for up to `to`, because of `cause`.
    Gone {
        /// Where reading may go on.
        to: Offset,
        /// Why, in the words of the ledger.
        cause: String,
    },
}

/// Gives back, by offset, bytes that were filed.
///
/// # Laws
///
/// 1. What it reads equals what the stream held at that offset.
/// 2. It reads on past a rotation, never across a gap: a gap is `Gone`.
/// 3. `filed` never decreases, and every byte below it is either readable or `Gone`.
/// 4. It may block for a disk, never for a writer's progress: that is `NotYet`.
/// 5. What `keep` has said yes to is not removed by whoever files it until `let_go`.
pub trait ReadBack: Send + Sync {
    /// Reads bytes of `stream` from `from` on into `buffer`, which must not be empty.
    fn read_back(
        &self,
        stream: StreamId,
        from: Offset,
        buffer: &mut [u8],
    ) -> std::io::Result<ReadOutcome>;

    /// Up to where `stream` is settled: filed, or known not to be.
    fn filed(&self, stream: StreamId) -> Offset;

    /// Whether every byte of `span` can be read back: only then may who holds it let it go.
    /// Default: whether it is settled, which will do where nothing is ever left out.
    fn holds(&self, stream: StreamId, span: Span) -> bool {
        self.filed(stream) >= span.to
    }

    /// As [`holds`](Self::holds), and whoever files `span` keeps it until [`let_go`](Self::let_go),
    /// with what lies between it and what is kept of `stream` already. False also where there is no
    /// room to keep more. Default: as `holds`, which will do where nothing is ever removed.
    fn keep(&self, stream: StreamId, span: Span) -> bool {
        self.holds(stream, span)
    }

    /// Nothing of `stream` below `below` need be kept any more.
    fn let_go(&self, _stream: StreamId, _below: Offset) {}
}

impl<R: ReadBack + ?Sized> ReadBack for std::sync::Arc<R> {
    fn read_back(
        &self,
        stream: StreamId,
        from: Offset,
        buffer: &mut [u8],
    ) -> std::io::Result<ReadOutcome> {
        (**self).read_back(stream, from, buffer)
    }
    fn filed(&self, stream: StreamId) -> Offset {
        (**self).filed(stream)
    }
    fn holds(&self, stream: StreamId, span: Span) -> bool {
        (**self).holds(stream, span)
    }
    fn keep(&self, stream: StreamId, span: Span) -> bool {
        (**self).keep(stream, span)
    }
    fn let_go(&self, stream: StreamId, below: Offset) {
        (**self).let_go(stream, below);
    }
}
