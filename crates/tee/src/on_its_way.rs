//! What of one stream was sent and not yet released by every sink.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// So long a stream that has as much on its way as it may waits for that to change.
const PATIENCE: Duration = Duration::from_millis(200);

/// Counts one stream's bytes that are on their way, and bounds them: by the stream's share first, and by
/// twice as much each time that it has waited in vain, until less than its share is on its way again. So
/// a rank whose client takes nothing is kept for a second or so, and not for ever.
#[derive(Debug)]
pub(crate) struct OnItsWay {
    state: Arc<State>,
    share_bytes: usize,
    /// Since when there is as much as may be, as far as the stream has waited for that to change.
    since: Option<Instant>,
}

#[derive(Debug)]
struct State {
    bytes: AtomicUsize,
    max_bytes: AtomicUsize,
    released: Notify,
}

/// Bytes on their way, until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted {
    state: Arc<State>,
    bytes: usize,
}

impl OnItsWay {
    pub(crate) fn new(share_bytes: usize) -> Self {
        let state = State {
            bytes: AtomicUsize::new(0),
            max_bytes: AtomicUsize::new(share_bytes),
            released: Notify::new(),
        };
        Self { state: Arc::new(state), share_bytes, since: None }
    }

    /// Counts so many more.
    pub(crate) fn count(&self, bytes: usize) -> Counted {
        self.state.bytes.fetch_add(bytes, Ordering::AcqRel);
        Counted { state: Arc::clone(&self.state), bytes }
    }

    /// Waits until the stream may read on. Cancel-safe.
    pub(crate) async fn may_read(&mut self) {
        if self.state.bytes.load(Ordering::Acquire) < self.share_bytes {
            self.state.max_bytes.store(self.share_bytes, Ordering::Release);
        } else if !self.state.has_room() {
            let since = *self.since.get_or_insert_with(Instant::now);
            if timeout_at(since + PATIENCE, self.state.room()).await.is_err() {
                let max_bytes = self.state.max_bytes.load(Ordering::Acquire);
                self.state.max_bytes.store(max_bytes.saturating_mul(2), Ordering::Release);
            }
        }
        self.since = None;
    }
}

impl State {
    fn has_room(&self) -> bool {
        self.bytes.load(Ordering::Acquire) < self.max_bytes.load(Ordering::Acquire)
    }

    async fn room(&self) {
        while !self.has_room() {
            // Remembered when it comes between the two.
            self.released.notified().await;
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let before = self.state.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
        if before >= self.state.max_bytes.load(Ordering::Acquire) {
            self.state.released.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stream_waits_until_some_of_its_share_is_released() {
        let mut on_its_way = OnItsWay::new(10);
        let started = Instant::now();
        let first = on_its_way.count(6);
        on_its_way.may_read().await;
        assert_eq!(started.elapsed(), Duration::ZERO);
        let _second = on_its_way.count(6);
        let release = async {
            tokio::time::sleep(PATIENCE / 2).await;
            drop(first);
        };
        tokio::join!(on_its_way.may_read(), release);
        assert_eq!(started.elapsed(), PATIENCE / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_in_vain_may_have_twice_as_much_on_its_way() {
        let mut on_its_way = OnItsWay::new(10);
        let (mut held, started) = (Vec::new(), Instant::now());
        for _ in 0..40 {
            on_its_way.may_read().await;
            held.push(on_its_way.count(1));
        }
        // At 10 and at 20; up to 40.
        assert_eq!(started.elapsed(), 2 * PATIENCE);
        held.truncate(9);
        on_its_way.may_read().await;
        held.push(on_its_way.count(1));
        on_its_way.may_read().await;
        assert_eq!(started.elapsed(), 3 * PATIENCE);
    }

    /// As each barrier and each start of a line does it.
    #[tokio::test(start_paused = true)]
    async fn to_be_interrupted_does_not_make_it_wait_longer() {
        let mut on_its_way = OnItsWay::new(10);
        let _held = on_its_way.count(12);
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            let short = Duration::from_millis(100);
            drop(tokio::time::timeout(short, on_its_way.may_read()).await);
        }
        on_its_way.may_read().await;
        assert_eq!(started.elapsed(), PATIENCE);
    }
}
