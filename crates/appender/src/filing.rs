//! Putting bytes into files, and saying what became of each of them.

use std::io::{self, IoSlice};
use std::sync::Arc;

use lastline_line::{StreamId, Timestamp};

use crate::index_entry::IndexEntry;
use crate::layout::Place;
use crate::outage::Hit;
use crate::rotate::{Cut, cut};
use crate::stream::{Item, Payload, StreamState, StreamWriter};
use crate::writer::Writer;
use crate::{Append, Fsync, Reason};

/// Chunks that were read so close together become one record of the index.
const JOIN_WITHIN_US: u64 = 1000;
/// The most pieces of one write.
const WRITE_PIECES: usize = 64;

/// Bytes that follow each other in their stream.
#[derive(Clone, Copy)]
struct Part<'a> {
    bytes: &'a [u8],
    time: Timestamp,
}

/// Why bytes cannot be filed now.
pub(crate) enum Stop {
    /// It failed a moment ago, and is not tried.
    Waiting(Reason),
    /// It was tried.
    Failed(Reason),
}

impl Writer {
    /// Writes a batch, and gives back the room that it took.
    pub(crate) fn file(&mut self, items: &mut Vec<Item>) {
        // Items of a stream stay in order; that of streams among each other means nothing.
        items.sort_by_key(|item| Arc::as_ptr(&item.stream).addr());
        for group in items.chunk_by(|one, next| Arc::ptr_eq(&one.stream, &next.stream)) {
            self.file_stream(group);
        }
        items.clear();
    }

    fn file_stream(&mut self, items: &[Item]) {
        let Some(Item { stream, .. }) = items.first() else { return };
        let mut writer = stream.writer();
        if !std::mem::replace(&mut writer.is_known, true) {
            self.streams.push(Arc::clone(stream));
        }
        let mut next = stream.map().layout.end();
        let mut parts = Vec::with_capacity(items.len());
        for item in items {
            let start = match &item.payload {
                Payload::Data { start, .. } => *start,
                Payload::End { at } => *at,
            };
            if start > next {
                let (bytes, time) = (start - next, Timestamp::default());
                self.put(stream, &mut writer, &mut parts);
                self.declare_missing(stream, &mut writer, bytes, time, Reason::NotOffered);
                next = start;
            }
            match &item.payload {
                Payload::Data { start, time, bytes } => {
                    let known = usize::try_from(next - *start).unwrap_or(usize::MAX);
                    let bytes = bytes.get(known..).unwrap_or_default();
                    parts.push(Part { bytes, time: *time });
                    next += bytes.len() as u64;
                }
                Payload::End { .. } => {
                    self.put(stream, &mut writer, &mut parts);
                    self.end(stream, &mut writer);
                }
            }
        }
        self.put(stream, &mut writer, &mut parts);
        drop(writer);
        self.prune();
    }

    /// Files parts, or declares them missing from where that stops. Leaves none.
    fn put(
        &mut self,
        stream: &Arc<StreamState>,
        writer: &mut StreamWriter,
        parts: &mut Vec<Part<'_>>,
    ) {
        let mut rest = &mut parts[..];
        loop {
            while rest.first().is_some_and(|part| part.bytes.is_empty()) {
                rest = &mut rest[1..];
            }
            if rest.is_empty() {
                break;
            }
            match self.step(stream, writer, rest) {
                Ok(bytes) => self.record_filed(stream, writer, rest, bytes),
                Err(stop) => {
                    self.record_outage(stream.id, writer, &stop);
                    let (Stop::Waiting(reason) | Stop::Failed(reason)) = stop;
                    for part in rest {
                        let bytes = std::mem::take(&mut part.bytes).len() as u64;
                        self.declare_missing(stream, writer, bytes, part.time, reason);
                    }
                    break;
                }
            }
        }
        parts.clear();
    }

    /// One write: gives how many bytes it took, at least one.
    fn step(
        &mut self,
        stream: &Arc<StreamState>,
        writer: &mut StreamWriter,
        parts: &[Part<'_>],
    ) -> Result<usize, Stop> {
        if let Some(reason) = writer.paused {
            if !self.shared.outages().may_try(reason, self.now) {
                return Err(Stop::Waiting(reason));
            }
            // The gap is in the index before the file goes on: positions can be told even when
            // nothing can be written into the index afterwards.
            self.write_index(self.now);
        }
        let total: usize = parts.iter().map(|part| part.bytes.len()).sum();
        let shared = Arc::clone(&self.shared);
        let gate = &shared.gate;
        let passing = gate.pass(&*self.shared.storage, total as u64, self.now);
        let _until_written = passing.map_err(Stop::Failed)?;
        self.check_file(stream, writer);
        if let Some(limit) = self.shared.options.rotate_at()
            && writer.position + total as u64 > limit
        {
            let fitting = self.fitting(stream, writer, limit, parts[0].bytes)?;
            return self.append(stream, writer, &[IoSlice::new(fitting)]);
        }
        let mut slices = [IoSlice::new(&[]); WRITE_PIECES];
        let count = parts.len().min(WRITE_PIECES);
        for (slice, part) in slices.iter_mut().zip(parts) {
            *slice = IoSlice::new(part.bytes);
        }
        self.append(stream, writer, &slices[..count])
    }

    /// What goes into the current file of a bounded size, after beginning the next one if need be.
    fn fitting<'b>(
        &mut self,
        stream: &Arc<StreamState>,
        writer: &mut StreamWriter,
        limit: u64,
        bytes: &'b [u8],
    ) -> Result<&'b [u8], Stop> {
        if cut(writer.position, limit, bytes) == Cut::Rotate && !self.rotate(stream, writer)? {
            return Ok(bytes);
        }
        match cut(writer.position, limit, bytes) {
            Cut::Take(fitting) => Ok(&bytes[..fitting]),
            Cut::Rotate => Ok(bytes),
        }
    }

    fn append(
        &mut self,
        stream: &Arc<StreamState>,
        writer: &mut StreamWriter,
        slices: &[IoSlice<'_>],
    ) -> Result<usize, Stop> {
        if writer.segment.is_none() {
            self.open(stream, writer).map_err(Stop::Failed)?;
        }
        let (segment, handle) = writer.segment.as_ref().expect("BUG: opened above");
        let bytes = append_once(&**handle, slices).map_err(|e| Stop::Failed(Reason::from(&e)))?;
        self.shared.files.grew(segment, bytes as u64);
        if self.shared.options.fsync != Fsync::Never
            && !std::mem::replace(&mut writer.is_unsynced, true)
        {
            self.is_unsynced(stream);
        }
        Ok(bytes)
    }

    /// `bytes` of the parts are in the file.
    fn record_filed(
        &mut self,
        stream: &Arc<StreamState>,
        writer: &mut StreamWriter,
        parts: &mut [Part<'_>],
        mut bytes: usize,
    ) {
        let file = writer.segment.as_ref().map_or(0, |(segment, _)| segment.number);
        let place = Place::Filed { file, position: writer.position };
        writer.position += bytes as u64;
        if self.shared.options.fsync != Fsync::Never {
            writer.begin_sync(false);
        }
        let Some(whole) = stream.place(bytes as u64, place) else {
            // It was given up meanwhile.
            return parts.iter_mut().for_each(|part| part.bytes = &[]);
        };
        if let Some(reason) = writer.paused.take() {
            self.shared.outages().recovered(reason, self.now);
        }
        let mut from = whole.span.from;
        for part in parts {
            let taken = bytes.min(part.bytes.len());
            part.bytes = &part.bytes[taken..];
            bytes -= taken;
            let mut piece = whole.since(from);
            from += taken as u64;
            piece.span.to = from;
            if taken > 0 {
                self.record(writer, IndexEntry { stream: stream.id, piece, time: part.time });
            }
            if bytes == 0 {
                break;
            }
        }
    }

    /// Declares the next bytes of a stream as missing.
    fn declare_missing(
        &mut self,
        stream: &Arc<StreamState>,
        writer: &mut StreamWriter,
        bytes: u64,
        time: Timestamp,
        reason: Reason,
    ) {
        if let Some(piece) = stream.place(bytes, Place::Missing(reason)).filter(|_| bytes > 0) {
            self.shared.outages().missed(reason, bytes);
            self.record(writer, IndexEntry { stream: stream.id, piece, time });
        }
    }

    fn record(&mut self, writer: &mut StreamWriter, entry: IndexEntry) {
        let within = if entry.is_filed() { JOIN_WITHIN_US } else { u64::MAX };
        if let Some((batch, at)) = writer.last_entry
            && batch == self.batch
            && self.entries.get_mut(at).is_some_and(|last| last.absorb(&entry, within))
        {
            return;
        }
        writer.last_entry = Some((self.batch, self.entries.len()));
        self.entries.push(entry);
    }

    /// Counts a stream in among those that an outage hits.
    pub(crate) fn record_outage(&mut self, id: StreamId, writer: &mut StreamWriter, stop: &Stop) {
        if let Stop::Failed(reason) = *stop {
            let before = writer.paused.replace(reason);
            let hit = Hit::Stream(id);
            let note = self.shared.outages().failed(hit, before, reason, self.now);
            self.shared.note(note);
        }
    }
}

/// One write that is not interrupted.
fn append_once(handle: &dyn Append, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    loop {
        let written = match slices {
            [slice] => handle.append(slice),
            _ => handle.append_vectored(slices),
        };
        match written {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            written => return written,
        }
    }
}
