//! A job whose ranks several processes started: its directory holds one for each of them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lastline_appender::INDEX_NAME;
use lastline_line::RankSet;

use crate::driver_file::Driven;
use crate::job_dir::{FileAction, JOB_FILE, JobDirError, JobInfo, REPORT_FILE, failed};
use crate::jobs::{FoundJob, JobState, in_words, read_report};
use crate::report::Report;

const PREFIX: &str = "node-";

/// The name of the directory of one process's ranks in that of the job: `node-4` where rank 4 is the
/// first of them.
pub fn part_name(first_rank: u32) -> String {
    format!("{PREFIX}{first_rank}")
}

/// The directories of processes that started ranks, in the order of those.
pub(crate) fn part_dirs(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let number = |name: &std::ffi::OsStr| name.to_str()?.strip_prefix(PREFIX)?.parse::<u32>().ok();
    let mut parts: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| Some((number(&entry.file_name())?, entry.path())))
        .filter(|(_, path)| path.join(JOB_FILE).exists())
        .collect();
    parts.sort();
    parts.into_iter().map(|(_, path)| path).collect()
}

/// Whether a job has its files there, whole or in parts, or at least its report, or a driver that shows it; or may have, since nobody
/// may look.
pub(crate) fn holds_job(dir: &Path) -> bool {
    let has = |name| may_exist(&dir.join(name));
    has(JOB_FILE) || has(REPORT_FILE) || !part_dirs(dir).is_empty() || Driven::is_in(dir)
}

/// Whether a file is there, or in a directory that may not be looked into.
pub(crate) fn may_exist(file: &Path) -> bool {
    let refused = |error: io::Error| error.kind() == io::ErrorKind::PermissionDenied;
    fs::metadata(file).map_or_else(refused, |_| true)
}

/// The job whose parts are in `dir`, or of which only the report is there, or a driver.
pub(crate) fn open(dir: &Path) -> Result<FoundJob, JobDirError> {
    let parts = part_dirs(dir);
    let found: Vec<FoundJob> =
        parts.iter().filter_map(|part| FoundJob::open_whole(part).ok()).collect();
    let report = read_report(dir);
    let linked = fs::symlink_metadata(dir).is_ok_and(|found| found.is_symlink());
    let driven = Driven::open(dir);
    let is_shown = driven.as_ref().is_some_and(|driven| driven.is_shown);
    let Some(info) = found.iter().map(|part| &part.info).min_by_key(|info| started(info)) else {
        let (info, state) = without_parts(dir, report, driven)?;
        // Who removed what says of the files has not removed those.
        let ranks = if may_exist(&dir.join(INDEX_NAME)) { 0 } else { info.world_size };
        let elsewhere = RankSet::first(ranks);
        let dir = dir.to_owned();
        return Ok(FoundJob { dir, info, state, linked, parts, elsewhere, damage: None });
    };
    let damage = report.as_ref().err().map(in_words);
    let state = if is_shown { JobState::Running } else { state(&found, report.ok().flatten()) };
    let elsewhere = RankSet::first(info.world_size).difference(&ranks_of(&found));
    let (dir, info) = (dir.to_owned(), info.clone());
    Ok(FoundJob { dir, info, state, linked, parts, elsewhere, damage })
}

/// What a driver says of a job whose ranks have no files here: while it shows it, and in its report.
fn without_parts(
    dir: &Path,
    report: Result<Option<Report>, JobDirError>,
    driven: Option<Driven>,
) -> Result<(JobInfo, JobState), JobDirError> {
    let driven = match driven {
        Some(Driven { info, is_shown: true }) => return Ok((info, JobState::Running)),
        driven => driven.map(|driven| driven.info),
    };
    let file = dir.join(JOB_FILE);
    let none = || failed(FileAction::Read, &file)(io::ErrorKind::NotFound.into());
    let report = report?.ok_or_else(none)?;
    let mut info = of_report(&report);
    info.via = driven.filter(|driven| driven.job == info.job).and_then(|driven| driven.via);
    Ok((info, JobState::Finished(Box::new(report))))
}

/// The ranks whose files these have.
fn ranks_of(parts: &[FoundJob]) -> RankSet {
    let of = |part: &FoundJob| part.info.part.unwrap_or((0, part.info.world_size));
    parts.iter().map(of).flat_map(|(first, count)| first..first.saturating_add(count)).collect()
}

fn started(info: &JobInfo) -> Option<jiff::Timestamp> {
    info.started.parse().ok()
}

/// What a driver has written says most of a job; without one its parts say it together.
fn state(parts: &[FoundJob], report: Option<Report>) -> JobState {
    if parts.iter().any(|part| part.state == JobState::Running) {
        return JobState::Running;
    }
    // Another job may have been here before.
    let ended = |report: &Report| report.ended.parse::<jiff::Timestamp>().ok();
    let is_of_these =
        |report: &Report| parts.iter().all(|part| ended(report) >= started(&part.info));
    if let Some(report) = report.filter(is_of_these) {
        return JobState::Finished(Box::new(report));
    }
    let reports = parts.iter().map(|part| match &part.state {
        JobState::Finished(report) => Some((**report).clone()),
        _ => None,
    });
    match reports.collect::<Option<Vec<Report>>>() {
        Some(reports) => JobState::Finished(Box::new(joined(reports))),
        None => JobState::Broken,
    }
}

fn of_report(report: &Report) -> JobInfo {
    let mut info = JobInfo::new(&report.job, report.command.clone(), report.world_size);
    info.lastline.clone_from(&report.lastline);
    info.started.clone_from(&report.started);
    info.pid = 0;
    info
}

/// One report of those of the parts of a job, each of which had the ledger of its own ranks.
pub(crate) fn joined(reports: Vec<Report>) -> Report {
    let mut reports = reports.into_iter();
    let Some(mut whole) = reports.next() else {
        return Report::new("", Vec::new(), 0);
    };
    let failed_at =
        |report: &Report| report.first_failed()?.ended.as_ref()?.parse::<jiff::Timestamp>().ok();
    for part in reports {
        let earlier = match (failed_at(&part), failed_at(&whole)) {
            (Some(part), Some(whole)) => part < whole,
            (part, whole) => part.is_some() && whole.is_none(),
        };
        if earlier || whole.first_failure.is_none() {
            whole.first_failure = part.first_failure.or(whole.first_failure);
        }
        // As times, not as text: trailing zeros of a fraction are not written.
        let time = |text: &String| text.parse::<jiff::Timestamp>().ok();
        whole.started =
            [whole.started, part.started].into_iter().min_by_key(time).unwrap_or_default();
        whole.ended = [whole.ended, part.ended].into_iter().max_by_key(time).unwrap_or_default();
        whole.world_size = whole.world_size.max(part.world_size);
        whole.stopped_by = whole.stopped_by.or(part.stopped_by);
        whole.broken_off |= part.broken_off;
        whole.not_synced.extend(part.not_synced);
        whole.memory_kills.extend(part.memory_kills);
        whole.hosts.extend(part.hosts);
        whole.refused.extend(part.refused);
        whole.ranks.extend(part.ranks);
    }
    whole.ranks.sort_by_key(|rank| rank.rank);
    whole.barriers.clear();
    whole.teardown.clear();
    whole.check_balance();
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fraction is written without its trailing zeros, so that as text the earlier one is the later.
    #[test]
    fn a_whole_begins_with_the_first_of_its_parts_and_ends_with_the_last() {
        let times = [
            ("2026-01-01T00:00:00Z", "2026-01-01T00:00:09Z"),
            ("2026-01-01T00:00:00.5Z", "2026-01-01T00:00:09.25Z"),
        ];
        let part = |(started, ended): (&str, &str)| {
            let mut part = Report::new("j", Vec::new(), 2);
            (part.started, part.ended) = (started.into(), ended.into());
            part
        };
        for times in [times, [times[1], times[0]]] {
            let whole = joined(times.map(part).into());
            assert_eq!(
                (&*whole.started, &*whole.ended),
                ("2026-01-01T00:00:00Z", "2026-01-01T00:00:09.25Z")
            );
        }
    }
}
