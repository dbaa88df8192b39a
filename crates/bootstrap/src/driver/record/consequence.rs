//! What comes of what a host said, for others than the record.

use lastline_line::{Capture, HostId, Launch, StreamId, Version};

/// What a host said that others than the record have to act on.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::driver) enum Consequence {
    None,
    /// A host has come.
    Came,
    /// A rank runs: what prints may want to know.
    Started {
        rank: u32,
        launch: Launch,
        capture: Capture,
        local_rank: u32,
        pid: Option<u32>,
        host: String,
        job: String,
    },
    /// These streams answer a barrier.
    Barrier(Version, Vec<StreamId>),
    /// A host is gone: each barrier that still waits for its word gets this.
    Gone(Vec<Version>, GoneStreams),
    /// A host is no part of the job.
    Refused(Refusal),
    /// A host that is no part of the job has started a rank, of which nothing is shown.
    Foreign(Launch),
    /// It has said its last, and may go.
    ForeignDown,
    /// A host has spoken that was given up: these launches are not shown any more.
    SpokeAgain {
        host: String,
        launches: Vec<Launch>,
    },
}

/// A host that is no part of the job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::driver) struct Refusal {
    pub(in crate::driver) host: HostId,
    pub(in crate::driver) why: String,
    /// It was told so by somebody else.
    pub(in crate::driver) knows: bool,
    /// Whether it was refused before.
    pub(in crate::driver) again: bool,
    /// What it has started already, and its streams.
    pub(in crate::driver) launches: Vec<Launch>,
    pub(in crate::driver) streams: Vec<StreamId>,
    /// Barriers that wait for its word.
    pub(in crate::driver) barriers: Vec<Version>,
}

/// The streams of a host that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::driver) struct GoneStreams {
    pub(in crate::driver) streams: Vec<StreamId>,
    /// Why what they said last may not have come; all has been sent when there is no reason.
    pub(in crate::driver) lost: Option<String>,
}
