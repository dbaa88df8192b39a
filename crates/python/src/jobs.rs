//! Jobs that are on the disk.

use lastline_appender::{Archive, Extent};
use lastline_jobs::{FoundJob, JobState, JobsPlace, rebuild_report};
use pyo3::prelude::*;

use crate::lines::{FiledOutput, Lines};
use crate::mesh::report_json;
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
) -> PyResult<Lines> {
    let parsed = ranks.map(str::parse).transpose();
    let ranks = parsed.map_err(|error: lastline_line::RankSetError| {
        pyo3::exceptions::PyValueError::new_err(format!("rank: {error}"))
    })?;
    py.detach(|| Ok(Lines::filed(FiledOutput::open(find(job)?.dir, ranks.as_ref(), stream)?)))
}

/// When which rank wrote how much: rank, seconds since the epoch, bytes.
#[pyfunction]
pub(crate) fn timeline(py: Python<'_>, job: Option<&str>) -> PyResult<Vec<(u32, f64, u64)>> {
    py.detach(|| {
        let archive = Archive::open(find(job)?.dir);
        let archive = archive.map_err(|error| failed::<LastlineError>(&error))?;
        let piece = |extent: Extent| {
            let time = std::time::Duration::from_micros(extent.time?.0).as_secs_f64();
            Some((extent.stream.rank, time, extent.span.len()))
        };
        Ok(archive.extents().into_iter().filter_map(piece).collect())
    })
}
