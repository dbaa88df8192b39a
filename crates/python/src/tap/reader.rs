//! The thread that reads a job's files for one consumer: a disk that does not answer keeps neither the
//! interpreter's lock nor an event loop.

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use lastline_appender::Archive;
use lastline_line::{Chunk, Offset, ReadBack as _, ReadOutcome, Span, StreamId, Timestamp};

use super::queue::{Queue, Queued, Times};
use crate::wait::lock;

/// How much is read from a file at once, in bytes.
const READ_BYTES: u64 = 256 << 10;

/// What a reading came to.
#[derive(Debug)]
pub(super) enum Outcome {
    Read(Chunk),
    /// It is being written to its file.
    NotYet,
    /// No file has what is before this offset, and why.
    Gone(Offset, String),
}

/// A reading that goes on.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) stream: StreamId,
    pub(super) span: Span,
    outcome: Arc<Mutex<Option<Outcome>>>,
}

impl Reading {
    /// What it came to, once. Whoever waits for the queue is told when it is there.
    pub(super) fn take(&self) -> Option<Outcome> {
        lock(&self.outcome).take()
    }
}

/// Reads one thing after the other; its thread is made when it is needed first.
#[derive(Debug)]
pub(super) struct Reader {
    dir: PathBuf,
    queue: Arc<Queue>,
    orders: Option<Sender<Reading>>,
}

impl Reader {
    pub(super) fn new(dir: PathBuf, queue: Arc<Queue>) -> Self {
        Self { dir, queue, orders: None }
    }

    /// Begins to read bytes of a stream from the start of `span`.
    ///
    /// # Errors
    ///
    /// When there is no thread to be had.
    pub(super) fn begin(&mut self, stream: StreamId, span: Span) -> io::Result<Reading> {
        let outcome = Arc::new(Mutex::new(None));
        let order = Reading { stream, span, outcome: Arc::clone(&outcome) };
        let orders = match &self.orders {
            Some(orders) => orders,
            None => {
                let (orders, ordered) = channel();
                let (dir, queue) = (self.dir.clone(), Arc::clone(&self.queue));
                let thread = std::thread::Builder::new().name("lastline-files".into());
                thread.spawn(move || read_all(&dir, &queue, &ordered))?;
                self.orders.insert(orders)
            }
        };
        orders.send(order).expect("BUG: the thread lives as long as this");
        Ok(Reading { stream, span, outcome })
    }
}

fn read_all(dir: &Path, queue: &Queue, orders: &Receiver<Reading>) {
    let mut archive = None;
    for Reading { stream, span, outcome } in orders {
        let read = || read(dir, &mut archive, queue, stream, span);
        let found = catch_unwind(AssertUnwindSafe(read));
        let found = found.unwrap_or_else(|_| Err(String::from("reading them panicked")));
        *lock(&outcome) = Some(found.unwrap_or_else(|why| Outcome::Gone(span.to, why)));
        queue.ready.notify_one();
    }
}

fn read(
    dir: &Path,
    archive: &mut Option<Archive>,
    queue: &Queue,
    stream: StreamId,
    span: Span,
) -> Result<Outcome, String> {
    // What its file does not hold after the job's end never comes.
    let ended = lock(&queue.queued).ended;
    let archive = match archive {
        Some(archive) => archive,
        None => archive.insert(Archive::open(dir).map_err(|error| error.to_string())?),
    };
    let (time, until) = time_of(queue, archive, stream, span.from);
    let to = until.map_or(span.to, |until| until.min(span.to));
    let len = Span::new(span.from, to).len().min(READ_BYTES);
    let mut buffer = vec![0; usize::try_from(len).unwrap_or_default()];
    let read = |buffer: &mut [u8]| archive.read_back(stream, span.from, buffer);
    let mut outcome = read(&mut buffer);
    if let Ok(ReadOutcome::NotYet) = outcome {
        archive.refresh().map_err(|error| error.to_string())?;
        outcome = read(&mut buffer);
    }
    Ok(match outcome.map_err(|error| error.to_string())? {
        ReadOutcome::Read(bytes) => {
            buffer.truncate(bytes);
            Outcome::Read(Chunk::new(stream, span.from, time, buffer.into()))
        }
        ReadOutcome::Gone { to, cause } => Outcome::Gone(to.min(span.to), cause),
        ReadOutcome::NotYet if ended => return Err("its file does not hold them".into()),
        ReadOutcome::NotYet => Outcome::NotYet,
    })
}

/// When the byte at `at` was read, and up to where that holds, as the queue or the index knows it; of
/// what neither knows, the beginning of time.
fn time_of(
    queue: &Queue,
    archive: &Archive,
    stream: StreamId,
    at: Offset,
) -> (Timestamp, Option<Offset>) {
    let known = |queued: &mut Queued| queued.missed.get_mut(&stream)?.find(at);
    if let Some(known) = known(&mut lock(&queue.queued)) {
        return known;
    }
    // A consumer that came late: nobody noted anything for it.
    let mut times = Times::default();
    for extent in archive.extents_after(&BTreeMap::from([(stream, at)])) {
        if let (true, Some(time)) = (extent.stream == stream, extent.time) {
            times.note(extent.span.from, time);
        }
    }
    let mut queued = lock(&queue.queued);
    let missed = queued.missed.entry(stream).or_default();
    times.0.extend(missed.0.drain(..));
    *missed = times;
    missed.find(at).unwrap_or((Timestamp(0), None))
}
