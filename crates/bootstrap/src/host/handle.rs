//! A host at work, and what can be asked of it.

use std::collections::HashMap;
use std::sync::Arc;

use lastline_line::{Control, Launch, StopCause, StreamId};
use lastline_spawn::{Spawned, TerminalSize};
use lastline_tee::Tee;
use lastline_watch::{LAST_LINE_BYTES, cut_line};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::link::Link;
use super::recent::last_twenty_text;
use super::watch::{Event, Events};
use crate::driver::{Seen, Wanted};
use crate::{RankError, SpawnError};

/// A host at work. Dropping it stops nothing: it ends with its ranks, or when it is stopped.
#[derive(Debug)]
pub struct Host {
    handle: HostHandle,
    /// Gives why it was refused, when it was.
    task: JoinHandle<Option<String>>,
}

impl Host {
    pub(super) fn new(handle: HostHandle, task: JoinHandle<Option<String>>) -> Self {
        Self { handle, task }
    }

    /// A handle to it.
    pub fn handle(&self) -> HostHandle {
        self.handle.clone()
    }

    /// Waits until it has ended: all ranks and what they left, files closed, the driver told.
    ///
    /// # Errors
    ///
    /// When it was refused, its loop panicked, or its runtime ended before it.
    pub async fn wait(self) -> Result<(), SpawnError> {
        match self.task.await {
            Ok(None) => Ok(()),
            Ok(Some(why)) => Err(SpawnError::Refused { why }),
            Err(source) => Err(SpawnError::Supervisor { source }),
        }
    }
}

/// Steers a host from the process that it is in.
#[derive(Clone, Debug)]
pub struct HostHandle {
    events: Events,
    link: Arc<Link>,
}

impl HostHandle {
    pub(super) fn new(events: Events, link: Arc<Link>) -> Self {
        Self { events, link }
    }

    /// Stops the ranks: their groups are signalled at once. Called again it ends the grace.
    pub fn stop(&self, cause: StopCause) {
        self.events.send(Event::Control(Ok(Control::Stop { cause })));
    }

    /// Pauses the ranks' groups (SIGSTOP); returns when they have been signalled.
    pub async fn suspend(&self) {
        let (done, signalled) = oneshot::channel();
        self.events.send(Event::Suspend(done));
        // A host that is over has nobody to pause.
        signalled.await.unwrap_or_default();
    }

    /// Lets them go on (SIGCONT). No deadline counts the time in between.
    pub fn resume(&self) {
        self.events.send(Event::Resume);
    }

    /// Looks whether a rank stands still, and says once of each which signal has stopped it: to be
    /// called when this process got SIGCHLD. Not of those that [`suspend`](Self::suspend) has stopped.
    pub fn look_for_stopped(&self) {
        self.events.send(Event::LookForStopped);
    }

    /// Gives every rank's terminal this size.
    pub fn resize(&self, size: TerminalSize) {
        self.events.send(Event::Resize(size));
    }

    /// Starts a rank again that is over, as it was started first. Gives the number of the new
    /// start, which its streams bear.
    ///
    /// # Errors
    ///
    /// When there is no such rank, it runs, or the job is ending.
    pub async fn restart(&self, rank: u32) -> Result<Launch, RankError> {
        let (reply, launch) = oneshot::channel();
        self.events.send(Event::Restart { rank, reply });
        launch.await.unwrap_or(Err(RankError::Ending))
    }

    /// Reads a process that somebody else started as this rank.
    ///
    /// # Errors
    ///
    /// When that rank runs, or the job is ending.
    pub async fn attach(&self, rank: u32, spawned: Spawned) -> Result<Launch, RankError> {
        let (reply, launch) = oneshot::channel();
        self.events.send(Event::Attach { rank, spawned, reply });
        launch.await.unwrap_or(Err(RankError::Ending))
    }

    /// Sends SIGKILL to every rank's group, here and now: for a process that exits without waiting.
    pub fn kill_all(&self) {
        self.link.kill_all();
    }

    /// What has been read of every stream at any later time; nothing once the host is gone. Keeps
    /// nothing of the host alive.
    pub(crate) fn look(&self) -> impl Fn(Wanted) -> HashMap<StreamId, Seen> + Send + Sync + use<> {
        let link = Arc::downgrade(&self.link);
        move |wanted| {
            let tees = link.upgrade().map(|link| link.tees()).unwrap_or_default();
            tees.iter().map(|tee| (tee.stream(), seen(tee, wanted))).collect()
        }
    }
}

fn seen(tee: &Tee, wanted: Wanted) -> Seen {
    let (read_bytes, read_lines) = tee.counts();
    let last_lines = match wanted {
        Wanted::LastLine => {
            let last_line = tee.last_line(LAST_LINE_BYTES);
            vec![cut_line(&String::from_utf8_lossy(&last_line)).to_owned()]
        }
        Wanted::LastLines => last_twenty_text(tee),
    };
    Seen { read_bytes, read_lines, last_lines }
}
