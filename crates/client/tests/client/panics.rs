//! A printer or a fold that panics ends neither the client nor anybody's patience.

use lastline_client::{Options, PrintError, Printer, Verdict};
use lastline_line::{BarrierOutcome, Emit, Entry, Fold, Line, Offset, Span, Timestamp, Version};
use lastline_testing::{PATIENCE, PrintRecorder, stdout, until};

use crate::common::{Job, of};

/// Prints what it is given until it is given `boom`, when it panics.
struct Fragile {
    inner: PrintRecorder,
    at_flush: bool,
    doomed: bool,
}

impl Fragile {
    fn new(at_flush: bool) -> Self {
        Self { inner: PrintRecorder::new(), at_flush, doomed: false }
    }
}

impl Printer for Fragile {
    fn print(&mut self, entry: &Entry<'_>) -> Result<(), PrintError> {
        self.doomed |= matches!(entry, Entry::Line(line) if line.text == b"boom");
        assert!(!self.doomed || self.at_flush, "out of paper");
        self.inner.print(entry)
    }
    fn flush(&mut self) -> Result<(), PrintError> {
        assert!(!self.doomed, "out of paper");
        self.inner.flush()
    }
}

struct FragileFold;

impl Fold for FragileFold {
    fn push(&mut self, line: &Line<'_>, _now: Timestamp, emit: &mut Emit<'_>) {
        assert!(line.text != b"boom", "cannot fold {:?}", line.start);
        emit(Entry::Line(*line));
    }
    fn due(&mut self, _now: Timestamp, _emit: &mut Emit<'_>) -> Option<Timestamp> {
        None
    }
    fn finish(&mut self, _emit: &mut Emit<'_>) {}
}

const CAUSE: &str = "the printer failed: out of paper";

async fn answers_at_once(mut job: Job, cause: &str) {
    job.say(stdout(0), b"fine\n");
    let verdicts = job.client.barrier(Version(1), vec![stdout(0)], PATIENCE);
    job.flush(stdout(0), 1);
    assert!(verdicts.await.all_reached());
    let failed = job.client.failed();
    let verdicts = job.client.barrier(Version(2), vec![stdout(0), stdout(1)], PATIENCE);
    job.say(stdout(0), b"boom\n");
    job.flush(stdout(0), 2);
    job.end(stdout(1));
    let verdicts = verdicts.await;
    let lost = Verdict::Lost { span: Span::new(Offset(5), Offset(10)), cause: cause.into() };
    assert_eq!(verdicts.streams, [(stdout(0), lost), (stdout(1), Verdict::Ended)]);
    assert_eq!(failed.await.as_deref(), Some(cause));
    assert_eq!(job.client.failure().as_deref(), Some(cause));
    job.say(stdout(0), b"to nobody\n");
    job.say(stdout(2), b"to nobody\n");
    let later = job.client.barrier(Version(3), vec![stdout(0), stdout(2)], PATIENCE);
    job.flush(stdout(0), 3);
    job.flush(stdout(2), 3);
    assert_eq!(later.await.summary(), BarrierOutcome::Lost);
    let accounts = job.finish().await;
    let account = of(&accounts, stdout(0));
    assert_eq!((account.shown_bytes, account.lost.bytes()), (5, 15));
    assert_eq!(of(&accounts, stdout(2)).lost.as_slice()[0].cause, cause);
}

#[tokio::test]
async fn a_printer_that_panics_is_a_loss_that_is_known_at_once() {
    for at_flush in [false, true] {
        answers_at_once(Job::new(Fragile::new(at_flush), Options::default()), CAUSE).await;
    }
}

#[tokio::test]
async fn a_fold_that_panics_is_a_loss_that_is_known_at_once() {
    let job = Job::folding(FragileFold, PrintRecorder::new(), Options::default());
    answers_at_once(job, "the fold failed: cannot fold Offset(5)").await;
}

/// The mark itself makes the client print.
#[tokio::test]
async fn a_panic_while_a_barrier_is_answered_answers_it() {
    let mut job = Job::new(Fragile::new(false), Options::default());
    job.say(stdout(0), b"boom");
    until(|| !job.client.accounts().is_empty()).await;
    let verdicts = job.client.barrier(Version(1), vec![stdout(0)], PATIENCE);
    job.flush(stdout(0), 1);
    let span = Span::new(Offset(0), Offset(4));
    assert_eq!(verdicts.await.streams, [(stdout(0), Verdict::Lost { span, cause: CAUSE.into() })]);
    job.finish().await;
}

#[tokio::test]
async fn without_a_panic_there_is_no_failure() {
    let mut job = Job::new(PrintRecorder::new(), Options::default());
    job.say(stdout(0), b"fine\n");
    let failed = job.client.failed();
    job.finish().await;
    assert_eq!(failed.await, None);
}
