//! A double of [`ReadBack`].

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lastline_line::{Chunk, Gap, Message, Offset, ReadBack, ReadOutcome, Span, StreamId};

use crate::Gate;

/// Streams in memory that can be read back. Clones are handles to the same ones.
///
/// Bytes are written first and filed later, as a test wants it; reading can be held up.
#[derive(Clone, Debug, Default)]
pub struct Files {
    state: Arc<Mutex<HashMap<StreamId, File>>>,
    /// Every reading goes through it.
    pub gate: Gate,
}

#[derive(Debug, Default)]
struct File {
    bytes: Vec<u8>,
    filed: Offset,
    gone: Vec<Gap>,
    read_bytes: u64,
}

impl Files {
    /// No streams.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, HashMap<StreamId, File>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the bytes of a chunk; they are not filed yet.
    pub fn write(&self, chunk: &Chunk) {
        let mut state = self.state();
        let file = state.entry(chunk.stream).or_default();
        assert_eq!(file.bytes.len() as u64, chunk.start.0, "chunks come in order");
        file.bytes.extend_from_slice(&chunk.bytes);
    }

    /// Takes what a message holds, and files it.
    pub fn file(&self, message: &Message) {
        if let Message::Data(chunk) = message {
            self.write(chunk);
            self.file_to(chunk.stream, chunk.end());
        }
    }

    /// As [`file`](Self::file), for a message that need not come in order: what is missing before
    /// it reads as zeros.
    pub fn file_at(&self, message: &Message) {
        let Message::Data(chunk) = message else {
            return;
        };
        let mut state = self.state();
        let file = state.entry(chunk.stream).or_default();
        let start = usize::try_from(chunk.start.0).expect("BUG: it is in memory");
        let end = start + chunk.bytes.len();
        file.bytes.resize(file.bytes.len().max(end), 0);
        file.bytes[start..end].copy_from_slice(&chunk.bytes);
        file.filed = file.filed.max(chunk.end());
    }

    /// Everything of `stream` below `offset` is filed, as far as it was written.
    pub fn file_to(&self, stream: StreamId, offset: Offset) {
        let mut state = self.state();
        let file = state.entry(stream).or_default();
        file.filed = file.filed.max(offset.min(Offset(file.bytes.len() as u64)));
    }

    /// The bytes of `span` cannot be read back, because of `cause`.
    pub fn lose(&self, stream: StreamId, span: Span, cause: &str) {
        let gap = Gap { span, cause: cause.to_owned() };
        self.state().entry(stream).or_default().gone.push(gap);
    }

    /// How many bytes of `stream` were read back.
    pub fn read_bytes(&self, stream: StreamId) -> u64 {
        self.state().get(&stream).map_or(0, |file| file.read_bytes)
    }
}

impl ReadBack for Files {
    fn read_back(
        &self,
        stream: StreamId,
        from: Offset,
        buffer: &mut [u8],
    ) -> io::Result<ReadOutcome> {
        self.gate.pass();
        let mut state = self.state();
        let file = state.entry(stream).or_default();
        if from >= file.filed {
            return Ok(ReadOutcome::NotYet);
        }
        if let Some(gap) = file.gone.iter().find(|gap| gap.span.from <= from && from < gap.span.to)
        {
            return Ok(ReadOutcome::Gone { to: gap.span.to, cause: gap.cause.clone() });
        }
        let after = file.gone.iter().map(|gap| gap.span.from).filter(|gone| *gone > from);
        let to = after.fold(file.filed, Offset::min);
        let start = usize::try_from(from.0).expect("BUG: it is in memory");
        let bytes = usize::try_from(to - from).map_or(buffer.len(), |most| most.min(buffer.len()));
        buffer[..bytes].copy_from_slice(&file.bytes[start..start + bytes]);
        file.read_bytes += bytes as u64;
        Ok(ReadOutcome::Read(bytes))
    }

    fn filed(&self, stream: StreamId) -> Offset {
        self.state().get(&stream).map_or(Offset::ZERO, |file| file.filed)
    }
}
