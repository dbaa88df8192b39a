//! A finished job as one file, which needs no server.

use std::io;
use std::sync::Arc;

use lastline_jobs::FoundJob;
use lastline_line::RankSet;
use lastline_watch::{Activity, Snapshot};
use serde::Serialize;

use crate::around::{Around, around};
use crate::assets;
use crate::files::JobFiles;
use crate::live::COLUMNS;
use crate::past::{Past, Told, stands};
use crate::token::Token;

/// How much of the folded log is in it, in bytes of JSON.
const MOST_LOG_BYTES: usize = 4 << 20;
/// The times around the first failure that can be chosen, in seconds; those of `failure.js`.
const WINDOWS: [f64; 4] = [0.25, 1.0, 5.0, 30.0];

/// A job as one file.
#[derive(Debug)]
#[non_exhaustive]
pub struct Picture {
    /// The file.
    pub html: String,
    /// What is left out of it, in words, when something is.
    pub left_out: Option<String>,
}

#[derive(Serialize)]
struct Embedded {
    lastline: &'static str,
    snapshot: Snapshot,
    activity: Activity,
    around: Vec<Around>,
    entries: Vec<Told>,
}

/// The page of a job that is over, with its summary, its heat map, its first failure and its folded log
/// in it, as much as 4 MiB hold. Blocks for the disk.
///
/// # Errors
///
/// When the job's files cannot be read.
pub fn picture(job: &FoundJob) -> io::Result<Picture> {
    let files = Arc::new(JobFiles::open(job).map_err(io::Error::other)?);
    let (snapshot, activity) = stands(job, &files, COLUMNS).map_err(io::Error::other)?;
    let mut found = Vec::new();
    if let Some(failure) = &snapshot.first_failure
        && let Some(time) = failure.time
    {
        let mut ranks = RankSet::first(job.info.world_size);
        ranks.remove(failure.failure.rank);
        for seconds in WINDOWS {
            found.push(around(&files, &ranks, time, seconds)?);
        }
    }
    let (entries, left_out) = log(job, &files)?;
    let embedded = Embedded {
        lastline: env!("CARGO_PKG_VERSION"),
        snapshot,
        activity,
        around: found,
        entries,
    };
    let json = serde_json::to_string(&embedded)?;
    let nonce = Token::new()?;
    Ok(Picture { html: assets::page_with(&json, nonce.reveal()), left_out })
}

/// The end of the folded log, as much as there is room for, and a word on what is not in it.
fn log(job: &FoundJob, files: &Arc<JobFiles>) -> io::Result<(Vec<Told>, Option<String>)> {
    let mut entries: Vec<Told> = Vec::new();
    let mut past = Past::new(job, Arc::clone(files), None);
    while let Some(more) = past.next()? {
        entries.extend(more);
    }
    let mut room = MOST_LOG_BYTES;
    let mut kept = 0;
    for entry in entries.iter().rev() {
        let bytes = serde_json::to_vec(entry)?.len();
        if bytes > room {
            break;
        }
        room -= bytes;
        kept += 1;
    }
    let dropped = entries.len() - kept;
    entries.drain(..dropped);
    let mut left_out = match entries.first() {
        Some(Told::Note(note)) => Some(note.clone()),
        _ => None,
    };
    if dropped > 0 {
        let words = format!("{dropped} entries before this are left out of this page");
        entries.insert(0, Told::Note(words.clone()));
        left_out = Some(words);
    }
    Ok((entries, left_out))
}
