//! The signals that lastline is sent.
//!
//! Those that somebody had ignored when it was started stay so, as nohup and shells do it for what
//! runs in the background: SIGHUP, SIGINT, SIGQUIT; and the ranks find them ignored, too. SIGTERM is
//! always heard, since nothing else ends a job in order. SIGUSR1 and SIGUSR2, by which a batch system
//! says that time is nearly up, are for the ranks: they are passed on, unless they were ignored.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use lastline_bootstrap::{
    DriverHandle, LoggingMesh, RankState, RankStatus, StopCause, TerminalSize, inherits_orphans,
    own_sigchld, reap_orphans,
};
use lastline_line::RankSet;
use lastline_watch::Snapshot;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{exit, notices, own_terminal};

/// How long ranks may take to end before it is said who is waited for.
const SILENT_END: Duration = Duration::from_secs(1);
/// How long a console may take for what is said before an exit at once.
const LAST_WORD: Duration = Duration::from_millis(200);
/// How long changes of children gather before they are looked at: many end at once.
const GATHER: Duration = Duration::from_millis(100);

/// Makes this process one that hears its signals, before anything is started.
pub(crate) fn prepare() {
    // Who started this may have had it ignored, and then nobody learns how ranks end.
    own_sigchld();
    // A file at the limit of its size is then an error of writing, not the end of lastline. A
    // handler, unlike an ignored signal, does not pass to the ranks.
    #[expect(unsafe_code, reason = "std knows no signals")]
    // SAFETY: the handler does nothing, and the mask is a value of this function.
    unsafe {
        let handler: extern "C" fn(libc::c_int) = do_nothing;
        libc::signal(libc::SIGXFSZ, handler as libc::sighandler_t);
        // Blocked signals, which a program inherits, would never be heard.
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

extern "C" fn do_nothing(_signal: libc::c_int) {}

/// The job that signals are for.
#[derive(Clone)]
pub(crate) enum Steered {
    /// It runs here.
    Mesh(LoggingMesh),
    /// It is shown here, and runs elsewhere.
    Driver(DriverHandle),
}

impl Steered {
    fn stop(&self, cause: StopCause) {
        match self {
            Self::Mesh(mesh) => mesh.stop(cause),
            Self::Driver(driver) => driver.stop(cause),
        }
    }

    fn ranks(&self) -> Vec<RankStatus> {
        match self {
            Self::Mesh(mesh) => mesh.ranks(),
            Self::Driver(driver) => driver.ranks(),
        }
    }

    /// Sends a signal to the group of every rank.
    fn signal(&self, signal: i32) {
        match self {
            Self::Mesh(mesh) => mesh.signal(None, signal),
            Self::Driver(driver) => driver.signal(None, signal),
        }
    }

    /// As it stands.
    fn snapshot(&self) -> Snapshot {
        match self {
            Self::Mesh(mesh) => mesh.driver().snapshot(),
            Self::Driver(driver) => driver.snapshot(),
        }
    }

    /// This process exits now. What runs elsewhere has been told to end.
    fn abandon(&self) {
        if let Self::Mesh(mesh) = self {
            mesh.abandon();
        }
    }

    /// Its ranks pause with this process, where they are its own.
    async fn suspend(&self) {
        if let Self::Mesh(mesh) = self {
            mesh.suspend().await;
        }
    }

    fn resume(&self) {
        if let Self::Mesh(mesh) = self {
            mesh.resume();
        }
    }

    fn look_for_stopped(&self) {
        if let Self::Mesh(mesh) = self {
            mesh.look_for_stopped();
        }
    }

    fn resize(&self, size: TerminalSize) {
        if let Self::Mesh(mesh) = self {
            mesh.resize(size);
        }
    }
}

/// What is heard of, from before the first rank is started.
pub(crate) struct Signals {
    stopping: Vec<(SignalKind, Signal)>,
    passed_on: Vec<(SignalKind, Signal)>,
    suspend: Signal,
    children: Signal,
    window: Signal,
}

impl Signals {
    /// Keeps signals from ending this process.
    pub(crate) fn register() -> anyhow::Result<Self> {
        Self::register_for(&[SignalKind::interrupt(), SignalKind::quit(), SignalKind::hangup()])
    }

    /// As [`register`](Self::register), for what leaves the job running when its terminal goes.
    pub(crate) fn register_without_hangup() -> anyhow::Result<Self> {
        Self::register_for(&[SignalKind::interrupt(), SignalKind::quit()])
    }

    fn register_for(may_be_ignored: &[SignalKind]) -> anyhow::Result<Self> {
        let hear = |kind| signal(kind).context("cannot listen for signals");
        let hear_unless_ignored = |kinds: &[SignalKind]| {
            let heard = kinds.iter().filter(|kind| !is_ignored(kind.as_raw_value()));
            heard.map(|kind| Ok((*kind, hear(*kind)?))).collect::<anyhow::Result<Vec<_>>>()
        };
        let mut stopping = hear_unless_ignored(may_be_ignored)?;
        stopping.push((SignalKind::terminate(), hear(SignalKind::terminate())?));
        Ok(Self {
            stopping,
            passed_on: hear_unless_ignored(&[
                SignalKind::user_defined1(),
                SignalKind::user_defined2(),
            ])?,
            suspend: hear(SignalKind::from_raw(libc::SIGTSTP))?,
            children: hear(SignalKind::child())?,
            window: hear(SignalKind::window_change())?,
        })
    }

    /// Acts on them: the first that stops stops the job, the second ends the grace, the third
    /// exits at once; SIGUSR1 and SIGUSR2 go to the ranks; SIGTSTP pauses the ranks and then this process;
    /// SIGWINCH gives ranks' terminals the size that is then right. `grace` is what ranks have.
    pub(crate) fn listen(
        self,
        job: Steered,
        grace: Duration,
        size: impl Fn() -> TerminalSize + Send + 'static,
    ) {
        let told = Arc::<AtomicU32>::default();
        for (kind, heard) in self.stopping {
            tokio::spawn(stop(kind, heard, job.clone(), Arc::clone(&told), grace));
        }
        for (kind, heard) in self.passed_on {
            tokio::spawn(pass_on(kind, heard, job.clone()));
        }
        tokio::spawn(suspend(self.suspend, job.clone()));
        tokio::spawn(watch_children(self.children, job.clone()));
        tokio::spawn(resize(self.window, job, size));
    }
}

async fn stop(
    kind: SignalKind,
    mut heard: Signal,
    job: Steered,
    told: Arc<AtomicU32>,
    grace: Duration,
) {
    while heard.recv().await.is_some() {
        let cause = StopCause::Signal(kind.as_raw_value());
        let before = told.fetch_add(1, Ordering::AcqRel);
        if before >= 2 {
            // Whoever comes later finds nothing left to say.
            exit_now(&job, (before == 2).then(|| what_is_left(&job)).flatten(), cause);
        }
        job.stop(cause);
        if before == 0 {
            tokio::spawn(say_who_is_waited_for(job.clone(), Arc::clone(&told), cause, grace));
        }
    }
}

/// Exits without waiting for anything but a line of words, on a console that takes it.
fn exit_now(job: &Steered, words: Option<String>, cause: StopCause) -> ! {
    job.abandon();
    notices::end_drawing();
    if let Some(words) = words {
        notices::say(&words);
        notices::finish(LAST_WORD);
    }
    std::process::exit(exit::of_stop(cause).into())
}

/// What becomes of a job whose end nobody waits for; nothing where it has ended, and its own last
/// words say more.
fn what_is_left(job: &Steered) -> Option<String> {
    let snapshot = job.snapshot();
    if snapshot.ended.is_some() {
        return None;
    }
    let ranks = running(job);
    let (verb, place) = match job {
        Steered::Mesh(_) => ("killed", snapshot.job.log_dir),
        // Its files are its hosts'.
        Steered::Driver(_) => ("told to end", None),
    };
    let ended = match ranks.len() {
        0 => String::new(),
        1 => format!(" rank {ranks} is {verb},"),
        _ => format!(" ranks {ranks} are {verb},"),
    };
    let place = place.map(|dir| format!("; logs in {}", dir.display())).unwrap_or_default();
    Some(format!("exiting at once:{ended} the report is not waited for{place}"))
}

fn running(job: &Steered) -> RankSet {
    let ranks = job.ranks().into_iter().filter(|rank| rank.state == RankState::Running);
    ranks.map(|rank| rank.rank).collect()
}

/// Once, when ranks do not end soon after the first signal; nothing after a second one.
async fn say_who_is_waited_for(
    job: Steered,
    told: Arc<AtomicU32>,
    cause: StopCause,
    grace: Duration,
) {
    tokio::time::sleep(SILENT_END).await;
    let running = running(&job);
    if running.is_empty() || told.load(Ordering::Acquire) > 1 {
        return;
    }
    let (count, s) = (running.len(), if running.len() == 1 { "" } else { "s" });
    let by_key = cause == StopCause::Signal(libc::SIGINT);
    let again = if by_key { "Ctrl-C again" } else { "a second signal" };
    let seconds = grace.as_secs_f64();
    notices::say(&format!(
        "stopping: waiting for {count} rank{s} ({running}); {again} ends the grace of {seconds} s"
    ));
}

async fn pass_on(kind: SignalKind, mut heard: Signal, job: Steered) {
    while heard.recv().await.is_some() {
        job.signal(kind.as_raw_value());
    }
}

async fn suspend(mut heard: Signal, job: Steered) {
    while heard.recv().await.is_some() {
        job.suspend().await;
        notices::wipe();
        own_terminal::restored_during(|| lastline_top::given_back_during(stop_here));
        job.resume();
    }
}

/// Children that have stopped are told of; those of others that have ended are reaped, where this
/// process is given them.
async fn watch_children(mut heard: Signal, job: Steered) {
    while heard.recv().await.is_some() {
        tokio::time::sleep(GATHER).await;
        job.look_for_stopped();
        if !inherits_orphans() {
            continue;
        }
        for orphan in reap_orphans() {
            let (pid, name, group) = (orphan.pid, &orphan.name, orphan.group);
            let ranks = job.ranks();
            let rank = ranks.iter().find(|rank| rank.pid == Some(group)).map(|rank| rank.rank);
            tracing::debug!(pid, name, group, rank, "an orphan was reaped");
        }
    }
}

async fn resize(mut heard: Signal, job: Steered, size: impl Fn() -> TerminalSize) {
    while heard.recv().await.is_some() {
        job.resize(size());
    }
}

/// Pauses this process; returns when somebody has sent SIGCONT. The signal is for the calling
/// thread: had it been for the process, another thread might take it while this one goes on.
fn stop_here() {
    #[expect(unsafe_code, reason = "std raises no signals")]
    // SAFETY: it is a plain system call.
    let raised = unsafe { libc::raise(libc::SIGSTOP) };
    if raised != 0 {
        tracing::debug!("lastline itself does not pause");
    }
}

/// Whether this process was started with a signal ignored.
fn is_ignored(signal: i32) -> bool {
    #[expect(unsafe_code, reason = "std knows no signals")]
    // SAFETY: it writes to a value of this function.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        let known = libc::sigaction(signal, std::ptr::null(), &raw mut action) == 0;
        known && action.sa_sigaction == libc::SIG_IGN
    }
}
