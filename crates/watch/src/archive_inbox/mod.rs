//! A job's files as an inbox: what a client receives of a job that it did not see.

mod bounded;
mod tail;
mod times;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use lastline_appender::Extent;
use lastline_jobs::{FoundJob, JobState};
use lastline_line::{
    Cause, Chunk, Gap, Gaps, Inbox, Launch, Message, Offset, ReadBack, ReadOutcome, Received, Span,
    StreamId, Timestamp,
};

use self::bounded::Bound;
use crate::archives::Archives;
use crate::clock::pause;
use crate::error::WatchError;

/// How much is read at once, in bytes.
const READ_BYTES: u64 = 256 << 10;
/// How often a running job is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How often that look is at each file, too, for what the index does not say: usually it says all
/// within some milliseconds, but it may be what cannot be written.
const LOOK_AT_FILES: Duration = Duration::from_secs(3);

/// What of a job is given out.
pub struct Wanted {
    /// Whether a stream is.
    pub streams: Box<dyn Fn(StreamId) -> bool + Send>,
    /// Only so many of the last lines.
    pub tail: Option<u64>,
    /// Only what arrived then or later; nothing of which the time is not known.
    pub since: Option<Timestamp>,
    /// Only what arrived earlier.
    pub before: Option<Timestamp>,
    /// Whether to go on until the job is over.
    pub follow: bool,
    /// From where each stream is given out; one that is not named from its start.
    pub from: BTreeMap<StreamId, Offset>,
    /// Up to where, while the job runs; `None` for all that is there.
    pub until: Option<Box<dyn AskUntil>>,
}

impl Default for Wanted {
    /// All that is there.
    fn default() -> Self {
        Self {
            streams: Box::new(|_| true),
            tail: None,
            since: None,
            before: None,
            follow: false,
            from: BTreeMap::new(),
            until: None,
        }
    }
}

/// Says up to where a job that runs is given out.
pub trait AskUntil: Send {
    /// Up to where each stream is given out next, of which so much was given out already; a stream
    /// that is not named is not given out. `None` when all that there is is to be given out, since
    /// the job is over.
    fn ask(&mut self, given: &BTreeMap<StreamId, Offset>) -> Option<Until>;
}

/// Up to where a job is given out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Until {
    /// By stream.
    pub offsets: BTreeMap<StreamId, Offset>,
    /// Nothing is given out behind that.
    pub last: bool,
}

/// The first error of reading; all else was given out.
#[derive(Clone, Debug, Default)]
pub struct Unreadable(Arc<Mutex<Option<WatchError>>>);

impl Unreadable {
    fn set(&self, error: WatchError) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    /// Takes it, if there is one.
    pub fn take(&self) -> Option<WatchError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Bytes that are not there, up to where, and why.
struct NotThere {
    to: Offset,
    cause: String,
}

/// Gives out what an archive holds, in the order of arrival, and says what is missing of it.
pub struct ArchiveInbox {
    archive: Arc<Archives>,
    job: FoundJob,
    wanted: Wanted,
    /// Up to where each stream has been given out.
    given: BTreeMap<StreamId, Offset>,
    queue: VecDeque<Extent>,
    /// What is missing of streams and was not told yet.
    missing: BTreeMap<StreamId, Gaps>,
    /// What comes before anything else.
    ready: VecDeque<Message>,
    /// Where streams end, once nothing more is looked for.
    ends: BTreeMap<StreamId, Offset>,
    /// Streams whose end was told.
    ended: BTreeSet<StreamId>,
    /// Nothing comes but what is ready.
    over: bool,
    unreadable: Unreadable,
    /// Up to where it is given out now.
    until: Option<Bound>,
    /// When a running job was looked at last.
    looked: Instant,
    /// When its files were.
    looked_at_files: Instant,
}

impl fmt::Debug for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tail, follow, .. } = self;
        f.debug_struct("Wanted").field("tail", tail).field("follow", follow).finish_non_exhaustive()
    }
}

impl fmt::Debug for ArchiveInbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArchiveInbox").field("job", &self.job.info.job).finish_non_exhaustive()
    }
}

impl ArchiveInbox {
    /// Looks at what is there.
    ///
    /// # Errors
    ///
    /// When the files cannot be looked at.
    pub fn new(archive: Archives, job: FoundJob, mut wanted: Wanted) -> Result<Self, WatchError> {
        let given = std::mem::take(&mut wanted.from);
        let mut inbox = Self {
            archive: Arc::new(archive),
            job,
            wanted,
            given,
            queue: VecDeque::new(),
            missing: BTreeMap::new(),
            ready: VecDeque::new(),
            ends: BTreeMap::new(),
            ended: BTreeSet::new(),
            over: false,
            until: None,
            unreadable: Unreadable::default(),
            looked: Instant::now(),
            looked_at_files: Instant::now(),
        };
        if inbox.wanted.until.is_some() {
            // It is asked for before anything is given out.
            return Ok(inbox);
        }
        let runs = inbox.job_runs();
        inbox.look(runs, true)?;
        if !inbox.wanted.follow {
            inbox.note_ends();
        }
        if let Some(lines) = inbox.wanted.tail {
            inbox.skip_to_tail(lines);
        }
        Ok(inbox)
    }

    /// What it gives out, by offset, for who must not hold all of a long line.
    pub fn files(&self) -> Arc<dyn ReadBack> {
        self.archive.clone()
    }

    /// Where it says that something could not be read.
    pub fn unreadable(&self) -> Unreadable {
        self.unreadable.clone()
    }

    /// Queues what is there and was not given out. While the job `runs`, a stream that the index
    /// does not name yet has to wait: it would come again under its own name.
    fn look(&mut self, runs: bool, at_files: bool) -> Result<(), WatchError> {
        self.looked = Instant::now();
        if at_files {
            self.archive.refresh(&self.job)?;
            self.looked_at_files = self.looked;
        } else {
            self.archive.refresh_recorded(&self.job)?;
        }
        let goes_on = self.wanted.follow || self.until.is_some();
        let named = |stream: StreamId| !(runs && goes_on && stream.launch == Launch(0));
        let extents = self.archive.extents_after(&self.given).into_iter();
        let wanted = |extent: &Extent| named(extent.stream) && (self.wanted.streams)(extent.stream);
        let extents = extents.filter(wanted);
        self.queue = match &self.until {
            Some(bound) => extents.filter_map(|extent| bound.clip(extent)).collect(),
            None => extents.collect(),
        };
        self.keep_within_times();
        Ok(())
    }

    /// Nothing more is looked for: each stream ends where it does now.
    fn note_ends(&mut self) {
        let streams = self.archive.streams().into_iter();
        self.ends = streams.map(|stream| (stream, self.archive.filed(stream))).collect();
    }

    /// Bytes from the start of `span`, at least one.
    fn read(&self, stream: StreamId, span: Span) -> Result<Vec<u8>, NotThere> {
        let mut buffer = vec![0; usize::try_from(span.len().min(READ_BYTES)).unwrap_or_default()];
        match self.archive.read_back(stream, span.from, &mut buffer) {
            Ok(ReadOutcome::Read(bytes)) if bytes > 0 => {
                buffer.truncate(bytes);
                Ok(buffer)
            }
            Ok(ReadOutcome::Gone { to, cause }) if to > span.from => {
                let missing = NotThere { to: to.min(span.to), cause };
                if !self.is_known_missing(stream, span.from) {
                    let source = io::Error::other(missing.cause.clone());
                    self.fail(stream, span.from, source);
                }
                Err(missing)
            }
            Ok(_) => {
                let cause = "its file does not hold it";
                self.fail(stream, span.from, io::Error::other(cause));
                Err(NotThere { to: span.to, cause: String::from(cause) })
            }
            Err(error) => {
                let cause = format!("cannot be read: {error}");
                self.fail(stream, span.from, error);
                Err(NotThere { to: span.to, cause })
            }
        }
    }

    /// Whether the job has said itself that it has this byte no more.
    fn is_known_missing(&self, stream: StreamId, at: Offset) -> bool {
        let gaps = self.archive.gaps(stream);
        gaps.as_slice().iter().any(|gap| gap.span.from <= at && at < gap.span.to)
    }

    fn fail(&self, stream: StreamId, at: Offset, source: io::Error) {
        self.unreadable.set(WatchError::Unreadable { stream, at, source });
    }

    /// The next chunk of what is queued, or what is missing before it.
    fn take(&mut self) -> Option<Message> {
        if let Some(message) = self.ready.pop_front() {
            return Some(message);
        }
        while let Some(mut extent) = self.queue.pop_front() {
            let Extent { stream, span, .. } = extent;
            let at = self.given.get(&stream).copied().unwrap_or_default();
            if at < span.from {
                self.queue.push_front(extent);
                let missing = self.missing_before(stream, at, span.from);
                self.miss(stream, at, missing);
                continue;
            }
            let bytes = match self.read(stream, span) {
                Ok(bytes) => bytes,
                Err(missing) => {
                    extent.span.from = missing.to;
                    self.push_back(extent);
                    self.miss(stream, span.from, missing);
                    continue;
                }
            };
            self.tell_missing(stream);
            let time = extent.time.unwrap_or(Timestamp(0));
            let chunk = Chunk::new(stream, span.from, time, Bytes::from(bytes));
            self.given.insert(stream, chunk.end());
            extent.span.from = chunk.end();
            self.push_back(extent);
            let at = chunk.end();
            self.ready.push_back(Message::Data(chunk));
            self.end_at(stream, at);
            return self.ready.pop_front();
        }
        None
    }

    /// A stream of which nothing more will come ends behind its last byte, so that a line without a newline
    /// stands where it came and not behind what all others said later.
    fn end_at(&mut self, stream: StreamId, at: Offset) {
        if self.ends.get(&stream).is_some_and(|end| at >= *end) && self.ended.insert(stream) {
            self.ready.push_back(Message::End { stream, at });
        }
    }

    fn tell_missing(&mut self, stream: StreamId) {
        let gaps = self.missing.remove(&stream).unwrap_or_default();
        self.ready.extend(gaps.as_slice().iter().map(|gap| skip(stream, gap)));
    }

    /// Puts back what was not given out of an extent.
    fn push_back(&mut self, extent: Extent) {
        if !extent.span.is_empty() {
            self.queue.push_front(extent);
        }
    }

    /// Notes that bytes of a stream are missing. It is told before what comes of it next, so that
    /// what is missing for one reason is one piece.
    fn miss(&mut self, stream: StreamId, from: Offset, NotThere { to, cause }: NotThere) {
        self.given.insert(stream, to);
        self.missing.entry(stream).or_default().declare(Span::new(from, to), &cause);
    }

    /// How far, to `to` at most, bytes from `at` on are missing for one reason.
    fn missing_before(&self, stream: StreamId, at: Offset, to: Offset) -> NotThere {
        let gaps = self.archive.gaps(stream);
        match gaps.as_slice().iter().find(|gap| gap.span.to > at) {
            Some(Gap { span, cause }) if span.from <= at => {
                NotThere { to: span.to.min(to), cause: cause.clone() }
            }
            declared => NotThere {
                to: declared.map_or(to, |gap| gap.span.from.min(to)),
                cause: String::from("no file holds it and nothing says why"),
            },
        }
    }

    /// What is left to say of all streams: what is missing at their ends, and their ends.
    fn say_last_words(&mut self) {
        let mut streams = self.archive.streams();
        streams.retain(|id| (self.wanted.streams)(*id));
        for stream in streams {
            let mut at = self.given.get(&stream).copied().unwrap_or_default();
            for Gap { span, cause } in self.archive.gaps(stream).as_slice() {
                if span.from <= at && at < span.to {
                    self.miss(stream, at, NotThere { to: span.to, cause: cause.clone() });
                    at = span.to;
                }
            }
            self.tell_missing(stream);
            if self.ended.insert(stream) {
                self.ready.push_back(Message::End { stream, at });
            }
        }
    }

    /// Whether the job runs; processes that have come since are known from now on.
    fn job_runs(&mut self) -> bool {
        let Ok(job) = FoundJob::open(&self.job.dir) else {
            return false;
        };
        self.job = job;
        self.job.state == JobState::Running
    }

    /// Looks at a job that is followed; whether it has ended before that, so that nothing more
    /// comes.
    fn look_again(&mut self, wait: Option<Duration>) -> bool {
        let runs = self.job_runs();
        let until_look = LOOK_AGAIN.saturating_sub(self.looked.elapsed());
        if runs {
            pause(wait.map_or(until_look, |wait| wait.min(until_look)));
        }
        let at_files = !runs || self.looked_at_files.elapsed() >= LOOK_AT_FILES;
        if let Err(error) = self.look(runs, at_files) {
            self.unreadable.set(error);
            return true;
        }
        !runs
    }
}

fn skip(stream: StreamId, gap: &Gap) -> Message {
    Message::Skip { stream, span: gap.span, cause: Cause::lost(gap.cause.clone()) }
}

impl Inbox for ArchiveInbox {
    fn next(&mut self, wait: Option<Duration>) -> Received {
        loop {
            if let Some(message) = self.take() {
                return Received::Message(message);
            }
            if self.over {
                return Received::Closed;
            }
            if self.wanted.until.is_some() {
                if !self.go_on_until(wait) {
                    return Received::TimedOut;
                }
                continue;
            }
            if !self.wanted.follow || self.look_again(wait) {
                // What the last look has found comes before these.
                if std::mem::take(&mut self.wanted.follow) {
                    self.note_ends();
                }
                if self.queue.is_empty() {
                    self.say_last_words();
                    self.over = true;
                }
            } else if self.queue.is_empty() {
                return Received::TimedOut;
            }
        }
    }
}
