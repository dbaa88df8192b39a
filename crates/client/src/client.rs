//! The client: one thread that receives, prints and answers.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use lastline_line::{
    Control, ControlSender, Fold, HostId, Inbox, Offset, StreamId, Timestamp, Version,
};
use tokio::sync::{oneshot, watch};

use crate::account::Account;
use crate::join::JoinError;
use crate::options::Options;
use crate::printer::Printer;
use crate::state::{ClientState, Interrupted, NewEntries, Progress, Status};
use crate::subscribe::{EntryStream, LineStream, SubscribeOptions};
use crate::verdict::Verdicts;
use crate::worker::Worker;

/// The driver's side of a job. Dropping it does not stop the thread, which ends with its inbox.
pub struct Client {
    shared: Arc<ClientState>,
    controls: ControlSender,
    status: watch::Receiver<Status>,
    thread: std::thread::JoinHandle<Result<(), JoinError>>,
}

impl Client {
    /// Starts the thread, which receives from `inbox`, folds by `fold` ([`Off`](lastline_line::Off)
    /// passes every line), and prints by `printer`. It ends when the inbox is closed, which is when
    /// all its senders are gone, and all is printed.
    ///
    /// A printer may block; nobody but this thread waits for it. When a fold or a printer panics,
    /// the thread goes on receiving: what was not shown by then, and all that comes later, counts as
    /// lost, barriers are answered accordingly, and [`failure`](Self::failure) says why.
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
        let controls = inbox.control_sender();
        let shared = Arc::new(ClientState::default());
        let (said, status) = watch::channel(Status::default());
        let (inbox, state) = (Box::new(inbox), Arc::clone(&shared));
        let mut worker = Worker::new(inbox, fold, printer, options, state, said);
        let thread = std::thread::Builder::new().name("lastline-client".into());
        let thread = thread.spawn(move || {
            worker.run();
            worker.unprinted()
        })?;
        Ok(Self { shared, controls, status, thread })
    }

    /// Opens a barrier over `streams`: the future gives their verdicts, at the deadline at the
    /// latest. Marks are asked of the tees after this. Any number may be open at once.
    pub fn barrier(
        &self,
        version: Version,
        streams: Vec<StreamId>,
        within: Duration,
    ) -> impl Future<Output = Verdicts> + use<> + Send + 'static {
        let verdicts = self.open_barrier(version, 1, tokio::time::sleep(within));
        self.barrier_streams(version, streams);
        verdicts
    }

    /// Opens a barrier over streams that `hosts` hosts will list, each by
    /// [`barrier_streams`](Self::barrier_streams). It is complete when they have, and every stream
    /// of theirs has a verdict; a mark that comes before its stream is listed counts. When `deadline`
    /// ends, all are answered as in [`barrier`](Self::barrier).
    pub fn open_barrier<D: Future<Output = ()> + Send + 'static>(
        &self,
        version: Version,
        hosts: usize,
        deadline: D,
    ) -> impl Future<Output = Verdicts> + use<D> + Send + 'static {
        let verdicts = self.shared.state().barriers.open(version, hosts);
        let shared = Arc::clone(&self.shared);
        async move {
            let (mut verdicts, mut deadline) = (verdicts, pin!(deadline));
            let in_time = poll_fn(|context| match Pin::new(&mut verdicts).poll(context) {
                Poll::Ready(answered) => Poll::Ready(answered.ok()),
                Poll::Pending => deadline.as_mut().poll(context).map(|()| None),
            });
            if let Some(verdicts) = in_time.await {
                return verdicts;
            }
            shared.time_out(version);
            verdicts.await.expect("BUG: a barrier that timed out has all its verdicts")
        }
    }

    /// Nothing more is read of any stream: what this barrier waits for is on its way. So what is held
    /// waits for all of it, and not only for a moment: nothing that says the same is parted.
    pub fn gather_all(&self, version: Version) {
        self.shared.state().barriers.gather_all(version);
    }

    /// One host's streams, of a barrier that waits for lists of them. Streams that have ended are
    /// answered at once, or as soon as what is held of them has been printed.
    pub fn barrier_streams(&self, version: Version, streams: Vec<StreamId>) {
        let mut state = self.shared.state();
        if !state.barriers.list(version, streams.iter().copied()) {
            return;
        }
        let mut held = false;
        for stream in streams {
            held |= state.answer_if_ended(stream);
        }
        state.barriers.listed(version);
        drop(state);
        self.wake_if(held);
    }

    /// A host that a barrier waits for cannot list its streams any more: one list fewer is waited
    /// for.
    pub fn barrier_host_lost(&self, version: Version) {
        self.shared.state().barriers.listed(version);
    }

    /// Wakes the client's thread by itself: a host answers with a heartbeat.
    fn wake_if(&self, needed: bool) {
        if needed {
            self.controls.send(Control::Ping { id: None });
        }
    }

    /// Releases everybody who waits for a stream that will say nothing more, not even its end, once
    /// what has come of it is printed.
    pub fn abandon(&self, stream: StreamId) {
        let mut state = self.shared.state();
        let account = state.accounts.entry(stream).or_default();
        account.ended.get_or_insert(account.received);
        let held = state.answer_if_ended(stream);
        drop(state);
        self.wake_if(held);
    }

    /// Nothing more of `stream` comes than is in the inbox by now, because of `cause`; its host is lost,
    /// say. Once that is received, what is missing below `length` counts as lost, and whoever waits
    /// for the stream is answered: it is [`Verdict::Lost`](crate::Verdict::Lost), of an empty range
    /// where no length is known. Nothing happens to a stream that had ended.
    pub fn interrupt(&self, stream: StreamId, length: Option<Offset>, cause: &str) {
        let interrupted = Interrupted { stream, length, cause: cause.to_owned() };
        self.shared.state().interrupted.push_back(interrupted);
        self.wake_if(true);
    }

    /// Folds with `fold` from the next message on; what is held is printed first. The client is
    /// woken for it, as far as a host answers.
    pub fn set_fold(&self, fold: Box<dyn Fold>) {
        self.shared.state().next_fold = Some(fold);
        self.wake_if(true);
    }

    /// What is known of each stream that has said something.
    pub fn accounts(&self) -> Vec<(StreamId, Account)> {
        let state = self.shared.state();
        let mut all: Vec<_> = state.accounts.iter().map(|(id, a)| (*id, a.clone())).collect();
        all.sort_by_key(|(stream, _)| *stream);
        all
    }

    /// What has been received and what has been shown of all streams together, as a number that only grows.
    pub fn progress(&self) -> u64 {
        let state = self.shared.state();
        state.accounts.values().map(|account| account.received.0 + account.shown().0).sum()
    }

    /// A stream that has not ended, and up to where it has been received; none when all have ended.
    pub fn open_stream(&self) -> Option<(StreamId, Offset)> {
        let state = self.shared.state();
        let mut open = state.accounts.iter().filter(|(_, account)| account.ended.is_none());
        open.next().map(|(stream, account)| (*stream, account.received))
    }

    /// How many answers came for barriers that were over.
    pub fn stale_answers(&self) -> u64 {
        self.shared.state().barriers.stale()
    }

    /// The time of each host's last heartbeat.
    pub fn heartbeats(&self) -> HashMap<HostId, Timestamp> {
        self.shared.state().heartbeats.clone()
    }

    /// Every line that arrives from now on, before the fold and whether it is shown or not, as its
    /// rank printed it. What the subscriber is too slow for is left out, and said where it would
    /// have stood; the client never waits.
    pub fn subscribe(&self, options: SubscribeOptions) -> LineStream {
        self.shared.subscribers.lines(&options)
    }

    /// Every entry from now on as the printer is given it, after the fold. Otherwise as
    /// [`subscribe`](Self::subscribe). Ends when the fold or the printer fails.
    pub fn entries(&self, options: SubscribeOptions) -> EntryStream {
        self.shared.subscribers.entries(&options)
    }

    /// As [`entries`](Self::entries), and where they begin: up to where each stream had been shown,
    /// withheld or lost before the first of them. What is behind that is in an entry or left out,
    /// what is before it is in none: exactly, where the fold keeps the order of a stream's lines.
    pub fn entries_from_here(
        &self,
        options: SubscribeOptions,
    ) -> impl Future<Output = Option<(EntryStream, Vec<(StreamId, Offset)>)>> + use<> + Send + 'static
    {
        let (begun, beginning) = oneshot::channel();
        let mut state = self.shared.state();
        state.new_entries.push(NewEntries { options, begun });
        let over = state.over;
        drop(state);
        if over {
            self.shared.begin_entries(&[]);
        }
        self.wake_if(!over);
        async move { beginning.await.ok() }
    }

    /// Why nothing more is printed, if the fold or the printer has panicked.
    pub fn failure(&self) -> Option<String> {
        self.status.borrow().failure.clone()
    }

    /// Waits until the fold or the printer panics, and says why; `None` when the thread has ended
    /// without that. Cancel-safe.
    pub fn failed(&self) -> impl Future<Output = Option<String>> + use<> + Send + 'static {
        let mut status = self.status.clone();
        async move {
            let over = |status: &Status| status.finished || status.failure.is_some();
            match status.wait_for(over).await {
                Ok(status) => status.failure.clone(),
                Err(_) => Some(String::from("the client's thread has panicked")),
            }
        }
    }

    /// Waits until everything has been printed and the thread has ended, for ever if need be.
    /// Blocks this thread; not to be called on a runtime.
    ///
    /// # Errors
    ///
    /// When not everything was: an output took no more, or somebody has panicked.
    pub fn join(self) -> Result<(), JoinError> {
        let panicked = |_| {
            let cause = String::from("the client's thread has panicked");
            Err(JoinError::Failed { cause })
        };
        self.thread.join().unwrap_or_else(panicked)
    }

    /// Waits until everything has been printed, for `within` at most; whether it has. A console that
    /// does not take its output may keep it for ever.
    pub async fn finished(&self, within: Duration) -> bool {
        let mut status = self.status.clone();
        let finished = status.wait_for(|status| status.finished);
        matches!(tokio::time::timeout(within, finished).await, Ok(Ok(_)))
    }
}

impl ClientState {
    fn time_out(&self, version: Version) {
        let mut state = self.state();
        let Progress { accounts, barriers, .. } = &mut *state;
        let shown = |stream| accounts.get(&stream).map_or(Offset::ZERO, Account::shown);
        barriers.time_out(version, shown);
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("status", &*self.status.borrow()).finish_non_exhaustive()
    }
}
