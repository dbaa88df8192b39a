//! The laws of [`Budget`].

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use lastline_line::{Acquire, Budget, Lease};
use proptest::prelude::*;

/// Counts how often it was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Woken {
    fn times(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn poll(request: &mut Acquire, woken: &Arc<Woken>) -> Poll<Lease> {
    let waker = Waker::from(Arc::clone(woken));
    Pin::new(request).poll(&mut Context::from_waker(&waker))
}

#[test]
fn what_is_dropped_is_free_again_and_wakes_who_waits() {
    let budget = Budget::new(10);
    let mut held = budget.try_acquire(7).unwrap();
    assert!(budget.try_acquire(4).is_none());
    let (mut request, woken) = (budget.acquire(4), Arc::new(Woken::default()));
    assert!(poll(&mut request, &woken).is_pending());
    assert!(poll(&mut request, &woken).is_pending());
    held.shrink_to(8);
    assert_eq!((held.bytes(), woken.times()), (7, 0));
    held.shrink_to(5);
    assert_eq!((held.bytes(), woken.times()), (5, 1));
    drop(held);
    assert_eq!(budget.held_bytes(), 4, "it has been handed over");
    assert!(poll(&mut request, &woken).is_ready());
    assert_eq!((budget.held_bytes(), budget.peak_bytes(), woken.times()), (0, 9, 1));
}

#[test]
fn one_request_above_the_limit_passes_alone() {
    let budget = Budget::new(10);
    let big = budget.try_acquire(25).unwrap();
    assert!(budget.try_acquire(1).is_none());
    drop(big);
    assert!(budget.try_acquire(1).is_some());
}

#[test]
fn a_part_of_a_lease_goes_back_by_itself() {
    let budget = Budget::new(10);
    let mut whole = budget.try_acquire(8).unwrap();
    let part = whole.split(3);
    assert_eq!((whole.bytes(), part.bytes(), budget.held_bytes()), (5, 3, 8));
    drop(whole);
    assert_eq!(budget.held_bytes(), 3);
}

/// A large request among small ones that never cease: it is next, not never.
#[test]
fn small_requests_do_not_overtake_a_large_one() {
    let budget = Budget::new(100);
    let mut held: VecDeque<Lease> = (0..10).map(|_| budget.try_acquire(10).unwrap()).collect();
    let (mut large, woken) = (budget.acquire(90), Arc::new(Woken::default()));
    assert!(poll(&mut large, &woken).is_pending());
    let mut small: Vec<Acquire> = (0..5).map(|_| budget.acquire(10)).collect();
    for request in &mut small {
        assert!(poll(request, &woken).is_pending());
    }
    for _ in 0..9 {
        held.pop_front();
        assert!(budget.try_acquire(1).is_none(), "somebody waits");
    }
    assert_eq!(woken.times(), 1);
    let Poll::Ready(large) = poll(&mut large, &woken) else {
        panic!("the large one is first");
    };
    drop(large);
    assert!(small.iter_mut().all(|request| poll(request, &woken).is_ready()));
}

#[test]
fn who_gives_up_leaves_its_place_and_what_it_was_granted() {
    let budget = Budget::new(10);
    let held = budget.try_acquire(10).unwrap();
    let woken = [(); 3].map(|()| Arc::new(Woken::default()));
    let mut requests = [10, 4, 6].map(|bytes| budget.acquire(bytes));
    for (request, woken) in requests.iter_mut().zip(&woken) {
        assert!(poll(request, woken).is_pending());
    }
    drop(held);
    assert_eq!(woken.each_ref().map(|woken| woken.times()), [1, 0, 0]);
    let [first, mut second, mut third] = requests;
    drop(first);
    assert_eq!(woken.each_ref().map(|woken| woken.times()), [1, 1, 1]);
    let leases = (poll(&mut second, &woken[1]), poll(&mut third, &woken[2]));
    assert!(leases.0.is_ready() && leases.1.is_ready());
    drop((leases, second, third));
    assert_eq!(budget.held_bytes(), 0);
}

/// A thousand streams that read all the time, in a memory that has room for some of them.
#[test]
fn a_thousand_streams_are_woken_once_for_each_lease() {
    const STREAMS: usize = 1000;
    const ROUNDS: usize = 20;
    let budget = Budget::new(8 << 20);
    let sizes = |at: usize| [4 << 10, 64 << 10, 256 << 10][at % 3];
    let woken: Vec<_> = (0..STREAMS).map(|_| Arc::new(Woken::default())).collect();
    let mut requests: Vec<Acquire> = (0..STREAMS).map(|at| budget.acquire(sizes(at))).collect();
    let (mut held, mut served) = (VecDeque::new(), [0; STREAMS]);
    let mut waited = 0;
    let mut seen = [0; STREAMS];
    for at in 0..STREAMS {
        match poll(&mut requests[at], &woken[at]) {
            Poll::Ready(lease) => held.push_back((at, lease)),
            Poll::Pending => waited += 1,
        }
    }
    while let Some((done, lease)) = held.pop_front() {
        drop(lease);
        served[done] += 1;
        if served[done] < ROUNDS {
            requests[done] = budget.acquire(sizes(done));
            match poll(&mut requests[done], &woken[done]) {
                Poll::Ready(lease) => held.push_back((done, lease)),
                Poll::Pending => waited += 1,
            }
        }
        // What a runtime does: it polls who was woken.
        for at in 0..STREAMS {
            if std::mem::replace(&mut seen[at], woken[at].times()) == woken[at].times() {
                continue;
            }
            match poll(&mut requests[at], &woken[at]) {
                Poll::Ready(lease) => held.push_back((at, lease)),
                Poll::Pending => panic!("stream {at} was woken for nothing"),
            }
        }
    }
    let wakes: usize = woken.iter().map(|woken| woken.times()).sum();
    assert_eq!(served, [ROUNDS; STREAMS]);
    assert_eq!(wakes, waited);
    assert!(waited > STREAMS, "memory was short");
}

#[derive(Clone, Debug)]
enum Step {
    Ask(usize),
    Try(usize),
    Release(usize),
    GiveUp(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0_usize..30).prop_map(Step::Ask),
        (0_usize..30).prop_map(Step::Try),
        any::<usize>().prop_map(Step::Release),
        any::<usize>().prop_map(Step::GiveUp),
    ]
}

proptest! {
    /// Whoever asks, gives up and releases when: the bound holds, requests are granted in the order
    /// of asking, each is woken once, and in the end all is free.
    #[test]
    fn any_order_of_requests_is_served_in_order(steps in prop::collection::vec(step(), 1..200)) {
        const LIMIT: usize = 20;
        let budget = Budget::new(LIMIT);
        let mut held: Vec<Lease> = Vec::new();
        let mut waiting: Vec<(Acquire, Arc<Woken>)> = Vec::new();
        for step in steps {
            match step {
                Step::Ask(bytes) => {
                    let (mut request, woken) = (budget.acquire(bytes), Arc::new(Woken::default()));
                    match poll(&mut request, &woken) {
                        Poll::Ready(lease) => held.push(lease),
                        Poll::Pending => waiting.push((request, woken)),
                    }
                }
                Step::Try(bytes) => {
                    let lease = budget.try_acquire(bytes);
                    prop_assert!(lease.is_none() || bytes == 0 || waiting.is_empty());
                    held.extend(lease);
                }
                Step::Release(at) if !held.is_empty() => drop(held.swap_remove(at % held.len())),
                Step::GiveUp(at) if !waiting.is_empty() => {
                    drop(waiting.remove(at % waiting.len()));
                }
                _ => {}
            }
            let granted = waiting.iter().take_while(|(_, woken)| woken.times() > 0).count();
            for (_, woken) in &waiting[granted..] {
                prop_assert_eq!(woken.times(), 0, "woken before one that asked earlier");
            }
            for (mut request, woken) in waiting.drain(..granted).collect::<Vec<_>>() {
                prop_assert_eq!(woken.times(), 1);
                let Poll::Ready(lease) = poll(&mut request, &woken) else {
                    return Err(TestCaseError::fail("woken for nothing"));
                };
                held.push(lease);
            }
            let sum: usize = held.iter().map(Lease::bytes).sum();
            prop_assert_eq!(budget.held_bytes(), sum);
            let alone = held.iter().filter(|lease| lease.bytes() > 0).count() <= 1;
            prop_assert!(sum <= LIMIT || alone);
            if let Some((first, _)) = waiting.first() {
                prop_assert!(sum > 0 && sum + first.bytes() > LIMIT, "it fits, and waits");
            }
        }
        drop((held, waiting));
        prop_assert_eq!(budget.held_bytes(), 0);
    }
}
