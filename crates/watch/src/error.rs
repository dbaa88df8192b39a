//! Why a job cannot be looked at.

use std::io;

use lastline_appender::AppenderError;
use lastline_jobs::JobDirError;
use lastline_line::{Offset, StreamId};

/// Why a job cannot be looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// There is no such job.
    #[error(transparent)]
    Job(#[from] JobDirError),
    /// Its files cannot be looked at.
    #[error(transparent)]
    Files(#[from] AppenderError),
    /// What a rank wrote cannot be read.
    #[error("{stream} cannot be read at byte {at}")]
    Unreadable {
        /// Which stream.
        stream: StreamId,
        /// From where.
        at: Offset,
        /// What the system says.
        source: io::Error,
    },
    /// The report of an interrupted job cannot be rebuilt.
    #[error("what is left of the job cannot be read")]
    Rebuild {
        /// Why.
        source: io::Error,
    },
    /// The job says no, or speaks another version.
    #[error("the job does not answer: {why}")]
    Refused {
        /// Why, in its words.
        why: String,
    },
    /// The connection to the job failed.
    #[error("the connection to the job failed")]
    Connection {
        /// Why.
        source: io::Error,
    },
    /// The job says what is not understood.
    #[error("the job says what is not understood here")]
    Foreign {
        /// Where it is wrong.
        source: serde_json::Error,
    },
}
