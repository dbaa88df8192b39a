//! What of one stream was sent and not yet released by every sink.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// So long a stream that has its share on its way waits for some of it to be released.
const PATIENCE: Duration = Duration::from_millis(500);

/// Counts one stream's bytes that are on their way.
#[derive(Debug)]
pub(crate) struct OnItsWay {
    state: Arc<State>,
    /// Since when its share is on its way, as far as the stream has waited for that to change.
    since: Option<Instant>,
}

#[derive(Debug)]
struct State {
    bytes: AtomicUsize,
    share_bytes: usize,
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
        let (bytes, released) = (AtomicUsize::new(0), Notify::new());
        Self { state: Arc::new(State { bytes, share_bytes, released }), since: None }
    }

    /// Counts so many more.
    pub(crate) fn count(&self, bytes: usize) -> Counted {
        self.state.bytes.fetch_add(bytes, Ordering::Relaxed);
        Counted { state: Arc::clone(&self.state), bytes }
    }

    /// Waits until less than the stream's share is on its way, as long as something of it is released
    /// every half second. Cancel-safe.
    pub(crate) async fn below_share(&mut self) {
        while !self.state.is_below() {
            let since = *self.since.get_or_insert_with(Instant::now);
            if timeout_at(since + PATIENCE, self.state.released.notified()).await.is_err() {
                return;
            }
            self.since = None;
        }
        self.since = None;
    }
}

impl State {
    fn is_below(&self) -> bool {
        self.bytes.load(Ordering::Acquire) < self.share_bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let before = self.state.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
        if before >= self.state.share_bytes {
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
        let first = on_its_way.count(6);
        on_its_way.below_share().await;
        let started = Instant::now();
        assert_eq!(started.elapsed(), Duration::ZERO);
        let _second = on_its_way.count(6);
        let release = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            drop(first);
        };
        tokio::join!(on_its_way.below_share(), release);
        assert_eq!(started.elapsed(), Duration::from_millis(300));
    }

    #[tokio::test(start_paused = true)]
    async fn where_nothing_is_released_it_waits_once() {
        let mut on_its_way = OnItsWay::new(10);
        let mut held = vec![on_its_way.count(12)];
        let started = Instant::now();
        for _ in 0..9 {
            on_its_way.below_share().await;
            held.push(on_its_way.count(12));
        }
        assert_eq!(started.elapsed(), PATIENCE);
        // Something moves: it waits for more of that.
        held.pop();
        on_its_way.below_share().await;
        assert_eq!(started.elapsed(), 2 * PATIENCE);
    }

    /// As each barrier and each start of a line does it.
    #[tokio::test(start_paused = true)]
    async fn to_be_interrupted_does_not_make_it_wait_longer() {
        let mut on_its_way = OnItsWay::new(10);
        let _held = on_its_way.count(12);
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            let short = Duration::from_millis(100);
            drop(tokio::time::timeout(short, on_its_way.below_share()).await);
        }
        on_its_way.below_share().await;
        assert_eq!(started.elapsed(), PATIENCE);
    }
}
