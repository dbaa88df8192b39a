//! Queues of subscribers, each bounded in bytes. What finds no room is counted, stream by stream.
//!
//! All that is offered is counted once, for all queues: what a queue left out is the difference
//! between now and when it became full. So those that are full cost next to nothing, however many.

mod totals;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use lastline_line::StreamId;

use self::totals::Totals;
use crate::subscribe::SubscribeOptions;

/// What an item costs beside its text, in bytes.
const ITEM_BYTES: usize = 128;

/// So much of a stream.
#[derive(Clone, Copy, Debug, PartialEq)]
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
    /// All of it, stream by stream, and how many items that is.
    fn all(&self, add: &mut dyn FnMut(Amount)) -> u64;
    /// The same of what was taken since [`begin`](Self::begin), when more is left. Default: nothing, as
    /// where there is one item.
    fn taken(&self, _add: &mut dyn FnMut(Amount)) -> u64 {
        0
    }
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
    /// How many of those that found no room were told of.
    told_left_out: u64,
    /// Where the last item stands among all that was offered, when one behind it found no room. Then
    /// nothing is taken before half of the room is free: what is given are runs of items.
    full_since: Option<Totals>,
    waker: Option<Waker>,
    /// Nothing more comes.
    ended: bool,
    /// Nobody asks any more.
    dropped: bool,
}

/// A subscriber's queue.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    waiting: Mutex<Waiting<T>>,
    /// All that was offered; locked before what waits.
    offered: Arc<Mutex<Totals>>,
}

impl<T: Item> Queue<T> {
    fn new(limit: usize, ended: bool, offered: &Arc<Mutex<Totals>>) -> Self {
        let waiting = Waiting {
            items: VecDeque::new(),
            bytes: 0,
            limit,
            told_left_out: 0,
            full_since: None,
            waker: None,
            ended,
            dropped: false,
        };
        Self { waiting: Mutex::new(waiting), offered: Arc::clone(offered) }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<T>> {
        lock(&self.waiting)
    }

    /// Queues what `offered` has behind all that was offered `before`, as far as there is room. False
    /// when nobody asks any more.
    fn offer(&self, offered: &mut impl Offered<T>, before: &Totals) -> bool {
        let mut waiting = self.lock();
        if waiting.dropped {
            return false;
        }
        if waiting.full_since.is_some() && waiting.bytes > waiting.limit / 2 {
            return true;
        }
        waiting.say_left_out(before);
        offered.begin();
        while let Some(least) = offered.text_bytes() {
            let has_room = waiting.bytes + least + ITEM_BYTES <= waiting.limit;
            if !has_room && waiting.bytes > 0 {
                let mut since = before.clone();
                let items = offered.taken(&mut |amount| since.add(amount));
                since.items += items;
                waiting.full_since = Some(since);
                break;
            }
            let (item, text_bytes) = offered.take();
            let cost = text_bytes + ITEM_BYTES;
            waiting.items.push_back((item, cost, 0));
            waiting.bytes += cost;
        }
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
        if waiting.items.is_empty() && waiting.full_since.is_some() {
            drop(waiting);
            let offered = lock(&self.offered);
            waiting = self.lock();
            waiting.say_left_out(&offered);
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
        waiting.full_since = None;
    }
}

impl<T: Item> Waiting<T> {
    /// Says what of all that was offered was left out, behind what waits.
    fn say_left_out(&mut self, offered: &Totals) {
        let Some(since) = self.full_since.take() else { return };
        self.items.extend(offered.since(&since).map(|amount| (T::left_out(amount), 0, 0)));
        // The last of them tells of all.
        if let Some(last) = self.items.back_mut() {
            last.2 += offered.items - since.items;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The queues of all subscribers of one kind.
#[derive(Debug)]
pub(crate) struct Queues<T> {
    /// Somebody has subscribed. What the client looks at when nobody has.
    any: AtomicBool,
    /// All that was offered since somebody subscribed.
    offered: Arc<Mutex<Totals>>,
    queues: Mutex<(Vec<Arc<Queue<T>>>, bool)>,
}

impl<T> Default for Queues<T> {
    fn default() -> Self {
        Self { any: AtomicBool::new(false), offered: Arc::default(), queues: Mutex::default() }
    }
}

impl<T: Item> Queues<T> {
    pub(crate) fn add(&self, options: &SubscribeOptions) -> Arc<Queue<T>> {
        let mut queues = lock(&self.queues);
        let (all, ended) = &mut *queues;
        let queue = Arc::new(Queue::new(options.bytes, *ended, &self.offered));
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
        let mut queues = lock(&self.queues);
        let mut totals = lock(&self.offered);
        queues.0.retain(|queue| queue.offer(offered, &totals));
        self.any.store(!queues.0.is_empty(), Ordering::Relaxed);
        let items = offered.all(&mut |amount| totals.add(amount));
        totals.items += items;
    }

    pub(crate) fn end(&self) {
        let mut queues = lock(&self.queues);
        queues.0.drain(..).for_each(|queue| queue.end());
        queues.1 = true;
        self.any.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
