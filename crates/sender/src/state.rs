//! What a sender's handles and its task share.

use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::backlog::Moment;
use crate::forwarder::Forwarder;

pub(crate) struct SenderState {
    /// What moments are counted from.
    pub(crate) started: Instant,
    pub(crate) forwarder: Mutex<Forwarder>,
    /// The backlog is no longer empty, or the owner is gone.
    pub(crate) work: Notify,
    /// The backlog became empty and what was sent is stored, or the far side is gone.
    pub(crate) idle: Notify,
    /// The owner is gone.
    pub(crate) ended: AtomicBool,
}

impl SenderState {
    pub(crate) fn now(&self) -> Moment {
        self.started.elapsed()
    }

    pub(crate) fn forwarder(&self) -> MutexGuard<'_, Forwarder> {
        self.forwarder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
