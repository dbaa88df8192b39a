//! The client: one thread that receives, prints and answers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use lastline_line::{Fold, Inbox, Offset, StreamId, Timestamp, Version};
use tokio::sync::watch;

use crate::account::Account;
use crate::barrier::Verdicts;
use crate::options::Options;
use crate::printer::Printer;
use crate::shared::{Shared, State};
use crate::worker::Worker;

/// The driver's side of a job. Dropping it does not stop the thread, which ends with its inbox.
pub struct Client {
    shared: Arc<Shared>,
    done: watch::Receiver<bool>,
    thread: std::thread::JoinHandle<()>,
}

impl Client {
    /// Starts the thread. It ends when all senders of the inbox are gone and all is printed.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub fn start(
        inbox: impl Inbox + 'static,
        fold: Box<dyn Fold>,
        printer: Box<dyn Printer>,
        options: Options,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (finished, done) = watch::channel(false);
        let mut worker = Worker::new(Box::new(inbox), fold, printer, options, Arc::clone(&shared));
        let thread =
            std::thread::Builder::new().name("lastline-client".into()).spawn(move || {
                worker.run();
                finished.send_replace(true);
            })?;
        Ok(Self { shared, done, thread })
    }

    /// Opens a barrier over `streams`: the future gives their verdicts, at the deadline at the
    /// latest. Marks are asked of the tees after this. Any number may be open at once.
    ///
    /// Streams of which something ended is held need a message to wake the client: any heartbeat
    /// does, and one comes every second.
    pub fn barrier(
        &self,
        version: Version,
        streams: Vec<StreamId>,
        within: Duration,
    ) -> impl Future<Output = Verdicts> + use<> + Send + 'static {
        let mut state = self.shared.state();
        let verdicts = state.barriers.open(version, streams.iter().copied());
        for stream in streams {
            let Some(account) = state.accounts.get(&stream).filter(|a| a.ended.is_some()) else {
                continue;
            };
            if account.unaccounted() > 0 {
                state.release_ended = true;
                continue;
            }
            let lost = account.lost.first_below(account.received).cloned();
            state.barriers.ended(stream, lost.as_ref());
        }
        drop(state);
        let shared = Arc::clone(&self.shared);
        async move {
            let mut verdicts = verdicts;
            if let Ok(Ok(verdicts)) = tokio::time::timeout(within, &mut verdicts).await {
                return verdicts;
            }
            shared.time_out(version);
            verdicts.await.expect("BUG: a barrier that timed out has all its verdicts")
        }
    }

    /// Releases everybody who waits for a stream that will say nothing more, not even its end, once
    /// what has come of it is printed.
    pub fn abandon(&self, stream: StreamId) {
        let mut state = self.shared.state();
        let account = state.accounts.entry(stream).or_default();
        let at = account.received;
        account.ended.get_or_insert(at);
        if account.unaccounted() > 0 {
            state.release_ended = true;
            return;
        }
        let lost = account.lost.first_below(at).cloned();
        state.barriers.ended(stream, lost.as_ref());
    }

    /// Folds with `fold` from the next message on; what is held is printed first.
    pub fn set_fold(&self, fold: Box<dyn Fold>) {
        self.shared.state().next_fold = Some(fold);
    }

    /// What is known of each stream that has said something.
    pub fn accounts(&self) -> Vec<(StreamId, Account)> {
        let state = self.shared.state();
        let mut all: Vec<_> = state.accounts.iter().map(|(id, a)| (*id, a.clone())).collect();
        all.sort_by_key(|(stream, _)| *stream);
        all
    }

    /// How many answers came for barriers that were over.
    pub fn stale_answers(&self) -> u64 {
        self.shared.state().barriers.stale()
    }

    /// When each host was last heard of, by node.
    pub fn heard(&self) -> HashMap<u32, Timestamp> {
        self.shared.state().heard.clone()
    }

    /// Waits until everything has been printed and the thread has ended, for ever if need be.
    /// Blocks this thread; not to be called on a runtime.
    pub fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!("the client's thread has panicked");
        }
    }

    /// Waits until everything has been printed and the thread has ended, for `within` at most;
    /// whether it has. A console that does not take its output may keep it for ever.
    pub async fn finished(&self, within: Duration) -> bool {
        let mut done = self.done.clone();
        let finished = done.wait_for(|done| *done);
        matches!(tokio::time::timeout(within, finished).await, Ok(Ok(_)))
    }
}

impl Shared {
    fn time_out(&self, version: Version) {
        let mut state = self.state();
        let State { accounts, barriers, .. } = &mut *state;
        let shown = |stream| accounts.get(&stream).map_or(Offset::ZERO, Account::shown);
        barriers.time_out(version, shown);
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("done", &*self.done.borrow()).finish_non_exhaustive()
    }
}
