//! Lines and entries for whoever wants them beside the console.
//!
//! A subscriber has a queue bounded in bytes. The client never waits for it: what finds no room is
//! counted, stream by stream, and the sums stand in the queue where the lines would have stood.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_core::Stream;
use lastline_line::{Entry, Offset, StreamId, Timestamp};

use crate::entry::OwnedEntry;

/// What an item costs beside its text, in bytes.
const ITEM_BYTES: usize = 128;

/// How a subscriber is served.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SubscribeOptions {
    /// How many bytes wait for the subscriber; what comes beyond that is left out, and counted. One
    /// item above it passes alone. Default: 1 MiB.
    pub bytes: usize,
}

impl Default for SubscribeOptions {
    fn default() -> Self {
        Self { bytes: 1 << 20 }
    }
}

/// A line as its rank printed it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubscribedLine {
    /// Whose line.
    pub stream: StreamId,
    /// Where it starts in its stream.
    pub start: Offset,
    /// When its end arrived.
    pub time: Timestamp,
    /// Its bytes, without the newline.
    pub bytes: Bytes,
    /// It goes on with what came before: its start was given already, or before the subscription.
    pub continuation: bool,
    /// No newline follows: the line goes on, or its stream has ended, or bytes after it are missing.
    pub partial: bool,
}

/// What a [`LineStream`] gives.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Subscribed {
    /// A line.
    Line(SubscribedLine),
    /// Here lines are missing, for which there was no room.
    LeftOut {
        /// Whose lines.
        stream: StreamId,
        /// How many bytes of the stream.
        bytes: u64,
        /// How many lines, or pieces of lines.
        lines: u64,
    },
}

/// What an [`EntryStream`] gives.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SubscribedEntry {
    /// A line or a folded entry.
    Entry(OwnedEntry),
    /// Here entries are missing, for which there was no room.
    LeftOut {
        /// Whose lines.
        stream: StreamId,
        /// How many bytes of the stream.
        bytes: u64,
        /// How many lines of the stream.
        lines: u64,
    },
}

/// So much of a stream.
#[derive(Clone, Copy, Debug)]
struct Amount {
    stream: StreamId,
    bytes: u64,
    lines: u64,
}

/// An item that can say what was left out.
trait Item: Sized {
    fn left_out(amount: Amount) -> Self;
}

impl Item for Subscribed {
    fn left_out(Amount { stream, bytes, lines }: Amount) -> Self {
        Self::LeftOut { stream, bytes, lines }
    }
}

impl Item for SubscribedEntry {
    fn left_out(Amount { stream, bytes, lines }: Amount) -> Self {
        Self::LeftOut { stream, bytes, lines }
    }
}

#[derive(Debug)]
struct Waiting<T> {
    items: VecDeque<(T, usize)>,
    bytes: usize,
    limit: usize,
    /// What found no room since the last item; it goes before the next one.
    left_out: BTreeMap<StreamId, Amount>,
    waker: Option<Waker>,
    /// Nothing more comes.
    ended: bool,
    /// Nobody asks any more.
    dropped: bool,
}

/// A subscriber's queue.
#[derive(Debug)]
struct Queue<T>(Mutex<Waiting<T>>);

impl<T: Item> Queue<T> {
    fn new(limit: usize, ended: bool) -> Self {
        Self(Mutex::new(Waiting {
            items: VecDeque::new(),
            bytes: 0,
            limit,
            left_out: BTreeMap::new(),
            waker: None,
            ended,
            dropped: false,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues `item`, or counts what it stands for. False when nobody asks any more.
    fn offer(&self, item: T, text_bytes: usize, amounts: impl Iterator<Item = Amount>) -> bool {
        let mut waiting = self.lock();
        if waiting.dropped {
            return false;
        }
        let cost = text_bytes + ITEM_BYTES;
        if waiting.bytes + cost <= waiting.limit || waiting.items.is_empty() {
            waiting.say_left_out();
            waiting.items.push_back((item, cost));
            waiting.bytes += cost;
        } else {
            for Amount { stream, bytes, lines } in amounts {
                let sum = waiting.left_out.entry(stream);
                let sum = sum.or_insert(Amount { stream, bytes: 0, lines: 0 });
                sum.bytes += bytes;
                sum.lines += lines;
            }
        }
        let waker = waiting.waker.take();
        drop(waiting);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    fn end(&self) {
        let mut waiting = self.lock();
        waiting.ended = true;
        let waker = waiting.waker.take();
        drop(waiting);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn poll_next(&self, context: &Context<'_>) -> Poll<Option<T>> {
        let mut waiting = self.lock();
        if waiting.items.is_empty() {
            waiting.say_left_out();
        }
        if let Some((item, cost)) = waiting.items.pop_front() {
            waiting.bytes -= cost;
            return Poll::Ready(Some(item));
        }
        if waiting.ended {
            return Poll::Ready(None);
        }
        waiting.waker = Some(context.waker().clone());
        Poll::Pending
    }

    fn drop_rest(&self) {
        let mut waiting = self.lock();
        waiting.dropped = true;
        waiting.items.clear();
        waiting.left_out.clear();
    }
}

impl<T: Item> Waiting<T> {
    fn say_left_out(&mut self) {
        let left_out = std::mem::take(&mut self.left_out);
        self.items.extend(left_out.into_values().map(|amount| (T::left_out(amount), 0)));
    }
}

/// The queues of all subscribers of one kind.
#[derive(Debug)]
struct Queues<T> {
    /// Somebody has subscribed. What the client looks at when nobody has.
    any: AtomicBool,
    queues: Mutex<(Vec<Arc<Queue<T>>>, bool)>,
}

impl<T> Default for Queues<T> {
    fn default() -> Self {
        Self { any: AtomicBool::new(false), queues: Mutex::default() }
    }
}

impl<T: Item> Queues<T> {
    fn add(&self, options: &SubscribeOptions) -> Arc<Queue<T>> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, ended) = &mut *queues;
        let queue = Arc::new(Queue::new(options.bytes, *ended));
        if !*ended {
            all.push(Arc::clone(&queue));
            self.any.store(true, Ordering::Relaxed);
        }
        queue
    }

    fn is_wanted(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// Offers an item to each subscriber, and forgets those that are gone.
    fn offer(&self, mut to: impl FnMut(&Queue<T>) -> bool) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.0.retain(|queue| to(queue));
        self.any.store(!queues.0.is_empty(), Ordering::Relaxed);
    }

    fn end(&self) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.0.drain(..).for_each(|queue| queue.end());
        queues.1 = true;
        self.any.store(false, Ordering::Relaxed);
    }
}

/// All subscribers of a client.
#[derive(Debug, Default)]
pub(crate) struct Subscribers {
    lines: Queues<Subscribed>,
    entries: Queues<SubscribedEntry>,
}

impl Subscribers {
    pub(crate) fn lines(&self, options: &SubscribeOptions) -> LineStream {
        LineStream(self.lines.add(options))
    }

    pub(crate) fn entries(&self, options: &SubscribeOptions) -> EntryStream {
        EntryStream(self.entries.add(options))
    }

    pub(crate) fn want_lines(&self) -> bool {
        self.lines.is_wanted()
    }

    pub(crate) fn want_entries(&self) -> bool {
        self.entries.is_wanted()
    }

    pub(crate) fn offer_line(&self, line: &SubscribedLine) {
        let newline = u64::from(!line.partial);
        let bytes = line.bytes.len() as u64 + newline;
        let amount = Amount { stream: line.stream, bytes, lines: 1 };
        self.lines.offer(|queue| {
            let item = Subscribed::Line(line.clone());
            queue.offer(item, line.bytes.len(), [amount].into_iter())
        });
    }

    pub(crate) fn offer_entry(&self, entry: &Entry<'_>) {
        let owned = OwnedEntry::from(entry);
        let text_bytes = match &owned {
            OwnedEntry::Line(line) => line.text.len(),
            OwnedEntry::Folded(folded) => {
                folded.text.len() + size_of_val(&*folded.members) + size_of_val(&*folded.fields)
            }
        };
        let amounts: Vec<Amount> = match entry {
            Entry::Line(line) => vec![Amount { stream: line.stream, bytes: line.bytes, lines: 1 }],
            Entry::Folded(folded) => {
                let of = |m: &lastline_line::Member| Amount {
                    stream: m.stream,
                    bytes: m.bytes,
                    lines: m.lines,
                };
                folded.members.iter().map(of).collect()
            }
        };
        self.entries.offer(|queue| {
            let item = SubscribedEntry::Entry(owned.clone());
            queue.offer(item, text_bytes, amounts.iter().copied())
        });
    }

    /// No entry comes any more.
    pub(crate) fn end_entries(&self) {
        self.entries.end();
    }

    /// Nothing comes any more.
    pub(crate) fn end(&self) {
        self.lines.end();
        self.entries.end();
    }
}

/// Every line that arrives, before the fold; see [`Client::subscribe`](crate::Client::subscribe).
#[derive(Debug)]
pub struct LineStream(Arc<Queue<Subscribed>>);

/// Every entry that is printed; see [`Client::entries`](crate::Client::entries).
#[derive(Debug)]
pub struct EntryStream(Arc<Queue<SubscribedEntry>>);

impl LineStream {
    /// The next line; `None` when no more will come. Cancel-safe.
    pub async fn next(&mut self) -> Option<Subscribed> {
        std::future::poll_fn(|context| self.0.poll_next(context)).await
    }
}

impl EntryStream {
    /// The next entry; `None` when no more will come. Cancel-safe.
    pub async fn next(&mut self) -> Option<SubscribedEntry> {
        std::future::poll_fn(|context| self.0.poll_next(context)).await
    }
}

impl Stream for LineStream {
    type Item = Subscribed;
    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Subscribed>> {
        self.0.poll_next(context)
    }
}

impl Stream for EntryStream {
    type Item = SubscribedEntry;
    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<SubscribedEntry>> {
        self.0.poll_next(context)
    }
}

impl Drop for LineStream {
    fn drop(&mut self) {
        self.0.drop_rest();
    }
}

impl Drop for EntryStream {
    fn drop(&mut self) {
        self.0.drop_rest();
    }
}
