//! The writer threads: started when they are needed, waited for with a deadline.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender};

use crate::Reason;
use crate::busy::Busy;
use crate::state::AppenderState;
use crate::stream::Item;
use crate::writer::Writer;

/// How long the end of threads is waited for at once.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The writer threads of an appender.
pub(crate) struct Pool {
    limit: usize,
    state: Mutex<PoolState>,
    ended: Arc<Ended>,
}

#[derive(Default)]
struct PoolState {
    threads: Vec<Thread>,
    /// How many streams have a thread.
    bound: usize,
    is_closed: bool,
    failure: Option<Reason>,
}

struct Thread {
    sender: Sender<Item>,
    queue: Receiver<Item>,
    has_ended: Arc<AtomicBool>,
    busy: Arc<Busy>,
    handle: JoinHandle<()>,
}

/// Tells that a thread has ended.
#[derive(Default)]
struct Ended {
    changed: Condvar,
    lock: Mutex<()>,
}

/// Lives as long as a thread's work, however that ends.
struct Work {
    queue: Receiver<Item>,
    has_ended: Arc<AtomicBool>,
    ended: Arc<Ended>,
}

impl Drop for Work {
    fn drop(&mut self) {
        // After a panic, what is queued gives its room back.
        self.queue.close();
        while self.queue.try_recv().is_ok() {}
        let _held = self.ended.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.has_ended.store(true, Ordering::Release);
        self.ended.changed.notify_all();
    }
}

impl Pool {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), state: Mutex::default(), ended: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the first thread, unless it is there: before anything runs a refusal can be told.
    pub(crate) fn prepare(&self, shared: &Arc<AppenderState>) -> std::io::Result<()> {
        let mut state = self.state();
        if state.threads.is_empty() && !state.is_closed {
            let first = self.start(0, shared)?;
            state.threads.push(first);
        }
        Ok(())
    }

    /// The queue of the thread that writes the next stream; `None` when there is none.
    pub(crate) fn bind(&self, shared: &Arc<AppenderState>) -> Option<Sender<Item>> {
        let mut state = self.state();
        if state.is_closed {
            return None;
        }
        let turn = state.bound % self.limit;
        if turn >= state.threads.len() {
            match self.start(turn, shared) {
                Ok(thread) => state.threads.push(thread),
                Err(error) => state.failure = Some(Reason::from(&error)),
            }
        }
        state.bound += 1;
        let thread = state.threads.get(turn).or_else(|| state.threads.first())?;
        Some(thread.sender.clone())
    }

    /// How long the thread that has been at it longest has not come back.
    pub(crate) fn busy_for(&self) -> Duration {
        let now = Instant::now();
        self.state().threads.iter().map(|thread| thread.busy.time(now)).max().unwrap_or_default()
    }

    /// Why no thread could be started, if none could.
    pub(crate) fn failure(&self) -> Option<Reason> {
        let state = self.state();
        state.failure.filter(|_| state.threads.is_empty())
    }

    fn start(&self, turn: usize, shared: &Arc<AppenderState>) -> std::io::Result<Thread> {
        #[expect(
            clippy::disallowed_methods,
            reason = "each item holds a lease of the budget, for itself and its bytes"
        )]
        let (sender, queue) = async_channel::unbounded();
        let has_ended = Arc::new(AtomicBool::new(false));
        let work = Work {
            queue: queue.clone(),
            has_ended: Arc::clone(&has_ended),
            ended: Arc::clone(&self.ended),
        };
        let busy = Arc::new(Busy::new());
        let mut writer = Writer::new(Arc::clone(shared), queue.clone(), Arc::clone(&busy));
        let handle = Builder::new().name(format!("lastline-file-{turn}")).spawn(move || {
            let _work = work;
            writer.run();
        })?;
        Ok(Thread { sender, queue, has_ended, busy, handle })
    }

    /// Lets every thread empty its queue and end, waits for that until `deadline`, and gives how
    /// many did not; what is queued for those is dropped.
    pub(crate) fn close(&self, deadline: Duration) -> usize {
        let threads = {
            let mut state = self.state();
            state.is_closed = true;
            std::mem::take(&mut state.threads)
        };
        for thread in &threads {
            thread.sender.close();
        }
        self.wait(&threads, deadline);
        let mut hung = 0;
        for thread in threads {
            if thread.has_ended.load(Ordering::Acquire) {
                // A thread that panicked has said so; what it did not file is declared.
                drop(thread.handle.join());
            } else {
                hung += 1;
                while thread.queue.try_recv().is_ok() {}
            }
        }
        hung
    }

    /// Waits until they have ended, for `left` at most, a little at a time: when this process stands
    /// still meanwhile, so do they, and that counts as a little.
    fn wait(&self, threads: &[Thread], mut left: Duration) {
        let mut held = self.ended.lock.lock().unwrap_or_else(PoisonError::into_inner);
        while !threads.iter().all(|thread| thread.has_ended.load(Ordering::Acquire)) {
            if left.is_zero() {
                return;
            }
            let (begun, pause) = (Instant::now(), left.min(LOOK_EVERY));
            held = self
                .ended
                .changed
                .wait_timeout(held, pause)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            left = left.saturating_sub(begun.elapsed().min(2 * pause));
        }
    }
}
