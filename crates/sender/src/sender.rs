//! The sender: sinks on one side, a transport on the other, a worker between them.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use lastline_line::{
    Accept, Control, Message, Offset, ReadBack, ReadOutcome, Sink, Span, StreamId, Timestamp,
};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::forwarder::{Forwarder, Sent, Step};
use crate::options::Options;
use crate::transport::Transport;

/// How much is read back at once, in bytes.
const READ_BACK_BYTES: usize = 256 << 10;
/// How long to wait before asking again for bytes that are not filed yet.
const ASK_AGAIN: Duration = Duration::from_millis(5);

/// Sends what its sinks are given over one transport, in order, from a task of its own.
///
/// Dropping it ends the task at once; [`close`](Self::close) empties the backlog first.
pub struct Sender {
    shared: Arc<Shared>,
}

struct Shared {
    forwarder: Mutex<Forwarder>,
    /// The backlog is no longer empty, or the owner is gone.
    work: Notify,
    /// The backlog became empty, or the far side is gone.
    idle: Notify,
    ended: std::sync::atomic::AtomicBool,
}

impl Shared {
    fn forwarder(&self) -> MutexGuard<'_, Forwarder> {
        self.forwarder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sender {
    /// Starts the worker. Must be called on a tokio runtime.
    pub fn start(transport: impl Transport + 'static, options: Options) -> Self {
        Self::with_detour(transport, None, options)
    }

    /// As [`start`](Self::start). When the far side is gone, `detour` still takes the marks, the
    /// ends, and word of what had no route, so that nobody waits for what will not come.
    pub fn with_detour(
        transport: impl Transport + 'static,
        detour: Option<Box<dyn Transport>>,
        options: Options,
    ) -> Self {
        let heartbeat = options.heartbeat;
        let forwarder = Mutex::new(Forwarder::new(Box::new(transport), detour, options));
        let (work, idle) = (Notify::new(), Notify::new());
        let shared = Arc::new(Shared { forwarder, work, idle, ended: false.into() });
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

    /// Empties the backlog, for `within` at most, and ends. What could not be sent is declared in
    /// the result, stream by stream.
    pub async fn close(self, within: Duration) -> Vec<(StreamId, Sent)> {
        let emptied = async {
            loop {
                let idle = self.shared.idle.notified();
                if self.shared.forwarder().is_idle() {
                    return;
                }
                idle.await;
            }
        };
        if tokio::time::timeout(within, emptied).await.is_err() {
            tracing::debug!("the backlog was not empty at the deadline");
        }
        self.shared.forwarder().settle("not delivered before the deadline of the teardown")
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.shared.ended.store(true, std::sync::atomic::Ordering::Release);
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
    shared: Arc<Shared>,
}

impl std::fmt::Debug for SenderSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SenderSink").finish_non_exhaustive()
    }
}

impl Sink for SenderSink {
    fn accept(&mut self, message: &Message) -> Accept {
        let (accept, work) = self.shared.forwarder().accept(message);
        if work {
            self.shared.work.notify_one();
        }
        accept
    }
}

enum Event {
    Work,
    Room,
    Heard(Option<Control>),
    Beat,
}

/// Moves the backlog to the transport until the owner is gone.
async fn work_on(shared: Arc<Shared>, heartbeat: Duration) {
    let mut next_beat = Instant::now() + heartbeat;
    while !shared.ended.load(std::sync::atomic::Ordering::Acquire) {
        let full = drain(&shared).await;
        let event = tokio::select! {
            biased;
            control = poll_fn(|context| shared.forwarder().poll_control(context)) => Event::Heard(control),
            () = poll_fn(|context| shared.forwarder().poll_ready(context)), if full => Event::Room,
            () = shared.work.notified() => Event::Work,
            () = tokio::time::sleep_until(next_beat) => Event::Beat,
        };
        match event {
            Event::Work | Event::Room => {}
            Event::Heard(control) => hear(&shared, control),
            Event::Beat => {
                let (node, time) = (shared.forwarder().options.node, SystemTime::now());
                let time = Timestamp::from_system(time);
                shared.forwarder().beat(Message::Heartbeat { node, time });
                next_beat = Instant::now() + heartbeat;
            }
        }
    }
}

fn hear(shared: &Shared, control: Option<Control>) {
    let Some(Control::Flush { version }) = control else {
        return;
    };
    let on_flush = shared.forwarder().options.on_flush.clone();
    if let Some(on_flush) = on_flush {
        on_flush(version);
    }
}

/// Sends until the backlog is empty (false) or the transport full (true).
async fn drain(shared: &Arc<Shared>) -> bool {
    loop {
        let step = shared.forwarder().step();
        match step {
            Step::Full => return true,
            Step::Idle => {
                shared.idle.notify_waiters();
                return false;
            }
            Step::ReadBack(stream, span) => {
                let files = shared.forwarder().options.read_back.clone();
                let files = files.expect("BUG: only what files can give back is let go");
                match fetch(files, stream, span).await {
                    Some(result) => shared.forwarder().read_back(stream, result),
                    None => tokio::time::sleep(ASK_AGAIN).await,
                }
            }
        }
    }
}

/// Reads from the start of `span` on a thread that may block; `None` when it is not filed yet.
async fn fetch(
    files: Arc<dyn ReadBack>,
    stream: StreamId,
    span: Span,
) -> Option<Result<Vec<u8>, (Offset, String)>> {
    let most = usize::try_from(span.len()).unwrap_or(usize::MAX).min(READ_BACK_BYTES);
    let read = tokio::task::spawn_blocking(move || {
        let mut buffer = vec![0; most];
        let outcome = files.read_back(stream, span.from, &mut buffer);
        outcome.map(|outcome| (outcome, buffer))
    });
    match read.await {
        Ok(Ok((ReadOutcome::Read(bytes), mut buffer))) => {
            buffer.truncate(bytes);
            Some(Ok(buffer))
        }
        Ok(Ok((ReadOutcome::NotYet, _))) => None,
        Ok(Ok((ReadOutcome::Gone { to, cause }, _))) => Some(Err((to, cause))),
        Ok(Err(error)) => Some(Err((span.to, format!("reading back failed: {error}")))),
        Err(error) => Some(Err((span.to, format!("reading back failed: {error}")))),
    }
}
