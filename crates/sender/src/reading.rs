//! The thread that reads files back.

use std::io;
use std::sync::mpsc::{Sender, channel};

use tokio::sync::oneshot;

type Work = Box<dyn FnOnce() + Send>;

/// It is made when it is needed first, and kept. Not one of the runtime's, which panics where the
/// system has no thread left.
#[derive(Default)]
pub(crate) struct Reading(Option<Sender<Work>>);

impl Reading {
    /// Has `work` done there, after what was asked for before. An error of the receiver says that
    /// it panicked.
    ///
    /// # Errors
    ///
    /// When there is no thread, and none is to be had.
    pub(crate) fn run<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<oneshot::Receiver<T>> {
        let (done, result) = oneshot::channel();
        let work: Work = Box::new(move || {
            // Whoever waited may have gone.
            done.send(work()).map(drop).unwrap_or_default();
        });
        let unsent = match &self.0 {
            // The thread is gone when what it did has panicked.
            Some(queue) => queue.send(work).err().map(|unsent| unsent.0),
            None => Some(work),
        };
        if let Some(work) = unsent {
            self.0 = Some(start(work)?);
        }
        Ok(result)
    }
}

/// A thread that does `work` first.
fn start(work: Work) -> io::Result<Sender<Work>> {
    let (queue, more) = channel::<Work>();
    std::thread::Builder::new().name("lastline-readback".into()).spawn(move || {
        work();
        more.into_iter().for_each(|work| work());
    })?;
    Ok(queue)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_panics_is_told_and_the_next_gets_another_thread() {
        let mut reading = Reading::default();
        assert_eq!(reading.run(|| 1).unwrap().blocking_recv(), Ok(1));
        let panics = reading.run(|| panic!("as it should")).unwrap();
        assert!(panics.blocking_recv().is_err());
        lastline_testing::wait_until(|| reading.run(|| 2).unwrap().blocking_recv() == Ok(2));
    }
}
