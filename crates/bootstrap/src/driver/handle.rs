//! A driver at work, and what can be asked of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lastline_client::{EntryStream, LineStream, SubscribeOptions, Verdicts};
use lastline_jobs::Report;
use lastline_line::{Control, Fold, Offset, RankSet, StopCause, StreamId, StreamSet};
use lastline_watch::{Snapshot, Tally};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::DriverState;
use super::run::Request;
use super::seen::Look;
use super::status::{self, RankChanges, RankStatus};
use super::tally::{self, LookAtFiles};
use super::view;
use crate::SpawnError;

/// A driver at work.
#[derive(Debug)]
pub struct Driver {
    handle: DriverHandle,
    task: JoinHandle<()>,
}

impl Driver {
    pub(super) fn new(handle: DriverHandle, task: JoinHandle<()>) -> Self {
        Self { handle, task }
    }

    /// A handle to it.
    pub fn handle(&self) -> DriverHandle {
        self.handle.clone()
    }

    /// Waits for the end of the job.
    ///
    /// # Errors
    ///
    /// When its loop panicked, or its runtime ended before it.
    pub async fn wait(self) -> Result<Arc<Report>, SpawnError> {
        let report = self.handle.wait().await;
        match self.task.await {
            Ok(()) => report,
            Err(source) => Err(SpawnError::Supervisor { source }),
        }
    }
}

/// Asks a driver of its job, and steers it. Clones speak to the same one.
#[derive(Clone)]
pub struct DriverHandle {
    shared: Arc<DriverState>,
    report: watch::Receiver<Option<Arc<Report>>>,
}

impl DriverHandle {
    pub(super) fn new(
        shared: Arc<DriverState>,
        report: watch::Receiver<Option<Arc<Report>>>,
    ) -> Self {
        Self { shared, report }
    }

    /// A barrier: when it returns, everything that the ranks wrote before the call has been
    /// printed, or its verdict says which stream's was not, and why. Never hangs. Any number may
    /// run at once.
    pub async fn flush(&self) -> Verdicts {
        self.shared.flush_within(self.shared.flush_timeout).await
    }

    /// As [`flush`](Self::flush), with a deadline of its own instead of the plan's.
    pub async fn flush_within(&self, within: Duration) -> Verdicts {
        self.shared.flush_within(within).await
    }

    /// Sends output to the client, or only files it. What is read while it is off is counted as
    /// withheld.
    pub fn set_mode(&self, stream_to_client: bool) {
        self.shared.control.send(Control::SetMode { stream_to_client });
    }

    /// Folds with `fold` from now on; what is held is printed first.
    pub fn set_fold(&self, fold: Box<dyn Fold>) {
        *crate::lock(&self.shared.fold) = fold.name();
        self.shared.client().set_fold(fold);
    }

    /// Stops the job on all hosts: the ranks' groups are signalled at once. Called again it ends
    /// the grace.
    pub fn stop(&self, cause: StopCause) {
        self.shared.request(Request::Stop(cause));
    }

    /// Leaves a job of hosts at a distance, which runs on: they wait for another driver. What was received
    /// is shown first, as far as the console takes it within the plan's `teardown_timeout`; then nothing
    /// is any more, there is no report, and who waits for one gets [`SpawnError::Detached`]. Nothing
    /// happens when there is a report, or the host is in this process.
    pub async fn detach(&self) {
        if self.shared.distant {
            self.shared.left.store(true, Ordering::Release);
            self.shared.request(Request::Leave);
            self.ended().await;
        }
    }

    /// As [`stop`](Self::stop), unless there is a report already or the job is being stopped.
    pub(crate) fn stop_unless_over(&self, cause: StopCause) {
        if self.report.borrow().is_none() && self.shared.record().stopping.is_none() {
            self.stop(cause);
        }
    }

    /// Waits until there is a report, or will be none.
    pub(crate) async fn ended(&self) {
        drop(self.wait().await);
    }

    /// Ranks stand still: no deadline counts the time until [`resume`](Self::resume).
    pub(crate) fn suspend(&self) {
        self.shared.clock.pause();
    }

    /// They go on.
    pub(crate) fn resume(&self) {
        self.shared.clock.resume();
    }

    /// Sends a signal to the group of a rank, or of every rank.
    pub fn signal(&self, rank: Option<u32>, signal: i32) {
        self.shared.control.send(Control::Signal { rank, signal });
    }

    /// How many ranks the whole job has, once a host has said so.
    pub fn world_size(&self) -> Option<u32> {
        Some(self.shared.record().world_size).filter(|ranks| *ranks > 0)
    }

    /// The streams that are shown: those that the plan names, or all once a host has said how many ranks there
    /// are. A fold [may wait](Self::set_fold) for these.
    pub fn shown(&self) -> Option<StreamSet> {
        let all = || self.world_size().map(|ranks| RankSet::first(ranks).into());
        self.shared.about.show.clone().or_else(all)
    }

    /// Every rank as it stands: its last start, and what came of it here.
    pub fn ranks(&self) -> Vec<RankStatus> {
        status::ranks(&self.shared)
    }

    /// The job as it stands. Takes time for each rank.
    pub fn snapshot(&self) -> Snapshot {
        let report = self.report.borrow().clone();
        view::snapshot(&self.shared, report.as_deref())
    }

    /// What came of every rank and stream until now, over all starts. Takes time for each start.
    pub fn tally(&self) -> Tally {
        tally::tally(&self.shared)
    }

    /// What files have is seen there from now on.
    pub(crate) fn look_at_files_with(&self, look: LookAtFiles) {
        // There is one host here at most.
        drop(self.shared.look_at_files.set(look));
    }

    /// What the process that reads the streams sees of them is seen there from now on.
    pub(crate) fn look_with(&self, look: Look) {
        // There is one host here at most.
        drop(self.shared.look.set(look));
    }

    /// The job's id.
    pub(crate) fn job(&self) -> String {
        let job = self.shared.record().job.clone();
        if job.is_empty() { self.shared.about.job().to_owned() } else { job }
    }

    /// What the fold is called that is used now.
    pub(crate) fn fold(&self) -> &'static str {
        *crate::lock(&self.shared.fold)
    }

    /// Counts what is heard of hosts and ranks.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    /// Whether there is a report.
    pub(crate) fn is_over(&self) -> bool {
        self.report.borrow().is_some()
    }

    /// The ranks again whenever something is heard of one.
    pub fn watch(&self) -> RankChanges {
        RankChanges::new(Arc::clone(&self.shared))
    }

    /// Every line from now on, as ranks write them, before the fold.
    pub fn subscribe(&self, options: SubscribeOptions) -> LineStream {
        self.shared.client().subscribe(options)
    }

    /// Every entry from now on, as the fold gives them.
    pub fn entries(&self, options: SubscribeOptions) -> EntryStream {
        self.shared.client().entries(options)
    }

    /// As [`entries`](Self::entries), and up to where each stream was shown before the first of them.
    pub(crate) async fn entries_from_here(
        &self,
        options: SubscribeOptions,
    ) -> Option<(EntryStream, Vec<(StreamId, Offset)>)> {
        self.shared.client().entries_from_here(options).await
    }

    /// Waits for the end of the job and its report.
    ///
    /// # Errors
    ///
    /// When the driver ended without one: it was detached, its loop panicked, or its runtime ended.
    pub async fn wait(&self) -> Result<Arc<Report>, SpawnError> {
        let mut report = self.report.clone();
        let found = report.wait_for(Option::is_some).await;
        let without = || match self.shared.left.load(Ordering::Acquire) {
            true => SpawnError::Detached,
            false => SpawnError::Interrupted,
        };
        found.ok().and_then(|report| report.clone()).ok_or_else(without)
    }
}

impl std::fmt::Debug for DriverHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DriverHandle").field("client", self.shared.client()).finish_non_exhaustive()
    }
}
