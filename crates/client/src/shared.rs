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

impl State {
    /// Answers who waits for `stream`, if it has ended and all of it is accounted for. True when
    /// something of it is held: the client has to print that first.
    pub(crate) fn answer_if_ended(&mut self, stream: StreamId) -> bool {
        let Some(account) = self.accounts.get(&stream).filter(|a| a.ended.is_some()) else {
            return false;
        };
        if account.unaccounted() > 0 {
            self.release_ended = true;
            return true;
        }
        self.barriers.ended(stream, account.lost.first_below(account.received));
        false
    }
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
