//! The text of a job.

use std::fmt::Display;

use lastline_line::{Stream, Timestamp};
use lastline_watch::{RankState, RankTally, RankView, Snapshot, StreamTally, Tally};

use crate::text::{Kind, Text, Value};

/// Where ranks may stand, as the label `state` has it.
const STATES: [&str; 7] =
    ["waiting", "running", "succeeded", "failed", "stopped", "not_started", "lost"];

/// A family of one number for each stream.
type StreamFamily = (&'static str, &'static str, fn(&StreamTally) -> Option<u64>);

const STREAMS: [StreamFamily; 7] = [
    ("lastline_stream_read_bytes_total", "Bytes read of the rank.", |it| Some(it.read_bytes)),
    ("lastline_stream_read_lines_total", "Lines read of the rank.", |it| Some(it.read_lines)),
    ("lastline_stream_filed_bytes_total", "Bytes put into the rank's file.", |it| {
        it.filed.map(|filed| filed.filed_bytes)
    }),
    ("lastline_stream_not_filed_bytes_total", "Bytes that no file has, and none will.", |it| {
        it.filed.map(|filed| filed.not_filed_bytes)
    }),
    ("lastline_stream_shown_bytes_total", "Bytes shown on the console.", |it| Some(it.shown_bytes)),
    (
        "lastline_stream_withheld_bytes_total",
        "Bytes not shown on the console, as asked for.",
        |it| Some(it.withheld_bytes),
    ),
    (
        "lastline_stream_lost_bytes_total",
        "Bytes not shown on the console that should have been.",
        |it| Some(it.lost_bytes),
    ),
];

/// A family of one number for each rank's ends.
type EndFamily = (&'static str, fn(&RankTally) -> u64);

const ENDS: [EndFamily; 3] =
    [("success", |it| it.successes), ("failure", |it| it.failures), ("stopped", |it| it.stops)];

/// The job as it stands `now`, in the text format of version 0.0.4; takes time and room for each rank.
///
/// Every sample has the label `job`; those of ranks have `rank` and `host`, where that is known, those of
/// streams `stream`: `stdout`, `stderr` or `merged`. Units are bytes, lines and seconds; times are seconds
/// since the Unix epoch. What is not known has no sample.
pub fn render(seen: &Snapshot, tally: &Tally, now: Timestamp) -> String {
    let mut text = Text::default();
    job(&mut text, seen, now);
    ranks(&mut text, seen, tally);
    streams(&mut text, seen, tally);
    text.finish()
}

fn job(text: &mut Text, seen: &Snapshot, now: Timestamp) {
    let job = &seen.job;
    let labels: [(&str, &dyn Display); 1] = [("job", &job.id)];
    let mut one = |name, kind, help, value: Option<Value>| {
        let mut family = text.family(name, kind, help);
        value.into_iter().for_each(|value| family.sample(&labels, value));
    };
    let gauge = Kind::Gauge;
    let started = job.started;
    one(
        "lastline_job_start_time_seconds",
        gauge,
        "When the job started, since the Unix epoch.",
        started.map(Value::from),
    );
    let running = started.map(|started| now.0.saturating_sub(started.0));
    one(
        "lastline_job_elapsed_seconds",
        gauge,
        "Time since the job's start.",
        running.map(Value::Micros),
    );
    let ranks = Some(u64::from(job.world_size)).filter(|ranks| *ranks > 0);
    one(
        "lastline_job_world_size",
        gauge,
        "Ranks that the job is to have.",
        ranks.map(Value::Count),
    );
    let stopping = Some(job.stopped_by.is_some().into());
    one("lastline_job_stopping", gauge, "1 when the job is being stopped, 0 otherwise.", stopping);
    let failed = Some(seen.first_failure.is_some().into());
    one("lastline_job_failed", gauge, "1 when a rank has failed, 0 otherwise.", failed);
    let barriers = Some(Value::Count(seen.barriers.count));
    one("lastline_job_barriers_total", Kind::Counter, "Barriers answered.", barriers);
    let last = seen.barriers.last.as_ref().map(|barrier| Value::Seconds(barrier.seconds));
    one("lastline_job_last_barrier_seconds", gauge, "Time that the last barrier took.", last);
    let mut family = text.family("lastline_job_ranks", gauge, "Ranks by where they stand.");
    for state in STATES {
        let count = seen.ranks.iter().filter(|view| state_of(view) == state).count() as u64;
        family.sample(&[("job", &job.id), ("state", &state)], Value::Count(count));
    }
}

/// Where a rank stands: one of [`STATES`].
fn state_of(view: &RankView) -> &'static str {
    match &view.state {
        RankState::Waiting => "waiting",
        RankState::Running => "running",
        RankState::Exited(_) if view.stopped => "stopped",
        RankState::Exited(exit) if exit.is_failure() => "failed",
        RankState::Exited(_) => "succeeded",
        RankState::NotStarted(_) => "not_started",
        // One that is not known here has no end that is known either.
        _ => "lost",
    }
}

fn ranks(text: &mut Text, seen: &Snapshot, tally: &Tally) {
    let job = &seen.job.id;
    let mut each = |name, help, value: fn(&RankView) -> Option<Value>| {
        let mut family = text.family(name, Kind::Gauge, help);
        for view in &seen.ranks {
            if let Some(value) = value(view) {
                let (rank, host) = (&view.rank, &view.host);
                family.sample(&[("job", job), ("rank", rank), ("host", host)], value);
            }
        }
    };
    each("lastline_rank_running", "1 while the rank runs, 0 otherwise.", |view| {
        Some((view.state == RankState::Running).into())
    });
    each(
        "lastline_rank_exit_code",
        "Exit code of the rank's last start, once it is over; 128 + n for a signal.",
        |view| match view.state {
            RankState::Exited(exit) => exit.shell_code().map(|code| Value::Signed(code.into())),
            _ => None,
        },
    );
    each(
        "lastline_rank_last_output_timestamp_seconds",
        "When the rank said something last, since the Unix epoch.",
        |view| view.last_output.map(Value::from),
    );
    let help = "Starts of the rank; more than one when it was started again.";
    let mut family = text.family("lastline_rank_starts_total", Kind::Counter, help);
    for (rank, counted) in &tally.ranks {
        let host = host_of(seen, *rank);
        let labels: [(&str, &dyn Display); 3] = [("job", job), ("rank", rank), ("host", &host)];
        family.sample(&labels, Value::Count(counted.starts));
    }
    let help =
        "Ends of the rank's starts, by how; a failure is also one that could not be started.";
    let mut family = text.family("lastline_rank_exits_total", Kind::Counter, help);
    for (rank, counted) in &tally.ranks {
        let host = host_of(seen, *rank);
        for (result, count) in ENDS {
            let labels: [(&str, &dyn Display); 4] =
                [("job", job), ("rank", rank), ("host", &host), ("result", &result)];
            family.sample(&labels, Value::Count(count(counted)));
        }
    }
}

/// Empty where it is not known, which is as no label.
fn host_of(seen: &Snapshot, rank: u32) -> &str {
    seen.rank(rank).map_or("", |view| view.host.as_str())
}

fn streams(text: &mut Text, seen: &Snapshot, tally: &Tally) {
    for (name, help, value) in STREAMS {
        let mut family = text.family(name, Kind::Counter, help);
        for ((rank, stream), counted) in &tally.streams {
            let Some(count) = value(counted) else { continue };
            let (host, stream) = (host_of(seen, *rank), Stream::name(*stream));
            let labels: [(&str, &dyn Display); 4] =
                [("job", &seen.job.id), ("rank", rank), ("host", &host), ("stream", &stream)];
            family.sample(&labels, Value::Count(count));
        }
    }
}
