//! What a viewer is told of a job: how it stands, what happens, and what its console shows.
//!
//! All of it comes from the job's control socket, and is passed on as it is. Nothing is read there while
//! the viewer has not taken what came before.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lastline_jobs::FoundJob;
use lastline_line::{Offset, StreamId, Timestamp};
use lastline_watch::protocol::Request;
use lastline_watch::{Activity, Snapshot, activity_of, control_path_of, now};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::answer::{Answer, next_of, places_of, refused, snapshot_of};
use crate::files::JobFiles;
use crate::past::{self, Past};
use crate::state::{Refusal, Shared, blocking, is_running};
use crate::told::Teller;

/// How often a job whose socket does not answer is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// How long a viewer may take nothing of the past while others wait to be told theirs.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many columns the page's activity has.
pub(crate) const COLUMNS: usize = 240;

/// How a job stands.
#[derive(Serialize)]
struct Stands<'a> {
    snapshot: &'a Snapshot,
    activity: &'a Activity,
    now: Timestamp,
    live: bool,
}

#[derive(Serialize)]
struct Changes {
    changes: Vec<Box<RawValue>>,
    now: Timestamp,
}

/// Tells a viewer of a job until that is over and all of it is told, or the viewer is gone.
pub(crate) async fn tell(shared: Arc<Shared>, job: String, teller: Teller) {
    tokio::select! {
        () = teller.gone() => {}
        told = tell_all(&shared, &job, &teller) => {
            if let Err(Refusal(_, why)) = told {
                teller.tell("trouble", &Trouble { why }).await;
            }
        }
    }
}

#[derive(Serialize)]
struct Trouble {
    why: String,
}

async fn tell_all(shared: &Arc<Shared>, job: &str, teller: &Teller) -> Result<(), Refusal> {
    let id = job.to_owned();
    let mut told_entries = false;
    loop {
        let wanted = id.clone();
        let (found, files) = blocking(shared, move |shared| shared.files(&wanted)).await?;
        if !is_running(&found) {
            break;
        }
        if told_entries {
            teller.tell("restart", &()).await;
        }
        match follow(shared, &found, &files, teller).await {
            Ok(told) => told_entries |= told,
            Err(error) => tracing::debug!(%error, job, "its socket does not answer"),
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    let stands = blocking(shared, move |shared| {
        let (found, files) = shared.files(&id)?;
        past::stands(&found, &files, COLUMNS).map_err(|error| Refusal::of(&error))
    });
    let (snapshot, activity) = stands.await?;
    let stands = Stands { snapshot: &snapshot, activity: &activity, now: now(), live: false };
    teller.tell("snapshot", &stands).await;
    if !told_entries {
        tell_past(shared, job, None, teller).await?;
    }
    teller.tell("over", &()).await;
    Ok(())
}

/// Tells what was shown up to these places, or all of it, as far as a page goes back.
async fn tell_past(
    shared: &Arc<Shared>,
    job: &str,
    up_to: Option<BTreeMap<StreamId, Offset>>,
    teller: &Teller,
) -> Result<(), Refusal> {
    let job = job.to_owned();
    let begun = blocking(shared, move |shared| {
        let (found, files) = shared.files(&job)?;
        Ok(Past::new(&found, files, up_to.as_ref()))
    });
    // Held while it is told: what it takes is there for few viewers at once.
    let turn = shared.pasts.acquire().await;
    let mut past = begun.await?;
    loop {
        // Nobody reads files while a viewer takes its time.
        let next = blocking(shared, move |_| {
            let batch = past.next().map_err(|error| Refusal::of(&error))?;
            Ok((past, batch))
        });
        let batch;
        (past, batch) = next.await?;
        let Some(entries) = batch else { return Ok(()) };
        if tokio::time::timeout(PATIENCE, teller.tell("entries", &entries)).await.is_err() {
            break;
        }
    }
    drop((past, turn));
    let words = "more of what was said before is left out: this page was too slow for it";
    teller.tell("entries", &[past::Told::Note(words.into())]).await;
    Ok(())
}

/// Tells of a running job until its socket says no more; whether what its console shows was told, too.
async fn follow(
    shared: &Arc<Shared>,
    found: &FoundJob,
    files: &Arc<JobFiles>,
    teller: &Teller,
) -> io::Result<bool> {
    let (job, socket) = (&*found.info.job, control_path_of(found));
    let mut watch = Answer::ask(&socket, &Request::Watch).await?;
    let snapshot = snapshot_of(&mut watch).await?;
    let files = Arc::clone(files);
    let with_activity = move || {
        let activity = activity_of(&snapshot, Some(files.archives()), COLUMNS, now());
        (snapshot, activity)
    };
    let done = tokio::task::spawn_blocking(with_activity).await;
    let (snapshot, activity) = done.map_err(io::Error::other)?;
    let stands = Stands { snapshot: &snapshot, activity: &activity, now: now(), live: true };
    teller.tell("snapshot", &stands).await;
    let entries = match begin_entries(shared, job, &socket, teller).await {
        Ok(entries) => Some(entries),
        Err(error) => {
            tracing::debug!(%error, job, "what its console shows is not told");
            None
        }
    };
    let told_entries = entries.is_some();
    Followed { watch, entries, teller }.pass_on().await?;
    Ok(told_entries)
}

/// A running job, and who is told of it.
struct Followed<'a> {
    watch: Answer,
    /// None where it does not say what its console shows, or not any more.
    entries: Option<Answer>,
    teller: &'a Teller,
}

impl Followed<'_> {
    /// Passes on what comes until nothing more does: what the console showed last after what happened
    /// last.
    async fn pass_on(mut self) -> io::Result<()> {
        let (mut change, mut entry) = (Vec::new(), Vec::new());
        loop {
            tokio::select! {
                next = self.watch.next(&mut change) => match next {
                    Ok(()) => self.tell_changes(&mut change).await?,
                    Err(_) => break,
                },
                next = next_of(&mut self.entries, &mut entry) => {
                    self.tell_entries(next, &mut entry).await?;
                }
            }
        }
        while self.entries.is_some() {
            let next = next_of(&mut self.entries, &mut entry).await;
            self.tell_entries(next, &mut entry).await?;
        }
        Ok(())
    }

    async fn tell_changes(&mut self, first: &mut Vec<u8>) -> io::Result<()> {
        let batch = self.watch.batch(first).await?;
        let changes = batch.iter().filter_map(|line| event(line)).collect();
        self.teller.tell("changes", &Changes { changes, now: now() }).await;
        Ok(())
    }

    /// Passes on messages about entries, each as it is.
    async fn tell_entries(&mut self, next: io::Result<()>, first: &mut Vec<u8>) -> io::Result<()> {
        match (next, &mut self.entries) {
            (Ok(()), Some(entries)) => {
                let batch = entries.batch(first).await?;
                let messages = batch.iter().filter_map(|line| serde_json::from_slice(line).ok());
                let messages: Vec<&RawValue> = messages.collect();
                self.teller.tell("entries", &messages).await;
            }
            _ => self.entries = None,
        }
        Ok(())
    }
}

/// Asks for what the console shows, and tells what it showed before.
async fn begin_entries(
    shared: &Arc<Shared>,
    job: &str,
    socket: &Path,
    teller: &Teller,
) -> io::Result<Answer> {
    let mut entries = Answer::ask(socket, &Request::Entries).await?;
    let places = places_of(&mut entries).await?;
    let told = tell_past(shared, job, Some(places), teller).await;
    told.map_err(|Refusal(_, why)| refused(&why))?;
    Ok(entries)
}

/// What happened, of a line that says so.
fn event(line: &[u8]) -> Option<Box<RawValue>> {
    #[derive(serde::Deserialize)]
    struct Event {
        event: Box<RawValue>,
    }
    serde_json::from_slice::<Event>(line).ok().map(|line| line.event)
}
