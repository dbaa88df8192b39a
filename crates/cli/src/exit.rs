//! Exit codes.

use std::io::ErrorKind;

use lastline_bootstrap::{PlacementError, SpawnError, ViaError};
use lastline_jobs::{FileAction, JobDirError, Report};
use lastline_line::StopCause;
use lastline_watch::WatchError;

/// All went well.
pub(crate) const SUCCESS: u8 = 0;
/// Something else went wrong.
pub(crate) const FAILURE: u8 = 1;
/// Bad usage, a directory or an id that cannot be used.
pub(crate) const USAGE: u8 = 2;
/// The time of the job was over, as timeout(1) has it.
pub(crate) const TIMED_OUT: u8 = 124;
/// What was asked for could not be written, or output was lost, with `--strict`; EX_IOERR of sysexits.h.
pub(crate) const LOST: u8 = 74;

/// What was asked for cannot be done, whatever there is.
#[derive(Debug)]
pub(crate) struct Misused(pub(crate) &'static str);

impl std::fmt::Display for Misused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Misused {}

/// The exit code for an error that kept a command from being carried out.
pub(crate) fn of_error(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<SpawnError>() {
        Some(SpawnError::Command(error)) => error.exit_code(),
        Some(
            SpawnError::Files(_) | SpawnError::TooFewFiles { .. } | SpawnError::Workdir { .. },
        ) => USAGE,
        Some(_) => FAILURE,
        None if is_usage(error) => USAGE,
        None => FAILURE,
    }
}

/// Whether it is about what was asked for.
fn is_usage(error: &anyhow::Error) -> bool {
    let via = error.downcast_ref();
    let is_place =
        matches!(via, Some(ViaError::Local(_) | ViaError::NoSuchJob { .. } | ViaError::Refused(_)));
    let job = match error.downcast_ref() {
        Some(WatchError::Job(job)) => Some(job),
        _ => error.downcast_ref(),
    };
    let is_misuse = error.is::<PlacementError>() || error.is::<Misused>();
    job.is_some_and(|job| !is_unreadable(job)) || is_place || is_misuse
}

/// Whether a job, or the place of jobs, is there and cannot be read.
fn is_unreadable(job: &JobDirError) -> bool {
    match job {
        JobDirError::Io {
            action: FileAction::Find | FileAction::LookAt | FileAction::Read,
            source,
            ..
        } => source.kind() != ErrorKind::NotFound,
        JobDirError::Damaged { .. } => true,
        _ => false,
    }
}

/// The exit code of a job that a signal stops: 130 or 143, by what its ranks get.
pub(crate) fn of_stop(cause: StopCause) -> u8 {
    u8::try_from(128 + cause.signal_for_ranks()).unwrap_or(u8::MAX)
}

/// The exit code of a job: 130 or 143 when lastline was told to stop, 124 when its time was over; the code
/// of the rank that failed first, 128 + n for a signal; 1 when ranks were stopped since others elsewhere had
/// failed, and when hosts are lost; 74 when a report is not where it was asked for, and when output
/// was lost, or was not filed where it is `filed`, and that counts.
pub(crate) fn of_report(report: &Report, filed: bool, strict: bool) -> u8 {
    if let Some(cause @ StopCause::Signal(_)) = report.stopped_by {
        return of_stop(cause);
    }
    if report.stopped_by == Some(StopCause::Timeout) {
        return TIMED_OUT;
    }
    if let Some(failure) = &report.first_failure {
        let code = failure.signal.map_or(failure.code.unwrap_or(1), |signal| 128 + signal);
        return u8::try_from(code & 0xff).unwrap_or(u8::MAX).max(1);
    }
    // Ranks were stopped, and neither somebody here nor a failure of theirs is the reason.
    let for_others = report.stopped_by != Some(StopCause::Owner)
        && report.ranks.iter().any(|rank| rank.stopped_by_lastline);
    let is_lost = report.hosts.iter().any(|host| host.lost.is_some());
    if for_others || is_lost || !report.not_heard_of.is_empty() {
        return FAILURE;
    }
    if report.not_written.iter().any(|report| report.asked || strict) {
        return LOST;
    }
    let totals = report.totals();
    let not_filed = filed && totals.not_filed_bytes + totals.filing_unknown_bytes > 0;
    if strict && (totals.lost_bytes > 0 || not_filed || !report.balanced) {
        return LOST;
    }
    SUCCESS
}
