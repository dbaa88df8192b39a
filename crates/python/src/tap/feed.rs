//! One consumer of a tap, and how it gets from the files what found no room.

use std::collections::BTreeMap;
use std::sync::Arc;

use lastline_line::{Chunk, Offset, Span, StreamId};

use super::Tap;
use super::queue::{BATCH_BYTES, Queue};
use super::reader::{Outcome, Reader, Reading};
use crate::lines::Closer;
use crate::wait::lock;

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
    /// Where there are files.
    pub(super) reader: Option<Reader>,
    pub(super) reading: Option<Reading>,
}

impl Feed {
    /// What comes next. Waits for nobody.
    pub(crate) fn next(&mut self) -> Next {
        if lock(&self.queue.queued).closed {
            return Next::End;
        }
        if let Some(reading) = &self.reading {
            let Some(outcome) = reading.take() else {
                return Next::Nothing;
            };
            let (stream, span) = (reading.stream, reading.span);
            self.reading = None;
            return self.filled(stream, span, outcome);
        }
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

    /// Begins to read what is missing.
    fn fill(&mut self, stream: StreamId, span: Span) -> Next {
        let Some(reader) = &mut self.reader else {
            let why = String::from("there was no room for them, and no file has them");
            return self.gap(stream, span, why);
        };
        match reader.begin(stream, span) {
            Ok(reading) => {
                self.reading = Some(reading);
                Next::Nothing
            }
            Err(error) => {
                tracing::debug!(%error, "no thread to read files with: tried again");
                Next::Soon
            }
        }
    }

    fn filled(&mut self, stream: StreamId, span: Span, outcome: Outcome) -> Next {
        match outcome {
            Outcome::Read(chunk) => {
                self.next.insert(stream, chunk.end());
                Next::Batch(chunk)
            }
            Outcome::Gone(to, why) => self.gap(stream, Span::new(span.from, to), why),
            Outcome::NotYet => Next::Soon,
        }
    }

    fn gap(&mut self, stream: StreamId, span: Span, why: String) -> Next {
        self.next.insert(stream, span.to);
        Next::Gap(stream, span, why)
    }

    /// Wants nothing any more.
    pub(crate) fn closer(&self) -> Closer {
        let (queue, tap) = (Arc::clone(&self.queue), Arc::clone(&self.tap));
        Box::new(move || close(&queue, &tap))
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        close(&self.queue, &self.tap);
    }
}

fn close(queue: &Queue, tap: &Tap) {
    let mut queued = lock(&queue.queued);
    (queued.closed, queued.ended) = (true, true);
    queued.batches.clear();
    drop(queued);
    tap.wake();
    queue.ready.notify_one();
}
