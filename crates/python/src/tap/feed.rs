//! One consumer of a tap, and how it gets from the files what found no room.

use std::collections::BTreeMap;
use std::sync::Arc;

use lastline_appender::Archive;
use lastline_line::{Chunk, Offset, ReadBack as _, ReadOutcome, Span, StreamId, Timestamp};

use super::Tap;
use super::queue::{BATCH_BYTES, Queue, Queued, Times};
use crate::wait::lock;

/// How much is read from a file at once, in bytes.
const READ_BYTES: u64 = 256 << 10;

/// What comes next to a consumer.
#[derive(Debug)]
pub(crate) enum Next {
    /// Bytes.
    Batch(Chunk),
    /// Bytes that are not to be had, and why.
    Gap(StreamId, Span, String),
    /// Nothing is to be had, and why.
    Failed(String),
    /// Nothing yet.
    Nothing,
    /// They are being written to their file: ask again in a moment.
    Soon,
    /// Nothing any more.
    End,
}

/// One consumer.
#[derive(Debug)]
pub(crate) struct Feed {
    pub(super) queue: Arc<Queue>,
    pub(super) tap: Arc<Tap>,
    /// Up to where each stream was given out.
    pub(super) next: BTreeMap<StreamId, Offset>,
    pub(super) archive: Option<Archive>,
}

impl Feed {
    /// What comes next. May read a file, and waits for nobody.
    pub(crate) fn next(&mut self) -> Next {
        let (front, ended) = {
            let queued = lock(&self.queue.queued);
            let front = queued.batches.front().map(|chunk| (chunk.stream, chunk.start));
            (front, queued.ended)
        };
        if let Some((stream, start)) = front {
            let next = self.next.get(&stream).copied().unwrap_or(Offset::ZERO);
            return if start > next {
                self.fill(stream, Span::new(next, start))
            } else {
                self.pop()
            };
        }
        if let Some((stream, missed)) = self.missed() {
            return self.fill(stream, missed);
        }
        if ended { Next::End } else { Next::Nothing }
    }

    /// Ready when `next` may have more.
    pub(crate) fn ready(&self) -> impl Future<Output = ()> + Send + use<> {
        let queue = Arc::clone(&self.queue);
        async move { queue.ready.notified().await }
    }

    fn pop(&mut self) -> Next {
        let mut queued = lock(&self.queue.queued);
        let Some(chunk) = queued.batches.pop_front() else {
            return Next::Nothing;
        };
        let was_full = queued.bytes >= queued.limit;
        queued.bytes -= chunk.bytes.len() + BATCH_BYTES;
        let is_full = queued.bytes >= queued.limit;
        drop(queued);
        if was_full && !is_full {
            self.tap.wake();
        }
        let next = self.next.get(&chunk.stream).copied().unwrap_or(Offset::ZERO);
        let Some(chunk) = chunk.trim_before(next) else {
            return Next::Soon;
        };
        self.next.insert(chunk.stream, chunk.end());
        Next::Batch(chunk)
    }

    /// What found no room and has nothing queued behind it. Looks at the queue once more, since what
    /// is there is not missed.
    fn missed(&self) -> Option<(StreamId, Span)> {
        let known = lock(&self.tap.known);
        if !lock(&self.queue.queued).batches.is_empty() {
            return None;
        }
        let next = |stream: &StreamId| self.next.get(stream).copied().unwrap_or(Offset::ZERO);
        let mut heads = known.heads.iter();
        let (stream, head) = heads.find(|(stream, head)| **head > next(stream))?;
        Some((*stream, Span::new(next(stream), *head)))
    }

    fn fill(&mut self, stream: StreamId, span: Span) -> Next {
        match self.read(stream, span) {
            Ok(next) => next,
            Err(why) => self.gap(stream, span, why),
        }
    }

    fn gap(&mut self, stream: StreamId, span: Span, why: String) -> Next {
        self.next.insert(stream, span.to);
        Next::Gap(stream, span, why)
    }

    fn read(&mut self, stream: StreamId, span: Span) -> Result<Next, String> {
        let dir =
            self.tap.dir.as_ref().ok_or("there was no room for them, and no file has them")?;
        let archive = match &self.archive {
            Some(archive) => archive,
            None => self.archive.insert(Archive::open(dir).map_err(|error| error.to_string())?),
        };
        let (time, until) = time_of(&self.queue, archive, stream, span.from);
        let to = until.map_or(span.to, |until| until.min(span.to));
        let len = Span::new(span.from, to).len().min(READ_BYTES);
        let mut buffer = vec![0; usize::try_from(len).unwrap_or_default()];
        let read = |buffer: &mut [u8]| archive.read_back(stream, span.from, buffer);
        let mut outcome = read(&mut buffer);
        if let Ok(ReadOutcome::NotYet) = outcome {
            archive.refresh().map_err(|error| error.to_string())?;
            outcome = read(&mut buffer);
        }
        match outcome.map_err(|error| error.to_string())? {
            ReadOutcome::Read(bytes) => {
                buffer.truncate(bytes);
                let chunk = Chunk::new(stream, span.from, time, buffer.into());
                self.next.insert(stream, chunk.end());
                Ok(Next::Batch(chunk))
            }
            ReadOutcome::Gone { to, cause } => {
                Ok(self.gap(stream, Span::new(span.from, to.min(span.to)), cause))
            }
            ReadOutcome::NotYet if lock(&self.queue.queued).ended => {
                Err("its file does not hold them".into())
            }
            ReadOutcome::NotYet => Ok(Next::Soon),
        }
    }

    /// Nothing is wanted any more.
    pub(crate) fn close(&self) {
        let mut queued = lock(&self.queue.queued);
        (queued.closed, queued.ended) = (true, true);
        queued.batches.clear();
        drop(queued);
        self.tap.wake();
        self.queue.ready.notify_one();
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.close();
    }
}

/// When the byte at `at` was read, and up to where that holds, as the queue or the index knows it; of
/// what neither knows, the beginning of time.
fn time_of(
    queue: &Queue,
    archive: &Archive,
    stream: StreamId,
    at: Offset,
) -> (Timestamp, Option<Offset>) {
    let known = |queued: &mut Queued| queued.missed.get_mut(&stream)?.find(at);
    if let Some(known) = known(&mut lock(&queue.queued)) {
        return known;
    }
    // A consumer that came late: nobody noted anything for it.
    let mut times = Times::default();
    for extent in archive.extents_after(&BTreeMap::from([(stream, at)])) {
        if let (true, Some(time)) = (extent.stream == stream, extent.time) {
            times.note(extent.span.from, time);
        }
    }
    let mut queued = lock(&queue.queued);
    let missed = queued.missed.entry(stream).or_default();
    times.0.extend(missed.0.drain(..));
    *missed = times;
    missed.find(at).unwrap_or((Timestamp(0), None))
}
