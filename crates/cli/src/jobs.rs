//! `lastline jobs`, `lastline report`, `lastline prune` and `lastline flush`.

use std::io::{self, Write as _};

use anyhow::Context as _;
use lastline_bootstrap::request_flush;
use lastline_jobs::{FoundJob, JobState, JobsPlace, Retention, check_job_id, rebuild_report};
use lastline_line::BarrierOutcome;

use crate::args::PruneOptions;
use crate::exit;
use crate::summary::harmless;
use crate::units::bytes;

/// Lists the jobs, oldest first: id, when, ranks, exit, size, command.
pub(crate) fn jobs() -> anyhow::Result<u8> {
    let found = JobsPlace::of_user()?.list();
    let mut rows = vec![["JOB", "STARTED", "RANKS", "EXIT", "SIZE", "COMMAND"].map(String::from)];
    rows.extend(found.iter().map(row));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..5).map(|column| width(column).unwrap_or(0)).collect();
    let mut out = io::stdout().lock();
    for [id, started, ranks, exit, size, command] in &rows {
        let line = writeln!(
            out,
            "{id:0$}  {started:1$}  {ranks:>2$}  {exit:3$}  {size:>4$}  {command}",
            widths[0], widths[1], widths[2], widths[3], widths[4],
        );
        match line {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
            other => other.context("cannot print the list")?,
        }
    }
    Ok(exit::SUCCESS)
}

fn row(job: &FoundJob) -> [String; 6] {
    let exit = match &job.state {
        JobState::Running => String::from("running"),
        JobState::Broken => String::from("broken"),
        JobState::Finished(report) => exit::of_report(report, true, job.info.strict).to_string(),
        _ => String::from("?"),
    };
    let started: Result<jiff::Timestamp, _> = job.info.started.parse();
    let local = |at: jiff::Timestamp| {
        at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
    };
    let started = started.map_or_else(|_| job.info.started.clone(), local);
    let command = harmless(&job.info.command.join(" "));
    let size = bytes(job.bytes());
    [job.info.job.clone(), started, job.info.world_size.to_string(), exit, size, command]
}

/// Prints the report of a job that is over.
pub(crate) fn report(job: Option<&str>) -> anyhow::Result<u8> {
    let job = JobsPlace::of_user()?.find(job)?;
    let report = match &job.state {
        JobState::Running => anyhow::bail!("the job still runs; its report comes at its end"),
        JobState::Finished(report) => (**report).clone(),
        _ => rebuild_report(&job).context("cannot read the job's files")?,
    };
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &report).context("cannot print the report")?;
    writeln!(out).context("cannot print the report")?;
    Ok(exit::SUCCESS)
}

/// Removes jobs, and prints the ids of those that it removed.
pub(crate) fn prune(options: &PruneOptions) -> anyhow::Result<u8> {
    let mut retention = Retention::default();
    retention.max_jobs = options.keep;
    retention.max_age = options.older_than;
    retention.max_bytes = options.max_size;
    let mut out = io::stdout().lock();
    for job in JobsPlace::of_user()?.prune(&retention) {
        writeln!(out, "{job}").context("cannot print what was removed")?;
    }
    Ok(exit::SUCCESS)
}

/// Asks a running job for a barrier and prints its verdict; 0 when all streams were reached.
pub(crate) fn flush(job: &str) -> anyhow::Result<u8> {
    check_job_id(job)?;
    let answer = request_flush(job).with_context(|| format!("no running job `{job}` answers"))?;
    let mut out = io::stdout().lock();
    writeln!(out, "{}", answer.verdict).context("cannot print the verdict")?;
    for missing in &answer.missing {
        writeln!(out, "rank {} {}: {}", missing.rank, missing.stream, missing.why)
            .context("cannot print the verdict")?;
    }
    Ok(if answer.verdict == BarrierOutcome::Reached { exit::SUCCESS } else { exit::FAILURE })
}
