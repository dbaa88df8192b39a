//! Telling watchers how a job stands, and what happens to it.
//!
//! One task looks at the job for all of them, when something is heard of it, a few times a second;
//! each has a task of its own, which compares what it told last with what is. So one that is slow
//! costs what it was told last, and nothing is queued for it.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lastline_watch::Snapshot;
use lastline_watch::protocol::{Hello, Message};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::watch;

use super::entries::Turns;
use super::slow::write_within;
use crate::driver::DriverHandle;
use crate::lock;

/// How often it is looked, at least, while somebody watches: output alone is no event.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// And at most.
const LOOK_AT_MOST: Duration = Duration::from_millis(100);
/// Looking takes at most one part in so many of a core's time.
const LOOK_SHARE: u32 = 20;

/// What is told to all watchers of a job.
#[derive(Debug)]
pub(super) struct Watching {
    looking: Arc<Looking>,
    turns: Turns,
}

#[derive(Debug)]
struct Looking {
    driver: DriverHandle,
    /// The job as it was seen last; none while nobody looks.
    seen: watch::Sender<Option<Arc<Snapshot>>>,
    /// A task looks.
    looks: Mutex<bool>,
}

impl Watching {
    pub(super) fn new(driver: DriverHandle) -> Self {
        let looks = Mutex::new(false);
        let looking = Looking { driver, seen: watch::Sender::new(None), looks };
        Self { looking: Arc::new(looking), turns: Turns::default() }
    }

    /// Who tells entries.
    pub(super) fn turns(&self) -> &Turns {
        &self.turns
    }

    /// Tells one watcher, until the job is over, or it goes.
    pub(super) async fn watch(
        &self,
        mut read: impl AsyncRead + Unpin,
        mut write: impl AsyncWrite + Unpin,
    ) -> io::Result<()> {
        let mut seen = self.looking.subscribe();
        let mut told: Option<Arc<Snapshot>> = None;
        let mut ignored = [0; 64];
        loop {
            let now = seen.borrow_and_update().clone();
            if let Some(now) = now {
                let lines = match &told {
                    Some(told) => events(told, &now),
                    None => opening(&now),
                };
                write_within(&mut write, &lines).await?;
                let over = now.ended.is_some();
                told = Some(now);
                if over {
                    return Ok(());
                }
            }
            tokio::select! {
                changed = seen.changed() => if changed.is_err() { return Ok(()) },
                // It has nothing more to say, but may go.
                bytes = read.read(&mut ignored) => if bytes? == 0 { return Ok(()) },
            }
        }
    }
}

impl Looking {
    /// What is seen from now on.
    fn subscribe(self: &Arc<Self>) -> watch::Receiver<Option<Arc<Snapshot>>> {
        let mut looks = lock(&self.looks);
        let seen = self.seen.subscribe();
        if !std::mem::replace(&mut *looks, true) {
            tokio::spawn(Arc::clone(self).look());
        }
        seen
    }

    /// Whether nobody watches; nobody looks then, either.
    fn is_left(&self) -> bool {
        let mut looks = lock(&self.looks);
        let left = self.seen.receiver_count() == 0;
        if left {
            *looks = false;
            self.seen.send_replace(None);
        }
        left
    }

    /// Looks as long as somebody watches and the job goes on.
    async fn look(self: Arc<Self>) {
        let mut changes = self.driver.changes();
        loop {
            let over = self.driver.is_over();
            let began = Instant::now();
            changes.mark_unchanged();
            let snapshot = Arc::new(self.driver.snapshot());
            let took = began.elapsed();
            self.seen.send_replace(Some(snapshot));
            if over {
                // Whoever comes later is told this, too.
                return;
            }
            let pause = LOOK_AT_MOST.max(took * LOOK_SHARE);
            tokio::select! {
                () = self.driver.ended() => {
                    if !self.driver.is_over() {
                        return;
                    }
                    continue;
                }
                () = tokio::time::sleep(pause) => {}
            }
            if self.is_left() {
                return;
            }
            tokio::select! {
                () = self.driver.ended() => {}
                _ = changes.changed() => {}
                () = tokio::time::sleep(LOOK_EVERY.saturating_sub(pause)) => {}
            }
        }
    }
}

fn opening(now: &Snapshot) -> Vec<u8> {
    let mut lines = Message::Hello(Hello::new(&now.job.id)).to_line();
    lines.extend(Message::Snapshot(Box::new(now.clone())).to_line());
    lines
}

fn events(told: &Snapshot, now: &Snapshot) -> Vec<u8> {
    let changes = told.changes_to(now).into_iter();
    changes.flat_map(|change| Message::Event(change).to_line()).collect()
}
