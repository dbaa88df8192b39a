//! A host's way to its driver, and what waits for no loop: the barrier's marks, and the last resort
//! of a process that exits. Shared by the loop, its handles, and the task that hears the driver.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lastline_line::{HostEvent, StreamId, Version};
use lastline_sender::{Sender, SenderSink};
use lastline_spawn::Process;
use lastline_tee::Tee;

use crate::lock;

#[derive(Debug, Default)]
pub(super) struct Link {
    sender: Mutex<Option<Arc<Sender>>>,
    readers: Mutex<Readers>,
    processes: Mutex<Vec<Arc<dyn Process>>>,
    /// How many starts have begun.
    begun: AtomicU32,
    /// Of how many it is known what they came to.
    known: AtomicU32,
}

/// Who reads the streams.
#[derive(Debug, Default)]
struct Readers {
    tees: Vec<Tee>,
    /// Streams of starts that were let go. Barriers have them still: they have ended.
    let_go: Vec<StreamId>,
}

impl Link {
    pub(super) fn open(&self, sender: Sender) {
        *lock(&self.sender) = Some(Arc::new(sender));
    }

    /// Gives up the way to the driver, for whoever closes it.
    pub(super) fn close(&self) -> Option<Sender> {
        lock(&self.sender).take().and_then(Arc::into_inner)
    }

    pub(super) fn sender(&self) -> Option<Arc<Sender>> {
        lock(&self.sender).clone()
    }

    pub(super) fn sink(&self) -> Option<SenderSink> {
        self.sender().map(|sender| sender.sink())
    }

    pub(super) fn send(&self, event: HostEvent) {
        if !self.sender().is_some_and(|sender| sender.send_event(event)) {
            tracing::trace!("there is no driver to tell");
        }
    }

    /// A start begins.
    pub(super) fn start_begins(&self) {
        self.begun.fetch_add(1, Ordering::AcqRel);
    }

    /// It is known what one more start came to; its tees are here.
    pub(super) fn start_is_known(&self) {
        self.known.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn add_tee(&self, tee: Tee) {
        lock(&self.readers).tees.push(tee);
    }

    /// Nothing is asked any more of the readers of these streams, which have ended.
    pub(super) fn let_go(&self, streams: &[StreamId]) {
        let mut readers = lock(&self.readers);
        readers.tees.retain(|tee| !streams.contains(&tee.stream()));
        readers.let_go.extend(streams);
    }

    /// The readers of all streams, those that have ended too, but for starts that were let go.
    pub(super) fn tees(&self) -> Vec<Tee> {
        lock(&self.readers).tees.clone()
    }

    /// Nothing of a stream is read for a while.
    pub(super) fn pause(&self, stream: StreamId, lasts: Duration) {
        let readers = lock(&self.readers);
        readers.tees.iter().filter(|tee| tee.stream() == stream).for_each(|tee| tee.pause(lasts));
    }

    pub(super) fn add_process(&self, process: Arc<dyn Process>) {
        lock(&self.processes).push(process);
    }

    /// A process is over, and nothing is left of it.
    pub(super) fn forget_process(&self, process: &Arc<dyn Process>) {
        lock(&self.processes).retain(|known| !Arc::ptr_eq(known, process));
    }

    /// The host is over: whoever still has a handle keeps no descriptor of a process for that.
    pub(super) fn forget_processes(&self) {
        lock(&self.processes).clear();
    }

    /// Sends SIGKILL to every group, whatever the loop is at.
    pub(super) fn kill_all(&self) {
        lock(&self.processes).iter().for_each(|process| process.signal(libc::SIGKILL));
    }

    /// How many starts have begun.
    pub(super) fn begun(&self) -> u32 {
        self.begun.load(Ordering::Acquire)
    }

    /// Whether it is known what the first `begun` starts came to.
    pub(super) fn knows(&self, begun: u32) -> bool {
        self.known.load(Ordering::Acquire) >= begun
    }

    /// Takes a barrier's marks of every stream, and says which streams those are. A rank may print
    /// before it is known here that it runs: whoever asks waits until those are known whose start
    /// had begun.
    pub(super) fn take_marks(&self, version: Version) {
        let (tees, mut streams) = {
            let readers = lock(&self.readers);
            (readers.tees.clone(), readers.let_go.clone())
        };
        let mut any_ended = !streams.is_empty();
        streams.extend(tees.iter().map(Tee::stream));
        self.send(HostEvent::Barrier { version, streams });
        for tee in &tees {
            tee.barrier(version);
            any_ended |= tee.is_finished();
        }
        // What has ended sends no mark that would make the client look.
        if any_ended && let Some(sender) = self.sender() {
            sender.send_heartbeat();
        }
    }
}
