//! What both loops wait for beside their events.

use std::future::Future;
use std::pin::Pin;

/// What a phase does beside listening; one at a time.
pub(crate) type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What the work came to; never, while there is none. Cancel-safe.
pub(crate) async fn poll_work<T>(work: &mut Option<Work<T>>) -> T {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}
