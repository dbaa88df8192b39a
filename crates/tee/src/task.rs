//! The task that reads one stream to its end.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use lastline_line::{Accept, Chunk, Message, Offset, Sink, StreamId, Timestamp, Version};
use tokio::time::Instant;

use crate::framing::{Cut, cut};
use crate::handle::{Requests, TeeState};
use crate::on_its_way::OnItsWay;
use crate::pool::{Buffer, room_for};
use crate::source::Source;
use crate::{End, Options, Outcome};

/// Chunks read in a row before other tasks get their turn.
const CHUNKS_PER_TURN: u32 = 4;

/// How long the start of a line is kept while there is no memory for what follows it. To cut a line is
/// work for whoever puts it together again, and memory is often short for a moment.
const CARRY_WITHOUT_MEMORY: Duration = Duration::from_millis(20);

/// A boxed sink, as a tee holds it.
pub type BoxSink = Box<dyn Sink + Send>;

pub(crate) struct Task<S> {
    pub(crate) stream: StreamId,
    pub(crate) source: S,
    pub(crate) sinks: Vec<BoxSink>,
    pub(crate) options: Options,
    pub(crate) shared: Arc<TeeState>,
    /// Bytes taken from the source.
    pub(crate) read: Offset,
    /// Read and not sent: the start of a line. Never empty, never holds a newline; its end is at
    /// `read`.
    pub(crate) carry: Option<Buffer>,
    /// What was sent and not released.
    pub(crate) on_its_way: OnItsWay,
    /// When the start of that line must go.
    pub(crate) carry_due: Option<Instant>,
    /// Marks that are not reached yet, ascending. At most so far: see `Source::waiting_at_most`.
    pub(crate) marks: VecDeque<(Version, Offset)>,
    /// Once stop was asked for: read up to here.
    pub(crate) stop_at: Option<Offset>,
    /// Nothing is read before, but what marks and a stop take.
    pub(crate) paused_until: Option<Instant>,
}

enum Wake {
    Control,
    Waiting(usize),
    /// While marks were waited for: nothing waits in the source.
    Drained,
    PartialDue,
}

impl<S: Source> Task<S> {
    /// Reads to the end, or to what was there when stop was asked for; then posts the last flush.
    pub(crate) async fn run(mut self) -> Outcome {
        let result = self.read_to_end().await;
        self.send_carry().await;
        self.pass_marks(true).await;
        self.deliver(Message::End { stream: self.stream, at: self.read }).await;
        let (end, error) = match result {
            Ok(end) => (end, None),
            Err(error) => (End::Failed, Some(Arc::new(error))),
        };
        let (read_bytes, read_lines) = self.shared.counts();
        Outcome { read_bytes, read_lines, end, error }
    }

    async fn read_to_end(&mut self) -> io::Result<End> {
        let mut turn = 0;
        loop {
            if self.stop_at.is_some_and(|at| self.read >= at) {
                return Ok(End::Stopped);
            }
            match self.next_wake().await? {
                Wake::Control => self.take_control().await?,
                Wake::PartialDue => self.send_carry().await,
                Wake::Drained => {
                    // What waited when a mark was taken has been read, wherever the mark is.
                    self.pass_marks(true).await;
                    if self.stop_at.is_some() {
                        return Ok(End::Stopped);
                    }
                }
                Wake::Waiting(waiting) => {
                    if !self.read_some(waiting).await? {
                        return Ok(End::Eof);
                    }
                    self.pass_marks(false).await;
                    turn += 1;
                    if turn % CHUNKS_PER_TURN == 0 {
                        tokio::task::yield_now().await;
                    }
                }
            }
        }
    }

    /// Waits for whatever comes first. Cancel-safe branches only.
    async fn next_wake(&mut self) -> io::Result<Wake> {
        // What is known to wait is read without asking the reactor: readiness that says "would
        // block" is no proof of an empty pipe.
        if !self.marks.is_empty() || self.stop_at.is_some() {
            return Ok(match self.source.waiting_now()? {
                0 => Wake::Drained,
                waiting => Wake::Waiting(waiting),
            });
        }
        let (source, on_its_way) = (&mut self.source, &mut self.on_its_way);
        let (partial_due, paused_until) = (self.carry_due, self.paused_until);
        let input = async {
            on_its_way.may_read().await;
            if let Some(until) = paused_until {
                tokio::time::sleep_until(until).await;
            }
            let _waits = Waits::new(&self.shared.waits_for_input);
            poll_fn(|context| source.poll_waiting(context)).await
        };
        tokio::select! {
            biased;
            () = self.shared.control.notified() => Ok(Wake::Control),
            waiting = input => Ok(Wake::Waiting(waiting?)),
            () = sleep_until(partial_due) => Ok(Wake::PartialDue),
        }
    }

    /// Takes the marks of new barriers and a stop: both cover what has been read and what waits.
    async fn take_control(&mut self) -> io::Result<()> {
        let Requests { versions, stop, paused_until } = self.shared.take_requests();
        self.paused_until = paused_until;
        let mark = self.read + self.source.waiting_at_most()? as u64;
        self.marks.extend(versions.into_iter().map(|version| (version, mark)));
        if stop && self.stop_at.is_none() {
            self.stop_at = Some(mark);
        }
        self.pass_marks(false).await;
        Ok(())
    }

    /// Reads once and sends the whole lines; false at the end of the stream.
    async fn read_some(&mut self, waiting: usize) -> io::Result<bool> {
        let mut buffer = self.room_for(waiting).await;
        if let Some(carry) = &self.carry {
            buffer.bytes.extend_from_slice(&carry.bytes);
        }
        let carried = buffer.bytes.len();
        let read = match self.source.read(&mut buffer.bytes) {
            Ok(0) => return Ok(false),
            // The writer of a terminal may have discarded what waited (`tcflush`).
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            read => read?,
        };
        let fresh = &buffer.bytes[carried..];
        let newlines = memchr::memchr_iter(b'\n', fresh).count();
        self.read += read as u64;
        self.shared.count(fresh, newlines);
        // It stands at the front of the buffer.
        self.carry = None;
        self.send_lines(buffer, carried).await;
        Ok(true)
    }

    /// A buffer for what is carried and what waits. Nobody holds memory for long while waiting for
    /// more: all of it might be held by those who wait. So what is carried goes first, then.
    async fn room_for(&mut self, waiting: usize) -> Buffer {
        let carried = self.carry.as_ref().map_or(0, |carry| carry.bytes.len());
        let room = room_for(carried, waiting, self.options.chunk_bytes);
        if let Some(buffer) = self.options.pool.try_take(room) {
            return buffer;
        }
        let pool = self.options.pool.clone();
        let mut taking = pin!(pool.take(room));
        if carried > 0 {
            match tokio::time::timeout(CARRY_WITHOUT_MEMORY, &mut taking).await {
                Ok(buffer) => return buffer,
                Err(_) => self.send_carry().await,
            }
        }
        taking.await
    }

    /// Sends the whole lines of `buffer`, and keeps the rest. The first `carried` bytes were kept
    /// before.
    async fn send_lines(&mut self, mut buffer: Buffer, carried: usize) {
        match cut(&buffer.bytes, carried, self.options.chunk_bytes) {
            Cut::Lines(at) => {
                self.carry = (at < buffer.bytes.len()).then(|| buffer.split_off(at));
                self.carry_due = None;
                self.send(buffer).await;
            }
            Cut::Piece => {
                self.carry_due = None;
                self.send(buffer).await;
            }
            Cut::Wait => {
                buffer.fit();
                self.carry = Some(buffer);
            }
        }
        if self.carry.is_some() && self.carry_due.is_none() {
            self.carry_due = Some(Instant::now() + self.options.partial_after);
        }
    }

    /// Sends the start of a line without waiting for its end.
    async fn send_carry(&mut self) {
        self.carry_due = None;
        if let Some(carry) = self.carry.take() {
            self.send(carry).await;
        }
    }

    async fn send(&mut self, buffer: Buffer) {
        let carried = self.carry.as_ref().map_or(0, |carry| carry.bytes.len());
        let start = Offset(self.read.0 - (carried + buffer.bytes.len()) as u64);
        let chunk = Chunk::new(self.stream, start, now(), buffer.freeze(&self.on_its_way));
        self.deliver(Message::Data(chunk)).await;
    }

    /// Posts every barrier whose mark is reached; all of them when nothing waits before them.
    async fn pass_marks(&mut self, all: bool) {
        while let Some(&(version, mark)) = self.marks.front() {
            if mark > self.read && !all {
                return;
            }
            self.send_carry().await;
            self.marks.pop_front();
            let mark = mark.min(self.read);
            self.deliver(Message::Flush { stream: self.stream, version, mark }).await;
        }
    }

    /// Hands a message to every sink. One that is full is waited for alone: the others have it.
    async fn deliver(&mut self, message: Message) {
        for sink in &mut self.sinks {
            while sink.accept(&message) == Accept::Full {
                poll_fn(|context| sink.poll_ready(context)).await;
            }
        }
    }
}

/// Holds a flag up while it lives.
struct Waits<'a>(&'a AtomicBool);

impl<'a> Waits<'a> {
    fn new(flag: &'a AtomicBool) -> Self {
        flag.store(true, Ordering::Relaxed);
        Self(flag)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[expect(clippy::disallowed_methods, reason = "the time that goes into a timestamp")]
fn now() -> Timestamp {
    Timestamp::from_system(SystemTime::now())
}
