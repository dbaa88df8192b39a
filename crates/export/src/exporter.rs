//! The thread that exports a job.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::destination::Destination;
use crate::exporting::Exporting;
use crate::progress::{Outcome, Progress, ReadOf};

/// How much later than it was told a destination may come back at the end.
const SLACK: Duration = Duration::from_millis(250);

/// Says something to whoever runs the job.
pub type Say = Box<dyn Fn(&str) + Send>;

/// Exports the lines of a job, as they come into its files, from a thread of its own.
///
/// What it has not exported when it is dropped is not exported: ask for it with [`finish`](Self::finish).
pub struct Exporter {
    shared: Arc<Shared>,
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) name: String,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) progress: Progress,
    /// Why the destination does not take anything now.
    pub(crate) trouble: Option<String>,
    /// The job is over, and it may go on until then.
    until: Option<Instant>,
    /// The thread has ended.
    is_over: bool,
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn ends_at(&self) -> Option<Instant> {
        self.lock().until
    }

    /// Waits, until the job is over where it was not before; whether there is still time then.
    pub(crate) fn pause(&self, pause: Duration) -> bool {
        let state = self.lock();
        let began_at_end = state.until.is_some();
        let left = state.until.map(|until| until.saturating_duration_since(Instant::now()));
        let pause = left.map_or(pause, |left| left.min(pause));
        let waits = |state: &mut State| !state.is_over && state.until.is_some() == began_at_end;
        let waited = self.changed.wait_timeout_while(state, pause, waits);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.until.is_none_or(|until| Instant::now() < until)
    }
}

impl Exporter {
    /// Exports the job in this directory, which runs in this process, to a destination that is called `name`
    /// in words. `say` is told, on its thread, when the destination takes nothing, and when it does again.
    ///
    /// # Errors
    ///
    /// When there is no thread to be had.
    pub fn start(
        name: impl Into<String>,
        job: impl Into<PathBuf>,
        destination: impl Destination + 'static,
        say: Say,
    ) -> io::Result<Self> {
        let (name, job) = (name.into(), job.into());
        let (state, changed) = (Mutex::default(), Condvar::new());
        let shared = Arc::new(Shared { name, state, changed });
        let over = Over(Arc::clone(&shared));
        let thread = std::thread::Builder::new().name("lastline-export".into());
        thread.spawn(move || {
            let shared = Arc::clone(&over.0);
            let mut exporting = Exporting::new(shared, Box::new(destination), say);
            if let Err(error) = exporting.run(&job) {
                let why = format!("the job's files cannot be read: {error}");
                over.0.lock().trouble = Some(why);
            }
        })?;
        Ok(Self { shared })
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// The job is over, and its files are closed: what is left may be exported for `within` from now. Comes
    /// back at once, so that several exporters have the same time.
    pub fn end_within(&self, within: Duration) {
        self.shared.lock().until.get_or_insert(Instant::now() + within);
        self.shared.changed.notify_all();
    }

    /// Waits until all is exported, or the time of [`end_within`](Self::end_within) is over, and tells what
    /// became of everything that was `read` of the job.
    pub fn finish(self, read: &[ReadOf]) -> Outcome {
        self.end_within(Duration::ZERO);
        let state = self.shared.lock();
        let left = state.until.map(|until| until.saturating_duration_since(Instant::now()));
        let left = left.unwrap_or_default() + SLACK;
        let waited = self.shared.changed.wait_timeout_while(state, left, |it| !it.is_over);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let why = state.trouble.clone();
        let why = why.unwrap_or_else(|| String::from("there was no time for it at the end"));
        state.progress.clone().settle(read, &why)
    }

    /// Waits for `within` at most until nothing is left to do; whether that is so.
    pub fn is_over_within(&self, within: Duration) -> bool {
        let state = self.shared.lock();
        let waited = self.shared.changed.wait_timeout_while(state, within, |it| !it.is_over);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_over
    }
}

/// Says that the thread has ended, also when it panics.
struct Over(Arc<Shared>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.lock().is_over = true;
        self.0.changed.notify_all();
    }
}
