//! The module's runtime, and how Python waits for what happens on it.
//!
//! All jobs of a process share one runtime, on threads of its own that never touch Python. Who waits
//! lets the interpreter's lock go, and looks every [`SIGNALS_EVERY`] whether a signal has come. One more
//! thread tells event loops what is ready, so that no reader waits for the lock.
//!
//! An interpreter that ends takes its threads along wherever they ask for the lock next, and what is
//! between there and the thread's start is never cleaned up. So everybody who waits, or calls Python, is
//! counted in, and [`close`] waits until they are out.

use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pyo3::exceptions::{PyOSError, PyRuntimeError};
use pyo3::prelude::*;
use tokio::runtime::{Builder, Handle, Runtime};

/// How often who waits looks for signals: Ctrl-C is felt as at once below a tenth of a second.
const SIGNALS_EVERY: Duration = Duration::from_millis(50);
/// The most threads that read and send, as for the program `lastline`.
const MOST_WORKERS: usize = 4;

/// What there is of one process; a forked child has threads of its own.
struct OfProcess {
    pid: u32,
    runtime: &'static Runtime,
    notices: Option<Sender<Py<PyAny>>>,
}

/// Locked for moments, and only by who has the interpreter's lock: so nobody forks meanwhile.
static OF_PROCESS: Mutex<Option<OfProcess>> = Mutex::new(None);

/// Not a lock: a child may be forked while a thread without the interpreter's lock would hold it.
static CLOSED: AtomicBool = AtomicBool::new(false);
static INSIDE: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counted in among those that wait or call Python; out again when dropped.
pub(crate) struct Inside(());

impl Inside {
    /// `None` when the interpreter is ending.
    pub(crate) fn enter() -> Option<Self> {
        INSIDE.fetch_add(1, Ordering::SeqCst);
        let inside = Self(());
        (!CLOSED.load(Ordering::SeqCst)).then_some(inside)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.fetch_sub(1, Ordering::SeqCst);
    }
}

fn ending() -> PyErr {
    PyRuntimeError::new_err("the interpreter is ending: nothing is waited for any more")
}

/// Lets nobody wait any more, and waits until those that do have left, two seconds at most: for the
/// end of the interpreter.
pub(crate) fn close(py: Python<'_>) {
    CLOSED.store(true, Ordering::SeqCst);
    let deadline = Instant::now() + Duration::from_secs(2);
    py.detach(|| {
        while INSIDE.load(Ordering::SeqCst) > 0 && Instant::now() < deadline {
            std::thread::park_timeout(Duration::from_millis(1));
        }
    });
}

/// A forked child: those that were inside are threads of its parent.
pub(crate) fn after_fork() {
    INSIDE.store(0, Ordering::SeqCst);
}

fn of_process(with: impl FnOnce(&mut OfProcess) -> PyResult<()>) -> PyResult<Handle> {
    let mut found = lock(&OF_PROCESS);
    let pid = std::process::id();
    let of_process = match found.take() {
        // What a parent had has no threads here: it is left alone.
        Some(known) if known.pid == pid => found.insert(known),
        _ => found.insert(OfProcess { pid, runtime: Box::leak(Box::new(start()?)), notices: None }),
    };
    with(of_process)?;
    Ok(of_process.runtime.handle().clone())
}

/// The runtime of this process.
pub(crate) fn handle() -> PyResult<Handle> {
    of_process(|_| Ok(()))
}

fn start() -> PyResult<Runtime> {
    let workers = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(workers.min(MOST_WORKERS)).thread_name("lastline-io").enable_all();
    builder.build().map_err(|error| PyOSError::new_err(format!("cannot start threads: {error}")))
}

/// Waits for `future` without the interpreter's lock; signals are handled meanwhile.
pub(crate) fn block_on<F>(py: Python<'_>, future: F) -> PyResult<F::Output>
where
    F: Future + Send,
    F::Output: Send,
{
    let handle = handle()?;
    let _inside = Inside::enter().ok_or_else(ending)?;
    let mut future = pin!(future);
    loop {
        let waited = py.detach(|| {
            handle.block_on(async { tokio::time::timeout(SIGNALS_EVERY, future.as_mut()).await })
        });
        if let Ok(value) = waited {
            return Ok(value);
        }
        py.check_signals()?;
        if CLOSED.load(Ordering::SeqCst) {
            return Err(ending());
        }
    }
}

/// Waits for `future` on the runtime, and calls `done` then, without arguments. `done` must be quick
/// and must not raise: `loop.call_soon_threadsafe` is meant.
pub(crate) fn call_after(
    future: impl Future<Output = ()> + Send + 'static,
    done: Py<PyAny>,
) -> PyResult<()> {
    let mut notices = None;
    let handle = of_process(|of_process| {
        let sender = match &of_process.notices {
            Some(sender) => sender.clone(),
            None => of_process.notices.insert(start_notices()?).clone(),
        };
        notices = Some(sender);
        Ok(())
    })?;
    handle.spawn(async move {
        future.await;
        // It ends with the process alone.
        if let Some(notices) = notices {
            notices.send(done).unwrap_or_default();
        }
    });
    Ok(())
}

fn start_notices() -> PyResult<Sender<Py<PyAny>>> {
    let (sender, receiver) = channel::<Py<PyAny>>();
    let thread = std::thread::Builder::new().name("lastline-notices".into());
    let started = thread.spawn(move || {
        for done in receiver {
            call(&done);
        }
    });
    started.map_err(|error| PyOSError::new_err(format!("cannot start a thread: {error}")))?;
    Ok(sender)
}

fn call(done: &Py<PyAny>) {
    let Some(_inside) = Inside::enter() else {
        return;
    };
    // An event loop that is closed does not want to know.
    Python::try_attach(|py| {
        if let Err(error) = done.call0(py) {
            tracing::debug!(%error, "nobody was told");
        }
    });
}

/// Something of the process that made it: a forked child leaves it alone, since threads that are not
/// there may hold its locks.
#[derive(Debug)]
pub(crate) struct OfThisProcess<T> {
    value: ManuallyDrop<T>,
    pid: u32,
}

impl<T> OfThisProcess<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value: ManuallyDrop::new(value), pid: std::process::id() }
    }

    fn check(&self) -> PyResult<()> {
        if self.pid == std::process::id() {
            return Ok(());
        }
        Err(PyRuntimeError::new_err(format!(
            "this job belongs to process {}: a forked child can do nothing with it",
            self.pid
        )))
    }

    pub(crate) fn get(&self) -> PyResult<&T> {
        self.check().map(|()| &*self.value)
    }

    pub(crate) fn get_mut(&mut self) -> PyResult<&mut T> {
        self.check()?;
        Ok(&mut self.value)
    }
}

impl<T> Drop for OfThisProcess<T> {
    fn drop(&mut self) {
        if self.pid == std::process::id() {
            #[expect(unsafe_code, reason = "a forked child must not drop it")]
            // SAFETY: it is not touched again, since this is its owner's drop.
            unsafe {
                ManuallyDrop::drop(&mut self.value);
            }
        }
    }
}
