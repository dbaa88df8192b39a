//! A job's files.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use anyhow::Context as _;
use lastline_appender::IndexState;
use lastline_client::{Label, Labels};
use lastline_jobs::{FoundJob, JobState, RankReport};
use lastline_line::{RankSet, Stream, StreamId, Timestamp};
use lastline_watch::{ArchiveInbox, Archives, Wanted};

use super::LogsOptions;
use super::place::Only;
use crate::{console, exit, jobs, notices, summary};

/// Prints the job's files; the exit code.
pub(super) fn logs(options: &LogsOptions) -> anyhow::Result<u8> {
    let job = jobs::find(options.job())?;
    if super::has_none_of_them(options, job.info.world_size) {
        return Ok(exit::USAGE);
    }
    let elsewhere = elsewhere(options, &job);
    let are_here = elsewhere.is_none();
    elsewhere.iter().for_each(|where_they_are| notices::say(where_they_are));
    let archive = Archives::open(&job).context("cannot read the job's files")?;
    let mut wanted = wanted(options);
    if let Some(around) = options.around_failure {
        let Some((since, until)) = around_failure(&job, around) else {
            notices::say("no rank of this job has failed, or its report does not say when");
            return Ok(exit::FAILURE);
        };
        (wanted.since, wanted.before) = (Some(since), Some(until));
    }
    if let Some(place) = options.at {
        let (id, span) = place.lines(&archive, job.info.world_size, options.lines)?;
        wanted.streams = Box::new(move |stream| stream == id);
        wanted.from.insert(id, span.from);
        wanted.until = Some(Box::new(Only(id, span)));
    }
    if let Some(stream) = options.stream.only() {
        not_told_apart(stream, &archive).iter().for_each(|why| notices::say(why));
    }
    let damage = [job.damage.clone(), of_index(&archive, &job.state, &wanted)];
    let is_whole = damage == [None, None];
    damage.iter().flatten().for_each(|damage| notices::say(damage));
    let (dir, is_over) = (job.dir.clone(), job.state != JobState::Running);
    if job.state == JobState::Broken {
        say_broken_off();
    }
    let labels = Labels::default();
    set_labels(&job, &labels);
    let world_size = job.info.world_size;
    let inbox = ArchiveInbox::new(archive, job, wanted)?;
    let unreadable = inbox.unreadable();
    let files = Some(inbox.files());
    let (client, found) = super::start(options, Some(world_size), labels, files, inbox)?;
    console::finish(client)?;
    if options.follow
        && !is_over
        && FoundJob::open(&dir).is_ok_and(|job| job.state == JobState::Broken)
    {
        say_broken_off();
    }
    let code = if is_whole && are_here { super::code(found) } else { exit::FAILURE };
    unreadable.take().map_or(Ok(code), |error| Err(error.into()))
}

fn say_broken_off() {
    notices::say(
        "lastline itself was ended before this job was over: what was filed until then is all there is",
    );
}

/// Where the files of ranks are that are to be printed and have none here, in words. While somebody waits
/// for what a job will say, they may come still.
fn elsewhere(options: &LogsOptions, job: &FoundJob) -> Option<String> {
    if options.follow && job.state == JobState::Running {
        return None;
    }
    let chosen = options.chosen().map(|chosen| chosen.ranks());
    let is_wanted = |rank: &u32| chosen.as_ref().is_none_or(|ranks| ranks.contains(*rank));
    let missing: RankSet = job.elsewhere.iter().filter(is_wanted).collect();
    if missing.is_empty() {
        return None;
    }
    let hosts = match &job.state {
        JobState::Finished(report) => summary::hosts_of(report, &missing),
        _ => String::from("its hosts"),
    };
    let missing = summary::ranks(&missing);
    let broker = job.info.via.as_ref().filter(|via| !via.starts_with("unix:"));
    let instead = broker.map(|via| {
        format!("; `lastline logs --via {via} --job {}` prints what the broker has", job.info.job)
    });
    let instead = instead.unwrap_or_default();
    Some(format!("the job's files of {missing} are not here, but on {hosts}{instead}"))
}

/// Why there is nothing of a stream that was asked for, where ranks had one for both.
fn not_told_apart(stream: Stream, files: &Archives) -> Option<String> {
    let streams: BTreeSet<Stream> = files.streams().into_iter().map(|id| id.stream).collect();
    let is_merged = stream != Stream::Merged && streams.contains(&Stream::Merged);
    (is_merged && !streams.contains(&stream)).then(|| {
        format!(
            "the ranks of this job were run with --merge, which does not tell {stream} apart: `--stream merged` prints what they wrote"
        )
    })
}

/// What the index of a job that is over does not say, in words. That of one that was interrupted may end
/// a moment before its files do.
fn of_index(archive: &Archives, state: &JobState, wanted: &Wanted) -> Option<String> {
    let (found, _) = match state {
        JobState::Running => None,
        JobState::Finished(_) => archive.untimed(&wanted.streams),
        _ => archive.untimed(&wanted.streams).filter(|(_, knows_any)| !knows_any),
    }?;
    let (what, which) = match found {
        IndexState::Missing => ("missing", "lines"),
        IndexState::Foreign => ("damaged, or another version's", "lines"),
        _ => ("cut", "lines behind its end"),
    };
    Some(format!(
        "the index of the files is {what}: {which} have no time, and come rank by rank, in no order between them"
    ))
}

fn wanted(options: &LogsOptions) -> Wanted {
    let (chosen, stream) = (options.chosen(), options.stream.only());
    let streams = move |id: StreamId| {
        chosen.as_ref().is_none_or(|chosen| chosen.contains(id))
            && stream.is_none_or(|stream| id.stream == stream)
    };
    let LogsOptions { tail, since, until: before, follow, .. } = *options;
    Wanted { streams: Box::new(streams), tail, since, before, follow, ..Wanted::default() }
}

/// From so long before the first failure to so long after it, where its report says when that was.
fn around_failure(job: &FoundJob, around: Duration) -> Option<(Timestamp, Timestamp)> {
    let JobState::Finished(report) = &job.state else { return None };
    let ended: jiff::Timestamp = report.first_failed()?.ended.as_ref()?.parse().ok()?;
    let micros = u64::try_from(ended.as_microsecond()).ok()?;
    let around = u64::try_from(around.as_micros()).unwrap_or(u64::MAX);
    let (since, until) = (micros.saturating_sub(around), micros.saturating_add(around));
    Some((Timestamp(since), Timestamp(until)))
}

fn set_labels(job: &FoundJob, labels: &Labels) {
    let rows = match &job.state {
        JobState::Finished(report) => &report.ranks[..],
        _ => &[],
    };
    // Of a rank's starts the last one.
    let last: HashMap<u32, &RankReport> = rows.iter().map(|row| (row.rank, row)).collect();
    for rank in 0..job.info.world_size {
        let mut label =
            Label { rank, local_rank: rank, job: job.info.job.clone(), ..Label::default() };
        if let Some(found) = last.get(&rank) {
            label.host.clone_from(&found.host);
            label.pid = found.pid.unwrap_or_default();
        }
        labels.set(label);
    }
}
