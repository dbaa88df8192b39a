//! What the owner of a tee holds.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lastline_line::{Offset, StreamId, Version, Watermark};
use tokio::io::AsyncRead;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::on_its_way::OnItsWay;
use crate::pty::PtySource;
use crate::recent::Recent;
use crate::source::{PipeSource, ReaderSource, Source};
use crate::task::{BoxSink, Task};
use crate::{Options, TeeError};

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// The last writer closed it, and all of it was read.
    Eof,
    /// [`Tee::stop`] ended it, after what was there had been read.
    Stopped,
    /// Reading failed; [`Outcome::error`] says why.
    Failed,
}

/// What a tee did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// Bytes taken from the stream.
    pub read_bytes: u64,
    /// Lines taken from it; a last one without newline counts.
    pub read_lines: u64,
    /// How it ended.
    pub end: End,
    /// What reading failed with.
    pub error: Option<Arc<io::Error>>,
}

/// What the task and its handle share.
pub(crate) struct TeeState {
    pub(crate) control: Notify,
    requests: Mutex<Requests>,
    recent: Mutex<Recent>,
    read: Watermark,
    newlines: AtomicU64,
    /// The stream's last byte is not a newline (0 or 1).
    open_line: AtomicU64,
    /// The task waits for the stream's next bytes, and not for room.
    pub(crate) waits_for_input: AtomicBool,
}

#[derive(Default)]
pub(crate) struct Requests {
    /// Barriers whose marks are to be taken.
    pub(crate) versions: Vec<Version>,
    /// Whether stop was ever asked for.
    pub(crate) stop: bool,
    /// Nothing is read before.
    pub(crate) paused_until: Option<Instant>,
}

impl TeeState {
    fn new(options: &Options, read: Watermark) -> Self {
        Self {
            control: Notify::new(),
            requests: Mutex::default(),
            recent: Mutex::new(Recent::new(options.recent_lines, options.recent_bytes)),
            read,
            newlines: AtomicU64::new(0),
            open_line: AtomicU64::new(0),
            waits_for_input: AtomicBool::new(false),
        }
    }

    fn request(&self, change: impl FnOnce(&mut Requests)) {
        change(&mut self.requests.lock().unwrap_or_else(PoisonError::into_inner));
        // Remembered when nobody waits yet.
        self.control.notify_one();
    }

    /// What is asked for; barriers once.
    pub(crate) fn take_requests(&self) -> Requests {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        Requests { versions: std::mem::take(&mut requests.versions), ..*requests }
    }

    /// Counts bytes just read, with `newlines` newlines among them.
    pub(crate) fn count(&self, fresh: &[u8], newlines: usize) {
        self.newlines.fetch_add(newlines as u64, Ordering::Relaxed);
        self.open_line.store(u64::from(fresh.last() != Some(&b'\n')), Ordering::Relaxed);
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).push(fresh, newlines);
        self.read.raise(self.read.get() + fresh.len() as u64);
    }

    /// Bytes and lines.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let lines = self.newlines.load(Ordering::Relaxed) + self.open_line.load(Ordering::Relaxed);
        (self.read.get().0, lines)
    }
}

/// The reader of one stream, at work in a task of its own. Clones are handles to the same one;
/// dropping them stops nothing.
#[derive(Clone)]
pub struct Tee {
    stream: StreamId,
    shared: Arc<TeeState>,
    task: AbortHandle,
    /// The result, once there is one; the sender goes with the task.
    outcome: watch::Receiver<Option<Outcome>>,
}

impl Tee {
    /// Reads `reader` to its end into every sink. Must be called on a tokio runtime.
    ///
    /// An `AsyncRead` cannot say what waits in it, so a barrier covers what it gave when asked,
    /// until it said "pending". For a pipe use [`start_pipe`](Self::start_pipe), whose barrier
    /// covers all that was written.
    pub fn start(
        stream: StreamId,
        reader: impl AsyncRead + Unpin + Send + 'static,
        sinks: Vec<BoxSink>,
        options: Options,
    ) -> Self {
        let ahead_bytes = options.chunk_bytes.min(16 << 10);
        Self::start_source(stream, ReaderSource::new(reader, ahead_bytes), sinks, options)
    }

    /// Reads the read end of a pipe, or a socket, to its end into every sink. Sets it
    /// non-blocking: no other process may use the same open file. Must be called on a tokio
    /// runtime.
    ///
    /// # Errors
    ///
    /// When the descriptor cannot be watched.
    pub fn start_pipe(
        stream: StreamId,
        pipe: OwnedFd,
        sinks: Vec<BoxSink>,
        options: Options,
    ) -> Result<Self, TeeError> {
        let source = PipeSource::new(pipe, options.pipe_bytes, options.pipe_budget.clone())
            .map_err(|source| TeeError::Watch { stream, source })?;
        Ok(Self::start_source(stream, source, sinks, options))
    }

    /// Reads the master of a pseudo terminal into every sink, until the other end is closed by the
    /// last process that has it open. Who wants to read on when nobody has, because somebody will
    /// open it, holds the other end open too. Sets the master non-blocking. Must be called on a
    /// tokio runtime.
    ///
    /// The bytes are those that the terminal makes of what is written to it: it leaves them alone
    /// when `OPOST` is off. When the tee ends it closes the master, which hangs the terminal up:
    /// a session that has it as its controlling terminal gets SIGHUP.
    ///
    /// # Errors
    ///
    /// When the descriptor cannot be watched.
    pub fn start_pty(
        stream: StreamId,
        master: OwnedFd,
        sinks: Vec<BoxSink>,
        options: Options,
    ) -> Result<Self, TeeError> {
        let source = PtySource::new(master).map_err(|source| TeeError::Watch { stream, source })?;
        Ok(Self::start_source(stream, source, sinks, options))
    }

    fn start_source(
        stream: StreamId,
        source: impl Source + 'static,
        sinks: Vec<BoxSink>,
        options: Options,
    ) -> Self {
        let shared = Arc::new(TeeState::new(&options, Watermark::default()));
        let on_its_way = OnItsWay::new(options.share_bytes);
        let task = Task {
            stream,
            source,
            sinks,
            options,
            shared: Arc::clone(&shared),
            read: Offset::ZERO,
            carry: None,
            on_its_way,
            carry_due: None,
            marks: std::collections::VecDeque::new(),
            stop_at: None,
            paused_until: None,
        };
        let (done, outcome) = watch::channel(None);
        let task = tokio::spawn(async move {
            done.send_replace(Some(task.run().await));
        });
        Self { stream, shared, task: task.abort_handle(), outcome }
    }

    /// Whose stream.
    pub fn stream(&self) -> StreamId {
        self.stream
    }

    /// How far it has read.
    pub fn read(&self) -> Offset {
        self.shared.read.get()
    }

    /// Bytes and lines read so far; an open line counts.
    pub fn counts(&self) -> (u64, u64) {
        self.shared.counts()
    }

    /// The last lines, oldest first, without newlines, whole wherever reading cut them. The last
    /// one may still be open.
    pub fn recent(&self) -> Vec<Vec<u8>> {
        self.shared.recent.lock().unwrap_or_else(PoisonError::into_inner).lines()
    }

    /// The last so many of [`recent`](Self::recent).
    pub fn last_lines(&self, max_lines: usize) -> Vec<Vec<u8>> {
        let recent = self.shared.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.last_lines(max_lines)
    }

    /// At most `max_bytes` of the last line, without its newline; it may still be open.
    pub fn last_line(&self, max_bytes: usize) -> Vec<u8> {
        let recent = self.shared.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let line = recent.last_line();
        line[..line.len().min(max_bytes)].to_vec()
    }

    /// Takes the mark of a barrier: what was read, and what waits to be. When that has been sent,
    /// [`Message::Flush`](lastline_line::Message::Flush) follows it to every sink. After the
    /// stream's end nothing follows: its `End` has said all.
    pub fn barrier(&self, version: Version) {
        self.shared.request(|requests| requests.versions.push(version));
    }

    /// Reads nothing for so long, but what the mark of a barrier or a stop takes. Called again, the last
    /// call counts; zero goes on.
    pub fn pause(&self, lasts: Duration) {
        let until = Instant::now().checked_add(lasts).filter(|_| !lasts.is_zero());
        self.shared.request(|requests| requests.paused_until = until);
    }

    /// Ends the reading once what waits now has been read. Remembered when it comes early.
    pub fn stop(&self) {
        self.shared.request(|requests| requests.stop = true);
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// Whether it waits for its stream to say something. False while it waits for room in a sink
    /// or in the pool, or pauses, and after its end.
    pub fn waits_for_input(&self) -> bool {
        self.shared.waits_for_input.load(Ordering::Relaxed)
    }

    /// Waits for the end. Cancel-safe; may be called by anybody, any number of times.
    ///
    /// # Errors
    ///
    /// When the task was [killed](Self::kill), or a sink panicked.
    pub async fn join(&self) -> Result<Outcome, TeeError> {
        let mut outcome = self.outcome.clone();
        let ended = outcome.wait_for(Option::is_some).await;
        let outcome = ended.ok().and_then(|outcome| outcome.clone());
        outcome.ok_or(TeeError::Ended { stream: self.stream })
    }

    /// Ends the task where it stands: the last resort of a teardown whose deadline has passed.
    /// What it had read and not delivered is then in no sink, and [`counts`](Self::counts) says
    /// how much was read.
    pub fn kill(&self) {
        #[expect(clippy::disallowed_methods, reason = "this is teardown's last resort")]
        self.task.abort();
    }
}

impl std::fmt::Debug for Tee {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tee").field("stream", &self.stream).field("read", &self.read()).finish()
    }
}
