//! The jobs of a user on the disk: the directory of a job and who may have it, the list of jobs and
//! how long they stay, and the [`Report`] that says at the end what became of each.
//!
//! A job that begins makes a [`JobDir`], which is locked while it runs, and writes a [`Report`] at
//! its end. Whoever looks goes through [`JobsPlace`], and finds [`FoundJob`]s; for one that was
//! interrupted, [`rebuild_report`] tells from its files what can be told.
//!
//! ```
//! use lastline_jobs::{JobDir, JobInfo, JobState, JobsPlace};
//!
//! # let root = tempfile::tempdir()?;
//! let place = JobsPlace::at(root.path().to_owned());
//! let info = JobInfo::new("example", vec!["echo".into()], 2);
//! let dir = JobDir::create(&place.dir_of("example"), false, &info)?;
//! place.register("example", dir.path())?;
//!
//! let found = place.find(None)?;
//! assert_eq!((found.info.job.as_str(), found.state), ("example", JobState::Running));
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # Theory of operation
//!
//! **A place** holds a folder for each job, by its id, or a link of that name where the job has its
//! directory elsewhere, and a link `latest` to the newest. A directory is one job, that whose
//! `job.json` is in it: links under the names of earlier ones lead to what is gone, and go when
//! jobs are pruned.
//!
//! **A directory** belongs to the job that has the lock on its `job.json`, a lock of the open file:
//! it goes with the process, however that ends, and who looks takes none. A directory with that
//! file, without a lock and without a `report.json` is a job that was interrupted. It is opened
//! once, and everything in it goes through what was opened: it may be moved while the job runs.
//!
//! **Parts.** Where several processes start the ranks of one job, the job's directory holds one for each
//! of them, `node-4` for that whose first rank is 4, and beside them the report of the driver, when one
//! saw the end; without it those of the parts say together what became of the job.
//!
//! **A report** is written under a name that nobody can foresee, and takes its place when it is
//! whole. Where somebody asked for it at a device, a FIFO or an open descriptor, it is written
//! there, and that stays what it is.
//!
//! # Laws
//!
//! 1. Two jobs never have one directory at once.
//! 2. Only files that a job writes are ever removed or replaced, and never while it runs: in a directory where
//!    neither `job.json` nor `report.json` is lastline's, none.
//! 3. A report is there whole or not at all.
//! 4. A report that was read is written again byte for byte; of a report with words that are not
//!    known, the rest is read.
//!
//! # What it does not do
//!
//! It starts nothing, and writes no output of a rank: that is the appender's. It keeps no list but
//! the place itself. To look at a job on a disk that hangs may hang; making a directory can be
//! given up ([`JobDir::create_within`]).

mod clock;
mod driver_file;
mod job_dir;
mod job_lock;
mod jobs;
mod lenient;
mod open_dir;
mod parts;
mod random;
mod rebuild;
mod report;
mod report_file;
mod totals;

pub use driver_file::DrivenDir;
pub use job_dir::{
    FileAction, JobDir, JobDirError, JobInfo, LATEST, REPORT_FILE, SEEN_FILE, check_job_id,
    host_report_name, make_dir, new_job_id,
};
pub use jobs::{FoundJob, JobState, JobsPlace, Pruned, Retention};
pub use open_dir::OpenDir;
pub use parts::part_name;
pub use random::random_u64;
pub use rebuild::rebuild_report;
pub use report::{
    BarrierReport, FirstFailure, HostReport, LeftOut, NotWritten, OtherFailure, RankReport,
    RefusedHost, Report, StreamReport, rfc3339,
};
pub use report_file::{goes_into_file, report_text, write_report};
pub use totals::{FILING_UNKNOWN, Totals};

// The program of the README runs with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
