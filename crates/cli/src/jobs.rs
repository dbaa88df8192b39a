//! `lastline jobs`, `lastline report`, `lastline prune` and `lastline flush`.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use lastline_bootstrap::{control_path, control_path_of};
use lastline_jobs::{FoundJob, JobState, JobsPlace, Retention, check_job_id, rebuild_report};
use lastline_line::BarrierOutcome;
use rustix::process::geteuid;

use crate::args::PruneOptions;
use crate::summary::harmless;
use crate::units::bytes;
use crate::via::Url;
use crate::{exit, notices, pages, via};

/// The width of a row where there is no terminal, in characters.
const MAX_COLUMNS: usize = 1000;
/// So much of a command is always told, in characters.
const MIN_COMMAND: usize = 20;

/// The job that a word means: an id, a directory, or the latest one.
pub(crate) fn find(job: Option<&OsStr>) -> anyhow::Result<FoundJob> {
    match job.map(|job| job.to_str().ok_or(job)) {
        None => Ok(JobsPlace::of_user()?.find(None)?),
        Some(Ok(job)) => Ok(JobsPlace::of_user()?.find(Some(job))?),
        // No id is so; a directory may be.
        Some(Err(dir)) => Ok(FoundJob::open(Path::new(dir))?),
    }
}

/// A job that is asked for something while it runs.
pub(crate) struct Asked {
    pub(crate) id: String,
    /// What it was called.
    pub(crate) word: String,
    /// Where it is asked; nowhere when it is over.
    pub(crate) socket: Option<PathBuf>,
}

impl Asked {
    /// The job that a word means: an id, a directory that holds the job, or the latest one. One without
    /// files is known by its id alone.
    pub(crate) fn new(word: Option<&str>) -> anyhow::Result<Self> {
        // One that answers is asked, and not its disk, which may not.
        if let Some(word) = word.filter(|word| check_job_id(word).is_ok())
            && control_path(word).exists()
        {
            return Ok(Self::of_id(word));
        }
        let job = match find(word.map(OsStr::new)) {
            Ok(job) => job,
            Err(none) => return Self::without_files(word, none),
        };
        let id = job.info.job.clone();
        let is_called_by_id = word.is_none_or(|word| word == id);
        let may_answer = job.state == JobState::Running || job.info.control.is_none();
        let socket = match may_answer {
            true => Some(control_path_of(&job)),
            // Another one of its id may run that has no files.
            false => is_called_by_id.then(|| control_path(&id)),
        };
        Ok(Self { word: word.map_or_else(|| id.clone(), str::to_owned), id, socket })
    }

    fn of_id(id: &str) -> Self {
        Self { id: id.to_owned(), word: id.to_owned(), socket: Some(control_path(id)) }
    }

    fn without_files(word: Option<&str>, none: anyhow::Error) -> anyhow::Result<Self> {
        let Some(word) = word else { return Err(none) };
        match check_job_id(word) {
            Ok(()) => Ok(Self::of_id(word)),
            Err(_) if Path::new(word).is_dir() => Err(none),
            Err(bad) => Err(bad.into()),
        }
    }

    /// Has it answer, or says why it does not, and what to do instead: where it has a driver elsewhere,
    /// which is met at `via`, how there is one here.
    pub(crate) fn ask<T>(
        &self,
        via: Option<&Url>,
        request: impl FnOnce(&Path) -> std::io::Result<T>,
    ) -> anyhow::Result<T> {
        let over = || Err(ErrorKind::NotFound.into());
        let answered = self.socket.as_deref().map_or_else(over, request);
        answered.map_err(|error| match via {
            Some(url) => anyhow::Error::new(error).context(format!(
                "no driver speaks for job `{0}`: `lastline attach --via {url} --job {0}` is one",
                self.id
            )),
            None => no_answer(&self.word, error),
        })
    }
}

/// Lists the jobs, oldest first: id, when, ranks, exit, size, command.
pub(crate) fn jobs() -> anyhow::Result<u8> {
    let place = JobsPlace::of_user()?;
    place.check_readable()?;
    let (found, unreadable) = (place.list(), place.unreadable());
    let columns = columns();
    let mut rows = vec![["JOB", "STARTED", "RANKS", "EXIT", "SIZE", "COMMAND"].map(String::from)];
    rows.extend(found.iter().map(row));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..5).map(|column| width(column).unwrap_or(0)).collect();
    let before = widths.iter().map(|width| width + 2).sum();
    let mut text = String::new();
    for [id, started, ranks, exit, size, command] in &rows {
        let command = shortened(command, columns.saturating_sub(before));
        writeln!(
            text,
            "{id:0$}  {started:1$}  {ranks:>2$}  {exit:3$}  {size:>4$}  {command}",
            widths[0], widths[1], widths[2], widths[3], widths[4],
        )
        .expect("BUG: writing to a string cannot fail");
    }
    let code = pages::print(text.as_bytes())?;
    let is_whole = unreadable.is_empty();
    for error in unreadable {
        notices::say(&format!("a job is not listed: {:#}", anyhow::Error::new(error)));
    }
    Ok(if is_whole { code } else { exit::FAILURE })
}

fn row(job: &FoundJob) -> [String; 6] {
    let exit = match &job.state {
        JobState::Running => String::from("running"),
        JobState::Broken => String::from("broken"),
        JobState::Finished(report) => exit::of_report(report, true, job.info.strict).to_string(),
        _ => String::from("?"),
    };
    let started: Result<jiff::Timestamp, _> = job.info.started.parse();
    let local = |at: jiff::Timestamp| {
        at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S%:z").to_string()
    };
    let started = started.map_or_else(|_| job.info.started.clone(), local);
    let command = harmless(&job.info.command.join(" "));
    let size = bytes(job.bytes());
    [job.info.job.clone(), started, job.info.world_size.to_string(), exit, size, command]
}

/// How wide a row may be: as the terminal is, or as what reads lines can take.
fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok();
    let columns = size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0);
    columns.unwrap_or(MAX_COLUMNS)
}

/// The start of a text that is longer than `most` characters, of which few are always left.
fn shortened(text: &str, most: usize) -> String {
    let most = most.max(MIN_COMMAND);
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most - 1).chain(['…']).collect(),
    }
}

/// Prints the report of a job that is over; says where it is not the one that was written.
pub(crate) fn report(job: Option<&OsStr>) -> anyhow::Result<u8> {
    let job = find(job)?;
    match (&job.damage, &job.state) {
        (Some(damage), JobState::Finished(_)) => notices::say(damage),
        (Some(damage), _) => notices::say(&format!("{damage}; rebuilt from the job's files")),
        (None, JobState::Broken) => {
            notices::say("no report was written; rebuilt from the job's files");
        }
        (None, _) => {}
    }
    let report = match &job.state {
        JobState::Running => anyhow::bail!(
            "the job still runs; its report comes at its end (`lastline top` shows how it does)"
        ),
        JobState::Finished(report) => (**report).clone(),
        _ => rebuild_report(&job).context("cannot read the job's files")?,
    };
    let mut text = serde_json::to_vec_pretty(&report).context("cannot print the report")?;
    text.push(b'\n');
    let code = pages::print(&text)?;
    Ok(if job.damage.is_some() { exit::FAILURE } else { code })
}

/// Removes jobs, and prints the ids of those that it removed; says which are off the list alone, and which
/// it could not remove.
pub(crate) fn prune(options: &PruneOptions) -> anyhow::Result<u8> {
    let mut retention = Retention::default();
    retention.max_jobs = options.keep;
    retention.max_age = options.older_than;
    retention.max_bytes = options.max_size;
    let place = JobsPlace::of_user()?;
    place.check_readable()?;
    let pruned = place.prune(&retention);
    for (job, dir) in &pruned.unlisted {
        let dir = harmless(&dir.display().to_string());
        notices::say(&format!("{job} is off the list; its files stay in {dir}"));
    }
    for (job, why) in &pruned.kept {
        notices::say(&format!("kept {job}: {}", harmless(&why.to_string())));
    }
    let removed = pruned.removed.into_iter();
    let code = pages::print(removed.map(|job| job + "\n").collect::<String>().as_bytes())?;
    // What has begun again meanwhile, or has somebody else's files, is kept on purpose.
    let is_meant = |why: &std::io::Error| {
        matches!(why.kind(), ErrorKind::ResourceBusy | ErrorKind::DirectoryNotEmpty)
    };
    Ok(if pruned.kept.iter().all(|(_, why)| is_meant(why)) { code } else { exit::FAILURE })
}

/// Why a job does not answer, and what to type instead where it is over.
fn no_answer(word: &str, error: std::io::Error) -> anyhow::Error {
    let job = match find(Some(OsStr::new(word))) {
        Ok(job) => job,
        Err(none) => return none,
    };
    if job.state != JobState::Running {
        return anyhow::anyhow!(
            "no running job `{word}` answers: it is over, and nothing more comes of it; `lastline logs \
             {word}` has what it printed"
        );
    }
    let owner = std::fs::metadata(&job.dir).ok().map(|dir| dir.uid());
    if let Some(owner) = owner.filter(|owner| *owner != geteuid().as_raw()) {
        return anyhow::anyhow!(
            "the job `{word}` runs, and is another user's (id {owner}), who alone can ask it"
        );
    }
    if error.kind() != ErrorKind::NotFound {
        return anyhow::Error::new(error)
            .context(format!("the job `{word}` runs and does not answer"));
    }
    match &job.info.control {
        Some(socket) => anyhow::anyhow!(
            "the job `{word}` runs, and its socket {} is not there: it could not be made, as the job said \
             when it began, or was removed, or is on another machine; `kill {}` ends the job where it runs",
            socket.display(),
            job.info.pid
        ),
        None => anyhow::anyhow!(
            "the job `{word}` runs, and no driver of it answers here: where its hosts meet one elsewhere, \
             `--via URL` asks that; a driver of another XDG_RUNTIME_DIR or XDG_STATE_HOME is asked from there"
        ),
    }
}

/// Asks a running job for a barrier and prints its verdict; 0 when all streams were reached.
pub(crate) fn flush(job: &str, via: Option<&Url>) -> anyhow::Result<u8> {
    let answer = via::stop::flush(&Asked::new(Some(job))?, via)?;
    let short: String = answer.shortfalls().map(|words| words + "\n").collect();
    pages::print(format!("{}\n{short}", answer.verdict).as_bytes())?;
    Ok(if answer.verdict == BarrierOutcome::Reached { exit::SUCCESS } else { exit::FAILURE })
}
