//! What a host hears of, and the tasks that tell it.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use lastline_line::{Control, Exit, Holder, Launch, Offset, Stream};
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

/// How often it is looked at a stream while it may fall silent, and the longest time between two looks.
const LOOKS: u32 = 20;
const LONG_LOOK: Duration = Duration::from_millis(100);

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
    /// What a start that is over had left in its group is ended.
    GroupEnded { run: RunId },
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
    let mut quiet = Quiet::new(silence, tee.read());
    loop {
        let (pause, begun) = (quiet.pause(), Instant::now());
        if tokio::time::timeout(pause, tee.join()).await.is_ok() {
            return false;
        }
        // When this process stood still, whoever writes may have, too.
        if begun.elapsed() <= pause + GAP && quiet.look(pause, tee.read(), tee.waits_for_input()) {
            return true;
        }
    }
}

/// For how long a stream says nothing. Pure.
#[derive(Debug)]
struct Quiet {
    silence: Duration,
    read: Offset,
    /// How long nothing more has been read.
    lasts: Duration,
    /// How long it has been looked at in all.
    waited: Duration,
}

impl Quiet {
    fn new(silence: Duration, read: Offset) -> Self {
        Self { silence, read, lasts: Duration::ZERO, waited: Duration::ZERO }
    }

    fn is_late(&self) -> bool {
        self.waited >= self.silence * DRAIN_TIMES
    }

    /// How long to wait until the next look.
    fn pause(&self) -> Duration {
        let look = if self.is_late() { LATE_LOOK } else { self.silence / LOOKS };
        look.clamp(LATE_LOOK, LONG_LOOK).min(self.silence)
    }

    /// After such a pause, with so much read: whether the stream is to be given up.
    fn look(&mut self, pause: Duration, read: Offset, waits_for_input: bool) -> bool {
        let before = std::mem::replace(&mut self.read, read);
        self.waited += pause;
        self.lasts += pause;
        if read != before || !waits_for_input {
            self.lasts = Duration::ZERO;
        }
        waits_for_input && (self.lasts >= self.silence || self.is_late())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE: Duration = Duration::from_secs(2);

    /// When a stream is given up of which so much has been read at a time.
    fn given_up(read: impl Fn(Duration) -> u64, waits: impl Fn(Duration) -> bool) -> Duration {
        let (mut quiet, mut now) = (Quiet::new(SILENCE, Offset(0)), Duration::ZERO);
        loop {
            let pause = quiet.pause();
            now += pause;
            if quiet.look(pause, Offset(read(now)), waits(now)) {
                return now;
            }
        }
    }

    #[test]
    fn silence_counts_from_the_last_word() {
        let ms = Duration::from_millis;
        assert_eq!(given_up(|_| 0, |_| true), SILENCE);
        // What is read only after the exit was heard of does not double it.
        assert_eq!(given_up(|_| 9, |_| true), ms(100) + SILENCE);
        assert_eq!(given_up(|now| u64::from(now >= ms(1500)), |_| true), ms(1500) + SILENCE);
    }

    #[test]
    fn one_that_never_pauses_is_given_up_when_its_reader_waits_for_it() {
        let late = SILENCE * DRAIN_TIMES;
        let always = |now: Duration| u64::try_from(now.as_millis()).unwrap();
        assert_eq!(given_up(always, |_| true), late);
        let seldom = |now: Duration| now >= late + Duration::from_millis(35);
        assert_eq!(given_up(always, seldom), late + Duration::from_millis(40));
        assert_eq!(given_up(|_| 0, |now| now >= SILENCE), SILENCE * 2 - Duration::from_millis(100));
    }
}
