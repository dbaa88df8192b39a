//! A search as a viewer is told of it.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use lastline_line::{Offset, RankSet, ReadBack as _, StreamId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::files::JobFiles;
use crate::search::{Finder, Hit, Pattern, search};
use crate::told::Teller;

/// The most lines that are told of one stream: the one that says it all the time leaves room for others.
const MOST_OF_STREAM: usize = 1000;
/// The most lines that are told in all.
const MOST: usize = 5000;
/// How many lines are told at once, at most.
const BATCH: usize = 64;
/// How often it is told how far the search is.
const PROGRESS: Duration = Duration::from_millis(100);
/// The most threads that search.
const MOST_THREADS: usize = 4;

/// What is looked for, and where.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Asked {
    pub(crate) text: String,
    pub(crate) ranks: Option<RankList>,
    #[serde(default)]
    pub(crate) regex: bool,
    /// Whether letters of another case are others.
    #[serde(default)]
    pub(crate) case: bool,
}

/// Ranks as they are written: `0-3,8`.
#[derive(Clone, Debug)]
pub(crate) struct RankList(pub(crate) RankSet);

impl<'de> Deserialize<'de> for RankList {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

#[derive(Debug, Serialize)]
struct Found {
    rank: u32,
    stream: lastline_line::Stream,
    launch: String,
    start: Offset,
    time: Option<Timestamp>,
    before: String,
    found: String,
    after: String,
}

#[derive(Serialize)]
struct Progress {
    bytes: u64,
    total: u64,
}

/// One search, over several threads.
struct Run<'a> {
    files: &'a JobFiles,
    pattern: &'a Pattern,
    teller: &'a Teller,
    bytes: AtomicU64,
    total: u64,
    told: AtomicUsize,
    /// When it was told last how far it is.
    reported: Mutex<Instant>,
}

/// Looks through the files of a job, and tells of what is found as it is found. Blocks until it is done,
/// or the viewer is gone.
pub(crate) fn find(files: &JobFiles, asked: &Asked, pattern: &Pattern, teller: &Teller) {
    let wanted =
        |stream: &StreamId| asked.ranks.as_ref().is_none_or(|ranks| ranks.0.contains(stream.rank));
    let mut streams: Vec<StreamId> =
        files.archives().streams().into_iter().filter(wanted).collect();
    // The longest first: nobody waits for one thread at the end.
    streams.sort_by_key(|stream| files.filed(*stream));
    let run = Run {
        files,
        pattern,
        teller,
        bytes: AtomicU64::new(0),
        total: streams.iter().map(|stream| files.filed(*stream).0).sum(),
        told: AtomicUsize::new(0),
        reported: Mutex::new(Instant::now()),
    };
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let queue = Mutex::new(streams);
    std::thread::scope(|scope| {
        for _ in 1..threads.min(MOST_THREADS) {
            let thread = std::thread::Builder::new().name("lastline-search".into());
            if let Err(error) = thread.spawn_scoped(scope, || run.work(&queue)) {
                tracing::debug!(%error, "the search has one thread less");
            }
        }
        run.work(&queue);
    });
    if run.told.load(Ordering::Relaxed) >= MOST {
        teller.tell_blocking("note", &format!("The search ended at {MOST} lines."));
    }
    teller.tell_blocking("over", &run.progress());
}

impl Run<'_> {
    fn progress(&self) -> Progress {
        Progress { bytes: self.bytes.load(Ordering::Relaxed), total: self.total }
    }

    fn work(&self, queue: &Mutex<Vec<StreamId>>) {
        while let Some(stream) = queue.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            if self.told.load(Ordering::Relaxed) >= MOST || self.teller.is_gone() {
                return;
            }
            let mut finder = OfStream { run: self, stream, found: 0, batch: Vec::new() };
            let done = search(self.files, stream, self.pattern, &mut finder);
            finder.tell();
            let (rank, stream) = (stream.rank, stream.stream);
            if let Err(error) = done {
                let words = format!("Rank {rank} {stream} cannot be read: {error}.");
                self.teller.tell_blocking("note", &words);
            } else if finder.found >= MOST_OF_STREAM {
                let words = format!("Of rank {rank} {stream} the first {MOST_OF_STREAM} are here.");
                self.teller.tell_blocking("note", &words);
            }
        }
    }

    /// Tells how far it is, now and then.
    fn report(&self) {
        let is_due = match self.reported.try_lock() {
            Ok(mut last) if last.elapsed() >= PROGRESS => {
                *last = Instant::now();
                true
            }
            _ => false,
        };
        if is_due {
            self.teller.tell_blocking("progress", &self.progress());
        }
    }
}

/// What is found in one stream.
struct OfStream<'a> {
    run: &'a Run<'a>,
    stream: StreamId,
    found: usize,
    batch: Vec<Found>,
}

impl OfStream<'_> {
    fn tell(&mut self) {
        if !self.batch.is_empty() {
            self.run.teller.tell_blocking("hits", &std::mem::take(&mut self.batch));
        }
    }
}

impl Finder for OfStream<'_> {
    fn found(&mut self, hit: Hit) -> ControlFlow<()> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.batch.push(Found {
            rank: self.stream.rank,
            stream: self.stream.stream,
            launch: self.stream.launch.to_string(),
            start: hit.line,
            time: self.run.files.archives().time_of(self.stream, hit.line),
            before: text(&hit.before),
            found: text(&hit.found),
            after: text(&hit.after),
        });
        self.found += 1;
        if self.batch.len() >= BATCH {
            self.tell();
        }
        let told = self.run.told.fetch_add(1, Ordering::Relaxed) + 1;
        if told >= MOST || self.found >= MOST_OF_STREAM {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn looked_through(&mut self, bytes: u64) -> ControlFlow<()> {
        self.run.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.tell();
        self.run.report();
        if self.run.teller.is_gone() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
