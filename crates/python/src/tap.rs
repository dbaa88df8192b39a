//! Output for Python beside the console: each stream's tee feeds a [`Tap`], and each consumer has a
//! [`Feed`] of it, bounded in bytes.
//!
//! What finds no room in a feed is read from the job's files when its turn comes, so that a slow
//! consumer neither makes ranks wait nor misses a byte. Without files the rank waits, as it would for a
//! pipe that nobody reads, until the job's end is waited for. What can be had neither way is a
//! [`Next::Gap`]. Output of the time before the first consumer is kept, as far as a feed has room for it.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use lastline_appender::Archive;
use lastline_line::{
    Accept, Chunk, Message, Offset, ReadBack as _, ReadOutcome, Sink, Span, StreamId, Timestamp,
};
use tokio::sync::Notify;

use crate::wait::lock;

/// How much is read from a file at once, in bytes.
const READ_BYTES: u64 = 256 << 10;
/// What a batch costs beside its bytes, in bytes.
const BATCH_BYTES: usize = 128;
/// So much of what was missed has one time, in bytes.
const NOTE_BYTES: u64 = 64 << 10;

/// What comes next to a consumer.
#[derive(Debug)]
pub(crate) enum Next {
    /// Bytes.
    Batch(Chunk),
    /// Bytes that are not to be had, and why.
    Gap(StreamId, Span, String),
    /// Nothing yet.
    Nothing,
    /// They are being written to their file: ask again in a moment.
    Soon,
    /// Nothing any more.
    End,
}

/// When what was missed of a stream was read, every [`NOTE_BYTES`] of it.
#[derive(Debug, Default)]
struct Times(VecDeque<(Offset, Timestamp)>);

impl Times {
    fn note(&mut self, at: Offset, time: Timestamp) {
        if self.0.back().is_none_or(|(last, _)| *last + NOTE_BYTES <= at) {
            self.0.push_back((at, time));
        }
    }

    /// When the byte at `at` was read, and up to where that holds. What is before it is forgotten.
    fn find(&mut self, at: Offset) -> Option<(Timestamp, Option<Offset>)> {
        while self.0.get(1).is_some_and(|(from, _)| *from <= at) {
            self.0.pop_front();
        }
        let (_, time) = *self.0.front().filter(|(from, _)| *from <= at)?;
        Some((time, self.0.get(1).map(|(until, _)| *until)))
    }
}

#[derive(Debug)]
struct Queued {
    batches: VecDeque<Chunk>,
    missed: BTreeMap<StreamId, Times>,
    bytes: usize,
    limit: usize,
    /// Nobody takes what is queued yet: it is kept, as far as there is room, and nobody waits for it.
    idle: bool,
    ended: bool,
    closed: bool,
}

/// A consumer's queue.
#[derive(Debug)]
struct Queue {
    queued: Mutex<Queued>,
    ready: Notify,
}

impl Queue {
    fn new(limit: usize, idle: bool, ended: bool) -> Arc<Self> {
        let (batches, bytes, closed) = (VecDeque::new(), 0, false);
        let missed = BTreeMap::new();
        let queued = Queued { batches, missed, bytes, limit, idle, ended, closed };
        Arc::new(Self { queued: Mutex::new(queued), ready: Notify::new() })
    }

    fn is_full(&self) -> bool {
        let queued = lock(&self.queued);
        queued.bytes >= queued.limit && !queued.idle && !queued.closed
    }

    fn has_room(&self) -> bool {
        let queued = lock(&self.queued);
        queued.bytes < queued.limit && !queued.closed
    }

    fn offer(&self, chunk: &Chunk, copy: &Bytes) {
        let mut queued = lock(&self.queued);
        if queued.closed {
            return;
        }
        if queued.bytes >= queued.limit {
            queued.missed.entry(chunk.stream).or_default().note(chunk.start, chunk.time);
        } else {
            queued.bytes += copy.len() + BATCH_BYTES;
            queued.batches.push_back(Chunk { bytes: copy.clone(), ..*chunk });
        }
        drop(queued);
        self.ready.notify_one();
    }
}

#[derive(Debug, Default)]
struct Known {
    queues: Vec<Arc<Queue>>,
    /// Up to where each stream has come.
    heads: BTreeMap<StreamId, Offset>,
    /// Tees that wait for room.
    waiting: Vec<Waker>,
    ended: bool,
}

/// All consumers of a job.
#[derive(Debug)]
pub(crate) struct Tap {
    known: Mutex<Known>,
    /// The queue of the first consumer, from before there is one.
    first: Mutex<Option<Arc<Queue>>>,
    /// Where the files are.
    dir: Option<PathBuf>,
    /// Ranks wait for consumers that are full.
    blocks: AtomicBool,
    limit: usize,
}

impl Tap {
    /// A tap whose feeds hold about `limit` bytes each, over files in `dir`.
    pub(crate) fn new(dir: Option<PathBuf>, blocks: bool, limit: usize) -> Arc<Self> {
        let first = Queue::new(limit, true, false);
        let known = Known { queues: vec![Arc::clone(&first)], ..Known::default() };
        Arc::new(Self {
            known: Mutex::new(known),
            first: Mutex::new(Some(first)),
            dir,
            blocks: AtomicBool::new(blocks),
            limit,
        })
    }

    /// A sink for one stream.
    pub(crate) fn sink(self: &Arc<Self>) -> TapSink {
        TapSink(Arc::clone(self))
    }

    /// A new consumer, of all output or of that from now on.
    pub(crate) fn feed(self: &Arc<Self>, from_start: bool) -> Feed {
        let first = lock(&self.first).take().filter(|_| from_start);
        let mut known = lock(&self.known);
        let next = if from_start { BTreeMap::new() } else { known.heads.clone() };
        let queue = first.unwrap_or_else(|| {
            let queue = Queue::new(self.limit, false, known.ended);
            known.queues.push(Arc::clone(&queue));
            queue
        });
        lock(&queue.queued).idle = false;
        Feed { queue, tap: Arc::clone(self), next, archive: None }
    }

    /// Ranks wait for no consumer any more: the job's end is waited for.
    pub(crate) fn unblock(&self) {
        self.blocks.store(false, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        let waiting = std::mem::take(&mut lock(&self.known).waiting);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Nothing more comes.
    pub(crate) fn end(&self) {
        let mut known = lock(&self.known);
        known.ended = true;
        for queue in known.queues.drain(..) {
            lock(&queue.queued).ended = true;
            queue.ready.notify_one();
        }
    }

    fn blocks(&self, known: &Known) -> bool {
        self.blocks.load(Ordering::Acquire) && known.queues.iter().any(|queue| queue.is_full())
    }

    fn take(&self, chunk: &Chunk) -> Accept {
        let mut known = lock(&self.known);
        if self.blocks(&known) {
            return Accept::Full;
        }
        known.heads.insert(chunk.stream, chunk.end());
        known.queues.retain(|queue| !lock(&queue.queued).closed);
        // The chunk's own buffer is wanted back, however slow a consumer is.
        let copy = match known.queues.iter().any(|queue| queue.has_room()) {
            true => Bytes::copy_from_slice(&chunk.bytes),
            false => Bytes::new(),
        };
        known.queues.iter().for_each(|queue| queue.offer(chunk, &copy));
        Accept::Taken
    }
}

/// One stream's way into the tap.
#[derive(Debug)]
pub(crate) struct TapSink(Arc<Tap>);

impl Sink for TapSink {
    fn accept(&mut self, message: &Message) -> Accept {
        match message {
            Message::Data(chunk) => self.0.take(chunk),
            _ => Accept::Taken,
        }
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut known = lock(&self.0.known);
        if !self.0.blocks(&known) {
            return Poll::Ready(());
        }
        known.waiting.push(context.waker().clone());
        Poll::Pending
    }
}

/// One consumer.
#[derive(Debug)]
pub(crate) struct Feed {
    queue: Arc<Queue>,
    tap: Arc<Tap>,
    /// Up to where each stream was given out.
    next: BTreeMap<StreamId, Offset>,
    archive: Option<Archive>,
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
