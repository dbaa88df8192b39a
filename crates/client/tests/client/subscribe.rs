//! Lines and entries for others than the console.

use lastline_client::{
    LineStream, Options, OwnedEntry, SubscribeOptions, Subscribed, SubscribedEntry,
};
use lastline_line::{Cause, Entry, Message, Offset, RankSet, Span, Version};
use lastline_testing::{PATIENCE, PrintRecorder, stdout};

use crate::common::Job;
use crate::printing::OneEntry;

/// `rank@start:bytes`, marked `…` where continued and `~` where open; `rank-bytes/lines` where left
/// out.
async fn rest(mut lines: LineStream) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(next) = lines.next().await {
        all.push(match next {
            Subscribed::Line(line) => {
                let text = String::from_utf8_lossy(&line.bytes);
                let before = if line.continuation { "…" } else { "" };
                let after = if line.partial { "~" } else { "" };
                format!("{}@{}:{before}{text}{after}", line.stream.rank, line.start)
            }
            Subscribed::LeftOut { stream, bytes, lines } => {
                format!("{}-{bytes}/{lines}", stream.rank)
            }
            other => panic!("{other:?}"),
        });
    }
    all
}

#[tokio::test]
async fn a_subscriber_gets_every_line_as_it_was_printed() {
    let mut options = Options::default();
    options.show = Some([0].into_iter().collect::<RankSet>().into());
    let mut job = Job::new(PrintRecorder::new(), options);
    let lines = job.client.subscribe(SubscribeOptions::default());
    job.say(stdout(0), b"one\ntwo\nthr");
    job.say(stdout(1), b"hidden 1%\rhidden 2%\n");
    job.say(stdout(0), b"ee\n\nopen");
    let skip = Span::new(Offset(19), Offset(30));
    job.send(Message::Skip { stream: stdout(0), span: skip, cause: Cause::lost("gone") });
    job.finish().await;
    let expected =
        ["0@0:one", "0@4:two", "1@0:hidden 1%\rhidden 2%", "0@8:three", "0@14:", "0@15:open~"];
    assert_eq!(rest(lines).await, expected);
}

#[tokio::test]
async fn who_comes_in_the_middle_of_a_line_is_told() {
    let mut job = Job::new(PrintRecorder::new(), Options::default());
    job.say(stdout(0), b"half of ");
    let verdicts = job.client.barrier(Version(1), vec![stdout(0)], PATIENCE);
    job.flush(stdout(0), 1);
    verdicts.await;
    let lines = job.client.subscribe(SubscribeOptions::default());
    job.say(stdout(0), b"a line\nwhole\n");
    job.finish().await;
    assert_eq!(rest(lines).await, ["0@8:…a line", "0@15:whole"]);
}

#[tokio::test]
async fn what_a_subscriber_is_too_slow_for_is_counted_where_it_is_missing() {
    let mut job = Job::new(PrintRecorder::new(), Options::default());
    let mut options = SubscribeOptions::default();
    assert_eq!(options.bytes, 1 << 20, "the default that is documented");
    options.bytes = 300;
    let mut lines = job.client.subscribe(options);
    let gone = job.client.subscribe(SubscribeOptions::default());
    drop(gone);
    for at in 0..5 {
        job.say(stdout(0), format!("line {at}\n").as_bytes());
        job.say(stdout(1), b"x\n");
    }
    let reach = async |job: &mut Job, version| {
        let verdicts = job.client.barrier(Version(version), vec![stdout(0)], PATIENCE);
        job.flush(stdout(0), version);
        assert!(verdicts.await.all_reached());
    };
    reach(&mut job, 1).await;
    assert!(matches!(lines.next().await, Some(Subscribed::Line(line)) if line.stream == stdout(0)));
    job.say(stdout(0), b"again\n");
    reach(&mut job, 2).await;
    job.say(stdout(0), b"too much\n");
    job.finish().await;
    let expected = ["1@0:x", "0-28/4", "1-8/4", "0@35:again", "0-9/1"];
    assert_eq!(rest(lines).await, expected);
}

#[tokio::test]
async fn entries_are_what_the_printer_is_given() {
    let mut job = Job::folding(OneEntry::default(), PrintRecorder::new(), Options::default());
    let mut entries = job.client.entries(SubscribeOptions::default());
    for rank in 0..3 {
        job.say(stdout(rank), b"step 1\n");
    }
    job.finish().await;
    let mut lines = 0;
    while let Some(SubscribedEntry::Entry(entry)) = entries.next().await {
        lines += match entry.as_entry() {
            Entry::Line(line) => {
                assert_eq!(line.text, b"step 1");
                1
            }
            Entry::Folded(folded) => folded.lines,
        };
        assert_eq!(OwnedEntry::from(&entry.as_entry()), entry);
    }
    assert_eq!(lines, 3);
}

#[tokio::test]
async fn blocks_are_entries_line_by_line() {
    let mut job = Job::new(PrintRecorder::new(), Options::default());
    let mut entries = job.client.entries(SubscribeOptions::default());
    job.say(stdout(0), b"one\ntwo\n");
    job.finish().await;
    for text in ["one", "two"] {
        let Some(SubscribedEntry::Entry(OwnedEntry::Line(line))) = entries.next().await else {
            panic!("two lines");
        };
        assert_eq!(line.text, text);
    }
    assert_eq!(entries.next().await, None);
}
