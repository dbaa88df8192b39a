//! Reading files back, beside everything else.

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use lastline_line::{Offset, ReadBack, ReadOutcome, Span, StreamId};
use tokio::sync::oneshot::error::RecvError;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;

use crate::forwarder::Fetched;
use crate::reading::Reading;

/// How much is read back at once, in bytes.
const READ_BACK_BYTES: usize = 256 << 10;
/// How long to wait before asking files again what they have.
const ASK_AGAIN: Duration = Duration::from_millis(5);
/// How long one reading keeps the others waiting: after that its disk may be one that hangs, and
/// others are read beside it.
const PATIENCE: Duration = Duration::from_millis(250);
/// How many go on at once at most; each has a thread, and what it reads in memory.
const MOST: usize = 8;

/// A reading that has ended: whose, from where, and what it gave; `None` when the file does not have
/// it yet.
pub(crate) type Read = (StreamId, Offset, Option<Fetched>);

/// What a reading came to, and its thread. An error says that it panicked.
type Ended = (Reading, Result<Option<Fetched>, RecvError>);

/// The readings that go on: one at a time while disks answer.
#[derive(Default)]
pub(crate) struct Reads {
    tasks: JoinSet<Ended>,
    /// The threads that read nothing now.
    idle: Vec<Reading>,
    of: HashMap<Id, (StreamId, Span)>,
    /// When another one may begin.
    not_before: Option<Instant>,
}

impl Reads {
    /// Whether another one may begin at `now`.
    pub(crate) fn may_begin(&self, now: Instant) -> bool {
        self.of.len() < MOST && self.not_before.is_none_or(|at| at <= now)
    }

    /// When that is to be asked again, if the time alone decides.
    pub(crate) fn may_begin_at(&self) -> Option<Instant> {
        self.not_before.filter(|_| self.of.len() < MOST)
    }

    /// Begins one, on a thread of its own. Where none is to be had, it is to be asked for again.
    pub(crate) fn begin(&mut self, files: Arc<dyn ReadBack>, stream: StreamId, span: Span) {
        let mut thread = self.idle.pop().unwrap_or_default();
        let task = match thread.run(move || fetch(&*files, stream, span)) {
            Ok(fetched) => self.tasks.spawn(async move { (thread, fetched.await) }),
            Err(error) => {
                tracing::debug!(%error, "no thread to read files back: tried again");
                self.tasks.spawn(async move { (thread, Ok(None)) })
            }
        };
        self.of.insert(task.id(), (stream, span));
        self.not_before = Some(Instant::now() + PATIENCE);
    }

    /// The next one that ends; never, while none goes on. Cancel-safe.
    pub(crate) async fn ended(&mut self) -> Read {
        let Some(ended) = self.tasks.join_next_with_id().await else {
            return pending().await;
        };
        let (id, (thread, fetched)) = ended.expect("BUG: nothing in these tasks panics");
        self.idle.push(thread);
        let of = self.of.remove(&id);
        let (stream, span) = of.expect("BUG: what ends has begun");
        let panicked = || String::from("reading back failed: it panicked");
        let fetched = fetched.unwrap_or_else(|_| Some(Err((span.to, panicked()))));
        self.not_before = fetched.is_none().then(|| Instant::now() + ASK_AGAIN);
        (stream, span.from, fetched)
    }
}

/// Reads from the start of `span`; `None` when it is not filed yet. Blocks for the disk.
pub(crate) fn fetch(files: &dyn ReadBack, stream: StreamId, span: Span) -> Option<Fetched> {
    let most = usize::try_from(span.len()).unwrap_or(usize::MAX).min(READ_BACK_BYTES);
    let mut buffer = vec![0; most];
    match files.read_back(stream, span.from, &mut buffer) {
        Ok(ReadOutcome::Read(bytes)) => {
            buffer.truncate(bytes);
            Some(Ok(buffer))
        }
        Ok(ReadOutcome::NotYet) => None,
        Ok(ReadOutcome::Gone { to, cause }) => Some(Err((to, cause))),
        Err(error) => Some(Err((span.to, format!("reading back failed: {error}")))),
    }
}
