//! The jobs of a user on the disk: the directory of a job and who may have it, the list of jobs and
//! how long they stay, and the [`Report`] that says at the end what became of each.
//!
//! A job that begins makes a [`JobDir`], which is locked while it runs, and writes a [`Report`] at
//! its end. Whoever looks goes through [`JobsPlace`], and finds [`FoundJob`]s; for one that was
//! broken off, [`rebuild_report`] tells from its files what can be told.
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

mod clock;
mod job_dir;
mod job_lock;
mod jobs;
mod lenient;
mod open_dir;
mod rebuild;
mod report;
mod report_file;

pub use job_dir::{JobDir, JobDirError, JobInfo, LATEST, REPORT_FILE, check_job_id, new_job_id};
pub use jobs::{FoundJob, JobState, JobsPlace, Retention};
pub use open_dir::OpenDir;
pub use rebuild::rebuild_report;
pub use report::{
    BarrierReport, FirstFailure, HostReport, OtherFailure, RankReport, Report, StreamReport,
    Totals, rfc3339,
};
pub use report_file::{report_text, write_report};
