//! `lastline run`.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use anyhow::Context as _;
use lastline_bootstrap::{
    Console, Files, JobDir, JobInfo, JobsPlace, LoggingMesh, Plan, Report, StopCause, Stopper,
    check_job_id, control_path, new_job_id,
};
use lastline_client::Labels;
use lastline_line::RankSet;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::{FoldMode, Format, OnFailure, RunOptions, StdinMode, WhenFull};
use crate::{console, exit, folding, summary};

/// Runs the job; its exit code.
pub(crate) fn run(options: RunOptions) -> anyhow::Result<u8> {
    let job = options.job.clone().unwrap_or_else(new_job_id);
    check_job_id(&job)?;
    let command = options.command.iter().map(|word| word.to_string_lossy().into_owned());
    LoggingMesh::check_command(&options.command, options.workdir.as_deref(), &options.env)?;
    let info = JobInfo::new(&job, command.collect(), options.procs);
    let dir = job_dir(&options, &info)?;
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(4));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("lastline-io")
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let (strict, quiet) = (options.strict, options.quiet);
    let (report, told) = runtime.block_on(drive(options, job, dir.as_ref()))?;
    if !quiet {
        summary::print(&report, dir.as_ref().map(JobDir::path));
    }
    // Threads that a console or a disk holds for ever end with the process.
    runtime.shutdown_background();
    Ok(exit::of_report(&report, told, strict))
}

/// The directory of the job; none with `--no-files`.
fn job_dir(options: &RunOptions, info: &JobInfo) -> anyhow::Result<Option<JobDir>> {
    if options.no_files {
        return Ok(None);
    }
    let (path, place) = match &options.log_dir {
        Some(dir) => (dir.clone(), JobsPlace::of_user().ok()),
        None => {
            let place = JobsPlace::of_user()?;
            (place.dir_of(&info.job), Some(place))
        }
    };
    let dir = JobDir::create(&path, options.overwrite, info)?;
    if let Some(place) = place
        && let Err(error) = place.register(&info.job, dir.path())
    {
        tracing::debug!(%error, "the job is not in the list of jobs");
    }
    Ok(Some(dir))
}

async fn drive(
    options: RunOptions,
    job: String,
    dir: Option<&JobDir>,
) -> anyhow::Result<(Report, Option<i32>)> {
    let labels = Labels::default();
    let mode = options.fold.unwrap_or_else(|| default_fold(options.procs));
    let raw_partials =
        options.procs == 1 && options.format == Format::Text && mode == FoldMode::Off;
    let prefix = options.prefix.template(options.procs);
    let printer =
        console::printer(options.format, prefix, options.color, labels.clone(), raw_partials);
    let place = dir.map_or_else(
        || String::from("--fold off shows every line"),
        |dir| format!("every line is in {}", dir.path().display()),
    );
    let note = format!("similar lines are folded; {place}");
    let printer = Box::new(folding::NoteFirstFold::new(printer, note));
    let ranks = options.show.clone().unwrap_or_else(|| RankSet::first(options.procs));
    let fold = folding::fold(mode, ranks, options.fold_window);
    let console = Console { fold, printer, labels, raw_partials };
    let mesh = LoggingMesh::spawn(plan(options, job, dir), console)?;
    let told = Arc::new(AtomicI32::new(0));
    listen(mesh.stopper(), &told)?;
    let report = mesh.wait().await?;
    let told = told.load(Ordering::Acquire);
    Ok((report, (told != 0).then_some(told)))
}

/// Folding is for people: on where several ranks print to a terminal.
fn default_fold(procs: u32) -> FoldMode {
    let watched = std::io::stdout().is_terminal() && procs > 1;
    if watched { FoldMode::Ranks } else { FoldMode::Off }
}

fn plan(options: RunOptions, job: String, dir: Option<&JobDir>) -> Plan {
    let mut plan = Plan::new(job, options.command);
    plan.control = Some(control_path(&plan.job));
    plan.report = options.report;
    plan.files = dir.map(|dir| {
        let mut appender = lastline_appender::Options::default();
        appender.fsync = options.fsync;
        let appender = appender.on_note(|note| tracing::warn!("{note}"));
        Files::new(PathBuf::from(dir.path()), appender)
    });
    plan.procs = options.procs;
    plan.env = options.env;
    plan.workdir = options.workdir;
    plan.buffered = options.buffered;
    plan.grace = options.grace;
    plan.drain = options.drain;
    plan.teardown_timeout = options.teardown_timeout;
    plan.leave_background = options.leave_background;
    plan.flush_timeout = options.flush_timeout;
    plan.buffer_bytes = usize::try_from(options.buffer).unwrap_or(usize::MAX);
    plan.show = options.show;
    plan.on_failure = match options.on_failure {
        OnFailure::Stop => lastline_bootstrap::OnFailure::Stop,
        OnFailure::Continue => lastline_bootstrap::OnFailure::Continue,
    };
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

/// Hears signals: the first stops the job, the second ends the grace, the third exits at once.
fn listen(stopper: Stopper, told: &Arc<AtomicI32>) -> anyhow::Result<()> {
    let mut kinds = vec![SignalKind::interrupt(), SignalKind::terminate(), SignalKind::quit()];
    // A job under nohup is not told of the terminal's end.
    if !is_ignored(libc::SIGHUP) {
        kinds.push(SignalKind::hangup());
    }
    let count = Arc::new(AtomicI32::new(0));
    for kind in kinds {
        let mut heard = signal(kind).context("cannot listen for signals")?;
        let (stopper, told, count) = (stopper.clone(), Arc::clone(told), Arc::clone(&count));
        tokio::spawn(async move {
            while heard.recv().await.is_some() {
                let number = match kind.as_raw_value() {
                    libc::SIGINT => libc::SIGINT,
                    _ => libc::SIGTERM,
                };
                if count.fetch_add(1, Ordering::AcqRel) >= 2 {
                    std::process::exit(128 + number);
                }
                // The first one says what the exit code is.
                let _first = told.compare_exchange(0, number, Ordering::AcqRel, Ordering::Acquire);
                stopper.stop(StopCause::Signal(number));
            }
        });
    }
    Ok(())
}

/// Whether this process was started with a signal ignored.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
}
