//! The ledger of a job that has no report, rebuilt from what it filed.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use lastline_appender::Archive;
use lastline_line::{
    Capture, Launch, Offset, ReadBack, ReadOutcome, Span, Stream, StreamEnd, StreamId,
    StreamLedger, Timestamp,
};

use crate::jobs::{FoundJob, JobState};
use crate::parts::joined;
use crate::report::{RankReport, Report, StreamReport};

/// What a report rebuilt from files can say of the console.
const UNKNOWN: &str = "unknown: there is no report that says what was shown";
/// How much is read at once to count lines, in bytes.
const READ_BYTES: usize = 256 << 10;

/// The report of a job without one, as far as its files know: every stream up to what is filed.
/// What was in a pipe when lastline was killed is beyond anyone's knowledge, and how ranks ended
/// too; those fields are empty, and the end of each stream is `aborted`.
///
/// # Errors
///
/// When the files cannot be read.
pub fn rebuild_report(job: &FoundJob) -> io::Result<Report> {
    let of_part = |dir: &PathBuf| {
        let part = FoundJob::open_whole(dir).map_err(io::Error::other)?;
        match part.state {
            JobState::Finished(report) => Ok(*report),
            _ => rebuild_whole(&part),
        }
    };
    if job.parts.is_empty() {
        return rebuild_whole(job);
    }
    let mut report = joined(job.parts.iter().map(of_part).collect::<io::Result<_>>()?);
    report.broken_off = true;
    Ok(report)
}

/// The same of a job, or the part of one, whose files are in its directory itself.
fn rebuild_whole(job: &FoundJob) -> io::Result<Report> {
    let archive = Archive::open(&job.dir).map_err(io::Error::other)?;
    let mut starts = starts(&archive);
    let (first, count) = job.info.part.unwrap_or((0, job.info.world_size));
    let starts = (first..first.saturating_add(count)).flat_map(|rank| {
        let launches = starts.remove(&rank).unwrap_or_else(|| vec![Launch::default()]);
        launches.into_iter().map(move |launch| (rank, launch))
    });
    let ranks = starts.map(|(rank, launch)| {
        let merged = StreamId::new(launch, rank, Stream::Merged);
        let is_merged = archive.filed(merged) > Offset::ZERO;
        let capture = if is_merged { Capture::Merged } else { Capture::Pipes };
        let streams = capture.streams().iter().map(|&stream| {
            let ledger = ledger(&archive, StreamId { stream, ..merged })?;
            Ok((stream, StreamReport::new(ledger, StreamEnd::Aborted)))
        });
        Ok(rank_report(rank, &job.info.started, streams.collect::<io::Result<_>>()?))
    });
    let mut report = Report::new(&job.info.job, job.info.command.clone(), job.info.world_size);
    report.lastline.clone_from(&job.info.lastline);
    report.started.clone_from(&job.info.started);
    report.ended = last_change(&job.dir);
    report.broken_off = true;
    report.ranks = ranks.collect::<io::Result<_>>()?;
    report.check_balance();
    Ok(report)
}

/// The starts of each rank of which something is filed, by when its first byte arrived.
fn starts(archive: &Archive) -> HashMap<u32, Vec<Launch>> {
    let mut first: BTreeMap<(u32, Launch), Timestamp> = BTreeMap::new();
    for id in archive.streams() {
        let arrived = archive.time_of(id, Offset::ZERO).unwrap_or(Timestamp(u64::MAX));
        let known = first.entry((id.rank, id.launch)).or_insert(arrived);
        *known = arrived.min(*known);
    }
    let mut starts: Vec<_> = first.into_iter().collect();
    starts.sort_by_key(|(_, arrived)| *arrived);
    let mut by_rank: HashMap<u32, Vec<Launch>> = HashMap::new();
    for ((rank, launch), _) in starts {
        by_rank.entry(rank).or_default().push(launch);
    }
    by_rank
}

fn ledger(archive: &Archive, stream: StreamId) -> io::Result<StreamLedger> {
    let not_filed = archive.gaps(stream);
    let filed_bytes = archive.filed_bytes(stream);
    // Pruned bytes were filed and are among the gaps.
    let end = archive.filed(stream);
    let read_bytes = end.0.max(filed_bytes);
    let mut ledger = StreamLedger {
        read_bytes,
        read_lines: count_lines(archive, stream, end)?,
        filed_bytes: read_bytes - not_filed.bytes(),
        not_filed,
        ..StreamLedger::default()
    };
    ledger.lost.declare(Span::new(Offset::ZERO, Offset(read_bytes)), UNKNOWN);
    Ok(ledger)
}

fn count_lines(archive: &Archive, stream: StreamId, end: Offset) -> io::Result<u64> {
    let (mut at, mut lines, mut open) = (Offset::ZERO, 0, false);
    let mut buffer = vec![0; READ_BYTES];
    while at < end {
        match archive.read_back(stream, at, &mut buffer)? {
            ReadOutcome::Read(bytes) => {
                lines += buffer[..bytes].iter().filter(|byte| **byte == b'\n').count() as u64;
                open = buffer[bytes - 1] != b'\n';
                at += bytes as u64;
            }
            ReadOutcome::Gone { to, .. } if to > at => at = to,
            _ => break,
        }
    }
    Ok(lines + u64::from(open))
}

fn rank_report(rank: u32, started: &str, streams: BTreeMap<Stream, StreamReport>) -> RankReport {
    let mut report = RankReport::new(rank, "");
    started.clone_into(&mut report.started);
    report.streams = streams;
    report
}

/// When anything in the directory was written last, RFC 3339.
fn last_change(dir: &Path) -> String {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let times = files.filter_map(|file| file.metadata().ok()?.modified().ok());
    let last = times.max().unwrap_or(std::time::UNIX_EPOCH);
    crate::report::rfc3339(Timestamp::from_system(last))
}
