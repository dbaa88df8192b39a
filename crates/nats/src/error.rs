//! What can go wrong before there is a transport or an inbox.

use std::io;

/// Why a broker cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NatsError {
    /// The id of the job cannot be part of a name.
    #[error("job id of {bytes} bytes is empty or too long for a broker")]
    JobId {
        /// How long it is, in bytes.
        bytes: usize,
    },
    /// A file with a key or credentials cannot be used.
    #[error("cannot use {path}")]
    Secret {
        /// Which file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The broker could not be reached.
    #[error("cannot connect to the broker at {url}: {why}")]
    Connect {
        /// Where it was looked for, without user and password.
        url: String,
        /// Why.
        why: String,
    },
    /// The broker does not let this client in.
    #[error("the broker at {url} does not let this client in: {why}")]
    NotLetIn {
        /// Which broker, without user and password.
        url: String,
        /// Why, in its words.
        why: String,
    },
    /// The job has no stream there, and none was to be made.
    #[error("the broker has no stream {stream}")]
    NoStream {
        /// Its name.
        stream: String,
    },
    /// The job's stream cannot be used, or could not be made.
    #[error("cannot use the stream {stream} of the broker: {why}")]
    Stream {
        /// Its name.
        stream: String,
        /// Why, in the broker's words.
        why: String,
    },
    /// The broker did not answer, or with an error.
    #[error("the broker did not take a request about {subject}: {why}")]
    Request {
        /// About which subject.
        subject: String,
        /// Why.
        why: String,
    },
}

/// Why a host was not let into a job.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// Another host that is alive has one of the ranks.
    #[error("rank {rank} is taken by {host}, process {pid}")]
    Taken {
        /// Which rank.
        rank: u32,
        /// The name of the host that has it.
        host: String,
        /// Its process.
        pid: u32,
    },
    /// The job has another number of ranks.
    #[error(
        "the job has {found} ranks, as {host} said first, and not {wanted} (`-n` and `--nnodes` say how many)"
    )]
    WorldSize {
        /// What this host says.
        wanted: u32,
        /// What the first host said.
        found: u32,
        /// The name of the first host.
        host: String,
    },
    /// The job is over, and is not to be joined.
    #[error(
        "the broker still has the job, which is over: choose another id, or say --overwrite, which has it begin anew"
    )]
    Over,
    /// The broker cannot be used.
    #[error(transparent)]
    Broker(#[from] NatsError),
}
