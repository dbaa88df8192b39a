//! One rank: its process, its two streams, and what is heard of them.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use lastline_line::{Launch, Stream, StreamId, Timestamp};
use lastline_spawn::{Exit, Held, Holder, Process, Spawned};
use lastline_tee::{End, Outcome, Tee};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use crate::plan::StopCause;
use crate::report::StreamEnd;

/// How many times the drain's silence a stream is waited for in all.
const DRAIN_TIMES: u32 = 10;

/// How often a stream that never pauses is looked at after that, to find its reader waiting for it:
/// in a flood it seldom is.
const LATE_LOOK: Duration = Duration::from_millis(10);

/// What the supervisor hears. There are a few for each rank, so the queue needs no bound.
pub(crate) enum Event {
    /// A rank runs, or could not be started.
    Started(u32, std::io::Result<Spawned>),
    /// A rank has exited.
    Exited(u32, Exit),
    /// A stream has ended; `None` when its reader was killed.
    StreamEnded(u32, Stream, Option<Outcome>),
    /// The rank has exited, its stream is open and says nothing.
    Silent(u32, Stream),
    /// The job is to stop.
    Stop(StopCause),
    /// The ranks are to pause; it is said when they have been told.
    Suspend(tokio::sync::oneshot::Sender<()>),
    /// They are to go on.
    Resume,
}

/// A stream of a rank.
pub(crate) struct StreamState {
    pub(crate) id: StreamId,
    pub(crate) tee: Option<Tee>,
    pub(crate) held: Option<Held>,
    pub(crate) end: Option<StreamEnd>,
    pub(crate) leaked_to: Vec<Holder>,
    /// It was found to be held by others, and told to stop.
    pub(crate) given_up: bool,
}

impl StreamState {
    fn new(id: StreamId) -> Self {
        let (tee, held, end) = (None, None, None);
        Self { id, tee, held, end, leaked_to: Vec::new(), given_up: false }
    }

    /// Whether nothing more is to come.
    pub(crate) fn is_over(&self) -> bool {
        self.tee.is_none() || self.end.is_some()
    }

    pub(crate) fn ended(&mut self, outcome: Option<&Outcome>) {
        self.end = Some(match outcome.map(|outcome| outcome.end) {
            Some(End::Eof) => StreamEnd::Eof,
            Some(End::Stopped) if self.given_up => StreamEnd::Leaked,
            _ => StreamEnd::Aborted,
        });
    }
}

/// A rank, from before its start to after its end.
pub(crate) struct RankState {
    pub(crate) rank: u32,
    pub(crate) process: Option<Arc<dyn Process>>,
    pub(crate) exit: Option<Exit>,
    pub(crate) error: Option<(String, i32)>,
    pub(crate) started: Timestamp,
    pub(crate) ended: Option<Timestamp>,
    pub(crate) stopped_by_lastline: bool,
    /// It was sent SIGKILL from here.
    pub(crate) killed_by_lastline: bool,
    pub(crate) streams: [StreamState; 2],
    /// The rank's own end of its terminal, held until it has exited: a terminal that nobody has
    /// open has ended, and one that is let go of is hung up, which would end the rank.
    pub(crate) terminal: Option<OwnedFd>,
}

impl RankState {
    pub(crate) fn new(rank: u32) -> Self {
        let launch = Launch(fastrand::u64(..));
        Self {
            rank,
            process: None,
            exit: None,
            error: None,
            started: Timestamp::default(),
            ended: None,
            stopped_by_lastline: false,
            killed_by_lastline: false,
            streams: Stream::ALL
                .map(|stream| StreamState::new(StreamId::new(launch, rank, stream))),
            terminal: None,
        }
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.as_ref()?.id()
    }

    pub(crate) fn runs(&self) -> bool {
        self.process.is_some() && self.exit.is_none()
    }

    /// Whether its process has ended, heard of or not.
    pub(crate) fn has_exited(&self) -> bool {
        self.exit.is_some() || self.process.as_ref().is_some_and(|process| process.exit().is_some())
    }

    pub(crate) fn signal(&self, signal: i32) {
        if let Some(process) = &self.process {
            process.signal(signal);
        }
    }

    pub(crate) fn stream(&mut self, stream: Stream) -> &mut StreamState {
        &mut self.streams[usize::from(stream == Stream::Stderr)]
    }

    /// Its exit code, as the job's own exit code would have it.
    pub(crate) fn exit_code(&self) -> Option<i32> {
        match (&self.error, self.exit) {
            (Some((_, code)), _) => Some(*code),
            (None, Some(Exit::Code(code))) => Some(code),
            (None, Some(Exit::Signal(signal))) => Some(128 + signal),
            (None, Some(Exit::Unknown)) => Some(255),
            (None, None) => None,
        }
    }
}

/// Tells when a rank's process has exited.
pub(crate) async fn watch_exit(
    rank: u32,
    process: Arc<dyn Process>,
    events: UnboundedSender<Event>,
) {
    let exit = process.wait().await;
    tell(&events, Event::Exited(rank, exit));
}

/// Tells when a stream has ended.
pub(crate) async fn watch_end(tee: Tee, events: UnboundedSender<Event>) {
    let outcome = tee.join().await.ok();
    let StreamId { rank, stream, .. } = tee.stream();
    tell(&events, Event::StreamEnded(rank, stream, outcome));
}

/// After a rank's exit: tells when its stream has been silent for `silence`, or open for ten times
/// that. Only time in which the reader waits for the stream counts, not for room.
pub(crate) async fn watch_silence(tee: Tee, silence: Duration, events: UnboundedSender<Event>) {
    let total = Instant::now() + silence * DRAIN_TIMES;
    let (mut read, mut late) = (tee.read(), false);
    loop {
        let pause = if late { silence.min(LATE_LOOK) } else { silence };
        let ended = tokio::time::timeout(pause, tee.join()).await;
        if ended.is_ok() {
            return;
        }
        let before = read;
        (read, late) = (tee.read(), Instant::now() >= total);
        if tee.waits_for_input() && (read == before || late) {
            let StreamId { rank, stream, .. } = tee.stream();
            return tell(&events, Event::Silent(rank, stream));
        }
    }
}

pub(crate) fn tell(events: &UnboundedSender<Event>, event: Event) {
    if events.send(event).is_err() {
        tracing::trace!("the supervisor has ended");
    }
}
