//! What time it is.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use lastline_line::Timestamp;
use tokio::time::Instant;

use crate::lock;
use crate::running_time::{RunningTime, TICK};

/// The time of day, for what is shown to people and written to files.
#[expect(clippy::disallowed_methods, reason = "the time that goes into a timestamp")]
pub(crate) fn now() -> Timestamp {
    Timestamp::from_system(SystemTime::now())
}

/// Time in which this process ran, since the clock was started, by a clock that nobody sets. Clones
/// are the same one.
///
/// A standstill is seen while somebody waits: see [`RunningTime`]. Time in which nobody waits may
/// count as less than it was, which nothing notices: all that is counted are deadlines.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    started: Instant,
    running: Arc<Mutex<RunningTime>>,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { started: Instant::now(), running: Arc::default() }
    }

    pub(crate) fn now(&self) -> Duration {
        lock(&self.running).saw(self.started.elapsed())
    }

    /// It stands from now on, and with it every deadline: the ranks stand, and maybe this process.
    pub(crate) fn pause(&self) {
        lock(&self.running).pause(self.started.elapsed());
    }

    pub(crate) fn is_paused(&self) -> bool {
        lock(&self.running).is_paused()
    }

    /// It goes on.
    pub(crate) fn resume(&self) {
        lock(&self.running).resume(self.started.elapsed());
    }

    /// Never, when there is no such time.
    pub(crate) async fn sleep_until(&self, at: Option<Duration>) {
        let Some(at) = at else {
            return std::future::pending().await;
        };
        loop {
            let left = at.saturating_sub(self.now());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(TICK)).await;
        }
    }

    /// Ends when so much time from now has passed.
    pub(crate) fn sleep(self, time: Duration) -> impl Future<Output = ()> + Send + 'static {
        let deadline = self.now().saturating_add(time);
        async move { self.sleep_until(Some(deadline)).await }
    }

    /// What `work` comes to; `None` when that is not within so much time.
    pub(crate) async fn within<T>(
        &self,
        time: Duration,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let deadline = self.now() + time;
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.sleep_until(Some(deadline)) => None,
        }
    }
}
