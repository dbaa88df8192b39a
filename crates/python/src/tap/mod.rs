//! Output for Python beside the console: each stream's tee feeds a [`Tap`], and each consumer has a
//! [`Feed`] of it, bounded in bytes.
//!
//! What finds no room in a feed is read from the job's files when its turn comes, so that a slow
//! consumer neither makes ranks wait nor misses a byte. Without files the rank waits, as it would for a
//! pipe that nobody reads, until the job's end is waited for. What can be had neither way is a
//! [`Next::Gap`]. Output of the time before the first consumer is kept, as far as a feed has room for it.
//!
//! Of a job whose ranks are elsewhere the driver's inbox feeds the tap ([`Tapped`]), and waits as a rank
//! would: hosts have files. It waits for the first consumer, too, until something is asked of the job that
//! all output has to be taken for.

mod feed;
mod inbox;
mod queue;
mod reader;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use lastline_line::{Accept, Chunk, Message, Offset, Sink, StreamId};

pub(crate) use self::feed::{Feed, Next};
pub(crate) use self::inbox::Tapped;
use self::queue::Queue;
use self::reader::Reader;
use crate::wait::lock;

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
    /// The first consumer is waited for, too.
    keeps_first: AtomicBool,
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
            keeps_first: AtomicBool::new(false),
            limit,
        })
    }

    /// A tap for which output waits: also until somebody has it, or [`let_go`](Self::let_go).
    pub(crate) fn keeping(limit: usize) -> Arc<Self> {
        let tap = Self::new(None, true, limit);
        tap.keeps_first.store(true, Ordering::Release);
        tap
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
        let reader = self.dir.clone().map(|dir| Reader::new(dir, Arc::clone(&queue)));
        Feed { queue, tap: Arc::clone(self), next, reader, reading: None }
    }

    /// Ranks wait for no consumer any more: the job's end is waited for.
    pub(crate) fn unblock(&self) {
        self.blocks.store(false, Ordering::Release);
        self.wake();
    }

    /// The first consumer is not waited for any more.
    pub(crate) fn let_go(&self) {
        if self.keeps_first.swap(false, Ordering::AcqRel) {
            self.wake();
        }
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
        let idle = self.keeps_first.load(Ordering::Acquire);
        self.blocks.load(Ordering::Acquire) && known.queues.iter().any(|queue| queue.is_full(idle))
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
