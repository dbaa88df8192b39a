//! How what is seen of a job travels: lines of JSON over its control socket.
//!
//! A client writes one [`Request`] as a line. To `flush` comes one line, a [`FlushAnswer`], and to
//! `stop 15` the line [`STOPPING`]. To `watch 1` come [`Message`]s: a hello, a snapshot,
//! then changes until the job is over. To `entries 1` come [`EntryMessage`]s: a hello, the places
//! at which the answer begins, then entries. A request of a version that is not known is answered
//! by [`Refusal`], and the connection ends.
//!
//! Within a version things are only added: a reader skips fields and messages that it does not
//! know, which [`Message::parse`] does.

use std::fmt;
use std::str::FromStr;

use lastline_client::Verdicts;
use lastline_line::{BarrierOutcome, Offset, Stream, StreamId};
use serde::{Deserialize, Serialize};

use crate::address;
use crate::change::Change;
use crate::entry::{Entry, LeftOut};
use crate::snapshot::Snapshot;

/// The version that is spoken here.
pub const VERSION: u32 = 1;

/// The answer to [`Request::Stop`].
pub const STOPPING: &str = "stopping";

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// A barrier: `flush`.
    Flush,
    /// To end, as if the job had got the signal of this number: `stop 15`.
    Stop(i32),
    /// A snapshot, and what happens after it: `watch 1`.
    Watch,
    /// What the console shows from now on: `entries 1`, or `entries 1 now`.
    Entries,
}

/// Why a request is not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// It is of no kind that is known here.
    #[error("unknown request `{0}`")]
    Unknown(String),
    /// It is of another version.
    #[error("version {0} is not spoken here, only {VERSION}")]
    Version(String),
    /// What follows the version is not known.
    #[error("unknown argument `{0}`")]
    Argument(String),
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flush => f.write_str("flush"),
            Self::Stop(signal) => write!(f, "stop {signal}"),
            Self::Watch => write!(f, "watch {VERSION}"),
            Self::Entries => write!(f, "entries {VERSION}"),
        }
    }
}

impl FromStr for Request {
    type Err = RequestError;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        let mut words = line.split_whitespace();
        let kind = words.next().unwrap_or_default();
        let mut word = || words.next().unwrap_or_default();
        let request = match kind {
            "flush" => Self::Flush,
            "stop" => {
                let signal = word();
                let wrong = |_| RequestError::Argument(signal.to_owned());
                Self::Stop(signal.parse().map_err(wrong)?)
            }
            "watch" | "entries" => {
                let version = word();
                if version.parse() != Ok(VERSION) {
                    return Err(RequestError::Version(version.to_owned()));
                }
                if kind == "watch" { Self::Watch } else { Self::Entries }
            }
            other => return Err(RequestError::Unknown(other.to_owned())),
        };
        match (words.next(), &request) {
            (None, _) | (Some("now"), Self::Entries) => Ok(request),
            (Some(other), _) => Err(RequestError::Argument(other.to_owned())),
        }
    }
}

/// The answer to [`Request::Flush`]: what a barrier said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FlushAnswer {
    /// The barrier's number.
    pub version: u64,
    /// `reached`, `lost` or `timed out`.
    pub verdict: BarrierOutcome,
    /// The streams that were not reached.
    pub missing: Vec<Missing>,
    /// The hosts that could not be reached, in words: `a (silent for 60 s)`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreachable: Vec<String>,
}

/// A stream that a barrier did not reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Missing {
    /// Whose stream.
    pub rank: u32,
    /// Which.
    pub stream: Stream,
    /// Why, in words.
    pub why: String,
}

impl FlushAnswer {
    /// What a barrier's verdicts come to.
    pub fn of(verdicts: &Verdicts) -> Self {
        let missing = verdicts.streams.iter().filter_map(|(id, verdict)| {
            Some(Missing { rank: id.rank, stream: id.stream, why: verdict.why()? })
        });
        Self {
            version: verdicts.version.0,
            verdict: verdicts.summary(),
            missing: missing.collect(),
            unreachable: verdicts.unreachable.iter().map(ToString::to_string).collect(),
        }
    }

    /// What was not reached, in words, one for each stream and host.
    pub fn shortfalls(&self) -> impl Iterator<Item = String> {
        let streams = self.missing.iter();
        let streams = streams.map(|at| format!("rank {} {}: {}", at.rank, at.stream, at.why));
        let hosts = self.unreachable.iter();
        streams.chain(hosts.map(|host| format!("host {host} cannot be reached")))
    }

    /// The answer as a line, its newline included.
    pub fn to_line(&self) -> Vec<u8> {
        to_line(self)
    }
}

/// The first line of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Hello {
    /// The version of what follows.
    pub version: u32,
    /// The job's id.
    pub job: String,
}

impl Hello {
    /// Of this job, in the version that is spoken here.
    pub fn new(job: impl Into<String>) -> Self {
        Self { version: VERSION, job: job.into() }
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Refusal {
    /// Why, in words.
    pub why: String,
    /// The versions that are spoken here.
    pub versions: Vec<u32>,
}

impl Refusal {
    /// For this reason.
    pub fn new(why: impl fmt::Display) -> Self {
        Self { why: why.to_string(), versions: vec![VERSION] }
    }
}

/// A line that says it, whatever was asked.
#[derive(Deserialize)]
pub(crate) struct Refused {
    pub(crate) refused: Refusal,
}

/// A line of the answer to [`Request::Watch`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Message {
    /// The first.
    Hello(Hello),
    /// The second: how the job stands.
    Snapshot(Box<Snapshot>),
    /// What happened since.
    Event(Change),
    /// The only one: there is no answer.
    Refused(Refusal),
}

/// A line of the answer to [`Request::Entries`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EntryMessage {
    /// The first.
    Hello(Hello),
    /// The second: up to where each stream was shown, withheld or lost before. Everything behind
    /// that is told.
    From(Vec<Shown>),
    /// What the console shows next.
    Entry(Box<Entry>),
    /// Here entries are missing, for which this watcher was too slow.
    LeftOut(LeftOut),
    /// The last: the console shows nothing more. Without it the answer was cut off.
    End {},
    /// The only one: there is no answer.
    Refused(Refusal),
}

/// Up to where a stream was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Shown {
    /// Which stream.
    #[serde(flatten, with = "address::stream")]
    pub stream: StreamId,
    /// Up to which byte of it.
    pub offset: Offset,
}

impl Shown {
    /// A stream that was shown up to there.
    pub fn new(stream: StreamId, offset: Offset) -> Self {
        Self { stream, offset }
    }
}

impl Message {
    /// What a line says; none when it is of a kind that is not known here.
    ///
    /// # Errors
    ///
    /// When it is no JSON.
    pub fn parse(line: &str) -> serde_json::Result<Option<Self>> {
        parse(line)
    }

    /// The message as a line, its newline included.
    pub fn to_line(&self) -> Vec<u8> {
        to_line(self)
    }
}

impl EntryMessage {
    /// What a line says; none when it is of a kind that is not known here.
    ///
    /// # Errors
    ///
    /// When it is no JSON.
    pub fn parse(line: &str) -> serde_json::Result<Option<Self>> {
        parse(line)
    }

    /// The message as a line, its newline included.
    pub fn to_line(&self) -> Vec<u8> {
        to_line(self)
    }
}

pub(crate) fn parse<'a, T: Deserialize<'a>>(line: &'a str) -> serde_json::Result<Option<T>> {
    match serde_json::from_str(line) {
        Ok(message) => Ok(Some(message)),
        Err(_) => serde_json::from_str::<serde::de::IgnoredAny>(line).map(|_| None),
    }
}

fn to_line(message: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(message).expect("BUG: a message becomes JSON");
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_reads_back_as_it_was_written() {
        for request in [Request::Flush, Request::Stop(15), Request::Watch, Request::Entries] {
            assert_eq!(request.to_string().parse(), Ok(request));
        }
        assert_eq!("entries 1 now".parse(), Ok(Request::Entries));
        let table = [
            ("", "unknown request ``"),
            ("dance", "unknown request `dance`"),
            ("stop", "unknown argument ``"),
            ("stop now", "unknown argument `now`"),
            ("stop 15 now", "unknown argument `now`"),
            ("flush 1", "unknown argument `1`"),
            ("watch", "version  is not spoken here, only 1"),
            ("entries 2", "version 2 is not spoken here, only 1"),
            ("watch 1 now", "unknown argument `now`"),
        ];
        for (line, why) in table {
            assert_eq!(line.parse::<Request>().unwrap_err().to_string(), why, "{line}");
        }
    }
}
