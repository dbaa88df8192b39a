//! A barrier's marks gather before what is held goes out: they cost no entry that others still join.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lastline_client::Options;
use lastline_line::{Emit, Entry, Fold, Line, Timestamp, Version};
use lastline_testing::{PATIENCE, PrintRecorder, stdout, until};

use crate::common::Job;

/// Holds the lines of ranks 0 and 1 until both have said one, and counts how often it was made to
/// give one alone. All others pass.
#[derive(Clone, Default)]
struct Pairs {
    held: Vec<(Line<'static>, Vec<u8>)>,
    broken: Arc<AtomicUsize>,
}

impl Pairs {
    fn give(&mut self, emit: &mut Emit<'_>) {
        for (line, text) in self.held.drain(..) {
            emit(Entry::Line(Line { text: &text, ..line }));
        }
    }
}

impl Fold for Pairs {
    fn push(&mut self, line: &Line<'_>, _now: Timestamp, emit: &mut Emit<'_>) {
        if line.stream.rank > 1 {
            return emit(Entry::Line(*line));
        }
        self.held.push((Line { text: b"", ..*line }, line.text.to_vec()));
        if self.held.len() == 2 {
            self.give(emit);
        }
    }

    fn due(&mut self, _now: Timestamp, _emit: &mut Emit<'_>) -> Option<Timestamp> {
        None
    }

    fn finish(&mut self, emit: &mut Emit<'_>) {
        self.broken.fetch_add(usize::from(!self.held.is_empty()), Ordering::Relaxed);
        self.give(emit);
    }
}

fn job() -> (Job, PrintRecorder, Arc<AtomicUsize>) {
    let (printer, fold) = (PrintRecorder::new(), Pairs::default());
    let broken = Arc::clone(&fold.broken);
    (Job::folding(fold, printer.clone(), Options::default()), printer, broken)
}

#[tokio::test]
async fn a_mark_does_not_part_what_two_ranks_say_around_it() {
    let (mut job, printer, broken) = job();
    for version in 1..50 {
        // All of it waits for the client together, so that nothing hangs on how fast it is said.
        printer.gate.shut();
        job.say(stdout(2), b"first\n");
        until(|| printer.gate.waiting() == 1).await;
        let streams = vec![stdout(0), stdout(1)];
        let verdicts = job.client.barrier(Version(version), streams, PATIENCE);
        for rank in [0, 1] {
            job.say(stdout(rank), b"ready\n");
            job.flush(stdout(rank), version);
        }
        printer.gate.open();
        assert!(verdicts.await.all_reached());
        assert_eq!(printer.flushed().len() as u64, 3 * version);
    }
    assert_eq!(broken.load(Ordering::Relaxed), 0);
}

/// The other rank says nothing, and nothing else wakes the client for a second.
#[tokio::test]
async fn a_mark_alone_is_soon_answered_and_all_before_it_printed() {
    let (mut job, printer, broken) = job();
    let verdicts = job.client.barrier(Version(1), vec![stdout(0), stdout(1)], PATIENCE);
    job.say(stdout(0), b"ready\n");
    job.flush(stdout(0), 1);
    let marked = Instant::now();
    until(|| printer.lines() == ["0:ready"] && printer.waiting().is_empty()).await;
    assert!(marked.elapsed() < Duration::from_millis(900), "{:?}", marked.elapsed());
    assert_eq!(broken.load(Ordering::Relaxed), 1);
    job.flush(stdout(1), 1);
    assert!(verdicts.await.all_reached());
}

/// As at the end of a job: the other rank's last words are late, and nothing else is to come.
#[tokio::test]
async fn a_last_barrier_waits_for_all_that_is_on_its_way() {
    let (mut job, printer, broken) = job();
    let streams = vec![stdout(0), stdout(1), stdout(2)];
    let verdicts = job.client.barrier(Version(1), streams, PATIENCE);
    job.client.gather_all(Version(1));
    job.say(stdout(0), b"ready\n");
    job.end(stdout(0));
    // So long that the other one would be late for a barrier in the middle of a job.
    tokio::time::sleep(Duration::from_millis(150)).await;
    job.say(stdout(2), b"here\n");
    job.end(stdout(2));
    until(|| printer.lines() == ["2:here"]).await;
    job.say(stdout(1), b"ready\n");
    job.flush(stdout(1), 1);
    assert!(verdicts.await.all_reached());
    assert_eq!(printer.flushed().len(), 3);
    assert_eq!(broken.load(Ordering::Relaxed), 0);
}

/// Ends that come between the opening of a barrier and the list of its streams count once.
#[tokio::test]
async fn streams_that_end_before_they_are_listed_count_once() {
    let (mut job, printer, broken) = job();
    let verdicts = job.client.open_barrier(Version(1), 1, tokio::time::sleep(PATIENCE));
    job.client.gather_all(Version(1));
    job.say(stdout(0), b"ready\n");
    for rank in [0, 2] {
        job.end(stdout(rank));
    }
    until(|| job.client.accounts().iter().filter(|(_, known)| known.ended.is_some()).count() == 2)
        .await;
    job.client.barrier_streams(Version(1), vec![stdout(0), stdout(1), stdout(2)]);
    job.say(stdout(3), b"here\n");
    until(|| printer.lines() == ["3:here"]).await;
    job.say(stdout(1), b"ready\n");
    job.end(stdout(1));
    assert!(verdicts.await.all_reached());
    assert_eq!((printer.flushed().len(), broken.load(Ordering::Relaxed)), (3, 0));
}
