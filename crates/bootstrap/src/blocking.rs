//! Threads for what blocks: looking through `/proc`, closing files, writing reports.
//!
//! They are made before anything is started. The runtime would make one when it is needed, and
//! panic where the system has none left, which is when a job has to come to its end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

use crate::{SpawnError, lock};

type Work = Box<dyn FnOnce() + Send>;

/// A few threads that do one thing after the other. They end when this is dropped, each after what
/// it is at: nobody waits for a disk that hangs.
#[derive(Clone, Debug)]
pub(crate) struct Blocking(Sender<Work>);

impl Blocking {
    /// Starts so many threads of this name.
    pub(crate) fn start(name: &str, threads: usize) -> Result<Self, SpawnError> {
        let (queue, work) = channel();
        let work = Arc::new(Mutex::new(work));
        for _ in 0..threads {
            let work = Arc::clone(&work);
            let thread = std::thread::Builder::new().name(name.into());
            thread.spawn(move || do_all(&work)).map_err(SpawnError::thread)?;
        }
        Ok(Self(queue))
    }

    /// Has `work` done by the next thread that is free, whether or not anybody waits for what it
    /// comes to. An error of the receiver says that it panicked.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (done, result) = oneshot::channel();
        let work = Box::new(move || {
            // Whoever waited may have gone.
            done.send(work()).map(drop).unwrap_or_default();
        });
        self.0.send(work).expect("BUG: the threads live as long as this");
        result
    }
}

fn do_all(work: &Mutex<Receiver<Work>>) {
    loop {
        // Held while it waits: the others wait for the lock instead.
        let next = lock(work).recv();
        let Ok(next) = next else {
            return;
        };
        // A panic has been told of by then, and is the end of that work alone.
        drop(catch_unwind(AssertUnwindSafe(next)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_panics_ends_alone_and_what_hangs_holds_one_thread() {
        let blocking = Blocking::start("test", 2).unwrap();
        let (release, hung) = channel::<()>();
        let hangs = blocking.run(move || hung.recv().is_err());
        let panics = blocking.run(|| panic!("as it should"));
        let last = blocking.run(|| 7);
        assert_eq!(last.blocking_recv(), Ok(7));
        assert!(panics.blocking_recv().is_err());
        drop(release);
        assert_eq!(hangs.blocking_recv(), Ok(true));
    }
}
