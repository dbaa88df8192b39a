//! The sender's task: moves the backlog to the transport.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use lastline_line::{Control, Message, Offset, ReadBack, ReadOutcome, Span, StreamId, Timestamp};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::forwarder::{Fetched, Step};
use crate::reading::Reading;
use crate::state::SenderState;
use crate::transport::Closed;

/// How much is read back at once, in bytes.
const READ_BACK_BYTES: usize = 256 << 10;
/// How long to wait before asking files again what they have.
const ASK_AGAIN: Duration = Duration::from_millis(5);
/// While too much is held: how often to look whether it can be spilled. Until then ranks may wait, so
/// this bounds how fast they run when the client takes nothing.
const LOOK_AFTER: Duration = Duration::from_millis(2);

enum WorkerEvent {
    Work,
    Settled(Option<(StreamId, Offset, Fetched)>),
    Spill,
    Control(Option<Control>),
    Beat,
}

/// What the backlog waits for.
enum Hold {
    /// Something to send.
    Work,
    /// Room in the transport.
    Room,
    /// A thread that reads a file.
    File(StreamId, Span, oneshot::Receiver<Option<Fetched>>),
    /// A file that does not have yet what it should, or a thread that is not to be had.
    Until(Instant),
}

/// Moves the backlog to the transport until the owner is gone. Controls and the
/// heartbeat never wait behind data or a file.
pub(crate) async fn work_on(shared: Arc<SenderState>, heartbeat: Duration) {
    let mut next_beat = Instant::now() + heartbeat;
    // While too much is held: when to look whether it can be spilled.
    let mut look_at: Option<Instant> = None;
    let mut hold = Hold::Work;
    let mut reading = Reading::default();
    while !shared.ended.load(Ordering::Acquire) {
        if matches!(hold, Hold::Work) {
            hold = advance(&shared, &mut reading);
        }
        if shared.forwarder().is_idle() {
            shared.idle.notify_waiters();
        }
        let over = shared.forwarder().is_over();
        look_at = over.then(|| look_at.unwrap_or_else(|| Instant::now() + LOOK_AFTER));
        let event = tokio::select! {
            biased;
            control = poll_fn(|context| shared.forwarder().poll_control(context)) => WorkerEvent::Control(control),
            fetched = settled(&shared, &mut hold) => WorkerEvent::Settled(fetched),
            () = shared.work.notified() => WorkerEvent::Work,
            () = tokio::time::sleep_until(next_beat) => WorkerEvent::Beat,
            () = sleep_until(look_at) => WorkerEvent::Spill,
        };
        match event {
            WorkerEvent::Work => {}
            WorkerEvent::Settled(fetched) => hold = take(&shared, &hold, fetched),
            WorkerEvent::Spill => {
                look_at = None;
                shared.forwarder().spill(now());
            }
            WorkerEvent::Control(control) => {
                // The end of the route makes room: there is nothing to wait for any more.
                if control.is_none() && matches!(hold, Hold::Room) {
                    hold = Hold::Work;
                }
                handle_control(&shared, control);
            }
            WorkerEvent::Beat => {
                beat(&shared);
                next_beat = Instant::now() + heartbeat;
            }
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Sends until the backlog is empty or has to wait for something.
fn advance(shared: &SenderState, reading: &mut Reading) -> Hold {
    let mut forwarder = shared.forwarder();
    match forwarder.step() {
        Step::Idle => Hold::Work,
        Step::Full => Hold::Room,
        Step::ReadBack(stream, span) => {
            let files = forwarder.options.read_back.clone();
            let files = files.expect("BUG: only what files can give back is spilled");
            match reading.run(move || fetch(&*files, stream, span)) {
                Ok(fetched) => Hold::File(stream, span, fetched),
                Err(error) => {
                    tracing::debug!(%error, "no thread to read files back: tried again");
                    Hold::Until(Instant::now() + ASK_AGAIN)
                }
            }
        }
    }
}

/// Ready when what the backlog waits for is there. Cancel-safe.
async fn settled(shared: &SenderState, hold: &mut Hold) -> Option<(StreamId, Offset, Fetched)> {
    match hold {
        Hold::Work => std::future::pending().await,
        Hold::Room => {
            poll_fn(|context| shared.forwarder().poll_ready(context)).await;
            None
        }
        Hold::Until(time) => {
            tokio::time::sleep_until(*time).await;
            None
        }
        Hold::File(stream, span, reading) => {
            let fetched = reading.await.unwrap_or_else(|_| {
                Some(Err((span.to, String::from("reading back failed: it panicked"))))
            });
            fetched.map(|fetched| (*stream, span.from, fetched))
        }
    }
}

fn take(shared: &SenderState, hold: &Hold, fetched: Option<(StreamId, Offset, Fetched)>) -> Hold {
    match (hold, fetched) {
        (Hold::File(..), None) => Hold::Until(Instant::now() + ASK_AGAIN),
        (_, None) => Hold::Work,
        (_, Some((stream, from, fetched))) => {
            shared.forwarder().read_back(stream, from, fetched);
            Hold::Work
        }
    }
}

fn handle_control(shared: &SenderState, control: Option<Control>) {
    if control == Some(Control::Ping) {
        beat(shared);
    }
    if let Some(Control::Acknowledge { .. } | Control::SetMode { .. } | Control::Ping) = control {
        return;
    }
    let on_control = shared.forwarder().options.on_control.clone();
    if let Some(on_control) = on_control {
        on_control(control.ok_or(Closed));
    }
}

#[expect(clippy::disallowed_methods, reason = "the time that goes into a timestamp")]
fn now() -> Timestamp {
    Timestamp::from_system(SystemTime::now())
}

pub(crate) fn beat(shared: &SenderState) {
    let time = now();
    let mut forwarder = shared.forwarder();
    let node = forwarder.options.node;
    forwarder.beat(Message::Heartbeat { node, time });
}

/// Reads from the start of `span`; `None` when it is not filed yet. Blocks for the disk.
fn fetch(files: &dyn ReadBack, stream: StreamId, span: Span) -> Option<Fetched> {
    let most = usize::try_from(span.len()).unwrap_or(usize::MAX).min(READ_BACK_BYTES);
    let mut buffer = vec![0; most];
    match files.read_back(stream, span.from, &mut buffer) {
        Ok(ReadOutcome::Read(bytes)) => {
            buffer.truncate(bytes);
            Some(Ok(buffer))
        }
        Ok(ReadOutcome::NotYet) => None,
        Ok(ReadOutcome::Gone { to, cause }) => Some(Err((to, cause))),
        Err(error) => Some(Err((span.to, format!("reading back failed: {error}")))),
    }
}
