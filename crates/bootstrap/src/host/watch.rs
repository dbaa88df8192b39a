//! What a host hears of, and the tasks that tell it.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use lastline_line::{Control, Exit, Holder, Launch, Stream};
use lastline_sender::Closed;
use lastline_spawn::{Held, Process, Spawned, TerminalSize};
use lastline_tee::{Outcome, Tee, TeeError};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::ranks::RunId;
use crate::RankError;
use crate::running_time::GAP;

/// How many times the drain's silence a stream is waited for in all.
const DRAIN_TIMES: u32 = 10;

/// How often a stream that never pauses is looked at after that, to find its reader waiting for it:
/// in a flood it seldom is.
const LATE_LOOK: Duration = Duration::from_millis(10);

/// What a host's loop hears. There are a few for each rank, so the queue needs no bound.
#[derive(Debug)]
pub(super) enum Event {
    /// A rank runs, or could not be started.
    Started { run: RunId, result: io::Result<Spawned> },
    /// A rank has exited.
    Exited { run: RunId, exit: Exit },
    /// A stream has ended.
    StreamEnded { run: RunId, stream: Stream, outcome: Result<Outcome, TeeError> },
    /// The rank has exited, its stream is open and says nothing.
    Silent { run: RunId, stream: Stream },
    /// Who holds the streams that were looked up.
    Holders(HashMap<Held, Vec<Holder>>),
    /// The driver speaks, or is gone.
    Control(Result<Control, Closed>),
    /// The ranks are to pause; it is said when they have been signalled.
    Suspend(oneshot::Sender<()>),
    /// The ranks' terminals have another size.
    Resize(TerminalSize),
    /// They are to go on.
    Resume,
    /// A child of this process has stopped, or has ended.
    LookForStopped,
    /// A rank that is over is to be started again.
    Restart { rank: u32, reply: oneshot::Sender<Result<Launch, RankError>> },
    /// Somebody else started this rank.
    Attach { rank: u32, spawned: Spawned, reply: oneshot::Sender<Result<Launch, RankError>> },
}

/// Tells a host's loop of things.
#[derive(Clone, Debug)]
pub(super) struct Events(pub(super) UnboundedSender<Event>);

impl Events {
    pub(super) fn send(&self, event: Event) {
        if self.0.send(event).is_err() {
            tracing::trace!("the host has ended");
        }
    }

    /// Tells when a process has exited.
    pub(super) fn watch_exit(&self, run: RunId, process: &Arc<dyn Process>) {
        let (events, exited) = (self.clone(), process.wait());
        tokio::spawn(async move {
            let exit = exited.await;
            events.send(Event::Exited { run, exit });
        });
    }

    /// Tells when a stream has ended.
    pub(super) fn watch_end(&self, run: RunId, tee: Tee) {
        let events = self.clone();
        tokio::spawn(async move {
            let (outcome, stream) = (tee.join().await, tee.stream().stream);
            events.send(Event::StreamEnded { run, stream, outcome });
        });
    }

    /// After a rank's exit: tells when its stream has been silent for `silence`, or open for ten
    /// times that. Only time in which the reader waits for the stream counts, not for room.
    pub(super) fn watch_silence(&self, run: RunId, tee: Tee, silence: Duration) {
        let events = self.clone();
        tokio::spawn(async move {
            if falls_silent(&tee, silence).await {
                events.send(Event::Silent { run, stream: tee.stream().stream });
            }
        });
    }
}

/// Whether it does so before it ends.
async fn falls_silent(tee: &Tee, silence: Duration) -> bool {
    let (mut read, mut waited, mut late) = (tee.read(), Duration::ZERO, false);
    loop {
        let pause = if late { silence.min(LATE_LOOK) } else { silence };
        let begun = Instant::now();
        if tokio::time::timeout(pause, tee.join()).await.is_ok() {
            return false;
        }
        if begun.elapsed() > pause + GAP {
            // This process stood still, and whoever writes may have, too.
            continue;
        }
        let before = read;
        waited += pause;
        (read, late) = (tee.read(), waited >= silence * DRAIN_TIMES);
        if tee.waits_for_input() && (read == before || late) {
            return true;
        }
    }
}
