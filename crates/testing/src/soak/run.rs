//! Carries a scenario out.

use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use super::callers::{Answer, Calls, socket};
use super::diary::{self, Said};
use super::place::Place;
use super::reader::Output;
use super::reader::Reader;
use super::scenario::{End, Event, Files, Format, Scenario};
use super::surroundings::{clock_library, set_clock};

/// The programs of a run.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `lastline` itself.
    pub lastline: PathBuf,
    /// A program that is [`crate::rank::main`]; `libshifted_clock.so`, which changes the time of
    /// day of a program that is started with it, is beside it.
    pub rank: PathBuf,
}

/// Longer than any run may take.
const DEADLINE: Duration = Duration::from_secs(60);
/// How long processes may take to go when lastline was killed, beyond its grace.
const GOING: Duration = Duration::from_secs(20);

/// What was seen of a run.
pub(super) struct Seen {
    pub(super) status: Option<ExitStatus>,
    /// Stdout and stderr; empty for stderr where both are one.
    pub(super) printed: [Vec<u8>; 2],
    pub(super) said: Vec<Option<[Said; 2]>>,
    pub(super) answers: Vec<Answer>,
    /// Signals that were sent while it ran.
    pub(super) sent: Vec<i32>,
    pub(super) left_over: Vec<String>,
    pub(super) socket_left: bool,
    pub(super) logs: PathBuf,
    pub(super) report: PathBuf,
    pub(super) took: Duration,
}

pub(super) fn job(seed: u64) -> String {
    format!("soak-{seed}")
}

fn millis(millis: u64) -> String {
    format!("{millis}ms")
}

fn arguments(scenario: &Scenario, place: &Place) -> Vec<String> {
    let mut args: Vec<String> = vec!["run".into()];
    let mut add = |name: &str, value: String| args.extend([name.to_owned(), value]);
    add("-n", scenario.ranks.len().to_string());
    add("--job", job(scenario.seed));
    add("--fold", scenario.fold.into());
    add("--buffer", scenario.buffer.to_string());
    add("--on-failure", scenario.on_failure.into());
    add("--fsync", scenario.fsync.into());
    add("--grace", millis(scenario.grace_millis));
    add("--drain", millis(scenario.drain_millis));
    add("--teardown-timeout", millis(scenario.teardown_millis));
    add("--flush-timeout", millis(scenario.flush_timeout_millis));
    add("--report", place.path().join("asked.json").display().to_string());
    add("--fold-window", "20ms".into());
    match scenario.format {
        Format::Text => {}
        Format::Merged => add("--prefix", "{rank}.{stream}: ".into()),
        Format::Json => add("--format", "json".into()),
    }
    if let Some(policy) = scenario.when_full {
        add("--when-full", policy.into());
    }
    if let Some(below) = scenario.show_below {
        add("--show", if below == 0 { "999".into() } else { format!("0-{}", below - 1) });
    }
    if scenario.pty {
        args.push("--pty".into());
    }
    if scenario.strict {
        args.push("--strict".into());
    }
    match scenario.files {
        Files::Off => args.push("--no-files".into()),
        _ => args.extend(["--log-dir".into(), place.logs().display().to_string()]),
    }
    args
}

fn command(scenario: &Scenario, programs: &Programs, place: &Place) -> Command {
    let mut command = Command::new(&programs.lastline);
    command.args(arguments(scenario, place)).arg("--").arg(&programs.rank);
    command.arg("soak").arg(scenario.seed.to_string()).arg(place.path());
    clear_options(&mut command);
    command.env("XDG_STATE_HOME", place.path().join("state"));
    command.env("XDG_RUNTIME_DIR", place.path().join("run"));
    command.stdin(Stdio::null()).current_dir(place.path()).process_group(0);
    command
}

/// Options of whoever runs this are not for the run.
pub(super) fn clear_options(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LASTLINE_") {
            command.env_remove(name);
        }
    }
}

/// Starts lastline with its outputs, and who reads them.
fn start(
    scenario: &Scenario,
    programs: &Programs,
    place: &Place,
) -> io::Result<(Child, Vec<Arc<Output>>)> {
    let mut command = command(scenario, programs, place);
    let library = clock_library(&programs.rank);
    let file = place.path().join("copied");
    let (out, write) = io::pipe()?;
    let mut outputs = vec![Output::read(out, scenario.reader, &programs.rank, &file)?];
    if scenario.format == Format::Merged {
        command.stderr(write.try_clone()?);
    } else {
        let (err, write) = io::pipe()?;
        let closes = scenario.stderr_closes.map(|after| Reader::Closes { after });
        outputs.push(Output::read(err, closes.unwrap_or(Reader::Fast), &programs.rank, &file)?);
        command.stderr(write);
    }
    command.stdout(write);
    let child = scenario.around.start(command, &place.clock(), &library)?;
    Ok((child, outputs.into_iter().map(Arc::new).collect()))
}

/// Runs it from its start to the end of all of its processes.
pub(super) fn run(scenario: &Scenario, programs: &Programs, place: &mut Place) -> io::Result<Seen> {
    let started = Instant::now();
    let (mut child, outputs) = start(scenario, programs, place)?;
    let calls = Arc::new(Calls {
        lastline: programs.lastline.clone(),
        dir: place.path().to_owned(),
        job: job(scenario.seed),
        ranks: scenario.ranks.len() as u32,
        outputs: outputs.clone(),
        answer_timeout: Duration::from_millis(scenario.flush_timeout_millis) + DEADLINE,
        over: AtomicBool::new(false),
    });
    let callers = scenario.flushers.iter().copied().map(|flusher| {
        let calls = Arc::clone(&calls);
        std::thread::spawn(move || calls.make(flusher))
    });
    let callers: Vec<_> = callers.collect();
    let sent = drive(scenario, &child, place, started)?;
    let status = child.try_wait()?;
    if status.is_none() {
        child.kill()?;
        child.wait()?;
    }
    let took = started.elapsed();
    let left_over = left_over(scenario, status, place);
    let socket_left = socket(place.path(), &job(scenario.seed)).is_some();
    place.release();
    calls.over.store(true, Ordering::Release);
    let answers = callers.into_iter().flat_map(|caller| caller.join().expect("a caller panicked"));
    let answers = answers.collect();
    drop(calls);
    let mut printed = [Vec::new(), Vec::new()];
    for (printed, output) in printed.iter_mut().zip(outputs) {
        *printed = Arc::into_inner(output).expect("BUG: the callers are done").finish()?;
    }
    let said = (0..scenario.ranks.len() as u32).map(|rank| diary::read(place.path(), rank));
    Ok(Seen {
        status,
        printed,
        said: said.collect(),
        answers,
        sent,
        left_over,
        socket_left,
        logs: place.logs(),
        report: place.path().join("asked.json"),
        took,
    })
}

/// Waits for the end, and does what is to be done at its time. Gives the signals that were sent.
fn drive(
    scenario: &Scenario,
    child: &Child,
    place: &Place,
    started: Instant,
) -> io::Result<Vec<i32>> {
    let pidfd = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let mut running_since = None;
    let events = scenario.events();
    let mut events = events.iter().peekable();
    let mut sent = Vec::new();
    while started.elapsed() < DEADLINE {
        let look = Timespec { tv_sec: 0, tv_nsec: 3_000_000 };
        if poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&look))? > 0 {
            break;
        }
        if running_since.is_none() && (0..24).any(|rank| diary::read(place.path(), rank).is_some())
        {
            running_since = Some(Instant::now());
        }
        let ran = running_since.map_or(0, |since| since.elapsed().as_millis() as u64);
        while running_since.is_some()
            && let Some((_, event)) = events.next_if(|(at, _)| *at <= ran)
        {
            happen(*event, child, place, &mut sent)?;
        }
    }
    Ok(sent)
}

fn happen(event: Event, child: &Child, place: &Place, sent: &mut Vec<i32>) -> io::Result<()> {
    let kill = |signal| kill_process(Pid::from_child(child), signal);
    match event {
        Event::RoomOnDisk => place.free()?,
        Event::Clock(seconds) => set_clock(&place.clock(), seconds)?,
        Event::Stops => kill(Signal::STOP)?,
        Event::GoesOn => kill(Signal::CONT)?,
        Event::Signal(signal) => {
            kill(Signal::from_named_raw(signal).expect("BUG: these signals have names"))?;
            sent.push(signal);
        }
    }
    Ok(())
}

/// Processes that are still there when they should not be: at once when lastline ended in order,
/// after the guardian's grace when it was killed or left at once.
fn left_over(scenario: &Scenario, status: Option<ExitStatus>, place: &Place) -> Vec<String> {
    let daemons = scenario.ranks.iter().any(|rank| rank.end == End::Daemon);
    let in_order = status.is_some_and(|status| status.signal().is_none())
        && scenario.signals.len() < 3
        && !daemons;
    let guardian_timeout = Duration::from_millis(scenario.grace_millis) + GOING;
    let deadline = Instant::now() + if in_order { Duration::ZERO } else { guardian_timeout };
    loop {
        let found = place.processes();
        let others =
            |process: &String| !process.contains("soak-hold") && !process.contains(" flush ");
        let found: Vec<String> = if daemons {
            found.into_iter().filter(others).collect()
        } else {
            found.into_iter().filter(|process| !process.contains(" flush ")).collect()
        };
        if found.is_empty() || Instant::now() >= deadline {
            return found;
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// The programs beside `directory`, where cargo puts them.
pub(super) fn beside(directory: &Path) -> Programs {
    Programs { lastline: directory.join("lastline"), rank: directory.join("examples/rank") }
}
