//! Jobs as they lie on disk: their directories, which of them run, their list, what is kept of them,
//! and their reports.
//!
//! A job's directory holds its files, `job.json` while and after it runs, and `report.json` once it is
//! over. Whoever runs it holds a lock on it, so that one that was killed is told from one that runs;
//! the report of a job that was killed is [rebuilt](rebuild_report) from its files.
//!
//! # What it does not do
//!
//! It runs nothing and writes no output. What lies in the files is the appender's.

mod clock;
mod job_dir;
mod job_lock;
mod jobs;
mod rebuild;
mod report;

pub use job_dir::{
    JobDir, JobDirError, JobInfo, LATEST, REPORT_FILE, check_job_id, new_job_id, report_text,
    write_report,
};
pub use jobs::{FoundJob, JobState, JobsPlace, Retention};
pub use rebuild::rebuild_report;
pub use report::{
    BarrierReport, FirstFailure, HostReport, OtherFailure, RankReport, Report, StreamReport,
    Totals, rfc3339,
};
