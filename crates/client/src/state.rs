//! What the client's thread and its handle share.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use lastline_line::{Fold, HostId, Offset, StreamId, Timestamp};
use tokio::sync::oneshot;

use crate::account::Account;
use crate::barrier::Barriers;
use crate::subscribe::{EntryStream, SubscribeOptions, Subscribers};

/// What is known of the client's thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Status {
    /// Everything has been printed.
    pub(crate) finished: bool,
    /// Why nothing more is printed.
    pub(crate) failure: Option<String>,
}

/// What the client's thread and its handle share.
#[derive(Default)]
pub(crate) struct ClientState {
    progress: Mutex<Progress>,
    pub(crate) subscribers: Subscribers,
}

/// A stream of which nothing more comes.
#[derive(Clone, Debug)]
pub(crate) struct Interrupted {
    pub(crate) stream: StreamId,
    /// Its length, where that is known.
    pub(crate) length: Option<Offset>,
    pub(crate) cause: String,
}

/// Up to where each stream was shown, withheld or lost.
pub(crate) type Places = Vec<(StreamId, Offset)>;

/// Who wants entries, and to know where they begin.
pub(crate) struct NewEntries {
    pub(crate) options: SubscribeOptions,
    pub(crate) begun: oneshot::Sender<(EntryStream, Places)>,
}

/// How far everything has come.
#[derive(Default)]
pub(crate) struct Progress {
    pub(crate) accounts: HashMap<StreamId, Account>,
    pub(crate) barriers: Barriers,
    /// A fold to use from now on.
    pub(crate) next_fold: Option<Box<dyn Fold>>,
    /// Streams that have ended and that barriers may wait for. Only those: of thousands that end one
    /// after the other, each is looked at once.
    pub(crate) to_release: Vec<StreamId>,
    /// Who wants entries from now on, and to know where that is.
    pub(crate) new_entries: Vec<NewEntries>,
    /// Nothing is printed any more.
    pub(crate) over: bool,
    /// Streams of which nothing more comes than is in the inbox.
    pub(crate) interrupted: VecDeque<Interrupted>,
    /// The time of each host's last heartbeat.
    pub(crate) heartbeats: HashMap<HostId, Timestamp>,
}

impl Progress {
    /// Whether a stream has ended.
    pub(crate) fn has_ended(&self, stream: &StreamId) -> bool {
        self.accounts.get(stream).is_some_and(|account| account.ended.is_some())
    }

    /// Answers who waits for `stream`, if it has ended and all of it is accounted for. True when
    /// something of it is held: the client has to print that first.
    pub(crate) fn answer_if_ended(&mut self, stream: StreamId) -> bool {
        let Some(account) = self.accounts.get(&stream).filter(|a| a.ended.is_some()) else {
            return false;
        };
        if account.unaccounted() > 0 {
            self.end_came(stream);
            return true;
        }
        self.barriers.ended(stream, account.loss_at_end().as_ref());
        false
    }

    /// A stream has ended: it is to be released.
    pub(crate) fn end_came(&mut self, stream: StreamId) {
        self.to_release.push(stream);
        self.barriers.end_came(stream);
    }

    /// Every stream that has ended is to be released.
    pub(crate) fn release_all(&mut self) {
        let ended = self.accounts.iter().filter(|(_, account)| account.ended.is_some());
        self.to_release = ended.map(|(stream, _)| *stream).collect();
    }
}

impl ClientState {
    /// Begins what is given to those who want entries, with `unflushed` printed and not counted as
    /// shown yet. By the one thread that prints, so that nothing is printed meanwhile: what comes
    /// before the places is in none of their entries, and what comes behind is in one.
    pub(crate) fn begin_entries(&self, unflushed: &[(StreamId, u64)]) {
        let mut state = self.state();
        let new = std::mem::take(&mut state.new_entries);
        if new.is_empty() {
            return;
        }
        let mut places: BTreeMap<StreamId, Offset> =
            state.accounts.iter().map(|(stream, account)| (*stream, account.shown())).collect();
        for (stream, bytes) in unflushed {
            *places.entry(*stream).or_default() += *bytes;
        }
        drop(state);
        for NewEntries { options, begun } in new {
            let entries = self.subscribers.entries(&options);
            // Whoever has gone meanwhile wants none.
            drop(begun.send((entries, places.clone().into_iter().collect())));
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
