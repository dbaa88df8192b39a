//! `lastline logs`: a job's files through the same client that shows a running job.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use lastline_appender::{Archive, Extent};
use lastline_client::{Client, Label, Labels, Options};
use lastline_jobs::{FoundJob, JobState, JobsPlace};
use lastline_line::{
    Chunk, Inbox, Launch, Message, Offset, RankSet, ReadBack, ReadOutcome, Received, Span,
    StreamId, Timestamp,
};

use crate::args::LogsOptions;
use crate::console::Look;
use crate::values::FoldMode;
use crate::{console, exit, folding};

/// How much is read at once, in bytes.
const READ_BYTES: u64 = 256 << 10;
/// How often a running job is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Prints the job's files; its exit code.
pub(crate) fn logs(options: &LogsOptions) -> anyhow::Result<u8> {
    let job = JobsPlace::of_user()?.find(options.job.as_deref())?;
    let archive = Archive::open(&job.dir).context("cannot read the job's files")?;
    let labels = Labels::default();
    set_labels(&job, &labels);
    let look = Look {
        format: options.format,
        prefix: options.prefix.template(job.info.world_size),
        color: options.color,
        sanitize: options.sanitize,
        raw_partials: false,
        draws: false,
        names: None,
    };
    let printer = console::printer(look, labels);
    let ranks = options.rank.clone().unwrap_or_else(|| RankSet::first(job.info.world_size));
    let fold = folding::fold(options.fold.unwrap_or(FoldMode::Off), ranks, None);
    let inbox = ArchiveInbox::new(archive, job, options)?;
    let client = Client::start(inbox, fold, printer, Options::default());
    let client = client.context("cannot start the client")?;
    client.join();
    Ok(exit::SUCCESS)
}

fn set_labels(job: &FoundJob, labels: &Labels) {
    for rank in 0..job.info.world_size {
        let mut label =
            Label { rank, local_rank: rank, job: job.info.job.clone(), ..Label::default() };
        if let JobState::Finished(report) = &job.state
            && let Some(found) = report.ranks.get(rank as usize)
        {
            label.host.clone_from(&found.host);
            label.pid = found.pid.unwrap_or_default();
        }
        labels.set(label);
    }
}

/// Gives out what an archive holds, in the order of arrival.
struct ArchiveInbox {
    archive: Archive,
    job: FoundJob,
    wanted: Box<dyn Fn(StreamId) -> bool + Send>,
    follow: bool,
    /// Up to where each stream has been given out.
    given: BTreeMap<StreamId, Offset>,
    queue: VecDeque<Extent>,
    ended: HashSet<StreamId>,
    /// When a running job was looked at last.
    looked: Instant,
}

impl ArchiveInbox {
    fn new(archive: Archive, job: FoundJob, options: &LogsOptions) -> anyhow::Result<Self> {
        let (ranks, stream) = (options.rank.clone(), options.stream);
        let wanted = move |id: StreamId| {
            ranks.as_ref().is_none_or(|ranks| ranks.contains(id.rank))
                && stream.is_none_or(|stream| id.stream == stream)
        };
        let mut inbox = Self {
            archive,
            job,
            wanted: Box::new(wanted),
            follow: options.follow,
            given: BTreeMap::new(),
            queue: VecDeque::new(),
            ended: HashSet::new(),
            looked: Instant::now(),
        };
        inbox.look(inbox.job_runs())?;
        if let Some(lines) = options.tail {
            inbox.skip_to_tail(lines);
        }
        Ok(inbox)
    }

    /// Queues what is there and was not given out. While the job `runs`, a stream that the index
    /// does not name yet has to wait: it would come again under its own name.
    fn look(&mut self, runs: bool) -> anyhow::Result<()> {
        self.looked = Instant::now();
        self.archive.refresh()?;
        let named = |stream: StreamId| !(runs && self.follow && stream.launch == Launch(0));
        let extents = self.archive.extents_after(&self.given).into_iter();
        let wanted = |extent: &Extent| named(extent.stream) && (self.wanted)(extent.stream);
        self.queue = extents.filter(wanted).collect();
        Ok(())
    }

    /// Leaves out all but the last `lines` lines of what is queued. What is left out counts as
    /// given: it does not come back when the job is looked at again.
    fn skip_to_tail(&mut self, lines: u64) {
        let ends: BTreeMap<StreamId, Offset> =
            self.queue.iter().map(|extent| (extent.stream, extent.span.to)).collect();
        let mut left = lines;
        let mut kept = VecDeque::new();
        while left > 0
            && let Some(mut extent) = self.queue.pop_back()
        {
            let Extent { stream, ref mut span, .. } = extent;
            let mut line_ends = self.newlines(stream, *span, span.to);
            // A last line that no newline ends is a line.
            if ends.get(&stream) == Some(&span.to) && line_ends.last() != Some(&span.to) {
                line_ends.push(span.to);
            }
            let count = line_ends.len() as u64;
            if count > left {
                let first = line_ends.len() - usize::try_from(left).unwrap_or(usize::MAX);
                span.from = line_ends[first - 1];
            }
            left = left.saturating_sub(count);
            kept.push_front(extent);
        }
        for extent in self.queue.drain(..) {
            self.given.insert(extent.stream, extent.span.to);
        }
        self.queue = kept;
    }

    /// Where lines end in a span: one past each newline.
    fn newlines(&self, stream: StreamId, span: Span, end: Offset) -> Vec<Offset> {
        let (mut at, mut found) = (span.from, Vec::new());
        while at < end {
            let Some((from, bytes)) = self.read(stream, Span::new(at, end)) else {
                break;
            };
            let newlines = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
            found.extend(newlines.map(|(index, _)| from + index as u64 + 1));
            at = from + bytes.len() as u64;
        }
        found
    }

    /// Bytes from the start of `span`, or from the first place behind it that has any.
    fn read(&self, stream: StreamId, span: Span) -> Option<(Offset, Vec<u8>)> {
        let mut from = span.from;
        while from < span.to {
            let most = (span.to - from).min(READ_BYTES);
            let mut buffer = vec![0; usize::try_from(most).unwrap_or_default()];
            match self.archive.read_back(stream, from, &mut buffer) {
                Ok(ReadOutcome::Read(bytes)) => {
                    buffer.truncate(bytes);
                    return Some((from, buffer));
                }
                Ok(ReadOutcome::Gone { to, .. }) if to > from => from = to,
                Ok(_) => return None,
                Err(error) => {
                    tracing::warn!(%error, "{stream} cannot be read at byte {from}");
                    return None;
                }
            }
        }
        None
    }

    /// The next chunk of what is queued.
    fn take(&mut self) -> Option<Message> {
        while let Some(mut extent) = self.queue.pop_front() {
            let Some((start, bytes)) = self.read(extent.stream, extent.span) else {
                self.given.insert(extent.stream, extent.span.to);
                continue;
            };
            let end = start + bytes.len() as u64;
            self.given.insert(extent.stream, end);
            extent.span.from = end;
            let time = extent.time.unwrap_or(Timestamp(0));
            let stream = extent.stream;
            if !extent.span.is_empty() {
                self.queue.push_front(extent);
            }
            return Some(Message::Data(Chunk::new(stream, start, time, Bytes::from(bytes))));
        }
        None
    }

    /// The end of a stream that has not been told.
    fn end(&mut self) -> Option<Message> {
        let open = self.given.iter().find(|(stream, _)| !self.ended.contains(stream));
        let (&stream, &at) = open?;
        self.ended.insert(stream);
        Some(Message::End { stream, at })
    }

    fn job_runs(&self) -> bool {
        FoundJob::open(&self.job.dir).is_ok_and(|job| job.state == JobState::Running)
    }
}

impl Inbox for ArchiveInbox {
    fn next(&mut self, wait: Option<Duration>) -> Received {
        if let Some(message) = self.take() {
            return Received::Message(message);
        }
        if self.follow {
            // What was written before the job was over is seen by the look after that.
            let runs = self.job_runs();
            let until_look = LOOK_AGAIN.saturating_sub(self.looked.elapsed());
            let pause = wait.map_or(until_look, |wait| wait.min(until_look));
            if runs && !pause.is_zero() {
                std::thread::park_timeout(pause);
            }
            if let Err(error) = self.look(runs) {
                tracing::warn!("{error:#}");
                return Received::Closed;
            }
            if let Some(message) = self.take() {
                return Received::Message(message);
            }
            if runs {
                return Received::TimedOut;
            }
        }
        self.end().map_or(Received::Closed, Received::Message)
    }
}
