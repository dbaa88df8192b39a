//! Offsets: what is missing, doubled or cut otherwise is seen.

use lastline_client::Options;
use lastline_line::{Cause, Message, Offset, Span, Withheld};
use lastline_testing::{PrintRecorder, chunk, stdout, until};

use crate::common::{Job, of};

#[tokio::test]
async fn gaps_overlaps_and_repeats_are_counted_and_every_byte_printed_once() {
    let printer = PrintRecorder::new();
    let mut job = Job::new(printer.clone(), Options::default());
    for (start, text) in
        [(0, "one\n"), (0, "one\n"), (2, "e\ntwo\n"), (20, "three\n"), (4, "two\n"), (26, "four\n")]
    {
        job.send(Message::Data(chunk(stdout(0), start, text.as_bytes())));
    }
    job.send(Message::End { stream: stdout(0), at: Offset(40) });
    let account = of(&job.finish().await, stdout(0));
    assert_eq!(printer.lines(), ["0:one", "0:two", "0:three", "0:four"]);
    assert_eq!((account.gaps, account.overlaps, account.repeats), (2, 1, 2));
    assert_eq!((account.shown_bytes, account.lost.bytes()), (19, 21));
    assert_eq!(account.ended, Some(Offset(40)));
    assert!(account.lost.as_slice().iter().all(|gap| gap.cause == "never arrived"));
}

#[tokio::test]
async fn what_is_skipped_is_accounted_for_by_its_cause() {
    let printer = PrintRecorder::new();
    let mut job = Job::new(printer.clone(), Options::default());
    job.say(stdout(0), b"one\n");
    let skips = [
        (Span::new(Offset(4), Offset(10)), Cause::Withheld(Withheld::StreamingOff)),
        (Span::new(Offset(8), Offset(12)), Cause::lost("dropped")),
    ];
    for (span, cause) in skips {
        job.send(Message::Skip { stream: stdout(0), span, cause });
    }
    job.send(Message::Data(chunk(stdout(0), 12, b"two\n")));
    let account = of(&job.finish().await, stdout(0));
    assert_eq!(printer.lines(), ["0:one", "0:two"]);
    assert_eq!((account.withheld.streaming_off, account.lost.bytes()), (6, 2));
}

#[tokio::test]
async fn a_redrawn_bar_is_withheld_but_for_what_is_seen_of_it() {
    let printer = PrintRecorder::new();
    let mut job = Job::new(printer.clone(), Options::default());
    for percent in 0..=100 {
        job.say(stdout(0), format!("\r{percent:3}%").as_bytes());
    }
    job.say(stdout(0), b"\n");
    let account = of(&job.finish().await, stdout(0));
    assert_eq!(printer.lines(), ["0:100%"]);
    assert_eq!((account.shown_bytes, account.withheld.redrawn), (5, 501));
}

#[test]
fn a_client_can_be_shared_by_threads() {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<lastline_client::Client>();
}

#[tokio::test]
async fn the_sum_of_all_streams_counts_what_came_and_what_is_shown() {
    let printer = PrintRecorder::new();
    let mut job = Job::new(printer.clone(), Options::default());
    assert_eq!((job.client.progress(), job.client.open_stream()), (0, None));
    printer.gate.shut();
    job.say(stdout(0), b"one\n");
    until(|| printer.gate.waiting() == 1).await;
    assert_eq!(job.client.progress(), 4, "received, and not shown");
    printer.gate.open();
    job.say(stdout(1), b"three\n");
    job.end(stdout(0));
    until(|| job.client.progress() == 2 * (4 + 6)).await;
    until(|| job.client.open_stream() == Some((stdout(1), Offset(6)))).await;
    job.end(stdout(1));
    until(|| job.client.open_stream().is_none()).await;
    job.finish().await;
}
