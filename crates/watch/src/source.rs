//! One job to look at, live while it runs, and from its files afterwards.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lastline_jobs::{FoundJob, JobDirError, JobState, JobsPlace, check_job_id};

use crate::activity::Activity;
use crate::archives::Archives;
use crate::change::Change;
use crate::clock::{now, pause};
use crate::connection::{Came, Connection, END_PATIENCE, FIRST_WORDS, LOOK_FOR_END, understand};
use crate::error::WatchError;
use crate::files::{activity_of, snapshot_of};
use crate::protocol::{Message, Request};
use crate::snapshot::{EndView, Snapshot};
use crate::socket::{control_path, control_path_of};

/// How often the files of a job are looked at that runs and does not answer.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// A job that is looked at: how it stands, and what happens to it.
///
/// A job that runs is asked over its control socket. One that does not answer there, or is over,
/// is read from its files, and asked again as often as they are; a live one goes over to them when it
/// ends, so that what was not told in its last moment is seen all the same. There is one way to ask for both: [`next`](Self::next).
#[derive(Debug)]
pub struct Source {
    job: Option<FoundJob>,
    socket: PathBuf,
    snapshot: Snapshot,
    activity: Activity,
    from: From,
}

#[derive(Debug)]
enum From {
    /// Over its control socket.
    Socket(Connection),
    /// From its files, which were looked at last then.
    Files { looked: Instant },
    /// It has said that it is over, then, or has closed its socket; its report is waited for.
    Ending { end: Option<EndView>, since: Instant },
    /// Nothing happens any more.
    Over,
}

/// What [`Source::next`] gives.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// These things happened, and are in the snapshot and the activity.
    Changed(Vec<Change>),
    /// Nothing happened in that time.
    TimedOut,
    /// The job is over, and nothing happens any more.
    Over,
}

impl Source {
    /// Looks at the job that `name` means in `place`: an id, a directory, or the latest for `None`.
    /// Activity is told in `max_columns` columns at most. A job without files is found by its id
    /// as long as it runs.
    ///
    /// # Errors
    ///
    /// When there is no such job, or it cannot be read.
    pub fn open(
        place: &JobsPlace,
        name: Option<&str>,
        max_columns: usize,
    ) -> Result<Self, WatchError> {
        let error = match place.find(name) {
            Ok(job) => return Self::of(job, max_columns),
            Err(error) => error,
        };
        let is_unknown = matches!(error, JobDirError::NoSuchJob { .. } | JobDirError::Gone { .. });
        let id = name.filter(|id| is_unknown && check_job_id(id).is_ok());
        let Some(socket) = id.map(control_path) else { return Err(error.into()) };
        match connect(&socket, FIRST_WORDS)? {
            Some((connection, snapshot)) => {
                let activity = activity_of(&snapshot, None, max_columns, now());
                Ok(Self { job: None, socket, snapshot, activity, from: From::Socket(connection) })
            }
            None => Err(error.into()),
        }
    }

    /// Looks at this job.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn of(job: FoundJob, max_columns: usize) -> Result<Self, WatchError> {
        let socket = control_path_of(&job);
        Self::with_socket(job, &socket, max_columns)
    }

    /// Looks at this job, which is asked there while it runs.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn with_socket(
        job: FoundJob,
        socket: &Path,
        max_columns: usize,
    ) -> Result<Self, WatchError> {
        let live = match job.state {
            JobState::Running => connect(socket, FIRST_WORDS)?,
            _ => None,
        };
        let archives = Archives::open(&job)?;
        let (snapshot, from) = match live {
            Some((connection, snapshot)) => (snapshot, From::Socket(connection)),
            None => {
                let over = job.state != JobState::Running;
                let files = From::Files { looked: Instant::now() };
                (snapshot_of(&job, &archives)?, if over { From::Over } else { files })
            }
        };
        let activity = activity_of(&snapshot, Some(&archives), max_columns, now());
        Ok(Self { job: Some(job), socket: socket.to_owned(), snapshot, activity, from })
    }

    /// The job on the disk; none when it has no files.
    pub fn job(&self) -> Option<&FoundJob> {
        self.job.as_ref()
    }

    /// How the job stands.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Who said how much when.
    pub fn activity(&self) -> &Activity {
        &self.activity
    }

    /// Whether something may still happen.
    pub fn is_live(&self) -> bool {
        !matches!(self.from, From::Over)
    }

    /// Whether the job itself tells what happens; its files do otherwise, which know less: not who
    /// has exited, and not what is shown.
    pub fn is_told(&self) -> bool {
        matches!(self.from, From::Socket(_))
    }

    /// What happened since the last call, waiting for `wait` at most until something does. Blocks;
    /// once the job is over, a call may take longer than that, for its files to be read.
    ///
    /// # Errors
    ///
    /// When the job cannot be read any more. The next call tries again.
    pub fn next(&mut self, wait: Duration) -> Result<Next, WatchError> {
        let deadline = Instant::now() + wait;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let changes = match &mut self.from {
                From::Socket(_) => self.hear(left)?,
                From::Files { .. } => self.look(left)?,
                From::Ending { .. } => self.look_for_end(left)?,
                From::Over => return Ok(Next::Over),
            };
            if !changes.is_empty() {
                self.take(&changes);
                return Ok(Next::Changed(changes));
            }
            if Instant::now() >= deadline && self.is_live() {
                self.activity.reach(now());
                return Ok(Next::TimedOut);
            }
        }
    }

    fn take(&mut self, changes: &[Change]) {
        let now = now();
        for change in changes {
            self.snapshot.apply(change.clone());
            self.activity.take(change, &self.snapshot, now);
        }
    }

    /// What the job says, as much of it as is here.
    fn hear(&mut self, wait: Duration) -> Result<Vec<Change>, WatchError> {
        let From::Socket(connection) = &mut self.from else { return Ok(Vec::new()) };
        let mut changes = Vec::new();
        let mut wait = wait;
        loop {
            match connection.next(wait)? {
                Came::TimedOut => return Ok(changes),
                Came::Closed => {
                    self.from = From::Ending { end: None, since: Instant::now() };
                    return Ok(changes);
                }
                Came::Line(line) => match understand(&line)? {
                    Some(Message::Event(Change::Ended(end))) => {
                        self.from = From::Ending { end: Some(end), since: Instant::now() };
                        return Ok(changes);
                    }
                    Some(Message::Event(change)) => changes.push(change),
                    _ => {}
                },
            }
            if !connection.is_ready() {
                return Ok(changes);
            }
            wait = Duration::ZERO;
        }
    }

    /// What the files of a job that does not answer have more than before.
    fn look(&mut self, wait: Duration) -> Result<Vec<Change>, WatchError> {
        let (From::Files { looked }, Some(job)) = (&mut self.from, &mut self.job) else {
            self.from = From::Over;
            return Ok(Vec::new());
        };
        let begun = Instant::now();
        pause(LOOK_AGAIN.saturating_sub(looked.elapsed()).min(wait));
        if looked.elapsed() < LOOK_AGAIN {
            return Ok(Vec::new());
        }
        *looked = Instant::now();
        *job = FoundJob::open(&job.dir)?;
        if job.state != JobState::Running {
            self.from = From::Over;
        } else if let Some((connection, told)) =
            connect(&self.socket, wait.saturating_sub(begun.elapsed()))?
        {
            self.from = From::Socket(connection);
            return Ok(self.snapshot.changes_to(&told));
        }
        let later = snapshot_of(job, &Archives::open(job)?)?;
        Ok(self.snapshot.changes_to(&later))
    }

    /// What the report of a job has that was not told, once it is there.
    fn look_for_end(&mut self, wait: Duration) -> Result<Vec<Change>, WatchError> {
        let From::Ending { end, since } = &self.from else { return Ok(Vec::new()) };
        let is_late = since.elapsed() >= END_PATIENCE;
        let end = end.clone();
        let Some(dir) = self.job.as_ref().map(|job| job.dir.clone()) else {
            self.from = From::Over;
            // Nobody says how it ended, if it did not.
            return Ok(vec![Change::Ended(end.unwrap_or_else(EndView::broken_off))]);
        };
        let job = FoundJob::open(&dir)?;
        if job.state != JobState::Running {
            let mut later = snapshot_of(&job, &Archives::open(&job)?)?;
            later.keep_told(&self.snapshot);
            (self.job, self.from) = (Some(job), From::Over);
            return Ok(self.snapshot.changes_to(&later));
        }
        match end {
            Some(end) if is_late => {
                self.from = From::Over;
                return Ok(vec![Change::Ended(end)]);
            }
            // It goes on, and does not tell any more.
            None if is_late => self.from = From::Files { looked: Instant::now() },
            _ => pause(LOOK_FOR_END.min(wait)),
        }
        Ok(Vec::new())
    }
}

/// Asks a job that runs; none when it does not answer within this time.
fn connect(
    socket: &Path,
    patience: Duration,
) -> Result<Option<(Connection, Snapshot)>, WatchError> {
    Connection::greet(socket, &Request::Watch, patience, |line| {
        Ok(match understand(line)? {
            Some(Message::Snapshot(snapshot)) => Some(*snapshot),
            _ => None,
        })
    })
}
