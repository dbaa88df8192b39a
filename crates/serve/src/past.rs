//! What files say of a job's past: who said how much when, and what was said, folded.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;

use lastline_appender::Extent;
use lastline_fold::{Ranks, RanksOptions};
use lastline_jobs::FoundJob;
use lastline_line::{Fold, Line, Offset, RankSet, Span, StreamId, Timestamp};
use lastline_watch::{Activity, Entry, Snapshot, WatchError, activity_of, now, snapshot_of};
use serde::Serialize;

use crate::files::{JobFiles, Part, read_span};

/// How far back a page goes, in bytes of all streams: as much as anybody scrolls through.
const MOST_BYTES: u64 = 2 << 20;
/// The longest line that is held until its end, in bytes.
const MOST_OPEN: usize = 64 << 10;
/// How much the fold is given until it has to give out what it holds, in bytes: there is a fold for each
/// viewer that begins.
const MOST_HELD: usize = 64 << 10;
/// How many entries are told at once.
const BATCH: usize = 200;

/// What a page is told of entries, in the words of the job's own protocol.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Told {
    /// An entry.
    Entry(Box<Entry>),
    /// Something that is not there, in words.
    Note(String),
}

/// A job as its files show it. Blocks for the disk.
pub(crate) fn stands(
    job: &FoundJob,
    files: &JobFiles,
    columns: usize,
) -> Result<(Snapshot, Activity), WatchError> {
    let archives = files.archives();
    let snapshot = snapshot_of(job, archives)?;
    let activity = activity_of(&snapshot, Some(archives), columns, now());
    Ok((snapshot, activity))
}

/// Takes away what is further from the end than `room`, in bytes; how many bytes that is.
fn leave_out(extents: &mut Vec<Extent>, mut room: u64) -> u64 {
    let mut left_out = 0;
    for extent in extents.iter_mut().rev() {
        let kept = extent.span.len().min(room);
        left_out += extent.span.len() - kept;
        extent.span.from = Offset(extent.span.to.0 - kept);
        room -= kept;
    }
    extents.retain(|extent| !extent.span.is_empty());
    left_out
}

/// A line whose end has not come.
struct Open {
    start: Offset,
    time: Timestamp,
    bytes: Vec<u8>,
    continued: bool,
    /// Its start is not among what is told, and it is not either.
    skip: bool,
}

/// What ranks said last, folded as `lastline logs --fold ranks` does it, batch by batch.
pub(crate) struct Past {
    files: Arc<JobFiles>,
    fold: Ranks,
    /// What is to be told, in the order of arrival; none when all of it was.
    extents: Option<VecDeque<Extent>>,
    open: BTreeMap<StreamId, Open>,
    ready: Vec<Told>,
    now: Timestamp,
    /// How much was given to the fold since it had nothing.
    held_bytes: usize,
}

impl Past {
    /// Up to these places, or to the end: as much before them as a page goes back.
    pub(crate) fn new(
        job: &FoundJob,
        files: Arc<JobFiles>,
        up_to: Option<&BTreeMap<StreamId, Offset>>,
    ) -> Self {
        let mut extents = files.archives().extents_after(&BTreeMap::new());
        let mut ready = Vec::new();
        for extent in &mut extents {
            if let Some(places) = up_to {
                let end = places.get(&extent.stream).copied().unwrap_or_default();
                extent.span.to = extent.span.to.min(end);
            }
        }
        extents.retain(|extent| !extent.span.is_empty());
        let left_out = leave_out(&mut extents, MOST_BYTES);
        if left_out > 0 {
            let before =
                "of what was said before this are left out here; the ranks' own logs have it";
            ready.push(Told::Note(format!("{left_out} bytes {before}")));
        }
        Self {
            files,
            fold: Ranks::new(RankSet::first(job.info.world_size), RanksOptions::default()),
            extents: Some(extents.into()),
            open: BTreeMap::new(),
            ready,
            now: Timestamp::default(),
            held_bytes: 0,
        }
    }

    /// The next batch; none behind the last. Blocks for the disk.
    pub(crate) fn next(&mut self) -> io::Result<Option<Vec<Told>>> {
        while self.ready.len() < BATCH {
            let Some(extents) = &mut self.extents else { break };
            let Some(extent) = extents.pop_front() else {
                self.extents = None;
                for (stream, open) in std::mem::take(&mut self.open) {
                    self.push(stream, open, false, true);
                }
                self.give_out();
                break;
            };
            let time = extent.time.unwrap_or(self.now);
            for part in read_span(&*self.files, extent.stream, extent.span)? {
                self.take(extent.stream, part, time);
            }
        }
        let rest = self.ready.split_off(self.ready.len().min(BATCH));
        let batch = std::mem::replace(&mut self.ready, rest);
        Ok((!batch.is_empty()).then_some(batch))
    }

    /// What the fold holds.
    fn give_out(&mut self) {
        self.held_bytes = 0;
        let ready = &mut self.ready;
        self.fold.finish(&mut |entry| ready.push(Told::Entry(Box::new(Entry::from(&entry)))));
    }

    fn take(&mut self, stream: StreamId, part: Part, time: Timestamp) {
        let (start, bytes) = match part {
            Part::Bytes(start, bytes) => (start, bytes),
            Part::Gone(span, cause) => return self.missing(stream, span, &cause),
        };
        let mut at = 0;
        while at < bytes.len() {
            let place = start + at as u64;
            let begins = !self.open.contains_key(&stream);
            let is_cut = begins && place > Offset::ZERO && !self.follows_newline(stream, place);
            let open = self.open.entry(stream).or_insert_with(|| Open {
                start: place,
                time,
                bytes: Vec::new(),
                continued: false,
                skip: is_cut,
            });
            let newline = memchr::memchr(b'\n', &bytes[at..]).map(|found| at + found);
            let room = MOST_OPEN.saturating_sub(open.bytes.len()).max(1);
            let to = newline.unwrap_or(bytes.len()).min(at + room);
            open.bytes.extend_from_slice(&bytes[at..to]);
            at = to;
            let ended = newline == Some(to);
            if ended || open.bytes.len() >= MOST_OPEN {
                at += usize::from(ended);
                let Some(open) = self.open.remove(&stream) else { continue };
                let rest = Open {
                    start: start + at as u64,
                    time,
                    bytes: Vec::new(),
                    continued: true,
                    skip: open.skip,
                };
                self.push(stream, open, ended, false);
                if !ended {
                    self.open.insert(stream, rest);
                }
            }
        }
    }

    /// Whether a line begins there. What was told before of the stream ended with a newline.
    fn follows_newline(&self, stream: StreamId, at: Offset) -> bool {
        let before = Span::new(Offset(at.0 - 1), at);
        match read_span(&*self.files, stream, before) {
            Ok(parts) => !matches!(parts.first(), Some(Part::Bytes(_, b)) if b[..] != *b"\n"),
            Err(_) => true,
        }
    }

    fn missing(&mut self, stream: StreamId, span: Span, cause: &str) {
        if let Some(open) = self.open.remove(&stream) {
            self.push(stream, open, false, true);
        }
        let (rank, bytes) = (stream.rank, span.len());
        let note = format!("rank {rank} {}: {bytes} bytes are missing: {cause}", stream.stream);
        self.ready.push(Told::Note(note));
    }

    fn push(&mut self, stream: StreamId, open: Open, ended: bool, partial: bool) {
        if open.skip || (open.bytes.is_empty() && !ended) {
            return;
        }
        let text = open.bytes.strip_suffix(b"\r").unwrap_or(&open.bytes);
        let drawn = memchr::memrchr(b'\r', text).map_or(0, |found| found + 1);
        let line = Line {
            stream,
            start: open.start,
            bytes: open.bytes.len() as u64 + u64::from(ended),
            time: open.time,
            text: &text[drawn..],
            continuation: open.continued,
            partial,
            redrawn: false,
        };
        self.now = self.now.max(open.time);
        let ready = &mut self.ready;
        let mut emit = |entry: lastline_line::Entry<'_>| {
            ready.push(Told::Entry(Box::new(Entry::from(&entry))));
        };
        // The first makes room for what is due, in its place before this line.
        self.fold.due(self.now, &mut emit);
        self.fold.push(&line, self.now, &mut emit);
        self.held_bytes += line.text.len();
        if self.held_bytes >= MOST_HELD {
            self.give_out();
        }
    }
}

#[cfg(test)]
mod tests {
    use lastline_line::{Launch, Stream};

    use super::*;

    #[test]
    fn what_is_furthest_from_the_end_is_left_out_to_the_byte() {
        let extent = |rank, from, to| Extent {
            stream: StreamId::new(Launch(1), rank, Stream::Stdout),
            span: Span::new(Offset(from), Offset(to)),
            file: 0,
            position: from,
            time: None,
        };
        let spans = |room| {
            let mut extents = vec![extent(0, 0, 10), extent(1, 0, 10), extent(0, 10, 13)];
            let left_out = leave_out(&mut extents, room);
            let kept = extents.iter().map(|e| (e.stream.rank, e.span.from.0, e.span.to.0));
            (left_out, kept.collect::<Vec<_>>())
        };
        assert_eq!(spans(100), (0, vec![(0, 0, 10), (1, 0, 10), (0, 10, 13)]));
        assert_eq!(spans(7), (16, vec![(1, 6, 10), (0, 10, 13)]));
        assert_eq!(spans(3), (20, vec![(0, 10, 13)]));
        assert_eq!(spans(0), (23, Vec::new()));
        assert_eq!(leave_out(&mut Vec::new(), 5), 0);
    }
}
