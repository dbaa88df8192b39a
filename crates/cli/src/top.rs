//! `lastline top`: a job in the terminal, live or from its files.

use std::io::{self, IsTerminal as _};
use std::sync::OnceLock;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use lastline_jobs::{FoundJob, JobState, JobsPlace};
use lastline_line::{
    Emit, Fold, Line, Offset, RankSet, ReadBack as _, ReadOutcome, Stream, StreamId, Timestamp,
};
use lastline_top::{App, Feed, Happening, Leaving, OwnLogs, Part};
use lastline_watch::protocol::{EntryMessage, Message, Refusal};
use lastline_watch::{
    Archives, Entry, EntrySource, Next, NextEntry, Snapshot, Source, control_path, control_path_of,
};

use crate::folding;
use crate::values::FoldMode;

/// How often a feed looks up although nothing happens.
const LOOK_UP: Duration = Duration::from_millis(500);
/// How often it is looked how long files are.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// What a running job has said before is folded anew up to so many bytes; beyond that the log begins
/// with what it says now.
const MAX_PAST_BYTES: u64 = 256 << 20;
/// Output over time is not drawn by itself.
const COLUMNS: usize = 2;

/// Shows a job until whoever looks has seen enough; its exit code.
pub(crate) fn top(job: Option<&str>) -> anyhow::Result<u8> {
    let source = Source::open(&JobsPlace::of_user()?, job, COLUMNS)?;
    anyhow::ensure!(
        io::stdout().is_terminal() && io::stdin().is_terminal(),
        "the view needs a terminal; `lastline logs --follow` prints a job's lines anywhere, and `lastline \
         report` how it ended"
    );
    let logs = JobLogs::new(source.job().cloned());
    let (app, feed) = (app(false), Box::new(JobFeed { source }));
    lastline_top::run(app, feed, Box::new(logs)).context("the terminal cannot be used")?;
    Ok(crate::exit::SUCCESS)
}

/// Shows a job that runs in this process; what is to become of it.
pub(crate) fn inside(job: &str) -> anyhow::Result<Leaving> {
    let source = Source::open(&JobsPlace::of_user()?, Some(job), COLUMNS)?;
    let logs = JobLogs::new(source.job().cloned());
    let (app, feed) = (app(true), Box::new(JobFeed { source }));
    lastline_top::run(app, feed, Box::new(logs)).context("the terminal cannot be used")
}

fn app(inside: bool) -> App {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let app = App::new(inside);
    if no_color { app.without_colours() } else { app }
}

/// What is seen of one job.
struct JobFeed {
    source: Source,
}

impl Feed for JobFeed {
    fn tell(&mut self, to: &SyncSender<Happening>) {
        let snapshot = self.source.snapshot().clone();
        if to.send(Happening::Seen(Message::Snapshot(Box::new(snapshot.clone())))).is_err() {
            return;
        }
        let (job, entries) = (self.source.job().cloned(), to.clone());
        let thread = std::thread::Builder::new().name("lastline-log".into());
        let told = thread.spawn(move || tell_entries(job, &snapshot, &entries));
        if let Err(error) = told {
            say(to, format!("the log is not shown: {error}"));
        }
        loop {
            let sent = match self.source.next(LOOK_UP) {
                Ok(Next::Changed(changes)) => changes
                    .into_iter()
                    .all(|change| to.send(Happening::Seen(Message::Event(change))).is_ok()),
                Ok(Next::TimedOut) => true,
                Ok(Next::Over) => return,
                Err(error) => {
                    let why = format!("{:#}", anyhow::Error::new(error));
                    drop(to.send(Happening::Over(Some(why))));
                    return;
                }
            };
            if !sent {
                return;
            }
        }
    }
}

/// Says something in the log.
fn say(to: &SyncSender<Happening>, words: String) {
    // Nobody may look any more.
    drop(to.send(Happening::Entry(EntryMessage::Refused(Refusal::new(words)))));
}

fn tell_entries(job: Option<FoundJob>, seen: &Snapshot, to: &SyncSender<Happening>) {
    let socket = job.as_ref().map_or_else(|| control_path(&seen.job.id), control_path_of);
    let is_unfolded = seen.job.fold.as_deref() == Some("off");
    let known = job.as_ref().map_or(0, |job| job.info.world_size);
    let ranks = RankSet::first(seen.job.world_size.max(known));
    let make_fold = move || folding::fold(FoldMode::Ranks, ranks.clone(), None);
    let opened = match job {
        Some(job) => {
            let is_long = job.state == JobState::Running && job.bytes() > MAX_PAST_BYTES;
            if is_long {
                say(to, String::from("what it said before is in its files: `lastline logs`"));
            }
            EntrySource::open(job, &socket, !is_long, Box::new(make_fold.clone()))
        }
        None => EntrySource::live(&socket),
    };
    let mut entries = match opened {
        Ok(entries) => entries,
        Err(error) => return say(to, format!("{:#}", anyhow::Error::new(error))),
    };
    let mut folding = Refold { fold: is_unfolded.then(make_fold), to };
    loop {
        let (told, sent) = match entries.next(folding.wait()) {
            Ok(NextEntry::Entry(entry)) => (true, folding.take(entry)),
            Ok(NextEntry::LeftOut(left_out)) => {
                (true, folding.send(EntryMessage::LeftOut(left_out)))
            }
            Ok(NextEntry::Over { .. }) => (false, folding.finish()),
            Ok(_) => (true, folding.look()),
            Err(error) => {
                say(to, format!("{:#}", anyhow::Error::new(error)));
                (false, folding.finish())
            }
        };
        if !told || sent.is_err() {
            return;
        }
    }
}

/// Nobody looks any more.
struct Unseen;

/// Folds lines of a job whose console shows each of them.
struct Refold<'a> {
    fold: Option<Box<dyn Fold>>,
    to: &'a SyncSender<Happening>,
}

impl Refold<'_> {
    fn send(&self, message: EntryMessage) -> Result<(), Unseen> {
        self.to.send(Happening::Entry(message)).map_err(|_| Unseen)
    }

    fn with_fold(
        &mut self,
        work: impl FnOnce(&mut dyn Fold, Timestamp, &mut Emit<'_>),
    ) -> Result<(), Unseen> {
        let mut folded = Vec::new();
        if let Some(fold) = &mut self.fold {
            work(&mut **fold, now(), &mut |entry| folded.push(Entry::from(&entry)));
        }
        folded.into_iter().try_for_each(|entry| self.send(EntryMessage::Entry(Box::new(entry))))
    }

    fn take(&mut self, entry: Box<Entry>) -> Result<(), Unseen> {
        let bytes = entry.members.first().map_or(0, |member| member.bytes);
        if self.fold.is_none() || entry.folded || entry.members.len() != 1 {
            return self.send(EntryMessage::Entry(entry));
        }
        self.with_fold(|fold, now, emit| {
            let Entry { time, ref text, continuation, partial, redrawn, .. } = *entry;
            let (stream, start, text) = (entry.first.stream, entry.first.start, text.as_bytes());
            let line = Line { stream, start, bytes, time, text, continuation, partial, redrawn };
            fold.push(&line, now, emit);
        })?;
        self.look()
    }

    /// Gives out what has waited long enough.
    fn look(&mut self) -> Result<(), Unseen> {
        self.with_fold(|fold, now, emit| {
            // It is asked again soon, whenever that is.
            fold.due(now, emit);
        })
    }

    fn finish(&mut self) -> Result<(), Unseen> {
        self.with_fold(|fold, _, emit| fold.finish(emit))
    }

    /// How long to wait for the next entry.
    fn wait(&self) -> Duration {
        if self.fold.is_some() { LOOK_AGAIN } else { LOOK_UP }
    }
}

/// The time for folds: by a clock that nobody sets.
fn now() -> Timestamp {
    static START: OnceLock<Instant> = OnceLock::new();
    let passed = START.get_or_init(Instant::now).elapsed();
    Timestamp(u64::try_from(passed.as_micros()).unwrap_or(u64::MAX))
}

/// The files of a job's ranks; none where it has no files.
struct JobLogs {
    job: Option<FoundJob>,
    archives: Option<Archives>,
    looked: Option<Instant>,
}

impl JobLogs {
    fn new(job: Option<FoundJob>) -> Self {
        let archives = job.as_ref().and_then(|job| Archives::open(job).ok());
        Self { job, archives, looked: None }
    }

    fn look(&mut self) {
        let is_old = self.looked.is_none_or(|looked| looked.elapsed() >= LOOK_AGAIN);
        if let (true, Some(job), Some(archives)) = (is_old, &self.job, &self.archives) {
            self.looked = Some(Instant::now());
            if let Err(error) = archives.refresh(job) {
                tracing::debug!("the job's files cannot be looked at: {error}");
            }
        }
    }

    /// The last start of a rank that has said something there.
    fn stream(&self, rank: u32, stream: Stream) -> Option<StreamId> {
        let archives = self.archives.as_ref()?;
        let all = archives.streams().into_iter();
        archives.begun_last(all.filter(|id| id.rank == rank && id.stream == stream))
    }
}

impl OwnLogs for JobLogs {
    fn shown(&mut self, rank: u32, stream: Stream) -> Stream {
        self.look();
        let merged = self.stream(rank, Stream::Merged);
        merged.map_or(stream, |merged| merged.stream)
    }

    fn length(&mut self, rank: u32, stream: Stream) -> u64 {
        self.look();
        let id = self.stream(rank, stream);
        id.zip(self.archives.as_ref()).map_or(0, |(id, archives)| archives.filed(id).0)
    }

    fn read(
        &mut self,
        rank: u32,
        stream: Stream,
        from: u64,
        buffer: &mut [u8],
    ) -> io::Result<Part> {
        let Some((id, archives)) = self.stream(rank, stream).zip(self.archives.as_ref()) else {
            return Ok(Part::Bytes(0));
        };
        Ok(match archives.read_back(id, Offset(from), buffer)? {
            ReadOutcome::Read(bytes) => Part::Bytes(bytes),
            ReadOutcome::NotYet => Part::Bytes(0),
            ReadOutcome::Gone { to, cause } => Part::Missing { to: to.0, cause },
        })
    }
}
