//! The runtime that a job runs on.

use std::io;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

/// The most threads that read and send.
const MOST_WORKERS: usize = 4;
/// Threads and processes that a job needs beside those, and some to spare: while others start theirs,
/// too, those that were there a moment ago may be gone.
const BESIDE_WORKERS: usize = 12;
/// How long threads that have ended may take until the system counts them no more.
const SETTLE: Duration = Duration::from_millis(200);

/// Starts it, with a thread for each core, four at most; where the system has few threads left, with
/// none of its own, so that it runs on the calling one.
///
/// A runtime panics when it is refused a thread, and may hang after that: so it is asked for threads
/// only where there are some.
pub(crate) fn start() -> io::Result<Runtime> {
    let workers = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let workers = workers.min(MOST_WORKERS);
    let mut builder = if threads_are_there(workers + BESIDE_WORKERS) {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(workers);
        builder
    } else {
        tracing::debug!("few threads are to be had: the job runs on one");
        Builder::new_current_thread()
    };
    builder.thread_name("lastline-io").enable_all().build()
}

/// Whether so many threads can be had now: it has them all at once, and lets them go again.
fn threads_are_there(wanted: usize) -> bool {
    let before = count_threads();
    let mut all = Vec::with_capacity(wanted);
    let mut started = 0;
    for _ in 0..wanted {
        let (end, ended) = channel::<()>();
        let thread = std::thread::Builder::new().name("lastline-probe".into());
        // It ends when its sender is dropped.
        let Ok(handle) = thread.spawn(move || ended.recv().is_err()) else {
            break;
        };
        started += 1;
        all.push((end, handle));
    }
    for (end, handle) in all {
        drop(end);
        drop(handle.join());
    }
    // What is joined may be counted still, for a moment.
    let deadline = Instant::now() + SETTLE;
    while count_threads() > before && Instant::now() < deadline {
        std::thread::yield_now();
    }
    started == wanted
}

/// How many threads this process has; none where `/proc` does not say.
fn count_threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}
