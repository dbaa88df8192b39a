//! `lastline run --via`: ranks here, their driver elsewhere.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use lastline_bootstrap::{
    Claim, Console, HostEnd, LoggingMesh, Placement, PlacementFlags, Report, Url, ViaError,
    new_host_id, transport_bytes,
};
use lastline_jobs::{JobDir, JobInfo, JobsPlace, check_job_id, host_report_name, part_name};
use lastline_sender::channel;

use super::mirrored::{Mirrored, RefusedWhy};
use super::silent::ToldHere;
use crate::args::RunOptions;
use crate::filing::Filing;
use crate::run::{DIR_PATIENCE, Tidying, plan, ran, rank_size, register_within};
use crate::signals::{Signals, Steered};
use crate::values::OnFailure;
use crate::{exit, notices, runtime, summary};

/// Room for what the client here is told, in bytes.
const TOLD_BYTES: usize = 1 << 20;
/// How much longer than its own deadlines the last of a host may take to a driver that is there.
const SLACK: Duration = Duration::from_secs(2);

/// Runs ranks that are shown elsewhere; the exit code is that of these.
pub(crate) fn run(options: RunOptions, url: &Url) -> anyhow::Result<u8> {
    let Some(job) = options.job.clone() else {
        anyhow::bail!("`--via` needs `--job ID`: every part of a job calls it alike");
    };
    check_job_id(&job)?;
    let placement = placement(&options)?;
    let place = Place::new(&options, &job, &placement, url)?;
    let runtime = runtime::start().context("cannot start the runtime")?;
    let strict = options.strict;
    let driven = runtime.block_on(drive(options, job, &placement, &place, url));
    let driven = match driven {
        // Whoever comes with the right ranks finds nothing in the way.
        Err(error) if !ran(&error) => {
            place.discard();
            return Err(error);
        }
        other => other?,
    };
    runtime.shutdown_background();
    let filed = place.dir.is_some();
    // As after every run: even to close a file may be to wait for a disk.
    std::mem::forget(place);
    match driven {
        Driven::Refused(why) => {
            notices::say(&format!("refused: {why}"));
            Ok(exit::USAGE)
        }
        Driven::Ran(report) => {
            summary::print_not_started(&report);
            Ok(exit::of_report(&report, filed, strict))
        }
    }
}

/// What came of it.
enum Driven {
    /// These ranks are no part of the job, and were stopped.
    Refused(String),
    Ran(Arc<Report>),
}

/// Which ranks these are: as options say, or the launcher's variables.
pub(crate) fn placement(options: &RunOptions) -> anyhow::Result<Placement> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    let variables: HashMap<String, String> = std::env::vars_os().filter_map(text).collect();
    let flags = PlacementFlags {
        procs: options.procs,
        nnodes: options.place.nnodes,
        node_rank: options.place.node_rank,
        world_size: options.place.world_size,
        rank: options.place.rank,
        master_addr: options.place.master_addr.clone(),
        master_port: None,
    };
    Ok(Placement::from_launcher(&variables, &flags)?)
}

/// Where files go: of the job, and of these ranks in it.
struct Place {
    /// The directory of the whole job.
    whole: Option<PathBuf>,
    /// That of these ranks; none with `--no-files`.
    dir: Option<JobDir>,
}

impl Place {
    fn new(
        options: &RunOptions,
        job: &str,
        placement: &Placement,
        url: &Url,
    ) -> anyhow::Result<Self> {
        if options.no_files {
            return Ok(Self { whole: None, dir: None });
        }
        let whole = match &options.log_dir {
            Some(dir) => dir.clone(),
            None => JobsPlace::of_user()?.dir_of(job),
        };
        let command = options.command.iter().map(|word| word.to_string_lossy().into_owned());
        let mut info = JobInfo::new(job, command.collect(), placement.world_size);
        info.part = Some((placement.first_rank, placement.procs));
        (info.strict, info.via) = (options.strict, Some(url.to_string()));
        let path = whole.join(part_name(placement.first_rank));
        let dir = JobDir::create_within(DIR_PATIENCE, None, &path, options.overwrite, &info)?;
        // As it is known from anywhere.
        let whole = dir.path().parent().map(Path::to_owned);
        Ok(Self { whole, dir: Some(dir) })
    }

    /// These ranks are in no job: nothing is left of them, nor of a job that has nothing else here.
    fn discard(self) {
        self.dir.into_iter().for_each(JobDir::discard);
        // One that has something in it stays.
        self.whole.into_iter().for_each(|dir| std::fs::remove_dir(dir).unwrap_or_default());
    }
}

async fn drive(
    options: RunOptions,
    job: String,
    placement: &Placement,
    place: &Place,
    url: &Url,
) -> anyhow::Result<Driven> {
    let signals = Signals::register()?;
    let size = rank_size(&options, &job);
    let report = report_beside(&options, placement, place);
    let id = new_host_id();
    let stop_others = options.on_failure == OnFailure::Stop;
    let window_bytes = transport_bytes(usize::try_from(options.buffer).unwrap_or(usize::MAX));
    let (pre_fold, overwrite) = (options.place.pre_fold, options.overwrite);
    let claim = Claim { id, job: &job, placement, stop_others, pre_fold, overwrite, window_bytes };
    let way = match url.reach(&claim).await {
        Ok(way) => way,
        Err(error @ ViaError::Refused(_)) => return Err(error).context("refused"),
        Err(error) => return Err(error.into()),
    };
    let mut plan = plan(options, job.clone(), place.dir.as_ref(), Filing::default());
    // Who is asked of the whole job is its driver; who is silent is for that to say.
    (plan.control, plan.silent_after, plan.report) = (None, Duration::ZERO, report);
    (plan.placement, plan.terminal_size) = (Some(placement.clone()), Some(size()));
    let (grace, way_out) = (plan.effective_grace(), plan.teardown_timeout);
    let (near, inbox) = channel(TOLD_BYTES);
    let (refused, ended) = (RefusedWhy::default(), Arc::<Mutex<Option<_>>>::default());
    let (told, why, end) = (near.clone(), refused.clone(), Arc::clone(&ended));
    let mesh = LoggingMesh::builder(plan)
        .id(id)
        .console(Console::silent())
        .sink(move |_| Some(Box::new(ToldHere(told.clone()))))
        .link_with(move |read_back| {
            let HostEnd { transport, ended } = way.open(read_back);
            *end.lock().unwrap_or_else(PoisonError::into_inner) = Some(ended);
            (Box::new(Mirrored::new(transport, near, why)), Box::new(inbox))
        })
        .spawn()?;
    signals.listen(Steered::Mesh(mesh.clone()), grace, size);
    if placement.first_rank == 0 {
        notices::say(&format!("this job is shown by `lastline attach --via {url} --job {job}`"));
    }
    let tidying = match &place.whole {
        Some(dir) => register_within(DIR_PATIENCE, job, dir.clone()).await,
        None => Tidying::default(),
    };
    let report = mesh.wait().await;
    drop(mesh);
    let end = ended.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(end) = end {
        wait_for_the_driver(end, way_out.max(url.linger()) + SLACK).await;
    }
    tidying.finish().await;
    match refused.get() {
        Some(why) => Ok(Driven::Refused(why)),
        None => Ok(Driven::Ran(report?)),
    }
}

/// Waits until the last of the output is taken, and says that it does where that takes long.
async fn wait_for_the_driver(mut end: impl Future<Output = ()> + Unpin, within: Duration) {
    let Err(_) = tokio::time::timeout(SLACK, &mut end).await else { return };
    let left = within.saturating_sub(SLACK);
    notices::say(&format!(
        "the ranks have ended; waiting up to {} s until the last of their output is taken",
        left.as_secs()
    ));
    if tokio::time::timeout(left, end).await.is_err() {
        tracing::warn!("the driver did not take the last of it");
    }
}

/// Where the report of these ranks is written beside their files.
fn report_beside(options: &RunOptions, placement: &Placement, place: &Place) -> Option<PathBuf> {
    let whole = place.whole.as_ref();
    let beside = whole.map(|dir| dir.join(host_report_name(placement.first_rank)));
    options.report.clone().or(beside)
}
