//! A report that is rebuilt from a job's files.

use std::sync::Arc;
use std::time::Duration;

use lastline_appender::{Appender, DirStorage, Options};
use lastline_jobs::{FoundJob, JobDir, JobInfo, rebuild_report};
use lastline_line::{Chunk, Launch, Message, Offset, Stream, StreamId, Timestamp};
use lastline_testing::laws::sink::offer;

#[test]
fn each_start_of_a_rank_has_a_row_in_the_order_of_its_first_byte() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("j");
    let job = JobDir::create(&dir, false, &JobInfo::new("j", vec!["x".into()], 2)).unwrap();
    let mut options = Options::default();
    options.min_free_bytes = Some(0);
    let files = Appender::start(Arc::new(DirStorage::existing(&dir).unwrap()), options).unwrap();
    for (time, launch, text) in [(1, 9, "first\n"), (2, 4, "then\nand\n"), (3, 7, "last\n")] {
        let stream = StreamId::new(Launch(launch), 1, Stream::Stderr);
        let bytes = text.as_bytes().to_vec().into();
        let mut sink = files.sink(stream);
        let chunk = Chunk::new(stream, Offset::ZERO, Timestamp(time), bytes);
        offer(&mut sink, &Message::Data(chunk));
        offer(&mut sink, &Message::End { stream, at: Offset(text.len() as u64) });
    }
    files.close(Duration::from_secs(20));
    // Without a report, and not locked any more.
    drop(job);
    let report = rebuild_report(&FoundJob::open(&dir).unwrap()).unwrap();
    let rows: Vec<_> = report.ranks.iter().map(|row| (row.rank, &row.streams)).collect();
    let read: Vec<_> = rows
        .iter()
        .map(|(rank, streams)| (*rank, streams[&Stream::Stderr].ledger.filed_bytes))
        .collect();
    assert_eq!(read, [(0, 0), (1, 6), (1, 9), (1, 5)]);
    assert_eq!((report.totals().lines, report.balanced), (4, true));
}
