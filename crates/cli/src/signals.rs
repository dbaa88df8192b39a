//! The signals that lastline is sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context as _;
use lastline_bootstrap::{LoggingMesh, StopCause, TerminalSize};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{notices, own_terminal};

/// What is heard of, from before the first rank is started.
pub(crate) struct Signals {
    stopping: Vec<(SignalKind, Signal)>,
    suspend: Signal,
    window: Signal,
    /// A file at the limit of its size is then an error of writing, not the end of lastline. A
    /// handler, unlike an ignored signal, does not pass to the ranks.
    _file_size: Signal,
}

impl Signals {
    /// Keeps signals from ending this process.
    pub(crate) fn register() -> anyhow::Result<Self> {
        let hear = |kind| signal(kind).context("cannot listen for signals");
        let mut kinds = vec![SignalKind::interrupt(), SignalKind::terminate(), SignalKind::quit()];
        // A job under nohup is not told of the terminal's end.
        if !is_ignored(libc::SIGHUP) {
            kinds.push(SignalKind::hangup());
        }
        let stopping = kinds.into_iter().map(|kind| Ok((kind, hear(kind)?)));
        Ok(Self {
            stopping: stopping.collect::<anyhow::Result<_>>()?,
            suspend: hear(SignalKind::from_raw(libc::SIGTSTP))?,
            window: hear(SignalKind::window_change())?,
            _file_size: hear(SignalKind::from_raw(libc::SIGXFSZ))?,
        })
    }

    /// Acts on them: the first that stops stops the job, the second ends the grace, the third
    /// exits at once; SIGTSTP pauses the ranks and then this process; SIGWINCH gives ranks' terminals
    /// the size that is then right.
    pub(crate) fn listen(
        self,
        mesh: &LoggingMesh,
        size: impl Fn() -> TerminalSize + Send + 'static,
    ) {
        let told = Arc::<AtomicU32>::default();
        for (kind, heard) in self.stopping {
            tokio::spawn(stop(kind, heard, mesh.clone(), Arc::clone(&told)));
        }
        tokio::spawn(suspend(self.suspend, mesh.clone()));
        tokio::spawn(resize(self.window, mesh.clone(), size));
    }
}

async fn stop(kind: SignalKind, mut heard: Signal, mesh: LoggingMesh, told: Arc<AtomicU32>) {
    while heard.recv().await.is_some() {
        let number = match kind.as_raw_value() {
            libc::SIGINT => libc::SIGINT,
            _ => libc::SIGTERM,
        };
        if told.fetch_add(1, Ordering::AcqRel) >= 2 {
            mesh.abandon();
            notices::end_drawing();
            std::process::exit(128 + number);
        }
        mesh.stop(StopCause::Signal(number));
    }
}

async fn suspend(mut heard: Signal, mesh: LoggingMesh) {
    while heard.recv().await.is_some() {
        mesh.suspend().await;
        notices::wipe();
        own_terminal::restored_during(stop_here);
        mesh.resume();
    }
}

async fn resize(mut heard: Signal, mesh: LoggingMesh, size: impl Fn() -> TerminalSize) {
    while heard.recv().await.is_some() {
        mesh.resize(size());
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
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
}
