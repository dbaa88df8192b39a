//! Caring for a stream's file between writes: making, rotating, looking after it, removing old
//! ones.

use std::sync::Arc;
use std::time::Duration;

use lastline_line::{Span, Timestamp};

use crate::event::Event;
use crate::files::{OpenError, Segment};
use crate::filing::Stop;
use crate::layout::{Piece, Place};
use crate::stream::{Filer, StreamState};
use crate::writer::Writer;
use crate::{Append, Note, Reason};

/// How often it is looked whether a file still has its name.
const LOOK_AFTER: Duration = Duration::from_millis(500);

impl Writer {
    /// Makes the stream's next file.
    pub(crate) fn open(
        &mut self,
        stream: &Arc<StreamState>,
        filer: &mut Filer,
    ) -> Result<(), Reason> {
        let opened = self.shared.files.open_next(stream.id).map_err(|error| {
            let (OpenError::Rotate(error) | OpenError::Create(error)) = error;
            Reason::from(&error)
        });
        self.opened(stream, filer, opened?);
        Ok(())
    }

    fn opened(
        &mut self,
        stream: &StreamState,
        filer: &mut Filer,
        (segment, handle): (Arc<Segment>, Arc<dyn Append>),
    ) {
        stream.book().segments.push(Arc::clone(&segment));
        filer.segment = Some((segment, handle));
        filer.position = 0;
        filer.sync_begun = 0;
        filer.looked = Some(self.now);
    }

    /// Begins the next file. False when the old one cannot be renamed: it grows on.
    pub(crate) fn rotate(
        &mut self,
        stream: &Arc<StreamState>,
        filer: &mut Filer,
    ) -> Result<bool, Stop> {
        if filer.rotate_at.is_some_and(|at| self.now < at) {
            return Ok(false);
        }
        self.sync(stream, filer);
        match self.shared.files.open_next(stream.id) {
            Ok(opened) => {
                filer.rotate_at = None;
                self.opened(stream, filer, opened);
                Ok(true)
            }
            Err(OpenError::Create(error)) => {
                filer.leave_file();
                Err(Stop::Failed(Reason::from(&error)))
            }
            Err(OpenError::Rotate(error)) => {
                if filer.rotate_at.is_none() {
                    let reason = Reason::from(&error);
                    self.shared.note([Note::NotRotated { stream: stream.id, reason }]);
                }
                filer.rotate_at = Some(self.now + self.shared.options.retry_after);
                Ok(false)
            }
        }
    }

    /// Looks now and then whether the file is still what it was; a lost one is declared, and the
    /// next write makes another.
    pub(crate) fn look(&mut self, stream: &Arc<StreamState>, filer: &mut Filer) {
        if filer.looked.is_some_and(|looked| self.now < looked + LOOK_AFTER) {
            return;
        }
        filer.looked = Some(self.now);
        let Some((segment, handle)) = &filer.segment else { return };
        let reason = match handle.attributes() {
            Ok(attributes) if attributes.removed => Reason::Removed,
            Ok(attributes) if attributes.bytes.is_some_and(|bytes| bytes < filer.position) => {
                Reason::Truncated
            }
            _ => return,
        };
        let segment = Arc::clone(segment);
        filer.leave_file();
        if reason == Reason::Removed {
            self.shared.files.forget(&segment);
        }
        self.stopped(stream.id, filer, &Stop::Failed(reason));
        for span in stream.book().lose_file(segment.number, reason) {
            self.shared.outages().missed(reason, span.len());
            let piece = Piece { span, place: Place::Missing(reason) };
            self.events.push(Event { stream: stream.id, piece, time: Timestamp::default() });
        }
        self.write_index(self.now);
    }

    /// A stream has ended: its file is looked at, and forced to disk when that is wanted. It
    /// stays open for reading back.
    pub(crate) fn end(&mut self, stream: &Arc<StreamState>, filer: &mut Filer) {
        filer.looked = None;
        self.look(stream, filer);
        if let Some(reason) = filer.paused.take() {
            self.shared.outages().ended(reason);
        }
        self.sync(stream, filer);
    }

    /// Forces what is new in a stream's file to disk. Blocks.
    pub(crate) fn sync(&self, stream: &StreamState, filer: &mut Filer) {
        if std::mem::take(&mut filer.is_unsynced)
            && let Some((_, handle)) = &filer.segment
        {
            // What is filed meanwhile is not by anybody: its one writer is here.
            let end = stream.book().layout.end();
            let outcome = handle.sync().map_err(|error| Reason::from(&error));
            stream.book().durable.tried(end, outcome);
            outcome.unwrap_or_else(|reason| self.shared.not_synced(reason));
        }
    }

    /// Removes the oldest rotated files until all fit. The index says so before they are gone.
    pub(crate) fn prune(&mut self) {
        let Some(max_bytes) = self.shared.options.max_bytes else { return };
        while let Some(oldest) = self.shared.files.take_oldest(max_bytes) {
            let stream = self.shared.stream(oldest.stream);
            let spans = stream.book().lose_file(oldest.number, Reason::Pruned);
            let (Some(first), Some(last)) = (spans.first(), spans.last()) else { continue };
            let span = Span::new(first.from, last.to);
            for span in &spans {
                let piece = Piece { span: *span, place: Place::Missing(Reason::Pruned) };
                let time = Timestamp::default();
                self.events.push(Event { stream: oldest.stream, piece, time });
            }
            self.write_index(self.now);
            let name = oldest.rotated_name();
            let note = match self.shared.storage.remove(&name) {
                Ok(()) => Note::Pruned { stream: oldest.stream, name, span },
                Err(error) => Note::NotPruned { name, reason: Reason::from(&error) },
            };
            self.shared.note([note]);
        }
    }
}
