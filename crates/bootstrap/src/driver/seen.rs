//! What was read of a stream: one answer for all who ask.

use std::collections::HashMap;

use lastline_client::Account;
use lastline_line::{StreamId, Timestamp};

use super::DriverState;
use super::runs::{RunRecord, last_twenty};

/// What can be seen of a stream at any moment in the process that reads it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) read_bytes: u64,
    pub(crate) read_lines: u64,
    /// Oldest first, as many as were wanted.
    pub(crate) last_lines: Vec<String>,
}

/// Which of a stream's last lines are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The last one, cut as whoever looks at a job is told it.
    LastLine,
    /// The last twenty.
    LastLines,
}

/// Gives that of the streams that are read there.
pub(crate) type Look = Box<dyn Fn(Wanted) -> HashMap<StreamId, Seen> + Send + Sync>;

/// What is known of the streams of a job, beside what hosts say of them.
pub(super) struct Streams {
    accounts: HashMap<StreamId, Account>,
    seen: HashMap<StreamId, Seen>,
}

impl Streams {
    /// As they stand. Not to be called with the record locked: it takes time for each stream.
    pub(super) fn of(shared: &DriverState, wanted: Wanted) -> Self {
        let seen = shared.look.get().map(|look| look(wanted)).unwrap_or_default();
        Self { accounts: shared.client().accounts().into_iter().collect(), seen }
    }

    /// What the client knows of a stream, once it has said something.
    pub(super) fn account(&self, id: StreamId) -> Option<&Account> {
        self.accounts.get(&id)
    }

    /// What was read of a stream of a run, in bytes and lines: by its end's word, or as it is seen
    /// where it is read, or as far as it was received.
    pub(super) fn read(&self, run: &RunRecord, id: StreamId) -> (u64, u64) {
        let record = run.stream(id.stream);
        let seen = self.seen.get(&id).map_or((0, 0), |seen| (seen.read_bytes, seen.read_lines));
        let received = self.accounts.get(&id);
        let received = received.map_or((0, 0), |known| (known.received.0, known.received_lines));
        let bytes = record.read_bytes.unwrap_or(received.0).max(seen.0);
        (bytes, record.read_lines.max(received.1).max(seen.1))
    }

    /// The same of all streams of a run together.
    pub(super) fn read_of(&self, run: &RunRecord) -> (u64, u64) {
        run.ids().fold((0, 0), |(bytes, lines), id| {
            let read = self.read(run, id);
            (bytes + read.0, lines + read.1)
        })
    }

    /// How much of a run was shown, in bytes.
    pub(super) fn shown_bytes(&self, run: &RunRecord) -> u64 {
        run.ids().filter_map(|id| self.account(id)).map(|account| account.shown_bytes).sum()
    }

    /// When a run said something last, and on which stream.
    pub(super) fn spoke(&self, run: &RunRecord) -> Option<(Timestamp, StreamId)> {
        run.ids().filter_map(|id| Some((self.account(id)?.last_arrival?, id))).max()
    }

    /// The last lines that are seen of a stream.
    pub(super) fn last_lines(&self, id: StreamId) -> &[String] {
        self.seen.get(&id).map(|seen| &seen.last_lines[..]).unwrap_or_default()
    }

    /// The last 20 lines of a run's stderr, or of its stdout when that is empty: as they are seen where
    /// they are read, or as its host said them.
    pub(super) fn last_lines_of<'a>(&'a self, run: &'a RunRecord) -> &'a [String] {
        let ids: Vec<StreamId> = run.ids().collect();
        let mut seen = ids.iter().rev().map(|id| self.last_lines(*id));
        last_twenty(seen.find(|lines| !lines.is_empty()).unwrap_or_else(|| run.last_lines()))
    }
}
