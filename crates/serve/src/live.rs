//! What a viewer is told of a job: how it stands, what happens, and what its console shows.
//!
//! All of it comes from the job's control socket, and is passed on as it is. Nothing is read there while
//! the viewer has not taken what came before.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use lastline_line::{Offset, StreamId, Timestamp};
use lastline_watch::protocol::{EntryMessage, Message, Request};
use lastline_watch::{Activity, Snapshot, activity_of, control_path};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

use crate::clock::now;
use crate::files::JobFiles;
use crate::past::{self, Past};
use crate::state::{Refusal, Shared, blocking, is_running};
use crate::told::Teller;

/// How much is passed on at once, in bytes, unless one line is longer.
const BATCH_BYTES: usize = 128 << 10;
/// How often a job whose socket does not answer is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
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
        match follow(shared, &found.info.job, &files, teller).await {
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
    let (job, teller) = (job.to_owned(), teller.clone());
    blocking(shared, move |shared| {
        let (found, files) = shared.files(&job)?;
        let past = Past::new(&found, &files, up_to);
        past.tell(&mut |entries| teller.tell_blocking("entries", &entries))
            .map_err(|error| Refusal::of(&error))
    })
    .await
}

/// One answer of the job's control socket.
struct Answer(BufReader<UnixStream>);

impl Answer {
    async fn ask(job: &str, request: &Request) -> io::Result<Self> {
        let mut socket = UnixStream::connect(control_path(job)).await?;
        socket.write_all(format!("{request}\n").as_bytes()).await?;
        Ok(Self(BufReader::with_capacity(64 << 10, socket)))
    }

    /// The next line. May be dropped while it waits, and then goes on with what it had in `line`.
    async fn next(&mut self, line: &mut String) -> io::Result<()> {
        match self.0.read_line(line).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Lines that follow at once, without waiting, as many as make a batch.
    async fn batch(&mut self, first: String) -> io::Result<Vec<String>> {
        let (mut bytes, mut lines) = (first.len(), vec![first]);
        while bytes < BATCH_BYTES && self.0.buffer().contains(&b'\n') {
            let mut line = String::new();
            self.next(&mut line).await?;
            bytes += line.len();
            lines.push(line);
        }
        Ok(lines)
    }

    /// The next message that is understood.
    async fn message<T>(
        &mut self,
        parse: impl Fn(&str) -> serde_json::Result<Option<T>>,
    ) -> io::Result<T> {
        loop {
            let mut line = String::new();
            self.next(&mut line).await?;
            if let Some(message) = parse(&line)? {
                return Ok(message);
            }
        }
    }
}

fn refused(why: &str) -> io::Error {
    io::Error::other(why.to_owned())
}

async fn snapshot_of(watch: &mut Answer) -> io::Result<Snapshot> {
    loop {
        match watch.message(Message::parse).await? {
            Message::Hello(_) => {}
            Message::Snapshot(snapshot) => return Ok(*snapshot),
            Message::Refused(refusal) => return Err(refused(&refusal.why)),
            _ => return Err(refused("it does not begin with a snapshot")),
        }
    }
}

async fn places_of(entries: &mut Answer) -> io::Result<BTreeMap<StreamId, Offset>> {
    loop {
        match entries.message(EntryMessage::parse).await? {
            EntryMessage::Hello(_) => {}
            EntryMessage::From(places) => {
                return Ok(places.iter().map(|shown| (shown.stream, shown.offset)).collect());
            }
            EntryMessage::Refused(refusal) => return Err(refused(&refusal.why)),
            _ => return Err(refused("it does not begin with places")),
        }
    }
}

/// Tells of a running job until its socket says no more; whether what its console shows was told, too.
async fn follow(
    shared: &Arc<Shared>,
    job: &str,
    files: &Arc<JobFiles>,
    teller: &Teller,
) -> io::Result<bool> {
    let mut watch = Answer::ask(job, &Request::Watch).await?;
    let snapshot = snapshot_of(&mut watch).await?;
    let files = Arc::clone(files);
    let (snapshot, activity) = tokio::task::spawn_blocking(move || {
        let activity = activity_of(&snapshot, Some(&files.archives()), COLUMNS, now());
        (snapshot, activity)
    })
    .await
    .map_err(io::Error::other)?;
    let stands = Stands { snapshot: &snapshot, activity: &activity, now: now(), live: true };
    teller.tell("snapshot", &stands).await;
    let mut entries = match begin_entries(shared, job, teller).await {
        Ok(entries) => Some(entries),
        Err(error) => {
            tracing::debug!(%error, job, "what its console shows is not told");
            None
        }
    };
    let told_entries = entries.is_some();
    let (mut change, mut entry) = (String::new(), String::new());
    loop {
        let next_entry = async {
            match &mut entries {
                Some(entries) => entries.next(&mut entry).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            next = watch.next(&mut change) => {
                if next.is_err() {
                    break;
                }
                let batch = watch.batch(std::mem::take(&mut change)).await?;
                let changes = batch.iter().filter_map(|line| event(line)).collect();
                if !teller.tell("changes", &Changes { changes, now: now() }).await {
                    break;
                }
            }
            next = next_entry => match (next, &mut entries) {
                (Ok(()), Some(answer)) => {
                    let batch = answer.batch(std::mem::take(&mut entry)).await?;
                    tell_entries(&batch, teller).await;
                }
                _ => entries = None,
            },
        }
    }
    // What the console showed last is told after what happened last.
    while let Some(answer) = &mut entries {
        match answer.next(&mut entry).await {
            Ok(()) => {
                let batch = answer.batch(std::mem::take(&mut entry)).await?;
                tell_entries(&batch, teller).await;
            }
            Err(_) => entries = None,
        }
    }
    Ok(told_entries)
}

/// Asks for what the console shows, and tells what it showed before.
async fn begin_entries(shared: &Arc<Shared>, job: &str, teller: &Teller) -> io::Result<Answer> {
    let mut entries = Answer::ask(job, &Request::Entries).await?;
    let places = places_of(&mut entries).await?;
    let told = tell_past(shared, job, Some(places), teller).await;
    told.map_err(|Refusal(_, why)| refused(&why))?;
    Ok(entries)
}

/// What happened, of a line that says so.
fn event(line: &str) -> Option<Box<RawValue>> {
    #[derive(serde::Deserialize)]
    struct Event {
        event: Box<RawValue>,
    }
    serde_json::from_str::<Event>(line).ok().map(|line| line.event)
}

/// Passes on messages about entries, each as it is.
async fn tell_entries(lines: &[String], teller: &Teller) -> bool {
    let messages = lines.iter().filter_map(|line| serde_json::from_str(line.trim()).ok());
    let messages: Vec<&RawValue> = messages.collect();
    teller.tell("entries", &messages).await
}
