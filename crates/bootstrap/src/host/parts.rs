//! What a host is made of, as its plan has it.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use lastline_appender::{Appender, AppenderError, DirStorage, Storage};
use lastline_line::{Budget, Control, HostEvent, HostId, ReadBack};
use lastline_sender::{Sender, Transport, WhenFull};
use lastline_spawn::{Echo, Environment, Placement, RankSpec, StdinMode, TerminalSize, Typist};
use lastline_tee::{BoxSink, Pool};

use super::intake::{MakeSinks, ReadSettings};
use super::link::Link;
use super::run::Settings;
use super::watch::{Event, Events};
use super::{ChangeSpec, MakeSink, Way, spawning};
use crate::SpawnError;
use crate::clock::now;
use crate::plan::{OnFailure, Plan};
use crate::shutdown::Limits;
use crate::sizes::{self, PIPE_BYTES, PIPE_GROWTH_BYTES};

pub(super) fn open_files(
    plan: &Plan,
    storage: Option<Arc<dyn Storage>>,
) -> Result<Option<Arc<Appender>>, SpawnError> {
    let storage: Arc<dyn Storage> = match (storage, &plan.files) {
        (Some(storage), _) => storage,
        (None, Some(files)) => Arc::new(DirStorage::existing(&files.dir)?),
        (None, None) => return Ok(None),
    };
    let options = plan.files.as_ref().map(|files| files.appender.clone()).unwrap_or_default();
    match Appender::start(storage, options) {
        Ok(files) => Ok(Some(Arc::new(files))),
        Err(AppenderError::Thread { source }) => Err(SpawnError::thread(source)),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn sender(
    plan: &Plan,
    way: Way,
    transport: impl Transport + 'static,
    read_back: Option<Arc<dyn ReadBack>>,
    link: &Arc<Link>,
    events: &Events,
) -> Sender {
    let mut options = lastline_sender::Options::default();
    options.host = way.id;
    options.heartbeat = way.heartbeat.unwrap_or(options.heartbeat);
    options.held_bytes = sizes::held_bytes(plan.buffer_bytes);
    options.when_full = when_full(plan);
    options.read_back = read_back;
    // A driver elsewhere may be away for days: its ranks go on.
    options.keep_spilled = way.id == HostId::HERE;
    let waits = options.when_full == WhenFull::Block;
    let (link, events) = (Arc::downgrade(link), events.clone());
    options.on_control = Some(Arc::new(move |said| match (said, Weak::upgrade(&link)) {
        // Nothing is being started: a barrier waits for nobody.
        (Ok(Control::Flush { version }), Some(link)) if link.knows(link.begun()) => {
            link.take_marks(version);
        }
        (Ok(Control::Pause { stream, lasts }), Some(link)) if waits => link.pause(stream, lasts),
        (said, _) => events.send(Event::Control(said)),
    }));
    Sender::start(transport, options)
}

/// What becomes of output that the driver is too slow for. Where ranks wait for it, they may as well wait
/// for each other; otherwise for nobody.
fn when_full(plan: &Plan) -> WhenFull {
    match plan.when_full {
        WhenFull::Spool if plan.files.is_none() => WhenFull::Block,
        policy => policy,
    }
}

pub(super) fn up(plan: &Plan, placement: &Placement) -> HostEvent {
    let command = plan.command.iter().map(|word| word.to_string_lossy().into_owned());
    HostEvent::Up {
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        pid: std::process::id(),
        job: plan.job.clone(),
        command: command.collect(),
        world_size: placement.world_size,
        first_rank: placement.first_rank,
        procs: plan.procs,
        node_rank: placement.node_rank,
        local_first: placement.local_first,
        local_world_size: placement.local_world_size,
        stops_all: plan.on_failure == OnFailure::Stop,
        time: now(),
    }
}

/// What each rank is started from.
pub(super) fn specs(
    plan: &Plan,
    program: Option<OsString>,
    mut stdins: Vec<Option<OwnedFd>>,
    mut change: Option<ChangeSpec>,
) -> spawning::MakeSpec {
    let placement = plan.effective_placement();
    let first_rank = placement.first_rank;
    let mut environment = Environment::new(plan.job.clone(), placement);
    environment.buffered = plan.buffered;
    environment.extra = plan.env.clone();
    let inherited: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let (command, workdir): (_, Option<PathBuf>) = (plan.command.clone(), plan.workdir.clone());
    let pipe_bytes = sizes::pipe_bytes(plan.procs);
    let (fixed, pty, merge) = (plan.terminal_size, plan.pty, plan.merge);
    let typed = types(plan);
    let echo = match (plan.echo, &plan.on_echo) {
        (true, _) => Echo::On,
        (false, Some(_)) => Echo::Elsewhere,
        (false, None) => Echo::Off,
    };
    let mut starts: HashMap<u32, u32> = HashMap::new();
    Box::new(move |rank| {
        let starts = starts.entry(rank).or_default();
        let mut spec = RankSpec::new(rank, command.clone());
        spec.env = environment.of(rank, *starts, &inherited);
        *starts += 1;
        spec.workdir = workdir.clone();
        spec.stdin = stdins.get_mut((rank - first_rank) as usize).and_then(Option::take);
        (spec.pipe_bytes, spec.merge) = (pipe_bytes, merge);
        // As large as the driver's is now, unless it is told.
        spec.terminal = pty.then(|| fixed.unwrap_or_else(TerminalSize::of_driver));
        spec.stdin_is_terminal = typed && rank == 0;
        spec.echo = if spec.stdin_is_terminal { echo } else { Echo::Off };
        match &mut change {
            // It is looked for again: another command, another PATH.
            Some(change) => change(rank, &mut spec),
            None => spec.program = program.clone(),
        }
        spec
    })
}

pub(super) fn sinks(
    link: &Arc<Link>,
    files: Option<Arc<Appender>>,
    more: Option<MakeSink>,
) -> MakeSinks {
    let link = Arc::clone(link);
    Box::new(move |stream| {
        let mut sinks: Vec<BoxSink> = Vec::with_capacity(3);
        if let Some(files) = &files {
            sinks.push(Box::new(files.sink(stream)));
        }
        if let Some(sink) = link.sink() {
            sinks.push(Box::new(sink));
        }
        sinks.extend(more.as_ref().and_then(|make| make(stream)));
        sinks
    })
}

/// Whether one of its ranks is to read this process's stdin, where rank 0 alone may.
pub(super) fn has_stdin(plan: &Plan) -> bool {
    let first_rank = plan.placement.as_ref().map_or(0, |placement| placement.first_rank);
    plan.stdin != StdinMode::Rank0 || first_rank == 0
}

/// Whether somebody types into rank 0's terminal.
pub(super) fn types(plan: &Plan) -> bool {
    plan.pty && has_stdin(plan) && plan.stdin == StdinMode::Rank0 && Typist::is_wanted()
}

/// How the ranks' streams are read.
pub(super) fn reading(plan: &Plan, sinks: MakeSinks) -> ReadSettings {
    let memory = sizes::memory(plan.buffer_bytes);
    let mut tee = lastline_tee::Options::default();
    tee.pool = Pool::new(Budget::new(memory));
    tee.chunk_bytes = (memory / 32).clamp(4 << 10, 256 << 10);
    if when_full(plan) == WhenFull::Block {
        tee.share_bytes = sizes::share_bytes(plan.buffer_bytes, plan.procs);
        tee.chunk_bytes = tee.chunk_bytes.min(tee.share_bytes.max(PIPE_BYTES));
    }
    tee.pipe_budget = Budget::new(PIPE_GROWTH_BYTES);
    let typist = types(plan).then(|| Typist::new(plan.on_echo.clone().filter(|_| !plan.echo)));
    ReadSettings { drain: plan.drain, tee, sinks, typist }
}

pub(super) fn settings(plan: &Plan, id: HostId, attached: bool) -> Settings {
    let slack = Duration::ZERO;
    Settings {
        id,
        attached,
        on_failure: plan.on_failure,
        max_restarts: plan.max_restarts,
        leave_background: plan.leave_background,
        limits: Limits { grace: plan.grace, budget: plan.teardown_timeout, slack },
        flush_timeout: plan.flush_timeout,
    }
}
