//! The thread that starts ranks.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lastline_spawn::{RankSpec, Spawned, Spawner};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::link::Link;
use super::ranks::RunId;
use super::watch::{Event, Events};

/// Makes what a rank is started from.
pub(super) type MakeSpec = Box<dyn FnMut(u32) -> RankSpec + Send>;

/// Starts ranks from one thread, which lives as long as the job: a parent-death signal that a rank
/// asks for is about the thread that started it. Dropping it dismisses the spawner.
#[derive(Debug)]
pub(super) struct Spawning {
    wanted: Arc<AtomicBool>,
    requests: UnboundedSender<(RunId, u32)>,
    link: Arc<Link>,
    events: Events,
    ended: Option<oneshot::Receiver<()>>,
}

impl Spawning {
    /// Starts the thread, which starts nothing yet.
    pub(super) fn start(
        spawner: Box<dyn Spawner>,
        specs: MakeSpec,
        link: Arc<Link>,
        events: Events,
    ) -> io::Result<Self> {
        let (requests, requested) = unbounded_channel();
        let wanted = Arc::new(AtomicBool::new(true));
        let (end, ended) = oneshot::channel();
        let still_wanted = Arc::clone(&wanted);
        let (own_link, own_events) = (Arc::clone(&link), events.clone());
        std::thread::Builder::new().name("lastline-spawner".into()).spawn(move || {
            let answers = Answers { requested, at: None, link, events };
            spawn_all(spawner, specs, answers, &still_wanted);
            // The host may be gone.
            end.send(()).unwrap_or_default();
        })?;
        Ok(Self { wanted, requests, link: own_link, events: own_events, ended: Some(ended) })
    }

    /// A rank is to be started.
    pub(super) fn request(&self, run: RunId, rank: u32) {
        if self.requests.send((run, rank)).is_err() {
            self.link.start_begins();
            self.events.send(Event::Started { run, result: Err(failed()) });
        }
    }

    /// No rank is started any more; those that were to be are told as refused.
    pub(super) fn stop_starting(&self) {
        self.wanted.store(false, Ordering::Release);
    }

    /// Dismisses the spawner, and waits for that.
    pub(super) async fn finish(mut self) {
        let ended = self.ended.take();
        drop(self);
        if let Some(ended) = ended {
            // An error says the same: the thread is gone.
            ended.await.unwrap_or_default();
        }
    }
}

fn spawn_all(
    mut spawner: Box<dyn Spawner>,
    mut specs: MakeSpec,
    mut answers: Answers,
    wanted: &AtomicBool,
) {
    while let Some(rank) = answers.next() {
        let result = if wanted.load(Ordering::Acquire) {
            spawner.spawn(specs(rank))
        } else {
            Err(io::Error::other("the job was stopped before it was started"))
        };
        answers.answer(result);
    }
    spawner.dismiss();
}

/// Whoever asks for a start is answered, also when a spawner or what changes a rank's start panics:
/// the host would wait for ever.
struct Answers {
    requested: UnboundedReceiver<(RunId, u32)>,
    /// What is being started.
    at: Option<RunId>,
    link: Arc<Link>,
    events: Events,
}

impl Answers {
    /// Waits for the next start that is asked for: its rank.
    fn next(&mut self) -> Option<u32> {
        let (run, rank) = self.requested.blocking_recv()?;
        self.link.start_begins();
        self.at = Some(run);
        Some(rank)
    }

    fn answer(&mut self, result: io::Result<Spawned>) {
        if let Some(run) = self.at.take() {
            self.events.send(Event::Started { run, result });
        }
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.answer(Err(failed()));
        // What is asked for after this is answered by who asks.
        self.requested.close();
        while let Ok((run, _)) = self.requested.try_recv() {
            self.link.start_begins();
            self.at = Some(run);
            self.answer(Err(failed()));
        }
    }
}

fn failed() -> io::Error {
    io::Error::other("the thread that starts ranks has failed")
}
