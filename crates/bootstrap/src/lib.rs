//! Starts the ranks of a job, wires the components that carry their output, and takes all of it
//! down in an order that can prove that nothing was lost.
//!
//! A [`Plan`] says what to run and within which limits, a [`Console`] how it is shown.
//! [`LoggingMesh::spawn`] makes a job of them; its handle answers barriers, stops the job, and
//! gives the [`Report`] at the end.
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
//! A thread that lives as long as the job starts the ranks, each the leader of a process group,
//! and a guardian process knows the groups: when this process is killed, it ends them. Each stream
//! gets a tee that feeds the appender and the sender; the sender feeds the client over the
//! in-process transport. A supervisor task hears of exits (from pidfds) and of streams' ends, and
//! stops the ranks when it is told to or when one has failed.
//!
//! Leaders that have exited stay zombies until the end, so that the id of a group is nobody
//! else's. A pipe, or a terminal, that stays open after its rank's exit is given up after a time of
//! silence, and who holds it is named.
//!
//! The way out is a row of stages with one budget: *signal* (when the job is stopped), *eof*,
//! *flush*, *abort*, *drop*, *print*. A stage that is not done in time is told in the report, and
//! the next one runs.
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

mod account;
mod barriers;
mod clock;
mod control;
mod disk_watch;
mod failure;
mod inner;
mod job_dir;
mod job_lock;
mod jobs;
mod mesh;
mod plan;
mod rank;
mod ranks;
mod rebuild;
mod report;
mod stage;
mod start;
mod stop;
mod supervisor;
mod teardown;
mod wiring;

pub use control::{FlushAnswer, Missing, control_path, request_flush};
pub use job_dir::{JobDir, JobDirError, JobInfo, LATEST, check_job_id, new_job_id};
pub use jobs::{FoundJob, JobState, JobsPlace, Retention};
pub use lastline_spawn::{
    CommandError, Holder, Output, RankSpec, Spawned, Spawner, StdinMode, TerminalSize, own_sigchld,
};
pub use mesh::{LoggingMesh, Stopper};
pub use plan::{Console, Files, OnFailure, Plan, StopCause};
pub use rebuild::rebuild_report;
pub use report::{
    BarrierReport, FirstFailure, MemoryKills, OtherFailure, RankReport, Report, StageReport,
    StreamEnd, StreamReport, Totals, signal_text,
};

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
        "{procs} ranks need {needed} open files, and the limit is {limit}: raise it (`ulimit -n`), or start fewer"
    )]
    TooFewFiles {
        /// How many ranks.
        procs: u32,
        /// How many descriptors they need.
        needed: u64,
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
    /// The supervisor ended without a report.
    #[error("the supervisor of the job has failed")]
    Supervisor {
        /// Why.
        source: tokio::task::JoinError,
    },
}
