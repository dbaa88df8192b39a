//! Waiting until a stream is filed up to an offset.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use lastline_appender::{Appender, FiledTo, Reason, Settled};
use lastline_line::{Accept, Message, Offset, ReadBack, ReadOutcome, Sink, Span};
use lastline_testing::stdout;
use lastline_testing::storage::{MemoryStorage, NO_SPACE, Step};

use crate::support::{DEADLINE, Feed, appender, close, eager, read_whole, until};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits on this thread. Polls when it was woken, and at no other time.
fn wait(future: FiledTo) -> Settled {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Poll::Ready(settled) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return settled;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "never said: {future:?}");
        std::thread::park_timeout(left);
    }
}

/// Counts how often it was woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Count {
    fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn poll(future: &mut FiledTo, waker: &Waker) -> Poll<Settled> {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(waker))
}

fn poll_once(future: &mut FiledTo) -> Poll<Settled> {
    poll(future, Waker::noop())
}

fn missing(from: u64, to: u64, reason: Reason) -> Settled {
    Settled::Missing { span: Span::new(Offset(from), Offset(to)), reason }
}

/// One whose stream 0 is filed so far, and whose storage hangs.
fn hanging(filed: &[u8]) -> (MemoryStorage, Appender, Feed) {
    let storage = MemoryStorage::new();
    let appender = appender(storage.clone(), eager());
    let mut feed = Feed::new(&appender, stdout(0));
    feed.push(filed);
    assert_eq!(wait(appender.filed_to(stdout(0), Offset(feed.at))), Settled::Filed);
    // What is written from here on is nothing but the next bytes.
    let index = |storage: &MemoryStorage| storage.bytes("index").map_or(0, |index| index.len());
    until("it is in the index", || index(&storage) == 96);
    storage.hang();
    (storage, appender, feed)
}

#[test]
fn what_is_filed_needs_no_wait_and_can_be_read() {
    let appender = appender(MemoryStorage::new(), eager());
    let mut feed = Feed::new(&appender, stdout(0));
    assert_eq!(
        poll_once(&mut appender.filed_to(stdout(0), Offset(0))),
        Poll::Ready(Settled::Filed)
    );
    feed.push(b"one\ntwo\n");
    assert_eq!(wait(appender.filed_to(stdout(0), Offset(8))), Settled::Filed);
    let reader = appender.read_back();
    assert_eq!(reader.filed(stdout(0)), Offset(8));
    assert_eq!(read_whole(&*reader, stdout(0)), b"one\ntwo\n");
    for to in 0..=8 {
        let now = poll_once(&mut appender.filed_to(stdout(0), Offset(to)));
        assert_eq!(now, Poll::Ready(Settled::Filed));
    }
    assert_eq!(poll_once(&mut appender.filed_to(stdout(0), Offset(9))), Poll::Pending);
}

#[test]
fn what_is_queued_is_waited_for_and_what_came_before_is_not_enough() {
    let (storage, appender, mut feed) = hanging(b"one\n");
    feed.push(b"two\n");
    storage.wait_until_hanging(1);
    let mut part = appender.filed_to(stdout(0), Offset(5));
    assert_eq!(poll_once(&mut part), Poll::Pending);
    assert_eq!(
        poll_once(&mut appender.filed_to(stdout(0), Offset(4))),
        Poll::Ready(Settled::Filed)
    );
    storage.release();
    assert_eq!(wait(part), Settled::Filed);
}

#[test]
fn who_waits_is_woken_once_and_by_the_waker_it_gave_last() {
    let (storage, appender, mut feed) = hanging(b"one\n");
    let (first, last) = (Arc::new(Count::default()), Arc::new(Count::default()));
    let mut future = appender.filed_to(stdout(0), Offset(8));
    for count in [&first, &last] {
        assert_eq!(poll(&mut future, &Waker::from(Arc::clone(count))), Poll::Pending);
    }
    feed.push(b"two\n");
    storage.release();
    until("it is woken", || last.get() > 0);
    assert_eq!(poll_once(&mut future), Poll::Ready(Settled::Filed));
    feed.push(b"three\n");
    assert_eq!(wait(appender.filed_to(stdout(0), Offset(14))), Settled::Filed);
    assert_eq!((first.get(), last.get()), (0, 1));
}

#[test]
fn many_wait_and_each_is_woken_for_its_own_offset() {
    let appender = appender(MemoryStorage::new(), eager());
    let counts: Vec<Arc<Count>> = (0..1000).map(|_| Arc::default()).collect();
    let mut futures: Vec<FiledTo> = (0..1000)
        .map(|at| appender.filed_to(stdout(at % 2), Offset(u64::from(1 + at / 2 % 50) * 10)))
        .collect();
    for (future, count) in futures.iter_mut().zip(&counts) {
        assert_eq!(poll(future, &Waker::from(Arc::clone(count))), Poll::Pending);
    }
    let mut feeds = [0, 1].map(|rank| Feed::new(&appender, stdout(rank)));
    for _ in 0..25 {
        feeds[0].push(b"123456789\n");
    }
    assert_eq!(wait(appender.filed_to(stdout(0), Offset(250))), Settled::Filed);
    until("they are woken", || counts.iter().map(|count| count.get()).sum::<usize>() == 250);
    for (at, count) in counts.iter().enumerate() {
        assert_eq!(count.get(), usize::from(at % 2 == 0 && at / 2 % 50 < 25), "{at}");
    }
    feeds.iter_mut().for_each(|feed| (0..50).for_each(|_| feed.push(b"123456789\n")));
    until("all are woken", || counts.iter().all(|count| count.get() == 1));
    assert!(futures.into_iter().map(wait).all(|settled| settled == Settled::Filed));
}

#[test]
fn threads_wait_while_it_is_written() {
    let appender = appender(MemoryStorage::new(), eager());
    std::thread::scope(|scope| {
        for waiter in 0..8 {
            let appender = &appender;
            scope.spawn(move || {
                let reader = appender.read_back();
                for to in (waiter..2000).step_by(8).map(|line| Offset(line * 5 + 5)) {
                    assert_eq!(wait(appender.filed_to(stdout(0), to)), Settled::Filed);
                    assert!(reader.filed(stdout(0)) >= to);
                    let last = reader.read_back(stdout(0), Offset(to.0 - 1), &mut [0]).unwrap();
                    assert_eq!(last, ReadOutcome::Read(1));
                }
            });
        }
        let mut feed = Feed::new(&appender, stdout(0));
        (0..2000).for_each(|_| feed.push(b"line\n"));
    });
}

#[test]
fn who_no_longer_waits_is_forgotten_and_in_nobody_s_way() {
    let (storage, appender, mut feed) = hanging(b"one\n");
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let mut futures = [(); 3].map(|()| appender.filed_to(stdout(0), Offset(8)));
    for future in &mut futures {
        assert_eq!(poll(future, &waker), Poll::Pending);
    }
    drop(waker);
    let [cancelled, stays, never_polled] = futures;
    assert_eq!(Arc::strong_count(&count), 4);
    drop(cancelled);
    assert_eq!(Arc::strong_count(&count), 3);
    drop(never_polled);
    feed.push(b"two\n");
    storage.release();
    until("it is woken", || count.get() > 0);
    assert_eq!(wait(stays), Settled::Filed);
    assert_eq!((count.get(), Arc::strong_count(&count)), (1, 1));
}

#[test]
fn the_first_gap_is_told_as_soon_as_it_is_known() {
    let storage = MemoryStorage::new();
    let appender = appender(storage.clone(), eager());
    let mut feed = Feed::new(&appender, stdout(0));
    feed.push(b"one\n");
    assert_eq!(wait(appender.filed_to(stdout(0), Offset(4))), Settled::Filed);
    let far = appender.filed_to(stdout(0), Offset(1000));
    storage.fail(Some(NO_SPACE));
    feed.push(b"two\n");
    let gap = missing(4, 8, Reason::Os(NO_SPACE));
    assert_eq!(wait(far), gap, "bytes that have not come yet change nothing about it");
    storage.fail(None);
    feed.push(b"three\n");
    let mut after = appender.filed_to(stdout(0), Offset(14));
    assert_eq!(poll_once(&mut after), Poll::Ready(gap));
    close(&appender);
    for (to, settled) in [(4, Settled::Filed), (5, gap), (14, gap), (15, gap)] {
        assert_eq!(wait(appender.filed_to(stdout(0), Offset(to))), settled, "{to}");
    }
}

#[test]
fn a_write_that_fails_half_way_is_filed_up_to_there() {
    let storage = MemoryStorage::new();
    storage.script([Step::Take(3), Step::Fail(NO_SPACE)]);
    let appender = appender(storage, eager());
    let [whole, half] = [10, 3].map(|to| appender.filed_to(stdout(0), Offset(to)));
    Feed::new(&appender, stdout(0)).push(b"123456789\n");
    assert_eq!(wait(half), Settled::Filed);
    assert_eq!(wait(whole), missing(3, 10, Reason::Os(NO_SPACE)));
}

#[test]
fn a_file_that_is_lost_is_told_to_who_waits_for_more() {
    let storage = MemoryStorage::new();
    let appender = appender(storage.clone(), eager());
    let mut feed = Feed::new(&appender, stdout(0));
    feed.push(b"cut\n");
    assert_eq!(wait(appender.filed_to(stdout(0), Offset(4))), Settled::Filed);
    let far = appender.filed_to(stdout(0), Offset(1000));
    storage.truncate("rank-0.stdout.log", 2);
    close(&appender);
    assert_eq!(wait(far), missing(0, 4, Reason::Truncated));
}

#[test]
fn what_was_pruned_was_filed() {
    let mut options = eager();
    options.max_bytes = Some(100);
    let appender = appender(MemoryStorage::new(), options);
    let mut feed = Feed::new(&appender, stdout(0));
    (0..100).for_each(|_| feed.push(b"123456789\n"));
    assert_eq!(wait(appender.filed_to(stdout(0), Offset(1000))), Settled::Filed);
    let written = close(&appender);
    assert!(!written.streams[&stdout(0)].pruned.is_empty());
    assert_eq!(wait(appender.filed_to(stdout(0), Offset(1000))), Settled::Filed);
}

#[test]
fn a_close_ends_every_wait() {
    let appender = appender(MemoryStorage::new(), eager());
    let mut feed = Feed::new(&appender, stdout(0));
    let futures =
        [(0, 4), (0, 5), (1, 1)].map(|(rank, to)| appender.filed_to(stdout(rank), Offset(to)));
    let waiting = futures.map(|future| std::thread::spawn(move || wait(future)));
    feed.push(b"one\n");
    feed.end();
    close(&appender);
    let said = waiting.map(|thread| thread.join().unwrap());
    let closed = |at| Settled::Closed { at: Offset(at) };
    assert_eq!(said, [Settled::Filed, closed(4), closed(0)]);
    // A stream that nobody knew before is no exception.
    for (rank, at) in [(0, 4), (1, 0), (2, 0)] {
        assert_eq!(wait(appender.filed_to(stdout(rank), Offset(9))), closed(at));
    }
    let mut late = appender.sink(stdout(2));
    let message = Message::Data(lastline_testing::chunk(stdout(2), 0, b"late\n"));
    assert_eq!(late.accept(&message), Accept::Taken);
    let said = wait(appender.filed_to(stdout(2), Offset(5)));
    assert_eq!(said, missing(0, 5, Reason::Closed));
}

#[test]
fn a_drop_ends_every_wait() {
    let appender = appender(MemoryStorage::new(), eager());
    let future = appender.filed_to(stdout(0), Offset(1));
    drop(appender);
    assert_eq!(wait(future), Settled::Closed { at: Offset(0) });
}

#[test]
fn what_an_abandoned_writer_had_taken_is_missing() {
    let (storage, appender, mut feed) = hanging(b"one\n");
    feed.push(b"two\n");
    storage.wait_until_hanging(1);
    let mut future = appender.filed_to(stdout(0), Offset(8));
    assert_eq!(poll_once(&mut future), Poll::Pending);
    appender.close(Duration::from_millis(20));
    assert_eq!(wait(future), missing(4, 8, Reason::Abandoned));
    storage.release();
    assert_eq!(
        wait(appender.filed_to(stdout(0), Offset(8))),
        missing(4, 8, Reason::Abandoned),
        "nor does it come back"
    );
}
