//! Starts the ranks of a job, wires the components that carry their output, and takes all of it
//! down in an order that can prove that nothing was lost.
//!
//! A [`Plan`] says what to run and within which limits, a [`Console`] how it is shown.
//! [`LoggingMesh::spawn`] makes a job of them; its handle answers barriers, tells where ranks stand,
//! stops the job, and gives the [`Report`] at the end. [`LoggingMesh::builder`] exchanges parts of it.
//! A mesh is a [`Host`], which runs ranks, and a [`Driver`], which shows them; each can be had alone.
//!
//! ```
//! use lastline_bootstrap::{Console, LoggingMesh, Plan};
//! use lastline_client::{Labels, TextOptions, TextPrinter};
//! use lastline_line::Off;
//!
//! # tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
//! let mut plan = Plan::new("example", vec!["echo".into(), "hello".into()]);
//! plan.procs = 2;
//! let labels = Labels::default();
//! let (out, err) = (Box::new(std::io::stdout()), Box::new(std::io::stderr()));
//! let printer = TextPrinter::new(out, err, labels.clone(), TextOptions::default());
//! let console =
//!     Console { fold: Box::new(Off), printer: Box::new(printer), labels, raw_partials: false };
//! let report = LoggingMesh::spawn(plan, console)?.wait().await?;
//! assert!(report.balanced);
//! assert_eq!(report.totals().bytes, 12);
//! # Ok::<_, Box<dyn std::error::Error>>(()) })?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # Theory of operation
//!
//! In a host, a thread that lives as long as the job starts the ranks, each the leader of a process
//! group, and a guardian process knows the groups: when this process is killed, it ends them. Each
//! stream gets a tee that feeds the appender and the sender; the sender feeds the client over a
//! transport, which is a channel in a mesh. The host's loop hears of exits (from pidfds) and of
//! streams' ends, and stops the ranks when it is told to or when one has failed.
//!
//! What becomes of its ranks the host says in events, which go beside the output and never wait
//! behind it. The driver keeps a record of them, and has nothing else to make the report of but
//! that and the client's accounts; so it may be in another process. A host without a driver goes on
//! into its files; of a host that is lost the report says so, and its ranks are ended by its guardian.
//!
//! Hosts at a distance are as many as it takes to have every rank. Each says which ranks it has, of how
//! many; it is told apart from others by a random number, and known to be alive by its heartbeats. One that
//! claims what another has is refused, and nothing of it is shown or counted.
//!
//! Leaders that have exited stay zombies until the end, so that the id of a group is nobody
//! else's. A pipe, or a terminal, that stays open after its rank's exit is given up after a time of
//! silence, and who holds it is named.
//!
//! The shutdown is a row of stages with one budget: *signal* (when the job is stopped), *eof*,
//! *flush*, *abort*, *drop*, *print*. Host and driver each go through theirs; a stage that is not
//! done in time is told in the report, and the next one runs.
//!
//! Where several processes meet, a [`Url`] says: a Unix socket, or, with the feature `nats`, a broker. What a
//! broker has stored of a job is read by `StoredJob`, without taking part in it.
//!
//! # Laws
//!
//! Those of [`Spawner`], and: every byte read is in the report, shown, withheld, or lost with its
//! range and cause, and filed or not with range and cause; no rank outlives this process; a
//! barrier never hangs.
//!
//! # What it does not do
//!
//! It reads no arguments and chooses no places. It does not see what a rank holds in its own
//! buffers.

use std::sync::{Mutex, MutexGuard, PoisonError};

use lastline_spawn::{FilesLimitError, explain_process_limit};

mod blocking;
mod clock;
mod control;
mod driver;
mod host;
mod mesh;
mod plan;
mod running_time;
mod shutdown;
mod sizes;
mod via;
mod work;

pub use control::ControlSocket;
pub use driver::{Driver, DriverBuilder, DriverHandle, RankChanges, RankState, RankStatus};
pub use host::{Host, HostBuilder, HostHandle, new_host_id};
pub use lastline_client::{EntryStream, LineStream, SubscribeOptions};
pub use lastline_jobs::Report;
pub use lastline_line::StopCause;
pub use lastline_spawn::{
    CommandError, Echo, OnEcho, Output, Placement, PlacementError, PlacementFlags, Process,
    RankSpec, Spawned, Spawner, StdinMode, TerminalSize, Typist, inherits_orphans, own_sigchld,
    reap_orphans,
};
pub use lastline_watch::protocol::{FlushAnswer, Missing};
pub use lastline_watch::{control_path, control_path_of, request_flush, request_stop};
pub use mesh::{LoggingMesh, MeshBuilder};
pub use plan::{Console, Files, OnFailure, Plan};
pub use sizes::transport_bytes;
pub use via::{Claim, DriverEnd, HostEnd, HostWay, Listening, Url, UrlError, ViaError};
#[cfg(feature = "nats")]
pub use via::{Reading, StoredInbox, StoredJob};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why a rank cannot be started again, or attached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RankError {
    /// The job has no such rank.
    #[error("the job has no rank {rank}")]
    Unknown {
        /// Which was named.
        rank: u32,
    },
    /// It runs, or is being started.
    #[error("rank {rank} runs: wait for its exit, or signal it first")]
    Runs {
        /// Which rank.
        rank: u32,
    },
    /// Nothing is started any more.
    #[error("the job is ending: no rank is started any more")]
    Ending,
}

/// Why a job could not be started or waited for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// The command cannot be run.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// There is no such directory to start ranks in.
    #[error("cannot start ranks in {}: there is no such directory", dir.display())]
    Workdir {
        /// The directory.
        dir: std::path::PathBuf,
    },
    /// The directory for the files cannot be used.
    #[error(transparent)]
    Files(#[from] lastline_appender::AppenderError),
    /// More open files are needed than this user may have.
    #[error(
        "{}{more} open files beside the {open} that this process has, and the limit is {limit}: raise it (`ulimit -n`){}",
        if *procs == 1 { String::from("1 rank needs ") } else { format!("{procs} ranks need ") },
        if *procs == 1 { "" } else { ", or start fewer" },
    )]
    TooFewFiles {
        /// How many ranks.
        procs: u32,
        /// How many descriptors they need.
        more: u64,
        /// How many there are already.
        open: u64,
        /// The hard limit.
        limit: u64,
    },
    /// The guardian could not be started.
    #[error("cannot start the guardian process")]
    Guardian {
        /// Why.
        source: std::io::Error,
    },
    /// The ranks' stdin could not be made.
    #[error("cannot pass stdin on")]
    Stdin {
        /// Why.
        source: std::io::Error,
    },
    /// The system gives no thread, or no more of something else.
    #[error("the system refuses what a job needs")]
    Thread {
        /// Why.
        source: std::io::Error,
    },
    /// It was asked for outside of a tokio runtime.
    #[error(
        "a job needs a tokio runtime: call this inside `block_on` of one, with io and time enabled"
    )]
    NoRuntime,
    /// A loop of the job ended without a report.
    #[error("a task of the job has failed")]
    Supervisor {
        /// Why.
        source: tokio::task::JoinError,
    },
    /// The host is no part of the job: another one has its ranks, or speaks of another job.
    #[error("refused: {why}")]
    Refused {
        /// Why, in words for whoever started it.
        why: String,
    },
    /// The driver has left the job, which runs on.
    #[error("this driver has left the job, which runs on without it")]
    Detached,
    /// The job ended without a report: a task of it failed, or its runtime ended first.
    #[error("the job was interrupted: its runtime ended, or a task of it failed")]
    Interrupted,
}

impl SpawnError {
    fn thread(source: std::io::Error) -> Self {
        Self::Thread { source: explain_process_limit(source) }
    }

    fn files_limit(procs: u32, error: FilesLimitError) -> Self {
        match error {
            FilesLimitError::TooFew { more, open, limit } => {
                Self::TooFewFiles { procs, more, open, limit }
            }
            error => Self::Thread { source: std::io::Error::other(error) },
        }
    }
}

/// The programs of the README are compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
