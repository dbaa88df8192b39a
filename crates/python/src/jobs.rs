//! Jobs that are on the disk.

use std::collections::BTreeMap;

use lastline_appender::Extent;
use lastline_jobs::{FoundJob, JobState, JobsPlace, Retention, rebuild_report};
use lastline_line::{RankSet, StreamId};
use lastline_watch::{Archives, Wanted};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::filed::Filed;
use crate::lines::{Batches, Lines};
use crate::mesh::report_json;
use crate::options::duration;
use crate::{LastlineError, failed};

/// Id, directory, command, ranks, start, state, bytes.
type JobTuple = (String, std::path::PathBuf, Vec<String>, u32, String, &'static str, u64);

fn find(job: Option<&str>) -> PyResult<FoundJob> {
    let found = JobsPlace::of_user().and_then(|place| place.find(job));
    found.map_err(|error| failed::<LastlineError>(&error))
}

/// All jobs of this user, oldest first.
#[pyfunction]
pub(crate) fn jobs(py: Python<'_>) -> PyResult<Vec<JobTuple>> {
    let place = JobsPlace::of_user().map_err(|error| failed::<LastlineError>(&error))?;
    let row = |job: FoundJob| {
        let state = match &job.state {
            JobState::Running => "running",
            JobState::Finished(_) => "finished",
            JobState::Broken => "broken",
            _ => "unknown",
        };
        let (bytes, info) = (job.bytes(), job.info);
        (info.job, job.dir, info.command, info.world_size, info.started, state, bytes)
    };
    Ok(py.detach(|| place.list().into_iter().map(row).collect()))
}

/// The report of a job as JSON: of an id, a directory, or the latest one; `None` while it runs.
#[pyfunction]
pub(crate) fn report(py: Python<'_>, job: Option<&str>) -> PyResult<Option<String>> {
    py.detach(|| {
        let found = find(job)?;
        match &found.state {
            JobState::Running => Ok(None),
            JobState::Finished(report) => report_json(report).map(Some),
            _ => report_json(&rebuild_report(&found)?).map(Some),
        }
    })
}

/// What the files of a job hold, line by line, merged by the time of arrival.
#[pyfunction]
pub(crate) fn logs(
    py: Python<'_>,
    job: Option<&str>,
    ranks: Option<&str>,
    stream: Option<&str>,
    tail: Option<u64>,
    follow: bool,
) -> PyResult<Lines> {
    let parsed = ranks.map(str::parse).transpose();
    let ranks: Option<RankSet> = parsed.map_err(|error: lastline_line::RankSetError| {
        PyValueError::new_err(format!("rank: {error}"))
    })?;
    let found = py.detach(|| find(job))?;
    if let Some(ranks) = &ranks {
        check_ranks(ranks, found.info.world_size)?;
    }
    let stream = stream.map(str::to_owned);
    let streams = move |id: StreamId| {
        ranks.as_ref().is_none_or(|ranks| ranks.contains(id.rank))
            && stream.as_ref().is_none_or(|name| id.stream.name() == name)
    };
    let wanted = Wanted { streams: Box::new(streams), tail, follow, ..Wanted::default() };
    Batches::filed(Filed::open(found, wanted)?).map(Lines::new)
}

/// Whether a job has any of these ranks.
fn check_ranks(ranks: &RankSet, world_size: u32) -> PyResult<()> {
    if ranks.is_empty() || ranks.difference(&RankSet::first(world_size)) != *ranks {
        return Ok(());
    }
    let last = world_size.saturating_sub(1);
    Err(PyValueError::new_err(format!("rank={ranks}: the job has ranks 0 to {last}")))
}

/// Removes finished jobs, oldest first, until the rest is within these bounds; the ids of those that are off the list.
#[pyfunction]
pub(crate) fn prune(
    py: Python<'_>,
    keep: Option<usize>,
    older_than: Option<f64>,
    max_size: Option<u64>,
) -> PyResult<Vec<String>> {
    let mut retention = Retention::default();
    retention.max_jobs = keep;
    retention.max_age = older_than.map(|age| duration("older_than", age)).transpose()?;
    retention.max_bytes = max_size;
    let place = JobsPlace::of_user().map_err(|error| failed::<LastlineError>(&error))?;
    let pruned = py.detach(|| place.prune(&retention));
    let unlisted = pruned.unlisted.into_iter().map(|(job, _)| job);
    Ok(pruned.removed.into_iter().chain(unlisted).collect())
}

/// When which rank wrote how much: rank, seconds since the epoch, bytes.
#[pyfunction]
pub(crate) fn timeline(py: Python<'_>, job: Option<&str>) -> PyResult<Vec<(u32, f64, u64)>> {
    py.detach(|| {
        let archives = Archives::open(&find(job)?);
        let archives = archives.map_err(|error| failed::<LastlineError>(&error))?;
        let piece = |extent: Extent| {
            let time = std::time::Duration::from_micros(extent.time?.0).as_secs_f64();
            Some((extent.stream.rank, time, extent.span.len()))
        };
        Ok(archives.extents_after(&BTreeMap::new()).into_iter().filter_map(piece).collect())
    })
}
