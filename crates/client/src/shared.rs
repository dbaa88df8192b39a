//! What the client's thread and its handle share.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lastline_line::{Fold, StreamId, Timestamp};

use crate::account::Account;
use crate::barrier::Barriers;

/// What the client's thread and its handle share.
#[derive(Default)]
pub(crate) struct Shared {
    state: Mutex<State>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) accounts: HashMap<StreamId, Account>,
    pub(crate) barriers: Barriers,
    /// A fold to use from now on.
    pub(crate) next_fold: Option<Box<dyn Fold>>,
    /// Barriers wait for streams that have ended and of which something is held.
    pub(crate) release_ended: bool,
    /// When each host was last heard of, by node.
    pub(crate) heard: HashMap<u32, Timestamp>,
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
