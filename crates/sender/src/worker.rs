//! The sender's task: moves the backlog to the transport.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use lastline_line::{Control, Heartbeat, Message, PingId, Timestamp};
use tokio::time::Instant;

use crate::forwarder::Step;
use crate::reads::{Read, Reads};
use crate::state::SenderState;
use crate::transport::Closed;

/// While too much is held: how often to look whether it can be spilled. Until then ranks may wait, so
/// this bounds how fast they run when the client takes nothing.
const LOOK_AFTER: Duration = Duration::from_millis(2);

enum WorkerEvent {
    Work,
    Room,
    Read(Read),
    MayRead,
    Spill,
    Control(Option<Control>),
    Beat,
}

/// What the backlog waits for, beside files.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// Something to send.
    Work,
    /// Room in the transport.
    Room,
}

/// Moves the backlog to the transport until the owner is gone. Controls and the
/// heartbeat never wait behind data or a file, and no stream waits for another's file.
pub(crate) async fn work_on(shared: Arc<SenderState>, heartbeat: Duration) {
    let mut next_beat = Instant::now() + heartbeat;
    // While too much is held: when to look whether it can be spilled.
    let mut look_at: Option<Instant> = None;
    let (mut hold, mut reads) = (Hold::Work, Reads::default());
    while !shared.ended.load(Ordering::Acquire) {
        if hold == Hold::Work {
            hold = advance(&shared, &mut reads);
        }
        if shared.forwarder().is_idle() {
            shared.idle.notify_waiters();
        }
        let over = shared.forwarder().is_over();
        look_at = over.then(|| look_at.unwrap_or_else(|| Instant::now() + LOOK_AFTER));
        let wants_file = hold == Hold::Work && shared.forwarder().wants_file();
        let read_at = reads.may_begin_at().filter(|_| wants_file);
        let event = tokio::select! {
            biased;
            control = poll_fn(|context| shared.forwarder().poll_control(context)) => WorkerEvent::Control(control),
            () = room(&shared, hold) => WorkerEvent::Room,
            read = reads.ended() => WorkerEvent::Read(read),
            () = shared.work.notified() => WorkerEvent::Work,
            () = tokio::time::sleep_until(next_beat) => WorkerEvent::Beat,
            () = sleep_until(look_at) => WorkerEvent::Spill,
            () = sleep_until(read_at) => WorkerEvent::MayRead,
        };
        match event {
            WorkerEvent::Work | WorkerEvent::MayRead => {}
            WorkerEvent::Room => hold = Hold::Work,
            WorkerEvent::Read((stream, from, fetched)) => {
                shared.forwarder().read_back(stream, from, fetched);
            }
            WorkerEvent::Spill => {
                look_at = None;
                let now = shared.now();
                shared.forwarder().spill(now);
            }
            WorkerEvent::Control(control) => {
                // The end of the route makes room: there is nothing to wait for any more.
                if control.is_none() {
                    hold = Hold::Work;
                }
                handle_control(&shared, control);
            }
            WorkerEvent::Beat => {
                beat(&shared, None);
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

/// Sends until nothing can be sent or the transport is full; begins to read what files have.
fn advance(shared: &SenderState, reads: &mut Reads) -> Hold {
    loop {
        let mut forwarder = shared.forwarder();
        match forwarder.step(reads.may_begin(Instant::now())) {
            Step::Idle => return Hold::Work,
            Step::Full => return Hold::Room,
            Step::ReadBack(stream, span) => {
                let files = forwarder.options.read_back.clone();
                let files = files.expect("BUG: only what files can give back is spilled");
                reads.begin(files, stream, span);
            }
        }
    }
}

/// Ready when there is room in the transport, if that is waited for. Cancel-safe.
async fn room(shared: &SenderState, hold: Hold) {
    match hold {
        Hold::Work => std::future::pending().await,
        Hold::Room => poll_fn(|context| shared.forwarder().poll_ready(context)).await,
    }
}

fn handle_control(shared: &SenderState, control: Option<Control>) {
    match control {
        Some(Control::Ping { id }) => return beat(shared, id),
        Some(Control::Acknowledge { .. } | Control::SetMode { .. }) => return,
        _ => {}
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

/// Sends a heartbeat, which may answer a ping.
pub(crate) fn beat(shared: &SenderState, answers: Option<PingId>) {
    let time = now();
    let mut forwarder = shared.forwarder();
    let host = forwarder.options.host;
    forwarder.beat(Message::Heartbeat(Heartbeat { host, time, answers }));
}
