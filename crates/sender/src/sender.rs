//! The sender: sinks on one side, a transport on the other, a worker between them.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lastline_line::{Accept, HostEvent, Message, Sink, StreamId};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::forwarder::Forwarder;
use crate::options::Options;
use crate::sent::Sent;
use crate::state::SenderState;
use crate::transport::Transport;
use crate::worker::{beat, work_on};

/// Sends what its sinks are given over one transport, in order, from a task of its own.
///
/// Dropping it ends the task at once; [`close`](Self::close) empties the backlog first.
pub struct Sender {
    shared: Arc<SenderState>,
}

impl Sender {
    /// Starts the worker. Must be called on a tokio runtime.
    pub fn start(transport: impl Transport + 'static, options: Options) -> Self {
        Self::with_detour(transport, None, options)
    }

    /// As [`start`](Self::start). When the far side is gone, `detour` still takes the marks, the
    /// ends, and the skips of what had no route, so that nobody waits for what will not come.
    pub fn with_detour(
        transport: impl Transport + 'static,
        detour: Option<Box<dyn Transport>>,
        options: Options,
    ) -> Self {
        let heartbeat = options.heartbeat;
        let forwarder = Mutex::new(Forwarder::new(Box::new(transport), detour, options));
        let (work, idle) = (Notify::new(), Notify::new());
        let shared = Arc::new(SenderState {
            started: Instant::now(),
            forwarder,
            work,
            idle,
            ended: false.into(),
        });
        tokio::spawn(work_on(Arc::clone(&shared), heartbeat));
        Self { shared }
    }

    /// A sink for the streams of this host; all sinks of a sender feed the same transport.
    pub fn sink(&self) -> SenderSink {
        SenderSink { shared: Arc::clone(&self.shared) }
    }

    /// Sends output to the client, or only counts it as withheld. Takes hold with the next chunk.
    pub fn set_mode(&self, stream_to_client: bool) {
        self.shared.forwarder().set_mode(stream_to_client);
    }

    /// Sends an event of the host, which does not wait behind output. False when nobody can be
    /// reached: nothing is kept for later.
    pub fn send_event(&self, event: HostEvent) -> bool {
        self.shared.forwarder().send_event(event)
    }

    /// Sends a heartbeat now, if there is room: whoever receives looks up.
    pub fn send_heartbeat(&self) {
        beat(&self.shared, None);
    }

    /// Waits until everything that was taken is sent and stored, or cannot be any more. Cancel-safe.
    pub async fn drained(&self) {
        loop {
            let idle = self.shared.idle.notified();
            if self.shared.forwarder().is_idle() {
                return;
            }
            idle.await;
        }
    }

    /// A number that grows whenever something is sent or acknowledged.
    pub fn progress(&self) -> u64 {
        self.shared.forwarder().progress()
    }

    /// Empties the backlog and waits for what was sent to be stored, for `within` at most, and
    /// ends: the transport is dropped, and what sinks are given later goes nowhere. What could not
    /// be sent is declared in the result, stream by stream.
    pub async fn close(self, within: Duration) -> Vec<(StreamId, Sent)> {
        if tokio::time::timeout(within, self.drained()).await.is_err() {
            tracing::debug!("the backlog was not empty at the deadline");
        }
        self.shared.forwarder().settle("not delivered before the deadline of the teardown")
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        self.shared.work.notify_one();
    }
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

/// Takes the messages of any number of streams for a [`Sender`]. Never full: what the transport
/// does not take waits in the backlog, whose bound is the buffers that the chunks hold.
#[derive(Clone)]
pub struct SenderSink {
    shared: Arc<SenderState>,
}

impl std::fmt::Debug for SenderSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SenderSink").finish_non_exhaustive()
    }
}

impl Sink for SenderSink {
    fn accept(&mut self, message: &Message) -> Accept {
        let now = self.shared.now();
        let (accept, work) = self.shared.forwarder().accept(message, now);
        if work {
            self.shared.work.notify_one();
        }
        accept
    }
}
