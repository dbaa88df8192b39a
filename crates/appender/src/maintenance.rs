//! Maintenance of a stream's file between writes: making, rotating, checking, removing old
//! ones.

use std::sync::Arc;
use std::time::Duration;

use lastline_line::{Span, StreamId, Timestamp};

use crate::files::{OpenError, Segment};
use crate::filing::Stop;
use crate::index_entry::IndexEntry;
use crate::layout::{Piece, Place};
use crate::stream::{StreamState, StreamWriter};
use crate::writer::Writer;
use crate::{Append, Note, Reason};

/// How often it is checked whether a file still has its name: that is looked up in its directory.
const CHECK_NAME_EVERY: Duration = Duration::from_millis(500);

impl Writer {
    /// Makes the stream's next file.
    pub(crate) fn open(
        &mut self,
        stream: &Arc<StreamState>,
        writer: &mut StreamWriter,
    ) -> Result<(), Reason> {
        self.leave_file_before(stream.id);
        let opened = self.shared.files.open_next(stream.id).map_err(|error| {
            let (OpenError::Rotate(error) | OpenError::Create(error)) = error;
            Reason::from(&error)
        });
        self.opened(stream, writer, opened?);
        Ok(())
    }

    /// The file of a rank's earlier start, of which nothing more comes, is let go of when the next start
    /// has one: a rank may be started any number of times.
    fn leave_file_before(&self, next: StreamId) {
        let before = self.shared.files.newest_of(next).filter(|before| *before != next);
        let Some(before) = before.and_then(|id| self.shared.known(id)) else { return };
        let mut writer = before.writer();
        if writer.has_ended {
            self.sync(&before, &mut writer);
            writer.leave_file();
        }
    }

    fn opened(
        &mut self,
        stream: &StreamState,
        writer: &mut StreamWriter,
        (segment, handle): (Arc<Segment>, Arc<dyn Append>),
    ) {
        stream.map().segments.push(Arc::clone(&segment));
        if segment.number > 1 {
            self.shared.compressor.wake(&self.shared);
        }
        writer.segment = Some((segment, handle));
        writer.position = 0;
        writer.sync_begun = 0;
        writer.name_checked_at = Some(self.now);
    }

    /// Begins the next file. False when the old one cannot be renamed: it grows on.
    pub(crate) fn rotate(
        &mut self,
        stream: &Arc<StreamState>,
        writer: &mut StreamWriter,
    ) -> Result<bool, Stop> {
        if writer.rotate_at.is_some_and(|at| self.now < at) {
            return Ok(false);
        }
        self.sync(stream, writer);
        match self.shared.files.open_next(stream.id) {
            Ok(opened) => {
                writer.rotate_at = None;
                self.opened(stream, writer, opened);
                Ok(true)
            }
            Err(OpenError::Create(error)) => {
                writer.leave_file();
                Err(Stop::Failed(Reason::from(&error)))
            }
            Err(OpenError::Rotate(error)) => {
                if writer.rotate_at.is_none() {
                    let reason = Reason::from(&error);
                    self.shared.note([Note::NotRotated { stream: stream.id, reason }]);
                }
                writer.rotate_at = Some(self.now + self.shared.options.retry_after);
                Ok(false)
            }
        }
    }

    /// Looks, before each write, whether the file is still what it was, since a write makes one that
    /// was cut as long as before; and now and then whether it has its name. A lost one is declared, and
    /// the next write makes another.
    pub(crate) fn check_file(&mut self, stream: &Arc<StreamState>, writer: &mut StreamWriter) {
        let Some(reason) = self.what_became_of_file(writer) else { return };
        let Some((segment, _)) = writer.segment.take() else { return };
        writer.leave_file();
        if reason != Reason::Truncated {
            self.shared.files.forget(&segment);
        }
        self.record_outage(stream.id, writer, &Stop::Failed(reason));
        for span in stream.lose_file(segment.number, reason) {
            self.shared.outages().missed(reason, span.len());
            let piece = Piece { span, place: Place::Missing(reason) };
            self.entries.push(IndexEntry { stream: stream.id, piece, time: Timestamp::default() });
        }
        self.write_index(self.now);
    }

    /// Why what a stream's file had is not there any more; `None` when it is.
    fn what_became_of_file(&self, writer: &mut StreamWriter) -> Option<Reason> {
        let (segment, handle) = writer.segment.as_ref()?;
        let attributes = handle.attributes().ok()?;
        if attributes.removed {
            return Some(Reason::Removed);
        }
        if attributes.bytes.is_some_and(|bytes| bytes < writer.position) {
            return Some(Reason::Truncated);
        }
        let is_due = writer.name_checked_at.is_none_or(|at| self.now >= at + CHECK_NAME_EVERY);
        let file = attributes.file.filter(|_| is_due)?;
        writer.name_checked_at = Some(self.now);
        self.shared.files.is_renamed(segment, file).then_some(Reason::Renamed)
    }

    /// A stream has ended: its file is looked at, and forced to disk when that is wanted. It
    /// stays open for reading back.
    pub(crate) fn end(&mut self, stream: &Arc<StreamState>, writer: &mut StreamWriter) {
        writer.name_checked_at = None;
        self.check_file(stream, writer);
        if let Some(reason) = writer.paused.take() {
            self.shared.outages().ended(reason);
        }
        self.sync(stream, writer);
        writer.has_ended = true;
    }

    /// Forces what is new in a stream's file to disk. Blocks.
    pub(crate) fn sync(&self, stream: &StreamState, writer: &mut StreamWriter) {
        if std::mem::take(&mut writer.is_unsynced)
            && let Some((_, handle)) = &writer.segment
        {
            // What is filed meanwhile is not by anybody: its one writer is here.
            let end = stream.map().layout.end();
            let outcome = handle.sync().map_err(|error| Reason::from(&error));
            stream.map().durable.tried(end, outcome);
            outcome.unwrap_or_else(|reason| self.shared.not_synced(reason));
        }
    }

    /// Removes the oldest rotated files until all fit, but for those that are kept. The index says so
    /// before they are gone.
    pub(crate) fn prune(&mut self) {
        let Some(max_bytes) = self.shared.options.max_bytes else { return };
        let shared = Arc::clone(&self.shared);
        let give_up = |segment: &Segment| {
            shared.stream(segment.stream).lose_unkept_file(segment.number, Reason::Pruned)
        };
        while let Some((oldest, spans)) = shared.files.take_oldest(max_bytes, give_up) {
            let (Some(first), Some(last)) = (spans.first(), spans.last()) else { continue };
            let span = Span::new(first.from, last.to);
            for span in &spans {
                let piece = Piece { span: *span, place: Place::Missing(Reason::Pruned) };
                let time = Timestamp::default();
                self.entries.push(IndexEntry { stream: oldest.stream, piece, time });
            }
            self.write_index(self.now);
            let bytes = spans.iter().map(Span::len).sum();
            self.remove(&oldest, span, bytes);
        }
    }

    /// Removes a file that held so many bytes, and tells of the first one, and of the first that cannot
    /// be removed.
    fn remove(&self, oldest: &Segment, span: Span, bytes: u64) {
        let (name, removed) = oldest.remove(&*self.shared.storage);
        let mut pruned = self.shared.pruned();
        let note = match removed {
            Ok(()) => {
                pruned.files += 1;
                pruned.bytes += bytes;
                let note = Note::Pruned { stream: oldest.stream, name, span };
                (pruned.files == 1).then_some(note)
            }
            Err(error) => {
                let note = Note::NotPruned { name, reason: Reason::from(&error) };
                (!std::mem::replace(&mut pruned.failed, true)).then_some(note)
            }
        };
        drop(pruned);
        self.shared.note(note);
    }
}
