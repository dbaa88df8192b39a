//! What came of ranks and streams, added up over all starts.

use std::collections::HashMap;

use lastline_client::Account;
use lastline_line::StreamId;
use lastline_watch::{FiledTally, RankTally, StreamTally, Tally};

use super::DriverState;
use super::record::Record;
use super::runs::{RunRecord, RunState};
use super::seen::{Streams, Wanted};

/// Gives what files have of all streams by now; nothing once they are closed.
pub(super) type LookAtFiles = Box<dyn Fn() -> HashMap<StreamId, FiledTally> + Send + Sync>;

/// All of it, until now.
pub(super) fn tally(shared: &DriverState) -> Tally {
    let streams = Streams::of(shared, Wanted::LastLine);
    let files = shared.look_at_files.get().map(|look| look());
    add_up(&shared.record(), &streams, files.as_ref())
}

fn add_up(
    record: &Record,
    streams: &Streams,
    files: Option<&HashMap<StreamId, FiledTally>>,
) -> Tally {
    let mut tally = Tally::default();
    for run in record.runs.in_order() {
        count_run(tally.ranks.entry(run.rank).or_default(), run);
        for id in run.ids() {
            let sum = tally.streams.entry((run.rank, id.stream)).or_default();
            let (bytes, lines) = streams.read(run, id);
            sum.read_bytes += bytes;
            sum.read_lines += lines;
            if let Some(files) = files {
                let filed = sum.filed.get_or_insert_default();
                count_filed(filed, run, id, files);
            }
            if let Some(account) = streams.account(id) {
                count_shown(sum, account);
            }
        }
    }
    tally
}

fn count_run(sum: &mut RankTally, run: &RunRecord) {
    let is_over = run.is_over();
    sum.starts += u64::from(run.launch.is_some());
    sum.stops += u64::from(is_over && run.stopped);
    sum.failures += u64::from(run.failed() && !run.stopped);
    let went_well = matches!(run.state, RunState::Exited(exit) if !exit.is_failure());
    sum.successes += u64::from(went_well && !run.stopped);
}

/// By the last word on the stream, else as far as files have come.
fn count_filed(
    sum: &mut FiledTally,
    run: &RunRecord,
    id: StreamId,
    files: &HashMap<StreamId, FiledTally>,
) {
    let said = run.stream(id.stream).filed.as_ref();
    let said = said.map(|filed| FiledTally::new(filed.filed_bytes, filed.not_filed.bytes()));
    let counted = said.or_else(|| files.get(&id).copied()).unwrap_or_default();
    sum.filed_bytes += counted.filed_bytes;
    sum.not_filed_bytes += counted.not_filed_bytes;
}

fn count_shown(sum: &mut StreamTally, account: &Account) {
    sum.shown_bytes += account.shown_bytes;
    sum.withheld_bytes += account.withheld.total();
    sum.lost_bytes += account.lost.bytes();
}
