//! What the handle of a job, its supervisor and its control socket share. The barrier.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lastline_client::{Client, Label, Labels, Verdicts};
use lastline_line::{Message, Version};
use lastline_sender::{ChannelTransport, Sender, Transport};
use lastline_tee::Tee;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;

use crate::barriers::Barriers;
use crate::clock::now;
use crate::rank::Event;
use crate::report::BarrierReport;
use crate::wiring::Ends;

/// What the handle, the supervisor and the control socket share.
pub(crate) struct Inner {
    pub(crate) client: Client,
    sender: Mutex<Option<Sender>>,
    direct: Mutex<Option<ChannelTransport>>,
    tees: Mutex<Vec<Tee>>,
    versions: AtomicU64,
    barriers: Mutex<Barriers>,
    flush_timeout: Duration,
    pub(crate) labels: Labels,
    pub(crate) host: String,
    pub(crate) events: UnboundedSender<Event>,
    /// How many ranks' starts have begun.
    begun: Arc<AtomicU32>,
    /// Of how many ranks the supervisor knows whether they run; they start in order.
    known: watch::Sender<u32>,
    /// The control socket, while it is answered.
    control: Mutex<Option<PathBuf>>,
    /// The control socket is not answered any more.
    pub(crate) closed: tokio::sync::Notify,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    pub(crate) fn new(
        flush_timeout: Duration,
        labels: Labels,
        ends: Ends,
        events: UnboundedSender<Event>,
    ) -> Self {
        Self {
            client: ends.client,
            sender: Mutex::new(Some(ends.sender)),
            direct: Mutex::new(Some(ends.direct)),
            tees: Mutex::default(),
            versions: AtomicU64::new(0),
            barriers: Mutex::default(),
            flush_timeout,
            labels,
            host: host_name(),
            events,
            begun: Arc::default(),
            known: watch::Sender::new(0),
            control: Mutex::default(),
            closed: tokio::sync::Notify::new(),
        }
    }

    /// Where it is counted how many ranks' starts have begun.
    pub(crate) fn begun(&self) -> Arc<AtomicU32> {
        Arc::clone(&self.begun)
    }

    /// The control socket is there.
    pub(crate) fn answers_on(&self, control: &Path) {
        *lock(&self.control) = Some(control.to_owned());
    }

    /// A barrier over every stream that has been started. A rank may print before it is known
    /// here that it runs: those whose start has begun are waited for.
    pub(crate) async fn flush(&self) -> Verdicts {
        let asked = Instant::now();
        let begun = self.begun.load(Ordering::Acquire);
        let mut known = self.known.subscribe();
        let all_known = known.wait_for(|known| *known >= begun);
        if tokio::time::timeout(self.flush_timeout, all_known).await.is_err() {
            tracing::warn!("a barrier does not cover a rank that is being started for too long");
        }
        self.flush_within(self.flush_timeout.saturating_sub(asked.elapsed())).await
    }

    pub(crate) async fn flush_within(&self, within: Duration) -> Verdicts {
        let started = Instant::now();
        let version = Version(self.versions.fetch_add(1, Ordering::Relaxed) + 1);
        let tees = lock(&self.tees).clone();
        let streams = tees.iter().map(Tee::stream).collect();
        let verdicts = self.client.barrier(version, streams, within);
        let mut any_ended = false;
        for tee in &tees {
            tee.barrier(version);
            any_ended |= tee.is_finished();
        }
        if any_ended {
            self.wake_client();
        }
        let verdicts = verdicts.await;
        let seconds = started.elapsed().as_secs_f64();
        lock(&self.barriers).push(BarrierReport::of(&verdicts, seconds));
        verdicts
    }

    /// One more rank runs, or could not be started.
    pub(crate) fn one_more_known(&self) {
        self.known.send_modify(|known| *known += 1);
    }

    pub(crate) fn add_tee(&self, tee: Tee) {
        lock(&self.tees).push(tee);
    }

    pub(crate) fn with_sender<T>(&self, with: impl FnOnce(&Sender) -> T) -> Option<T> {
        lock(&self.sender).as_ref().map(with)
    }

    pub(crate) fn label(&self, job: &str, rank: u32, pid: u32) {
        let (host, job) = (self.host.clone(), job.to_owned());
        self.labels.set(Label { rank, local_rank: rank, host, pid, job });
    }

    /// Gives the client something to hear, so that it looks at what it was told otherwise.
    pub(crate) fn wake_client(&self) {
        let time = now();
        if let Some(direct) = &mut *lock(&self.direct)
            && direct.try_send(Message::Heartbeat { node: 0, time }).is_err()
        {
            tracing::trace!("the client has enough to hear");
        }
    }

    /// Lets go of every way into the client's inbox but those of tees that still run.
    pub(crate) fn close_ways(&self) -> Option<Sender> {
        drop(lock(&self.direct).take());
        lock(&self.sender).take()
    }

    /// Answers no more requests from outside, and takes the socket away.
    pub(crate) fn close_control(&self) {
        self.closed.notify_one();
        if let Some(path) = lock(&self.control).take()
            && let Err(error) = std::fs::remove_file(&path)
        {
            tracing::debug!(%error, path = %path.display(), "the control socket is left");
        }
    }

    pub(crate) fn take_barriers(&self) -> (Vec<BarrierReport>, BTreeMap<String, u64>) {
        lock(&self.barriers).take()
    }
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
