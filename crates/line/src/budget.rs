//! A bound in bytes that several holders share.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// How many bytes may be held at once. Clones share the bound.
///
/// A queue that bounds items does not bound memory; whoever queues bytes takes a [`Lease`] for
/// them and lets it travel with them. One request above the whole limit is granted when nothing
/// else is held, so that a big item passes instead of waiting for ever.
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
    held_bytes: usize,
    peak_bytes: usize,
    waiting: Vec<Waker>,
}

impl SharedBudget {
    fn state(&self) -> std::sync::MutexGuard<'_, BudgetState> {
        // No code that can panic runs under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Takes `bytes`, or nothing when they are not free. Does not block.
    pub fn try_acquire(&self, bytes: usize) -> Option<Lease> {
        let mut state = self.shared.state();
        self.grant(&mut state, bytes)
    }

    /// Takes `bytes` as soon as they are free. Cancel-safe. Not fair: who asks first when there
    /// is room gets it.
    pub fn poll_acquire(&self, context: &mut Context<'_>, bytes: usize) -> Poll<Lease> {
        let mut state = self.shared.state();
        if let Some(lease) = self.grant(&mut state, bytes) {
            return Poll::Ready(lease);
        }
        if !state.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
            state.waiting.push(context.waker().clone());
        }
        Poll::Pending
    }

    /// As [`poll_acquire`](Self::poll_acquire), to be awaited.
    pub async fn acquire(&self, bytes: usize) -> Lease {
        std::future::poll_fn(|context| self.poll_acquire(context, bytes)).await
    }

    fn grant(&self, state: &mut BudgetState, bytes: usize) -> Option<Lease> {
        let fits = state.held_bytes + bytes <= self.shared.limit_bytes;
        if !fits && state.held_bytes != 0 && bytes != 0 {
            return None;
        }
        state.held_bytes += bytes;
        state.peak_bytes = state.peak_bytes.max(state.held_bytes);
        Some(Lease { shared: Arc::clone(&self.shared), bytes })
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
}

impl Lease {
    /// Gives back all but `bytes`; one that holds less keeps what it has.
    pub fn shrink_to(&mut self, bytes: usize) {
        let back = self.bytes.saturating_sub(bytes);
        self.bytes -= back;
        if back == 0 {
            return;
        }
        let waiting = {
            let mut state = self.shared.state();
            state.held_bytes -= back;
            std::mem::take(&mut state.waiting)
        };
        for waker in waiting {
            waker.wake();
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn what_is_dropped_is_free_again_and_wakes_who_waits() {
        let budget = Budget::new(10);
        let held = budget.try_acquire(7).unwrap();
        assert!(budget.try_acquire(4).is_none());
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        assert!(budget.poll_acquire(&mut context, 4).is_pending());
        assert!(budget.poll_acquire(&mut context, 4).is_pending());
        let mut held = held;
        held.shrink_to(8);
        assert_eq!((held.bytes(), woken.0.load(Ordering::SeqCst)), (7, 0));
        held.shrink_to(5);
        assert_eq!((held.bytes(), budget.held_bytes()), (5, 5));
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
        drop(held);
        assert!(budget.poll_acquire(&mut context, 4).is_ready());
        assert_eq!((budget.held_bytes(), budget.peak_bytes()), (0, 7));
    }

    #[test]
    fn one_request_above_the_limit_passes_alone() {
        let budget = Budget::new(10);
        let big = budget.try_acquire(25).unwrap();
        assert!(budget.try_acquire(1).is_none());
        drop(big);
        assert!(budget.try_acquire(1).is_some());
    }
}
