//! `lastline run`.

use std::io::{ErrorKind, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use lastline_bootstrap::{
    Console, Files, LoggingMesh, OnEcho, Plan, SpawnError, TerminalSize, control_path,
};
use lastline_client::{Labels, Printer, Template};
use lastline_jobs::{JobDir, JobInfo, JobsPlace, Report, Retention, check_job_id, new_job_id};
use lastline_line::RankSet;
use tokio::sync::oneshot;

use crate::args::RunOptions;
use crate::beside::Beside;
use crate::console::Look;
use crate::filing::Filing;
use crate::own_terminal::Raw;
use crate::signals::{Signals, Steered};
use crate::summary::{Above, Logs};
use crate::values::{FoldMode, Format, StdinMode, WhenFull};
use crate::view::{BehindView, Up};
use crate::{
    advice, console, exit, folding, mpi, notices, own_terminal, runtime, summary, via, view,
};

/// How long the directory for the files is waited for. Nothing runs yet: whoever waits for the job
/// is better told than kept.
pub(crate) const DIR_PATIENCE: Duration = Duration::from_secs(10);
/// How long the end of a job waits for what there was too much of: usually hundredths of that.
const TIDY_PATIENCE: Duration = Duration::from_secs(1);
/// How many more jobs than there should be nobody waits for: to look through all of them takes longer
/// than a short job does, and is done for several of those at once.
const TIDY_LATER: usize = 10;

/// Runs the job; its exit code.
pub(crate) fn run(options: RunOptions) -> anyhow::Result<u8> {
    if let Some(url) = options.place.via.clone() {
        return via::run(options, &url);
    }
    let up = view::wanted(&options)?;
    let job = options.job.clone().unwrap_or_else(new_job_id);
    check_job_id(&job)?;
    let command = options.command.iter().map(|word| word.to_string_lossy().into_owned());
    let workdir = options.workdir.as_deref();
    let program =
        LoggingMesh::check_command(&options.command, options.procs, workdir, &options.env)?;
    // A rank of a job may start jobs of its own.
    if std::env::var_os("LASTLINE_RANK").is_none()
        && let Ok(placement) = via::placement(&options)
    {
        advice::of_launcher(&placement).iter().for_each(|advice| notices::say(advice));
    }
    let mpi = mpi::advice(Path::new(&program), options.procs);
    mpi.iter().for_each(|advice| notices::say(advice));
    let fold = options.fold.unwrap_or_else(|| default_fold(options.procs));
    let advice = advice::of_variables(std::env::vars_os()).into_iter();
    advice.chain(advice::of_run(&options, fold)).for_each(|advice| notices::say(&advice));
    let mut info = JobInfo::new(&job, command.collect(), options.procs);
    (info.strict, info.control) = (options.strict, Some(control_path(&job)));
    let mut beside = Beside::prepare(&options)?;
    let dir = job_dir(&options, &info)?;
    if let Some(dir) = &dir {
        beside.export(&options, &job, dir.path())?;
    }
    let runtime = runtime::start().context("cannot start the runtime")?;
    let (strict, quiet, way_out) = (options.strict, options.quiet, options.teardown_timeout);
    let above = match has_one_rank_s_lines(&options) {
        true => Above::OneRank { stdout: console::are_one() },
        false => Above::Other,
    };
    let driven = runtime.block_on(drive(options, job, dir.as_ref(), up, &beside));
    notices::end_drawing();
    let report = match driven {
        Err(error) if error.is::<SpawnError>() && !ran(&error) => {
            dir.into_iter().for_each(JobDir::discard);
            return Err(error);
        }
        other => other?,
    };
    let is_exported = beside.finish(&report, way_out);
    if quiet {
        summary::print_not_started(&report);
    } else {
        let logs = dir.as_ref().map(|dir| Logs::here(dir.current_path()));
        summary::print(&report, logs.as_ref(), above);
        // A console that took the rest in time may take its time for this too.
        if !report.teardown.iter().any(|stage| stage.timed_out) {
            notices::finish(way_out);
        }
    }
    // Threads that a console or a disk holds for ever end with the process, and so does the lock:
    // even to close a file may be to wait for a disk.
    runtime.shutdown_background();
    let filed = dir.is_some();
    std::mem::forget(dir);
    Ok(match exit::of_report(&report, filed, strict) {
        exit::SUCCESS if strict && !is_exported => exit::LOST,
        code => code,
    })
}

/// Whether ranks may have run before this error.
pub(crate) fn ran(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(SpawnError::Supervisor { .. } | SpawnError::Interrupted))
}

/// The directory of the job; none with `--no-files`.
fn job_dir(options: &RunOptions, info: &JobInfo) -> anyhow::Result<Option<JobDir>> {
    if options.no_files {
        return Ok(None);
    }
    let path = match &options.log_dir {
        Some(dir) => dir.clone(),
        None => JobsPlace::of_user()?.dir_of(&info.job),
    };
    let place = JobsPlace::of_user().ok();
    let made = JobDir::create_within(DIR_PATIENCE, place.as_ref(), &path, options.overwrite, info)?;
    Ok(Some(made))
}

/// What tidies the place of jobs beside this one, where there are too many of them.
#[derive(Default)]
pub(crate) struct Tidying(Option<oneshot::Receiver<()>>);

impl Tidying {
    /// At the end of a job, which may have been a short one: what is there too much of goes, for as long
    /// as that takes within bounds.
    pub(crate) async fn finish(self) {
        if let Some(over) = self.0 {
            drop(tokio::time::timeout(TIDY_PATIENCE, over).await);
        }
    }
}

/// Puts a job that runs on the list of jobs, and tidies the place that it is in.
fn register(job: &str, dir: &Path) -> Tidying {
    // Without a place of the user's, a job with a directory of its own is on no list.
    let Ok(place) = JobsPlace::of_user() else {
        return Tidying::default();
    };
    match place.register(job, dir) {
        // A folder is there, of a job that is over: another place's link would go.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => tracing::warn!(
            "another job is `{job}` on the list of jobs: this one is `{}` to `lastline logs`, `stop` and others",
            dir.display()
        ),
        Err(error) => tracing::debug!(%error, "the job is not in the list of jobs"),
        Ok(()) => {}
    }
    if place.dir_of(job) == dir { tidy(place) } else { Tidying::default() }
}

/// As [`register`], on a thread of its own: a disk that hangs from now on is nothing that the job
/// waits for, nor is a thread that cannot be had.
pub(crate) async fn register_within(timeout: Duration, job: String, dir: PathBuf) -> Tidying {
    let (done, registered) = oneshot::channel();
    let thread = std::thread::Builder::new().name("lastline-list".into());
    let registering = thread.spawn(move || {
        // Nobody may wait any more.
        drop(done.send(register(&job, &dir)));
    });
    if let Err(error) = registering {
        tracing::debug!(%error, "the job is not in the list of jobs");
        return Tidying::default();
    }
    let Ok(registered) = tokio::time::timeout(timeout, registered).await else {
        tracing::debug!("the job is not in the list of jobs: its place does not answer");
        return Tidying::default();
    };
    registered.unwrap_or_default()
}

/// Removes what the default place has too much of, beside the job; what is not done [at its
/// end](Tidying::finish) is done beside the next one.
fn tidy(place: JobsPlace) -> Tidying {
    let (done, over) = oneshot::channel();
    let tidying = std::thread::Builder::new().name("lastline-tidy".into()).spawn(move || {
        let most = Retention::DEFAULT.max_jobs.map_or(usize::MAX, |jobs| jobs + TIDY_LATER);
        let waited_for = place.may_hold_more_than(most).then_some(done);
        let pruned = place.prune(&Retention::DEFAULT);
        tracing::debug!(?pruned, "old jobs are gone");
        drop(waited_for);
    });
    if let Err(error) = tidying {
        tracing::debug!(%error, "old jobs stay");
    }
    Tidying(Some(over))
}

async fn drive(
    options: RunOptions,
    job: String,
    dir: Option<&JobDir>,
    up: Option<Up>,
    beside: &Beside,
) -> anyhow::Result<Arc<Report>> {
    let labels = Labels::default();
    let mode = options.fold.unwrap_or_else(|| default_fold(options.procs));
    let raw_partials = has_one_rank_s_lines(&options);
    let look = Look {
        format: options.format,
        prefix: options.prefix.template(options.procs),
        color: options.color,
        sanitize: options.sanitize,
        raw_partials,
        draws: options.procs > 1,
        names: None,
        one_output: false,
    };
    let printer = console::printer(look, labels.clone());
    let filing = Filing::default();
    let (filed, files) = (filing.clone(), dir.map(|dir| dir.path().to_owned()));
    let place = move || match &files {
        Some(dir) => filed.place(dir),
        None => String::from("--fold off shows every line"),
    };
    let printer = folding::NoteFirstFold::new(printer, Box::new(place));
    let printer: Box<dyn Printer> = match up.clone() {
        Some(up) => Box::new(BehindView::new(printer, up)),
        None => Box::new(printer),
    };
    let shown = options.show.clone().unwrap_or_else(|| RankSet::first(options.procs).into());
    let fold = folding::fold(mode, shown, options.fold_window);
    let console = Console { fold, printer, labels, raw_partials };
    // A rank may send a signal as soon as it runs.
    let signals = Signals::register()?;
    let size = rank_size(&options, &job);
    // One rank alone, that is typed into: the terminal is its own for as long as it runs.
    let typed = options.pty && options.stdin == StdinMode::Rank0;
    let raw = (typed && raw_partials).then(Raw::enter).flatten();
    // Otherwise it shows what is typed, unless the rank does not want that. In a view nobody types.
    let follows = typed && raw.is_none() && up.is_none();
    let mut plan = plan(options, job.clone(), dir, filing);
    (plan.terminal_size, plan.echo) = (Some(size()), raw.is_some());
    plan.on_echo = follows.then(|| OnEcho::new(own_terminal::show_typed));
    let grace = plan.effective_grace();
    let mesh = LoggingMesh::spawn(plan, console)?;
    beside.watch(&mesh);
    signals.listen(Steered::Mesh(mesh.clone()), grace, size);
    let tidying = match dir {
        Some(dir) => register_within(DIR_PATIENCE, job.clone(), dir.path().to_owned()).await,
        None => Tidying::default(),
    };
    let shown = up.map(|up| view::show(job, mesh.clone(), up)).transpose()?;
    let report = mesh.wait().await;
    // The end of the job is not the end of looking at it.
    if let Some(shown) = shown {
        if let (Ok(_), Some(dir)) = (&report, dir) {
            dir.leave();
        }
        if shown.await.is_err() {
            notices::release();
            tracing::warn!("the view ended in disorder");
        }
    }
    tidying.finish().await;
    Ok(report?)
}

/// How large ranks' terminals are to be, whenever it is asked.
pub(crate) fn rank_size(
    options: &RunOptions,
    job: &str,
) -> impl Fn() -> TerminalSize + Send + use<> {
    let (ranks, job) = (options.procs, job.to_owned());
    let prefix = match options.format {
        Format::Text => options.prefix.template(ranks),
        Format::Json => Template::empty(),
    };
    move || own_terminal::rank_size(&prefix, ranks, &job)
}

/// Whether one rank alone has the console, and its lines stand there as it wrote them.
fn has_one_rank_s_lines(options: &RunOptions) -> bool {
    let mode = options.fold.unwrap_or_else(|| default_fold(options.procs));
    options.procs == 1 && options.format == Format::Text && mode == FoldMode::Off
}

/// Folding is for people: on where several ranks print to a terminal.
fn default_fold(procs: u32) -> FoldMode {
    let watched = std::io::stdout().is_terminal() && procs > 1;
    if watched { FoldMode::Ranks } else { FoldMode::Off }
}

pub(crate) fn plan(options: RunOptions, job: String, dir: Option<&JobDir>, filing: Filing) -> Plan {
    let mut plan = Plan::new(job, options.command);
    plan.control = Some(control_path(&plan.job));
    plan.report = options.report;
    plan.files = dir.map(|dir| {
        let mut appender = lastline_appender::Options::default();
        appender.fsync = options.fsync;
        appender.rotate_bytes = options.rotate;
        appender.max_bytes = options.max_size;
        appender.compress = options.compress.map(Into::into);
        appender.min_free_bytes = options.min_free;
        let (path, min_free) = (PathBuf::from(dir.path()), options.min_free);
        let told = path.clone();
        let appender = appender.on_note(move |note| filing.tell(&note, &told, min_free));
        Files::new(path, appender)
    });
    plan.procs = options.procs;
    plan.env = options.env;
    plan.workdir = options.workdir;
    (plan.pty, plan.merge) = (options.pty, options.merge);
    plan.buffered = options.buffered;
    plan.max_restarts = options.max_restarts;
    plan.timeout = options.timeout.filter(|timeout| !timeout.is_zero());
    plan.grace = options.grace;
    plan.drain = options.drain;
    plan.teardown_timeout = options.teardown_timeout;
    plan.leave_background = options.leave_background;
    plan.flush_timeout = options.flush_timeout;
    plan.silent_after = options.silent_after;
    plan.buffer_bytes = usize::try_from(options.buffer).unwrap_or(usize::MAX);
    plan.show = options.show;
    plan.on_failure = options.on_failure.into();
    plan.stdin = match options.stdin {
        StdinMode::Null => lastline_bootstrap::StdinMode::Null,
        StdinMode::Rank0 => lastline_bootstrap::StdinMode::Rank0,
        StdinMode::All => lastline_bootstrap::StdinMode::All,
    };
    plan.when_full = match options.when_full {
        Some(WhenFull::Drop) => lastline_sender::WhenFull::Drop,
        Some(WhenFull::Block) => lastline_sender::WhenFull::Block,
        Some(WhenFull::Spool) | None => lastline_sender::WhenFull::Spool,
    };
    plan
}
