//! A bound in bytes that several holders share.

use std::collections::{HashSet, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// How many bytes may be held at once. Clones share the bound.
///
/// A queue that bounds items does not bound memory; whoever queues bytes takes a [`Lease`] for
/// them and lets it travel with them. One request above the whole limit is granted when nothing
/// else is held, so that a big item passes instead of waiting for ever.
///
/// # Laws
///
/// 1. **Bounded.** What is held is within the limit, unless one request above it is held alone.
/// 2. **First come, first served.** A request is granted before any that came after it, however
///    small those are; [`try_acquire`](Self::try_acquire) takes nothing while somebody waits.
/// 3. **One wake for each lease.** Bytes that become free are handed to those who wait longest, and
///    nobody else is woken.
/// 4. **Nothing gets lost.** A request that is given up leaves its place, and what it was granted, to
///    the next one.
#[derive(Clone, Debug)]
pub struct Budget {
    shared: Arc<SharedBudget>,
}

#[derive(Debug)]
struct SharedBudget {
    limit_bytes: usize,
    state: Mutex<BudgetState>,
}

#[derive(Debug, Default)]
struct BudgetState {
    /// Counts what was granted to who waits, too.
    held_bytes: usize,
    peak_bytes: usize,
    /// By ticket, ascending. The first one does not fit.
    waiting: VecDeque<Waiting>,
    /// Tickets that have been granted and not been looked at since.
    granted: HashSet<u64>,
    next_ticket: u64,
}

/// A request that is not granted yet.
#[derive(Debug)]
struct Waiting {
    ticket: u64,
    bytes: usize,
    waker: Waker,
}

impl BudgetState {
    fn take(&mut self, bytes: usize) {
        self.held_bytes += bytes;
        self.peak_bytes = self.peak_bytes.max(self.held_bytes);
    }

    fn place_of(&self, ticket: u64) -> Option<usize> {
        self.waiting.binary_search_by_key(&ticket, |waiting| waiting.ticket).ok()
    }
}

impl SharedBudget {
    fn state(&self) -> MutexGuard<'_, BudgetState> {
        // No code that can panic runs under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fits(&self, state: &BudgetState, bytes: usize) -> bool {
        state.held_bytes + bytes <= self.limit_bytes || state.held_bytes == 0
    }

    /// Whether `bytes` may be taken by somebody who has not waited; nothing at all always may.
    fn is_free(&self, state: &BudgetState, bytes: usize) -> bool {
        bytes == 0 || state.waiting.is_empty() && self.fits(state, bytes)
    }

    /// Grants what fits to those who wait longest, and wakes them.
    fn hand_out(&self, mut state: MutexGuard<'_, BudgetState>) {
        let mut wakers: Vec<Waker> = Vec::new();
        while let Some(next) = state.waiting.front().map(|waiting| waiting.bytes)
            && self.fits(&state, next)
            && let Some(waiting) = state.waiting.pop_front()
        {
            state.take(waiting.bytes);
            state.granted.insert(waiting.ticket);
            wakers.push(waiting.waker);
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn give_back(&self, bytes: usize) {
        let mut state = self.state();
        state.held_bytes -= bytes;
        self.hand_out(state);
    }
}

impl Budget {
    /// A budget of `limit_bytes`, at least one.
    pub fn new(limit_bytes: usize) -> Self {
        let shared = SharedBudget { limit_bytes: limit_bytes.max(1), state: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }

    /// The bound, in bytes.
    pub fn limit_bytes(&self) -> usize {
        self.shared.limit_bytes
    }

    /// What is held now, in bytes.
    pub fn held_bytes(&self) -> usize {
        self.shared.state().held_bytes
    }

    /// The most that was held at any time, in bytes.
    pub fn peak_bytes(&self) -> usize {
        self.shared.state().peak_bytes
    }

    /// Takes `bytes`; nothing when they are not free, or when somebody waits. Does not block.
    pub fn try_acquire(&self, bytes: usize) -> Option<Lease> {
        let mut state = self.shared.state();
        if !self.shared.is_free(&state, bytes) {
            return None;
        }
        state.take(bytes);
        Some(self.lease(bytes))
    }

    /// Takes `bytes` as soon as they are free and nobody waits who asked before.
    pub fn acquire(&self, bytes: usize) -> Acquire {
        Acquire { budget: self.clone(), bytes, ticket: None }
    }

    fn lease(&self, bytes: usize) -> Lease {
        Lease { shared: Arc::clone(&self.shared), bytes }
    }
}

/// A request for bytes of a [`Budget`]. It takes its place in the queue when it is polled first, and
/// gives it up when it is dropped.
#[derive(Debug)]
#[must_use = "nothing is asked for until it is polled"]
pub struct Acquire {
    budget: Budget,
    bytes: usize,
    /// Its place in the queue, or what it was granted under.
    ticket: Option<u64>,
}

impl Acquire {
    /// How many bytes it asks for.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Future for Acquire {
    type Output = Lease;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Lease> {
        let Some(ticket) = self.ticket else {
            return self.queue(context);
        };
        let mut state = self.budget.shared.state();
        if state.granted.remove(&ticket) {
            drop(state);
            self.ticket = None;
            return Poll::Ready(self.budget.lease(self.bytes));
        }
        if let Some(at) = state.place_of(ticket) {
            state.waiting[at].waker.clone_from(context.waker());
        }
        Poll::Pending
    }
}

impl Acquire {
    /// Takes a place in the queue, unless there is room.
    fn queue(&mut self, context: &mut Context<'_>) -> Poll<Lease> {
        let (budget, bytes) = (&self.budget, self.bytes);
        let mut state = budget.shared.state();
        if budget.shared.is_free(&state, bytes) {
            state.take(bytes);
            return Poll::Ready(budget.lease(bytes));
        }
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.waiting.push_back(Waiting { ticket, bytes, waker: context.waker().clone() });
        self.ticket = Some(ticket);
        Poll::Pending
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else {
            return;
        };
        let mut state = self.budget.shared.state();
        if state.granted.remove(&ticket) {
            state.held_bytes -= self.bytes;
        } else if let Some(at) = state.place_of(ticket) {
            state.waiting.remove(at);
        }
        self.budget.shared.hand_out(state);
    }
}

/// Bytes taken from a [`Budget`]; dropping it gives them back.
#[derive(Debug)]
pub struct Lease {
    shared: Arc<SharedBudget>,
    bytes: usize,
}

impl Lease {
    /// How many bytes it holds.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Gives back all but `bytes`; one that holds less keeps what it has.
    pub fn shrink_to(&mut self, bytes: usize) {
        let back = self.bytes.saturating_sub(bytes);
        self.bytes -= back;
        if back > 0 {
            self.shared.give_back(back);
        }
    }

    /// Takes `bytes` of it, at most what it holds, into a lease of their own.
    pub fn split(&mut self, bytes: usize) -> Self {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Self { shared: Arc::clone(&self.shared), bytes }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}
