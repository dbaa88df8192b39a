//! Ranks and verdicts as Python gets them: tuples, which the package gives names.

use lastline_bootstrap::{RankState, RankStatus};
use lastline_client::Verdicts;
use lastline_line::Exit;

/// The streams of a barrier: rank, stream, verdict, and what there is to say of it.
pub(crate) type FlushedStreams = Vec<(u32, &'static str, &'static str, String)>;

pub(crate) fn flushed(verdicts: &Verdicts) -> (u64, FlushedStreams, usize) {
    let streams = verdicts.streams.iter().map(|(id, verdict)| {
        (id.rank, id.stream.name(), verdict.name(), verdict.why().unwrap_or_default())
    });
    (verdicts.version.0, streams.collect(), verdicts.missing_hosts)
}

/// Rank, host, state, why, pid, code, signal, bytes, lines, shown bytes, last lines.
pub(crate) type RankTuple = (
    u32,
    String,
    &'static str,
    Option<String>,
    Option<u32>,
    (Option<i32>, Option<i32>),
    (u64, u64, u64),
    Vec<String>,
);

pub(crate) fn rank_tuple(rank: RankStatus) -> RankTuple {
    let (state, why, exit) = match rank.state {
        RankState::Waiting => ("waiting", None, (None, None)),
        RankState::Running => ("running", None, (None, None)),
        RankState::Exited(Exit::Code(code)) => ("exited", None, (Some(code), None)),
        RankState::Exited(Exit::Signal(signal)) => ("exited", None, (None, Some(signal))),
        RankState::Exited(Exit::Unknown) => ("exited", None, (None, None)),
        RankState::NotStarted(why) => ("not started", Some(why), (None, None)),
        RankState::Lost(why) => ("lost", Some(why), (None, None)),
        _ => ("unknown", None, (None, None)),
    };
    let sizes = (rank.bytes, rank.lines, rank.shown_bytes);
    (rank.rank, rank.host, state, why, rank.pid, exit, sizes, rank.last_lines)
}
