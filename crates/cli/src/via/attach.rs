//! `lastline attach`: shows a job whose ranks run elsewhere.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use lastline_bootstrap::{
    Console, ControlSocket, DriverBuilder, DriverHandle, Files, Plan, Report, TerminalSize,
    control_path,
};
use lastline_client::Labels;
use lastline_jobs::{DrivenDir, FoundJob, JobInfo, JobsPlace, SEEN_FILE, check_job_id, make_dir};
use lastline_line::{Fold, RankSet, Resume};

use super::Url;
use super::args::{AttachOptions, From};
use super::seen::{self, Noted, Places};
use crate::console::Look;
use crate::signals::{Signals, Steered};
use crate::summary::{Above, Logs};
use crate::values::FoldMode;
use crate::{console, exit, folding, notices, runtime, summary};

/// Ranks that are started at about the same time come sooner.
const SOON: Duration = Duration::from_secs(5);

/// Shows the job to its end; its exit code.
pub(crate) fn attach(options: AttachOptions) -> anyhow::Result<u8> {
    check_job_id(&options.job)?;
    let dir = dir(&options)?;
    let _emptied = dir.clone().filter(|_| options.log_dir.is_none()).map(RemovedIfEmpty);
    let driven = dir.as_deref().and_then(|dir| driven(&options, dir));
    let runtime = runtime::start().context("cannot start the runtime")?;
    let (strict, quiet, way_out) = (options.strict, options.quiet, options.teardown_timeout);
    let report = runtime.block_on(drive(options, dir.as_deref(), driven));
    notices::end_drawing();
    let report = report?;
    if quiet {
        summary::print_not_started(&report);
    } else {
        // Nothing of a job of which nobody came is kept.
        let place = dir.as_deref().filter(|_| !report.ranks.is_empty());
        let logs = place.and_then(|dir| FoundJob::open(dir).ok()).map(|job| Logs::of(&job));
        summary::print(&report, logs.as_ref(), Above::Other);
        if !report.teardown.iter().any(|stage| stage.timed_out) {
            notices::finish(way_out);
        }
    }
    runtime.shutdown_background();
    Ok(exit::of_report(&report, true, strict))
}

/// The directory of the job, which hosts on this machine have files in; none where there can be none.
fn dir(options: &AttachOptions) -> anyhow::Result<Option<PathBuf>> {
    let path = match (&options.log_dir, JobsPlace::of_user()) {
        (Some(dir), _) => dir.clone(),
        (None, Ok(place)) => place.dir_of(&options.job),
        (None, Err(error)) => {
            tracing::warn!("the report is kept nowhere: {error}");
            return Ok(None);
        }
    };
    Ok(Some(make_dir(&path)?))
}

/// A directory that was made for a job, which may turn out not to be one: nothing may come of it.
struct RemovedIfEmpty(PathBuf);

impl Drop for RemovedIfEmpty {
    fn drop(&mut self) {
        // One that has something in it stays.
        std::fs::remove_dir(&self.0).unwrap_or_default();
    }
}

/// Says in the job's directory that it is shown from here.
fn driven(options: &AttachOptions, dir: &Path) -> Option<(DrivenDir, JobInfo)> {
    let mut info = JobInfo::new(&options.job, Vec::new(), 0);
    (info.strict, info.control) = (options.strict, Some(control_path(&options.job)));
    info.via = Some(options.via.to_string());
    match DrivenDir::create(dir, &info) {
        Ok(driven) => Some((driven, info)),
        Err(error) => {
            tracing::warn!("the job may not be found here while it runs: {error}");
            None
        }
    }
}

/// Adds what the first host says of the job; until this is over it is found by it.
async fn learn((driven, mut info): (DrivenDir, JobInfo), driver: DriverHandle) {
    let mut changes = driver.watch();
    let known = async { while driver.world_size().is_none() && changes.next().await.is_some() {} };
    tokio::select! {
        () = known => {}
        _ = driver.wait() => return,
    }
    let job = driver.snapshot().job;
    (info.world_size, info.command) = (job.world_size, job.command);
    if let Err(error) = driven.learn(&info) {
        tracing::debug!(%error, "what hosts say of the job is not in its directory");
    }
    drop(driver.wait().await);
}

async fn drive(
    options: AttachOptions,
    dir: Option<&Path>,
    driven: Option<(DrivenDir, JobInfo)>,
) -> anyhow::Result<Arc<Report>> {
    let seen = dir.map(|dir| dir.join(SEEN_FILE));
    let resume = resume(options.from, seen.as_deref())?;
    let end = options.via.driver(&options.job, resume.clone(), options.lost_after).await?;
    if end.was_over {
        notices::say(&format!(
            "job {} is over: this is what {} has kept of it; a new one needs another id, or `run --overwrite`",
            options.job, options.via
        ));
    }
    let places = seen.map(|path| Places::new(path, &resume));
    let signals = Signals::register_without_hangup()?;
    let console = console(&options, places);
    let plan = plan(&options, dir);
    // What hosts have unless they were told otherwise.
    let grace = plan.effective_grace();
    let mut driver = DriverBuilder::new(plan, console).lost_after(options.lost_after);
    if let Some(action) = options.on_failure {
        driver = driver.on_failure(action.into());
    }
    let driver = driver.start(end.inbox)?.handle();
    let control = ControlSocket::open(&control_path(&options.job), driver.clone());
    signals.listen(Steered::Driver(driver.clone()), grace, TerminalSize::of_driver);
    if std::io::stderr().is_terminal() {
        let (url, job) = (&options.via, &options.job);
        notices::say(&format!(
            "waiting for ranks of job {job} at {url}; Ctrl-C stops the job; when this terminal goes, it \
             runs on"
        ));
    }
    tokio::spawn(say_who_has_not_come(driver.clone(), options.via.clone(), options.job.clone()));
    let found = driven.map(|driven| tokio::spawn(learn(driven, driver.clone())));
    let report = driver.wait().await;
    drop(control);
    if let Some(found) = found {
        drop(found.await);
    }
    if (end.stop_is_pending)() {
        let (url, job) = (&options.via, &options.job);
        tracing::warn!(
            "the broker is away, and no host was told to stop: the ranks run on; `lastline stop --via {url} {job}` \
             tells them when it is back"
        );
    }
    if let Some(listens) = end.listens {
        listens.close().await;
    }
    Ok(report?)
}

/// Says once which ranks have not come, where that is not soon.
async fn say_who_has_not_come(driver: DriverHandle, via: Url, job: String) {
    tokio::time::sleep(SOON).await;
    let came: RankSet = driver.ranks().iter().map(|rank| rank.rank).collect();
    let missing: RankSet = match driver.world_size() {
        None => {
            return notices::say(&format!(
                "waiting for the ranks of job {job}: none has come to {via} yet"
            ));
        }
        Some(ranks) => (0..ranks).filter(|rank| !came.contains(*rank)).collect(),
    };
    if !missing.is_empty() {
        let (s, has) = if missing.len() == 1 { ("", "has") } else { ("s", "have") };
        notices::say(&format!(
            "waiting for rank{s} {missing} of job {job}, which {has} not come yet"
        ));
    }
}

/// From where output is wanted.
fn resume(from: From, seen: Option<&Path>) -> anyhow::Result<Resume> {
    match (from, seen) {
        (From::Start, _) | (From::LastSeen, None) => Ok(Resume::Start),
        (From::Now, _) => Ok(Resume::Now),
        (From::LastSeen, Some(path)) => {
            seen::last(path).with_context(|| format!("cannot read {}", path.display()))
        }
    }
}

fn console(options: &AttachOptions, places: Option<Places>) -> Console {
    let labels = Labels::default();
    let look = Look { draws: true, ..options.look.look(None) };
    let printer = Noted::new(console::printer(look, labels.clone()), places);
    // Which may be on any machine.
    let place = || String::from("every line is in the files of its host");
    let printer = Box::new(folding::NoteFirstFold::new(printer, Box::new(place)));
    Console { fold: fold(options), printer, labels, raw_partials: false }
}

fn fold(options: &AttachOptions) -> Box<dyn Fold> {
    let watched = std::io::stdout().is_terminal();
    let default = if watched { FoldMode::Ranks } else { FoldMode::Off };
    folding::fold_of_speakers(options.fold.unwrap_or(default), options.fold_window)
}

fn plan(options: &AttachOptions, dir: Option<&Path>) -> Plan {
    let mut plan = Plan::new(&options.job, Vec::new());
    let appender = lastline_appender::Options::default();
    plan.files = dir.map(|dir| Files::new(dir.to_owned(), appender));
    plan.report.clone_from(&options.report);
    plan.show.clone_from(&options.show);
    plan.teardown_timeout = options.teardown_timeout;
    plan.flush_timeout = options.flush_timeout;
    plan.silent_after = options.silent_after;
    plan
}
