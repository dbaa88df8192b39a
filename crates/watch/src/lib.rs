//! What can be seen of a job, as data: while it runs, over its control socket, and afterwards, from
//! its files.
//!
//! A [`Snapshot`] says how a job stands, and a [`Change`] what happened to it since; [`protocol`]
//! is how both travel. [`Activity`] is who said how much when, and an [`Entry`] what the console
//! shows, with who said what. A [`Tally`] adds up all starts of a rank, for counters.
//!
//! ```
//! use lastline_watch::{Change, RankState, Snapshot};
//!
//! let mut seen = Snapshot::default();
//! seen.apply(Change::Started { rank: 3, host: "a".into(), launch: None, pid: Some(7), time: None });
//! assert_eq!(seen.rank(3).unwrap().state, RankState::Running);
//! ```
//!
//! # Laws
//!
//! 1. **The same state.** What [`Snapshot::changes_to`] gives, applied in its order, makes of one
//!    snapshot the other, whatever the two are. So whoever was told nothing for a while is told the
//!    difference, and nothing has to be kept for it meanwhile.
//! 2. **Bounded.** A snapshot grows with the ranks of a job and not with what they say; an
//!    [`Activity`] has as many columns as it was made with, however long the job runs.
//!
//! Text of ranks is text: nothing here interprets, shortens (but for
//! [`LAST_LINE_BYTES`]) or cleans it. Whoever shows it does.

mod activity;
mod address;
mod archive_inbox;
mod archives;
mod asking;
mod change;
mod clock;
mod connection;
mod entries;
mod entry;
mod error;
mod files;
mod last_lines;
mod lines_from;
mod places;
pub mod protocol;
mod rank;
mod snapshot;
mod socket;
mod source;
mod tally;

pub use activity::{Activity, Cell, RankActivity};
pub use archive_inbox::{ArchiveInbox, AskUntil, Unreadable, Until, Wanted};
pub use archives::Archives;
pub use asking::{request_flush, request_stop};
pub use change::{Change, Output};
pub use clock::now;
pub use entries::{EntrySource, MakeFold, NextEntry};
pub use entry::{Entry, EntryField, EntryMember, LeftOut, Outlying, Place, RankValue};
pub use error::WatchError;
pub use files::{activity_of, of_report, snapshot_of};
pub use last_lines::{LastLines, line_ends};
pub use lastline_jobs::{BarrierReport, FirstFailure};
pub use lines_from::lines_from;
pub use places::{Places, keeps_order};
pub use rank::{LAST_LINE_BYTES, RankState, RankView, cut_line};
pub use snapshot::{
    BarriersView, EndView, FailureView, GapSide, GapView, JobView, LedgerView, MAX_GAPS,
    SILENT_AFTER, Snapshot, StageState, StageView,
};
pub use socket::{control_name, control_path, control_path_of};
pub use source::{Next, Source};
pub use tally::{FiledTally, RankTally, StreamTally, Tally};

// The program of the README runs with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
