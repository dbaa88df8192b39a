//! What is told at the end.

use std::collections::BTreeMap;

use lastline_line::{
    BarrierOutcome, Gaps, Holder, Imbalance, MemoryKills, StageReport, StopCause, Stream,
    StreamEnd, StreamLedger, Timestamp, signal_text,
};
use serde::{Deserialize, Serialize};

/// The account of a whole job. Its JSON is `report.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// The version of Lastline that wrote it.
    pub lastline: String,
    /// The job's id.
    pub job: String,
    /// The command as it was given.
    pub command: Vec<String>,
    /// When the job started, RFC 3339.
    pub started: String,
    /// When it was over.
    pub ended: String,
    /// How many ranks.
    pub world_size: u32,
    /// Every stream's ledger adds up.
    pub balanced: bool,
    /// Which stream's does not, and where.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub imbalances: Vec<String>,
    /// The rank that failed first, when one did.
    pub first_failure: Option<FirstFailure>,
    /// Who asked for the end, when somebody did: a signal, or the owner.
    #[serde(default)]
    pub stopped_by: Option<StopCause>,
    /// Lastline was killed: this was rebuilt from the files, and reaches as far as they do.
    #[serde(rename = "broken_off", default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
    /// What beside the streams could not be forced to disk although that was wanted, `index` or
    /// `directory`, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub not_synced: BTreeMap<String, String>,
    /// Where the kernel killed processes for want of memory, cgroup by cgroup.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub memory_kills: Vec<MemoryKills>,
    /// One per rank, in order.
    pub ranks: Vec<RankReport>,
    /// One per barrier, in order: the first hundred and the last.
    pub barriers: Vec<BarrierReport>,
    /// How many barriers there were between those, by their verdicts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub barriers_left_out: BTreeMap<BarrierOutcome, u64>,
    /// The stages of the teardown, in order.
    #[serde(default)]
    pub teardown: Vec<StageReport>,
    /// The hosts, where there were several, or one was lost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<HostReport>,
}

/// A host that ran ranks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HostReport {
    /// Its number.
    pub node: u32,
    /// Its name.
    pub host: String,
    /// It could not be reached any more, and how that is known: what its ranks wrote after that, and
    /// how they ended, is not told here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<String>,
}

impl HostReport {
    /// A host that was not lost.
    pub fn new(node: u32, host: String) -> Self {
        Self { node, host, lost: None }
    }
}

/// The rank that failed first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FirstFailure {
    /// Which rank.
    pub rank: u32,
    /// Where it ran.
    pub host: String,
    /// Its exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The kernel killed it for want of memory.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub killed_for_memory: bool,
    /// How long it had run.
    pub after_seconds: f64,
    /// Its last lines of stderr, or of stdout when stderr is empty.
    pub last_lines: Vec<String>,
    /// The other ranks that failed by themselves with the same last lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub same_text: Vec<u32>,
    /// Those that failed by themselves with other last words, by what they said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<OtherFailure>,
}

impl FirstFailure {
    /// A rank of which nothing else is known.
    pub fn new(rank: u32, host: String) -> Self {
        Self { rank, host, ..Self::default() }
    }
}

/// Ranks that failed by themselves, and not as the first one did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OtherFailure {
    /// The ranks, ascending.
    pub ranks: Vec<u32>,
    /// What the first of them said last: a whole traceback where there is one.
    pub last_words: Vec<String>,
}

impl OtherFailure {
    /// These ranks, the first of which said this last.
    pub fn new(ranks: Vec<u32>, last_words: Vec<String>) -> Self {
        Self { ranks, last_words }
    }
}

/// One rank.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RankReport {
    /// Which rank.
    pub rank: u32,
    /// Where it ran.
    pub host: String,
    /// Its process; none when it could not be started.
    pub pid: Option<u32>,
    /// Its exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The kernel killed it for want of memory: the counter of its cgroup says so of no fewer
    /// processes than ranks were killed there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub killed_for_memory: bool,
    /// Lastline told it to end before it had.
    pub stopped_by_lastline: bool,
    /// It has exited, and nobody knows how: another part of its starter's process reaped it first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exit_unknown: bool,
    /// Why it could not be started, or that its host was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When it started.
    pub started: String,
    /// When it exited.
    pub ended: Option<String>,
    /// Its streams by name.
    pub streams: BTreeMap<Stream, StreamReport>,
}

impl RankReport {
    /// A rank of which nothing else is known.
    pub fn new(rank: u32, host: String) -> Self {
        Self { rank, host, ..Self::default() }
    }

    /// Whether it ended with 0.
    pub fn succeeded(&self) -> bool {
        self.code == Some(0)
    }

    /// `exit code 3`, `signal 9 (SIGKILL)` and whether for want of memory, or why it could not be
    /// started.
    pub fn how(&self) -> String {
        match (&self.error, self.code, self.signal) {
            (Some(error), _, _) => error.clone(),
            (None, Some(code), _) => format!("exit code {code}"),
            (None, None, Some(signal)) if self.killed_for_memory => {
                format!("{}, killed by the kernel for want of memory", signal_text(signal))
            }
            (None, None, Some(signal)) => signal_text(signal),
            (None, None, None) if self.exit_unknown => String::from("ended, and nobody knows how"),
            (None, None, None) => String::from("did not end"),
        }
    }
}

/// One stream of a rank.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StreamReport {
    /// What became of its bytes.
    #[serde(flatten)]
    pub ledger: StreamLedger,
    /// Filed, but not forced to disk although that was wanted.
    #[serde(default, skip_serializing_if = "Gaps::is_empty")]
    pub not_synced: Gaps,
    /// How it ended.
    pub end: StreamEnd,
    /// Who still held it, when it leaked.
    pub leaked_to: Vec<Holder>,
    /// What reading it failed with, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl StreamReport {
    /// A stream of which nothing else is known.
    pub fn new(ledger: StreamLedger, end: StreamEnd) -> Self {
        let (not_synced, leaked_to, error) = (Gaps::default(), Vec::new(), None);
        Self { ledger, not_synced, end, leaked_to, error }
    }
}

/// One barrier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BarrierReport {
    /// Its number.
    pub version: u64,
    /// How long it took.
    pub seconds: f64,
    /// The worst verdict.
    pub verdict: BarrierOutcome,
}

impl BarrierReport {
    /// A barrier that took so long.
    pub fn new(version: u64, seconds: f64, verdict: BarrierOutcome) -> Self {
        Self { version, seconds, verdict }
    }
}

/// The sums of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// Lines read.
    pub lines: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Bytes not shown that should have been.
    pub lost_bytes: u64,
    /// Bytes that no file has.
    pub not_filed_bytes: u64,
    /// Bytes that are filed and could not be forced to disk.
    pub not_synced_bytes: u64,
}

impl Report {
    /// A job of which nothing else is known.
    pub fn new(job: String, command: Vec<String>, world_size: u32) -> Self {
        let lastline = env!("CARGO_PKG_VERSION").into();
        Self { lastline, job, command, world_size, ..Self::default() }
    }

    /// The sums over all streams.
    pub fn totals(&self) -> Totals {
        let streams = self.ranks.iter().flat_map(|rank| rank.streams.values());
        streams.fold(Totals::default(), |sum, stream| Totals {
            lines: sum.lines + stream.ledger.read_lines,
            bytes: sum.bytes + stream.ledger.read_bytes,
            lost_bytes: sum.lost_bytes + stream.ledger.lost.bytes(),
            not_filed_bytes: sum.not_filed_bytes + stream.ledger.not_filed.bytes(),
            not_synced_bytes: sum.not_synced_bytes + stream.not_synced.bytes(),
        })
    }

    /// Checks every ledger, and says so in `balanced`.
    pub fn check_balance(&mut self) {
        let streams = self.ranks.iter().flat_map(|rank| {
            rank.streams.iter().map(|(stream, report)| (rank.rank, *stream, report))
        });
        let wrong = streams.filter_map(|(rank, stream, report)| {
            let imbalance: Imbalance = report.ledger.balance().err()?;
            Some(format!("rank {rank} {stream}: {imbalance}"))
        });
        self.imbalances = wrong.collect();
        self.balanced = self.imbalances.is_empty();
    }
}

/// RFC 3339, UTC, to the microsecond.
pub fn rfc3339(time: Timestamp) -> String {
    let micros = i64::try_from(time.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_microsecond(micros).unwrap_or_default().to_string()
}
