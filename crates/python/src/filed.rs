//! What the files of a job hold, read on a thread of their own: a disk that does not answer keeps
//! neither the interpreter's lock nor an event loop.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use lastline_jobs::FoundJob;
use lastline_line::{Inbox as _, Message, Received};
use lastline_watch::{ArchiveInbox, Archives, Wanted, WatchError};
use tokio::sync::Notify;

use crate::lines::Closer;
use crate::tap::Next;
use crate::wait::lock;
use crate::words;

/// How much waits for whoever iterates, in bytes; the thread waits for room then.
const WAITING_BYTES: usize = 1 << 20;
/// What anything that waits costs beside its bytes, in bytes.
const ITEM_BYTES: usize = 128;
/// How often a thread that has nothing to read looks whether anybody wants it, at the latest.
const LOOK_UP_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct Waiting {
    items: VecDeque<Next>,
    bytes: usize,
    ended: bool,
    /// Nobody takes anything any more.
    closed: bool,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// There may be more to take.
    ready: Notify,
    /// There may be room.
    room: Condvar,
}

/// What the files of a job hold, in the order of arrival.
#[derive(Debug)]
pub(crate) struct Filed(Arc<Shared>);

impl Filed {
    /// Of this job, as much as is wanted.
    ///
    /// # Errors
    ///
    /// When there is no thread to be had.
    pub(crate) fn open(job: FoundJob, wanted: Wanted) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let into = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("lastline-files".into());
        thread.spawn(move || {
            let found = catch_unwind(AssertUnwindSafe(|| read(job, wanted, &into)));
            let failed = match found {
                Ok(found) => found.err().map(|error| words(&error)),
                Err(_) => Some(String::from("reading the job's files panicked")),
            };
            if let Some(why) = failed {
                into.push(Next::Failed(why));
            }
            lock(&into.waiting).ended = true;
            into.ready.notify_one();
        })?;
        Ok(Self(shared))
    }

    /// What comes next. Waits for nobody.
    pub(crate) fn next(&self) -> Next {
        let mut waiting = lock(&self.0.waiting);
        match waiting.items.pop_front() {
            Some(next) => {
                waiting.bytes -= cost(&next);
                drop(waiting);
                self.0.room.notify_one();
                next
            }
            None if waiting.ended => Next::End,
            None => Next::Nothing,
        }
    }

    /// Ready when `next` may have more.
    pub(crate) fn ready(&self) -> impl Future<Output = ()> + Send + use<> {
        let shared = Arc::clone(&self.0);
        async move { shared.ready.notified().await }
    }

    /// Wants nothing any more.
    pub(crate) fn closer(&self) -> Closer {
        let shared = Arc::clone(&self.0);
        Box::new(move || shared.close())
    }
}

impl Drop for Filed {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Shared {
    fn close(&self) {
        let mut waiting = lock(&self.waiting);
        (waiting.closed, waiting.ended) = (true, true);
        waiting.items.clear();
        drop(waiting);
        self.room.notify_one();
        self.ready.notify_one();
    }

    /// Waits for room; false when nobody wants it any more.
    fn push(&self, next: Next) -> bool {
        let is_full = |waiting: &mut Waiting| waiting.bytes >= WAITING_BYTES && !waiting.closed;
        let waiting = self.room.wait_while(lock(&self.waiting), is_full);
        let mut waiting = waiting.unwrap_or_else(PoisonError::into_inner);
        if waiting.closed {
            return false;
        }
        waiting.bytes += cost(&next);
        waiting.items.push_back(next);
        drop(waiting);
        self.ready.notify_one();
        true
    }
}

fn cost(next: &Next) -> usize {
    let bytes = if let Next::Batch(chunk) = next { chunk.bytes.len() } else { 0 };
    bytes + ITEM_BYTES
}

fn read(job: FoundJob, wanted: Wanted, into: &Shared) -> Result<(), WatchError> {
    let mut inbox = ArchiveInbox::new(Archives::open(&job)?, job, wanted)?;
    let unreadable = inbox.unreadable();
    loop {
        let next = match inbox.next(Some(LOOK_UP_AFTER)) {
            Received::Message(Message::Data(chunk)) => Next::Batch(chunk),
            Received::Message(Message::Skip { stream, span, cause }) => {
                Next::Gap(stream, span, cause.to_string())
            }
            Received::Message(_) => continue,
            Received::TimedOut if lock(&into.waiting).closed => return Ok(()),
            Received::TimedOut => continue,
            Received::Closed => break,
        };
        if !into.push(next) {
            return Ok(());
        }
    }
    // What could not be read of a rank's file is a gap with its cause; all else ends the reading.
    match unreadable.take() {
        Some(WatchError::Unreadable { .. }) | None => Ok(()),
        Some(error) => Err(error),
    }
}
