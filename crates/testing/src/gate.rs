//! Waiting for a state, with a deadline.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

/// How long a test waits for a state before it fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Where threads wait while it is shut. Clones are handles to the same one.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<(Mutex<GateState>, Condvar)>);

#[derive(Debug, Default)]
struct GateState {
    shut: bool,
    waiting: usize,
}

impl Gate {
    /// An open gate.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, GateState> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who comes from now on waits.
    pub fn shut(&self) {
        self.state().shut = true;
    }

    /// Lets everybody through.
    pub fn open(&self) {
        self.state().shut = false;
        self.0.1.notify_all();
    }

    /// How many threads wait.
    pub fn waiting(&self) -> usize {
        self.state().waiting
    }

    /// Goes through; waits while the gate is shut.
    ///
    /// # Panics
    ///
    /// When it stays shut for [`PATIENCE`].
    pub fn pass(&self) {
        let mut state = self.state();
        state.waiting += 1;
        let waited = self.0.1.wait_timeout_while(state, PATIENCE, |state| state.shut);
        let (mut state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        assert!(!timeout.timed_out(), "the gate stayed shut");
    }
}

/// Waits on this thread until `predicate` holds.
///
/// # Panics
///
/// When it does not come true within [`PATIENCE`].
#[track_caller]
pub fn wait_until(mut predicate: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !predicate() {
        assert!(Instant::now() < deadline, "it does not come true");
        std::thread::yield_now();
    }
}

/// Lets other tasks run until `predicate` holds. Works under a paused clock, which stands still
/// meanwhile.
///
/// # Panics
///
/// When it does not come true within [`PATIENCE`].
pub async fn until(mut predicate: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    std::future::poll_fn(|context| {
        if predicate() {
            return Poll::Ready(());
        }
        assert!(Instant::now() < deadline, "it does not come true");
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
