//! The thread that starts ranks.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use lastline_spawn::{RankSpec, Spawner};
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
    requests: Sender<(RunId, u32)>,
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
        let (requests, requested) = channel();
        let wanted = Arc::new(AtomicBool::new(true));
        let (end, ended) = oneshot::channel();
        let still_wanted = Arc::clone(&wanted);
        std::thread::Builder::new().name("lastline-spawner".into()).spawn(move || {
            spawn_all(spawner, specs, &requested, &still_wanted, &link, &events);
            // The host may be gone.
            end.send(()).unwrap_or_default();
        })?;
        Ok(Self { wanted, requests, ended: Some(ended) })
    }

    /// A rank is to be started.
    pub(super) fn request(&self, run: RunId, rank: u32) {
        if self.requests.send((run, rank)).is_err() {
            tracing::error!(rank, "the thread that starts ranks is gone");
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
    requested: &Receiver<(RunId, u32)>,
    wanted: &AtomicBool,
    link: &Link,
    events: &Events,
) {
    for (run, rank) in requested {
        link.start_begins();
        let result = if wanted.load(Ordering::Acquire) {
            spawner.spawn(specs(rank))
        } else {
            Err(io::Error::other("the job was stopped before it was started"))
        };
        events.send(Event::Started { run, result });
    }
    spawner.dismiss();
}
