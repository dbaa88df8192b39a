//! What the console of a job shows, from its start or from now on.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lastline_client::{Client, Options, Output, PrintError, Printer};
use lastline_jobs::{FoundJob, JobState};
use lastline_line::{Entry as Printed, Fold, Offset, Stream, StreamId};

use crate::archive_inbox::{ArchiveInbox, AskUntil, Until, Wanted};
use crate::archives::Archives;
use crate::clock::pause;
use crate::connection::{Came, Connection, END_PATIENCE, FIRST_WORDS, LOOK_FOR_END, understand};
use crate::entry::{Entry, LeftOut};
use crate::error::WatchError;
use crate::places::{Places, keeps_order};
use crate::protocol::{EntryMessage, Request};

/// How many entries wait for whoever asks; a job that runs waits for none, and leaves out others.
const WAITING: usize = 256;
/// How long the answer is waited for before it is looked whether anybody still wants it.
const LOOK_UP_AFTER: Duration = Duration::from_secs(1);
/// With no more than so many bytes to be read, the rest is read while the job goes on telling.
const SMALL_REST_BYTES: u64 = 1 << 20;
/// After so many times of reading what came meanwhile, the rest is read whatever it is.
const MOST_ROUNDS: usize = 8;

/// Makes the fold of what is read from files.
pub type MakeFold = Box<dyn Fn() -> Box<dyn Fold> + Send>;

/// What the console of a job shows.
///
/// The past is folded from the files, as `lastline logs --fold` does, up to where the running job
/// begins to tell: so that every line is in one entry, or left out, exactly where the console's
/// fold keeps the order of a rank's lines. What a job did not come to tell before it was gone is
/// folded from its files, too. A thread reads ahead, 256 entries at most, and ends when
/// this is dropped.
#[derive(Debug)]
pub struct EntrySource {
    told: Receiver<Result<NextEntry, WatchError>>,
    /// Nothing more comes.
    over: Option<bool>,
}

/// What [`EntrySource::next`] gives.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum NextEntry {
    /// The next entry.
    Entry(Box<Entry>),
    /// Here entries are missing, for which whoever asks was too slow.
    LeftOut(LeftOut),
    /// Nothing came in that time.
    TimedOut,
    /// Nothing more comes.
    Over {
        /// That was all that the job has shown, but for what was said to be left out; else the rest
        /// is in its files alone, if it has any.
        complete: bool,
    },
}

impl EntrySource {
    /// What is shown of a job that is found on the disk, which is asked at `socket` while it runs
    /// ([`control_path`](crate::control_path)): from its start, or from now on. What is read from
    /// files is folded by what `fold` makes.
    ///
    /// # Errors
    ///
    /// When its files cannot be read, or there is no thread to be had. What goes wrong later comes
    /// from [`next`](Self::next).
    pub fn open(
        job: FoundJob,
        socket: &Path,
        from_start: bool,
        fold: MakeFold,
    ) -> Result<Self, WatchError> {
        let archives = Archives::open(&job)?;
        Self::start(Some(Files { job, archives, from_start, fold }), socket)
    }

    /// What is shown from now on of a job that runs and has no files.
    ///
    /// # Errors
    ///
    /// When there is no thread to be had.
    pub fn live(socket: &Path) -> Result<Self, WatchError> {
        Self::start(None, socket)
    }

    fn start(files: Option<Files>, socket: &Path) -> Result<Self, WatchError> {
        let (tell, told) = sync_channel(WAITING);
        let socket = socket.to_owned();
        let thread = std::thread::Builder::new().name("lastline-entries".into());
        let work = move || {
            let over = match run(files, socket, &tell) {
                Ok(complete) => Ok(NextEntry::Over { complete }),
                Err(error) => Err(error),
            };
            // Nobody may want it any more.
            drop(tell.send(over));
        };
        thread.spawn(work).map_err(|source| WatchError::Connection { source })?;
        Ok(Self { told, over: None })
    }

    /// What comes next, waiting for `wait` at most. Blocks.
    ///
    /// # Errors
    ///
    /// When something cannot be read; nothing comes after that.
    pub fn next(&mut self, wait: Duration) -> Result<NextEntry, WatchError> {
        if let Some(complete) = self.over {
            return Ok(NextEntry::Over { complete });
        }
        match self.told.recv_timeout(wait) {
            Ok(told) => {
                self.over = match &told {
                    Ok(NextEntry::Over { complete }) => Some(*complete),
                    Ok(_) => None,
                    Err(_) => Some(false),
                };
                told
            }
            Err(RecvTimeoutError::Timeout) => Ok(NextEntry::TimedOut),
            Err(RecvTimeoutError::Disconnected) => Ok(NextEntry::Over { complete: false }),
        }
    }
}

type Tell = SyncSender<Result<NextEntry, WatchError>>;

/// A job on the disk, and what is wanted of it.
struct Files {
    job: FoundJob,
    archives: Archives,
    from_start: bool,
    fold: MakeFold,
}

/// Tells all of it; whether that was all.
fn run(files: Option<Files>, socket: PathBuf, tell: &Tell) -> Result<bool, WatchError> {
    let Some(Files { job, archives, from_start, fold }) = files else {
        let Some((connection, places)) = connect(&socket)? else { return Ok(false) };
        return Ok(tell_live(connection, places, tell)?.is_none());
    };
    let dir = job.dir.clone();
    let live = match (from_start, &job.state) {
        (true, JobState::Running) => {
            let found = Arc::default();
            let ask = UntilTold { socket, found: Arc::clone(&found), rounds: 0 };
            let until: Option<Box<dyn AskUntil>> = Some(Box::new(ask));
            fold_files(job, archives, Wanted { until, ..Wanted::default() }, fold(), tell)?;
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            found.take().transpose()?
        }
        (true, _) => {
            fold_files(job, archives, Wanted::default(), fold(), tell)?;
            None
        }
        (false, JobState::Running) => connect(&socket)?,
        (false, _) => None,
    };
    let Some((connection, places)) = live else { return Ok(true) };
    match tell_live(connection, places, tell)? {
        None => Ok(true),
        Some(Cut { places: Some(from) }) => tell_rest(&dir, from, fold(), tell),
        Some(Cut { places: None }) => Ok(false),
    }
}

/// What the files of a job hold is folded, and told.
fn fold_files(
    job: FoundJob,
    archives: Archives,
    wanted: Wanted,
    fold: Box<dyn Fold>,
    tell: &Tell,
) -> Result<(), WatchError> {
    let places = keeps_order(fold.name()).then(|| Places::new(wanted.from.clone()));
    let inbox = ArchiveInbox::new(archives, job, wanted)?;
    let unreadable = inbox.unreadable();
    let mut options = Options::default();
    options.print_only = true;
    let printer = Box::new(Teller { tell: tell.clone(), places });
    let client = Client::start(inbox, fold, printer, options)
        .map_err(|source| WatchError::Connection { source })?;
    // Who does not want it any more is the only one who refuses an entry.
    drop(client.join());
    unreadable.take().map_or(Ok(()), Err)
}

/// What a job did not tell before it was gone, which its files have; whether that was all.
fn tell_rest(
    dir: &Path,
    from: BTreeMap<StreamId, Offset>,
    fold: Box<dyn Fold>,
    tell: &Tell,
) -> Result<bool, WatchError> {
    let since = Instant::now();
    loop {
        let job = FoundJob::open(dir)?;
        if job.state != JobState::Running {
            let archives = Archives::open(&job)?;
            fold_files(job, archives, Wanted { from, ..Wanted::default() }, fold, tell)?;
            return Ok(true);
        }
        if since.elapsed() >= END_PATIENCE {
            return Ok(false);
        }
        pause(LOOK_FOR_END);
    }
}

type Found = Arc<Mutex<Option<Result<Begun, WatchError>>>>;

/// Asks the job itself up to where it was shown, again and again until what came meanwhile is
/// little: while that is read, the job goes on telling, and leaves out what finds no room.
struct UntilTold {
    socket: PathBuf,
    /// Where it tells what comes behind the last answer.
    found: Found,
    rounds: usize,
}

impl AskUntil for UntilTold {
    fn ask(&mut self, given: &BTreeMap<StreamId, Offset>) -> Option<Until> {
        self.rounds += 1;
        let put = |found| {
            *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
        };
        match connect(&self.socket) {
            Ok(Some((connection, offsets))) => {
                let given = |id: &StreamId| given.get(id).copied().unwrap_or_default();
                let rest: u64 = offsets.iter().map(|(id, end)| *end - given(id)).sum();
                let last = rest <= SMALL_REST_BYTES || self.rounds >= MOST_ROUNDS;
                if last {
                    put(Ok((connection, offsets.clone())));
                }
                Some(Until { offsets, last })
            }
            // It is over, or does not answer: its files have all.
            Ok(None) => None,
            Err(error) => {
                put(Err(error));
                Some(Until { offsets: BTreeMap::new(), last: true })
            }
        }
    }
}

/// Where a job tells what it shows, and up to where each stream was shown before.
type Begun = (Connection, BTreeMap<StreamId, Offset>);

/// Asks a job what it shows, and up to where it was shown; none when it does not answer.
fn connect(socket: &Path) -> Result<Option<Begun>, WatchError> {
    Connection::greet(socket, &Request::Entries, FIRST_WORDS, |line| {
        Ok(match understand(line)? {
            Some(EntryMessage::From(shown)) => {
                Some(shown.into_iter().map(|it| (it.stream, it.offset)).collect())
            }
            _ => None,
        })
    })
}

/// The answer of a job was cut off: it has ended, or let this watcher go.
struct Cut {
    /// Up to where each stream was told; none when something was left out, so that it is not known.
    places: Option<BTreeMap<StreamId, Offset>>,
}

/// Tells what the job tells; none when it has said that this was all, or nobody wants it any more.
fn tell_live(
    mut connection: Connection,
    places: BTreeMap<StreamId, Offset>,
    tell: &Tell,
) -> Result<Option<Cut>, WatchError> {
    let mut places = Some(places);
    loop {
        let next = match connection.next(LOOK_UP_AFTER)? {
            Came::Line(line) => match understand(&line)? {
                Some(EntryMessage::Entry(entry)) => {
                    places.iter_mut().for_each(|places| go_on(places, &entry));
                    NextEntry::Entry(entry)
                }
                Some(EntryMessage::LeftOut(left_out)) => {
                    places = None;
                    NextEntry::LeftOut(left_out)
                }
                Some(EntryMessage::End {}) => return Ok(None),
                _ => continue,
            },
            // Whether anybody wants it is seen by telling.
            Came::TimedOut => NextEntry::TimedOut,
            Came::Closed => return Ok(Some(Cut { places })),
        };
        if tell.send(Ok(next)).is_err() {
            return Ok(None);
        }
    }
}

/// An entry was told: its streams have come so far. Bytes that were drawn over count in no entry;
/// the next line that stands for itself says where its stream is.
fn go_on(places: &mut BTreeMap<StreamId, Offset>, entry: &Entry) {
    for member in &entry.members {
        let place = places.entry(member.stream).or_default();
        *place = match member.span {
            Some(span) => span.to,
            None => *place + member.bytes,
        };
    }
}

/// Hands entries to whoever asks, and waits for them.
struct Teller {
    tell: Tell,
    /// Where lines stand, where that can be told.
    places: Option<Places>,
}

impl Printer for Teller {
    fn print(&mut self, entry: &Printed<'_>) -> Result<(), PrintError> {
        let gone =
            |_| PrintError { output: Output::Stdout, source: io::ErrorKind::BrokenPipe.into() };
        let mut entry = Box::new(Entry::from(entry));
        self.places.iter_mut().for_each(|places| places.place(&mut entry));
        self.tell.send(Ok(NextEntry::Entry(entry))).map_err(gone)
    }

    fn flush(&mut self) -> Result<(), PrintError> {
        Ok(())
    }

    /// What is missing stands in the snapshot's gaps.
    fn note(&mut self, _text: &str) -> Result<(), PrintError> {
        Ok(())
    }

    fn output_of(&self, _stream: Stream) -> Output {
        Output::Stdout
    }
}
