//! Queues of subscribers, each bounded in bytes. What finds no room is counted, stream by stream.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use lastline_line::StreamId;

use crate::subscribe::SubscribeOptions;

/// What an item costs beside its text, in bytes.
const ITEM_BYTES: usize = 128;

/// So much of a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Amount {
    pub(crate) stream: StreamId,
    pub(crate) bytes: u64,
    pub(crate) lines: u64,
}

/// Items for any number of queues, of which each takes as many as it has room for, from the first.
///
/// Nothing is made that no queue has room for: whoever floods does not pay for who is slow.
pub(crate) trait Offered<T> {
    /// For the next queue, from the first item again.
    fn begin(&mut self);
    /// How large the text of the next item is, at least; none after the last.
    fn text_bytes(&mut self) -> Option<usize>;
    /// The next item, and how large it is without what every item takes.
    fn take(&mut self) -> (T, usize);
    /// What is left, stream by stream, and how many items that is.
    fn rest(&mut self, add: &mut dyn FnMut(Amount)) -> u64;
}

/// An item that can say what was left out.
pub(crate) trait Item: Sized {
    fn left_out(amount: Amount) -> Self;
}

#[derive(Debug)]
struct Waiting<T> {
    /// Each with what it takes, in bytes, and how many items that were left out are told of with it.
    items: VecDeque<(T, usize, u64)>,
    bytes: usize,
    limit: usize,
    /// How many items found no room since the last item.
    items_left_out: u64,
    /// How many of those that found no room were told of.
    told_left_out: u64,
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
pub(crate) struct Queue<T>(Mutex<Waiting<T>>);

impl<T: Item> Queue<T> {
    fn new(limit: usize, ended: bool) -> Self {
        Self(Mutex::new(Waiting {
            items: VecDeque::new(),
            bytes: 0,
            limit,
            items_left_out: 0,
            told_left_out: 0,
            left_out: BTreeMap::new(),
            waker: None,
            ended,
            dropped: false,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues what `offered` has, as far as there is room, and counts the rest. False when nobody
    /// asks any more.
    pub(crate) fn offer(&self, offered: &mut impl Offered<T>) -> bool {
        let mut waiting = self.lock();
        if waiting.dropped {
            return false;
        }
        offered.begin();
        while let Some(least) = offered.text_bytes() {
            let has_room = waiting.bytes + least + ITEM_BYTES <= waiting.limit;
            if !has_room && !waiting.items.is_empty() {
                break;
            }
            let (item, text_bytes) = offered.take();
            let cost = text_bytes + ITEM_BYTES;
            waiting.say_left_out();
            waiting.items.push_back((item, cost, 0));
            waiting.bytes += cost;
        }
        waiting.items_left_out += offered.rest(&mut |Amount { stream, bytes, lines }| {
            let sum = waiting.left_out.entry(stream);
            let sum = sum.or_insert(Amount { stream, bytes: 0, lines: 0 });
            sum.bytes += bytes;
            sum.lines += lines;
        });
        let waker = waiting.waker.take();
        drop(waiting);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    pub(crate) fn end(&self) {
        let mut waiting = self.lock();
        waiting.ended = true;
        let waker = waiting.waker.take();
        drop(waiting);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn poll_next(&self, context: &Context<'_>) -> Poll<Option<T>> {
        let mut waiting = self.lock();
        if waiting.items.is_empty() {
            waiting.say_left_out();
        }
        if let Some((item, cost, left_out)) = waiting.items.pop_front() {
            waiting.bytes -= cost;
            waiting.told_left_out += left_out;
            return Poll::Ready(Some(item));
        }
        if waiting.ended {
            return Poll::Ready(None);
        }
        waiting.waker = Some(context.waker().clone());
        Poll::Pending
    }

    pub(crate) fn told_left_out(&self) -> u64 {
        self.lock().told_left_out
    }

    pub(crate) fn drop_rest(&self) {
        let mut waiting = self.lock();
        waiting.dropped = true;
        waiting.items.clear();
        waiting.left_out.clear();
    }
}

impl<T: Item> Waiting<T> {
    fn say_left_out(&mut self) {
        let left_out = std::mem::take(&mut self.left_out);
        self.items.extend(left_out.into_values().map(|amount| (T::left_out(amount), 0, 0)));
        // The last of them tells of all.
        let items = std::mem::take(&mut self.items_left_out);
        if let Some(last) = self.items.back_mut() {
            last.2 += items;
        }
    }
}

/// The queues of all subscribers of one kind.
#[derive(Debug)]
pub(crate) struct Queues<T> {
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
    pub(crate) fn add(&self, options: &SubscribeOptions) -> Arc<Queue<T>> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, ended) = &mut *queues;
        let queue = Arc::new(Queue::new(options.bytes, *ended));
        if !*ended {
            all.push(Arc::clone(&queue));
            self.any.store(true, Ordering::Relaxed);
        }
        queue
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// Offers items to each subscriber, and forgets those that are gone.
    pub(crate) fn offer(&self, offered: &mut impl Offered<T>) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.0.retain(|queue| queue.offer(offered));
        self.any.store(!queues.0.is_empty(), Ordering::Relaxed);
    }

    pub(crate) fn end(&self) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.0.drain(..).for_each(|queue| queue.end());
        queues.1 = true;
        self.any.store(false, Ordering::Relaxed);
    }
}
