//! What can be said of a job beside its output: how processes and streams ended, why a job was
//! stopped, how far its teardown came.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// It is over, and nobody knows how: whoever started it is not its parent, or another part of
    /// this process reaped it first.
    Unknown,
}

impl Exit {
    /// Whether it is known to have ended with 0.
    pub fn is_success(self) -> bool {
        self == Self::Code(0)
    }

    /// Whether it is known to have ended otherwise.
    pub fn is_failure(self) -> bool {
        !matches!(self, Self::Code(0) | Self::Unknown)
    }

    /// The code as a shell would give it: 128 + n for a signal; none when it is not known.
    pub fn shell_code(self) -> Option<i32> {
        match self {
            Self::Code(code) => Some(code),
            Self::Signal(signal) => Some(128 + signal),
            Self::Unknown => None,
        }
    }
}

/// `exit code 3`, `signal 9 (SIGKILL)`.
impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => f.write_str(&signal_text(*signal)),
            Self::Unknown => f.write_str("ended, nobody knows how"),
        }
    }
}

/// A process that holds a pipe or a terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its id.
    pub pid: u32,
    /// Its command line, as far as it may be read.
    pub command: String,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamEnd {
    /// Everybody closed it.
    Eof,
    /// The rank had exited, and somebody else held it without saying anything.
    Leaked,
    /// It was given up, or reading it failed.
    Aborted,
}

/// Why a job is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StopCause {
    /// Somebody asked for it by this signal, which the ranks get too when it is SIGINT; otherwise
    /// they get SIGTERM.
    Signal(i32),
    /// A rank failed.
    Failure,
    /// The owner of the job asked for it.
    Owner,
    /// Its time was over.
    Timeout,
}

impl StopCause {
    /// The number of the signal that ranks get.
    pub fn signal_for_ranks(self) -> i32 {
        match self {
            Self::Signal(SIGINT) => SIGINT,
            _ => SIGTERM,
        }
    }
}

const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;

impl fmt::Display for StopCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal(signal) => f.write_str(&signal_text(*signal)),
            Self::Failure => f.write_str("failure"),
            Self::Owner => f.write_str("owner"),
            Self::Timeout => f.write_str("timeout"),
        }
    }
}

/// A text that names no [`StopCause`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no cause of a stop (`owner`, `failure`, `timeout`, or `signal` and its number)"
)]
pub struct StopCauseError {
    text: String,
}

impl FromStr for StopCause {
    type Err = StopCauseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || StopCauseError { text: text.to_owned() };
        match text {
            "owner" => Ok(Self::Owner),
            "failure" => Ok(Self::Failure),
            "timeout" => Ok(Self::Timeout),
            _ => {
                let number = text.strip_prefix("signal ").ok_or_else(wrong)?;
                let digits = number.split(' ').next().unwrap_or_default();
                digits.parse().map(Self::Signal).map_err(|_| wrong())
            }
        }
    }
}

impl Serialize for StopCause {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StopCause {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A stage of a job's teardown, in the order in which they are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The ranks' groups are told to end; only when the job is stopped.
    Signal,
    /// Every stream is read to its end.
    Eof,
    /// What has been read is sent, and shown.
    Flush,
    /// What is left of the ranks, and readers that did not end by themselves, are ended.
    Abort,
    /// Queues are emptied, files closed, threads joined.
    Drop,
    /// The report is written.
    Print,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Self; 6] =
        [Self::Signal, Self::Eof, Self::Flush, Self::Abort, Self::Drop, Self::Print];

    /// Its name in a report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::Eof => "eof",
            Self::Flush => "flush",
            Self::Abort => "abort",
            Self::Drop => "drop",
            Self::Print => "print",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What became of one stage of the teardown.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StageReport {
    /// Which one.
    pub stage: Stage,
    /// How long it took.
    pub seconds: f64,
    /// It was not done at its deadline.
    pub timed_out: bool,
}

impl StageReport {
    /// A stage that took so long.
    pub fn new(stage: Stage, took: std::time::Duration, timed_out: bool) -> Self {
        Self { stage, seconds: took.as_secs_f64(), timed_out }
    }
}

/// What a barrier came to, over all its streams: the worst of their verdicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum BarrierOutcome {
    /// All that was written before it has been shown.
    #[serde(rename = "reached")]
    Reached,
    /// A part of it was lost.
    #[serde(rename = "lost")]
    Lost,
    /// The deadline came first.
    #[serde(rename = "timed out")]
    TimedOut,
}

impl BarrierOutcome {
    /// `reached`, `lost` or `timed out`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reached => "reached",
            Self::Lost => "lost",
            Self::TimedOut => "timed out",
        }
    }
}

impl fmt::Display for BarrierOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A memory cgroup of ranks in which the kernel killed processes while the job ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MemoryKills {
    /// Its directory.
    pub cgroup: String,
    /// How many processes, by its own counter; they need not be ranks.
    pub processes: u64,
    /// The ranks there that were ended meanwhile by a SIGKILL which Lastline did not send.
    pub ranks: Vec<u32>,
}

impl MemoryKills {
    /// So many processes killed in `cgroup`, these ranks possibly among them.
    pub fn new(cgroup: String, processes: u64, ranks: Vec<u32>) -> Self {
        Self { cgroup, processes, ranks }
    }
}

/// `signal 9 (SIGKILL)`.
pub fn signal_text(signal: i32) -> String {
    match signal_name(signal) {
        Some(name) => format!("signal {signal} ({name})"),
        None => format!("signal {signal}"),
    }
}

/// By the numbers that Linux has on x86, ARM, POWER and RISC-V (`signal(7)`).
fn signal_name(signal: i32) -> Option<&'static str> {
    let names = [
        (1, "SIGHUP"),
        (SIGINT, "SIGINT"),
        (3, "SIGQUIT"),
        (4, "SIGILL"),
        (5, "SIGTRAP"),
        (6, "SIGABRT"),
        (7, "SIGBUS"),
        (8, "SIGFPE"),
        (9, "SIGKILL"),
        (10, "SIGUSR1"),
        (11, "SIGSEGV"),
        (12, "SIGUSR2"),
        (13, "SIGPIPE"),
        (14, "SIGALRM"),
        (SIGTERM, "SIGTERM"),
        (24, "SIGXCPU"),
        (25, "SIGXFSZ"),
        (31, "SIGSYS"),
    ];
    names.into_iter().find(|(number, _)| *number == signal).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_of_a_stop_reads_back_as_it_was_written() {
        let causes =
            [StopCause::Owner, StopCause::Failure, StopCause::Signal(2), StopCause::Signal(40)];
        for cause in causes {
            assert_eq!(cause.to_string().parse(), Ok(cause));
        }
        assert!("signal".parse::<StopCause>().is_err() && "signal x".parse::<StopCause>().is_err());
        assert_eq!(StopCause::Signal(2).to_string(), "signal 2 (SIGINT)");
    }

    #[test]
    fn what_is_not_known_is_neither_success_nor_failure() {
        assert!(!Exit::Unknown.is_success() && !Exit::Unknown.is_failure());
        assert!(Exit::Code(0).is_success() && Exit::Code(3).is_failure());
        assert_eq!(Exit::Signal(9).shell_code(), Some(137));
        assert_eq!(Exit::Signal(9).to_string(), "signal 9 (SIGKILL)");
    }

    #[test]
    fn ranks_get_sigint_as_sigint_and_everything_else_as_sigterm() {
        let causes = [StopCause::Signal(2), StopCause::Signal(1), StopCause::Failure];
        assert_eq!(causes.map(StopCause::signal_for_ranks), [2, 15, 15]);
    }
}
