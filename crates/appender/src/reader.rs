//! Reading back while it is written.

use std::io;
use std::sync::Arc;

use lastline_line::{Offset, ReadBack, ReadOutcome, Span, StreamId};

use crate::Reason;
use crate::layout::{Piece, Place};
use crate::state::AppenderState;

/// Reads what the appender filed, through the handles that it was written through; a rotated file
/// may be opened again. Files stay open, and readable, as long as it lives.
pub(crate) struct Reader {
    shared: Arc<AppenderState>,
}

impl Reader {
    pub(crate) fn new(shared: Arc<AppenderState>) -> Self {
        Self { shared }
    }

    fn read_piece(
        &self,
        stream: StreamId,
        piece: Piece,
        buffer: &mut [u8],
    ) -> io::Result<Option<usize>> {
        let Place::Filed { file, position } = piece.place else { return Ok(None) };
        let segment = self.shared.known(stream).and_then(|stream| stream.map().segment(file));
        let Some(segment) = segment else { return Ok(None) };
        let handle = match self.shared.files.reader(&segment) {
            Ok(handle) => handle,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        read_some(&*handle, position, within(&piece, buffer)).map(Some)
    }
}

/// The part of the buffer that the piece can fill.
pub(crate) fn within<'b>(piece: &Piece, buffer: &'b mut [u8]) -> &'b mut [u8] {
    let most = usize::try_from(piece.span.len()).unwrap_or(usize::MAX).min(buffer.len());
    &mut buffer[..most]
}

/// One read that is not interrupted.
pub(crate) fn read_some(
    handle: &dyn crate::Append,
    position: u64,
    buffer: &mut [u8],
) -> io::Result<usize> {
    loop {
        match handle.read_at(position, buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// Reads until the buffer is full or the file ends.
pub(crate) fn read_full(
    file: &dyn crate::Append,
    position: u64,
    buffer: &mut [u8],
) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match read_some(file, position + done as u64, &mut buffer[done..])? {
            0 => break,
            bytes => done += bytes,
        }
    }
    Ok(done)
}

/// That the bytes of a piece are not to be had.
pub(crate) fn gone(piece: &Piece, reason: Reason) -> ReadOutcome {
    ReadOutcome::Gone { to: piece.span.to, cause: reason.words().into_owned() }
}

impl ReadBack for Reader {
    fn read_back(
        &self,
        stream: StreamId,
        from: Offset,
        buffer: &mut [u8],
    ) -> io::Result<ReadOutcome> {
        let find = || self.shared.known(stream).and_then(|state| state.map().layout.find(from));
        let Some(piece) = find() else { return Ok(ReadOutcome::NotYet) };
        let read = self.read_piece(stream, piece, buffer)?;
        // A file that shrank or went away while it was read has an entry by now, or will have.
        let piece = find().unwrap_or(piece);
        Ok(match (read, piece.place) {
            (Some(bytes), _) if bytes > 0 => ReadOutcome::Read(bytes),
            (_, Place::Missing(reason)) => gone(&piece, reason),
            (Some(_), Place::Filed { .. }) => gone(&piece, Reason::Truncated),
            (None, Place::Filed { .. }) => gone(&piece, Reason::Removed),
        })
    }

    fn filed(&self, stream: StreamId) -> Offset {
        self.shared.known(stream).map_or(Offset::ZERO, |state| state.filed.get())
    }

    fn holds(&self, stream: StreamId, span: Span) -> bool {
        self.shared.known(stream).is_some_and(|state| state.map().layout.holds(span))
    }

    fn keep(&self, stream: StreamId, span: Span) -> bool {
        let keep = || self.shared.known(stream).is_some_and(|state| self.shared.keep(&state, span));
        self.shared.may_keep(span.len()) && keep()
    }

    fn let_go(&self, stream: StreamId, below: Offset) {
        if let Some(state) = self.shared.known(stream) {
            self.shared.let_go(&state, below);
        }
    }
}
