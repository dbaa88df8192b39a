//! Barriers: each caller has its own right answer, and none waits for ever.

use std::io;
use std::time::Duration;

use lastline_client::{Options, Output, Verdict};
use lastline_line::{
    BarrierOutcome, Cause, Heartbeat, HostId, Message, Offset, Span, Timestamp, Version,
};
use lastline_testing::{PATIENCE, PrintRecorder, stdout, until};

use crate::common::{Job, of};

const SOON: Duration = Duration::from_millis(20);

fn job() -> (Job, PrintRecorder) {
    let printer = PrintRecorder::new();
    (Job::new(printer.clone(), Options::default()), printer)
}

#[tokio::test]
async fn when_it_is_reached_what_was_said_before_is_printed() {
    let (mut job, printer) = job();
    for version in 1..300 {
        let verdicts = job.client.barrier(Version(version), vec![stdout(0)], PATIENCE);
        job.say(stdout(0), format!("line {version}\n").as_bytes());
        job.flush(stdout(0), version);
        let verdicts = verdicts.await;
        assert_eq!(verdicts.streams, [(stdout(0), Verdict::Reached)]);
        assert_eq!(printer.flushed().len() as u64, version);
        assert_eq!(printer.waiting(), []);
    }
}

#[tokio::test]
async fn several_callers_have_each_their_own_answer() {
    let (mut job, _printer) = job();
    let all = vec![stdout(0), stdout(1), stdout(2)];
    let first = job.client.barrier(Version(1), all.clone(), PATIENCE);
    let second = job.client.barrier(Version(2), all.clone(), PATIENCE);
    let third = job.client.barrier(Version(3), vec![stdout(2)], PATIENCE);
    job.say(stdout(0), b"a\n");
    job.flush(stdout(0), 2);
    job.flush(stdout(0), 1);
    job.flush(stdout(1), 1);
    job.end(stdout(2));
    job.end(stdout(1));
    use Verdict::{Ended, Reached};
    let first = first.await.streams.into_iter().map(|(_, verdict)| verdict);
    assert_eq!(first.collect::<Vec<_>>(), [Reached, Reached, Ended]);
    let second = second.await.streams.into_iter().map(|(_, verdict)| verdict);
    assert_eq!(second.collect::<Vec<_>>(), [Reached, Ended, Ended]);
    assert_eq!(third.await.streams, [(stdout(2), Ended)]);
}

#[tokio::test]
async fn answers_that_nobody_waits_for_are_counted() {
    let (mut job, _printer) = job();
    let verdicts = job.client.barrier(Version(5), vec![stdout(0)], PATIENCE);
    job.flush(stdout(0), 4);
    job.flush(stdout(1), 5);
    job.flush(stdout(0), 5);
    job.flush(stdout(0), 5);
    assert!(verdicts.await.all_reached());
    until(|| job.client.stale_answers() == 3).await;
}

#[tokio::test]
async fn an_ended_stream_answers_at_once_also_when_asked_later() {
    let (mut job, printer) = job();
    job.say(stdout(0), b"last words");
    job.end(stdout(0));
    let verdicts = job.client.barrier(Version(1), vec![stdout(0)], PATIENCE).await;
    assert_eq!(verdicts.streams, [(stdout(0), Verdict::Ended)]);
    assert_eq!(printer.lines(), ["0:last words~"]);
    let verdicts = job.client.barrier(Version(2), vec![stdout(0)], PATIENCE).await;
    assert!(verdicts.all_reached());
}

/// Its reader was killed: no end will come. What has come of it is printed before the answer.
#[tokio::test]
async fn an_abandoned_stream_releases_who_waits_for_it() {
    let (mut job, printer) = job();
    printer.gate.shut();
    job.say(stdout(0), b"a line\n");
    until(|| printer.gate.waiting() == 1).await;
    let verdicts = job.client.barrier(Version(1), vec![stdout(0), stdout(1)], PATIENCE);
    let mut verdicts = tokio::spawn(verdicts);
    job.client.abandon(stdout(0));
    job.client.abandon(stdout(1));
    assert!(tokio::time::timeout(SOON, &mut verdicts).await.is_err(), "nothing is printed yet");
    printer.gate.open();
    let verdicts = verdicts.await.unwrap();
    let ended = [stdout(0), stdout(1)].map(|stream| (stream, Verdict::Ended));
    assert_eq!(verdicts.streams, ended);
    assert_eq!(printer.lines(), ["0:a line"]);
}

#[tokio::test]
async fn at_the_deadline_it_says_how_far_it_came() {
    let (mut job, printer) = job();
    job.say(stdout(0), b"one\n");
    let verdicts = job.client.barrier(Version(1), vec![stdout(0)], PATIENCE);
    job.flush(stdout(0), 1);
    assert!(verdicts.await.all_reached());
    printer.gate.shut();
    job.say(stdout(0), b"two\n");
    until(|| printer.gate.waiting() == 1).await;
    let verdicts = job.client.barrier(Version(2), vec![stdout(0), stdout(1)], SOON);
    job.flush(stdout(0), 2);
    let late = |shown, wanted| Verdict::TimedOut { shown: Offset(shown), wanted };
    let streams = verdicts.await.streams;
    assert_eq!(streams, [(stdout(0), late(4, None)), (stdout(1), late(0, None))]);
    printer.gate.open();
    until(|| job.client.stale_answers() == 1).await;
}

#[tokio::test]
async fn a_mark_that_came_is_what_was_wanted() {
    let (mut job, printer) = job();
    let verdicts = job.client.barrier(Version(1), vec![stdout(0)], PATIENCE);
    let open = b"an open line is printed for the barrier";
    printer.gate.shut();
    job.say(stdout(0), open);
    job.flush(stdout(0), 1);
    let wanted = Some(Offset(open.len() as u64));
    // The mark is taken down before the console is asked to print.
    until(|| printer.gate.waiting() == 1).await;
    printer.gate.open();
    assert!(verdicts.await.all_reached());
    let account = &job.client.accounts()[0].1;
    assert_eq!(account.mark, wanted);
}

#[tokio::test]
async fn a_loss_that_it_covers_is_its_verdict() {
    let (mut job, _printer) = job();
    let span = Span::new(Offset(4), Offset(9));
    job.say(stdout(0), b"one\n");
    let verdicts = job.client.barrier(Version(1), vec![stdout(0)], PATIENCE);
    job.flush(stdout(0), 1);
    assert!(verdicts.await.all_reached());
    let verdicts = job.client.barrier(Version(2), vec![stdout(0)], PATIENCE);
    job.send(Message::Skip { stream: stdout(0), span, cause: Cause::lost("dropped") });
    job.send(Message::Flush { stream: stdout(0), version: Version(2), mark: Offset(9) });
    let lost = Verdict::Lost { span, cause: "dropped".into() };
    let verdicts = verdicts.await;
    assert_eq!(
        (verdicts.summary(), verdicts.streams),
        (BarrierOutcome::Lost, vec![(stdout(0), lost)])
    );
}

#[tokio::test]
async fn a_console_that_fails_at_the_flush_is_a_loss_not_a_success() {
    let (mut job, printer) = job();
    printer.fail(Output::Stdout, io::ErrorKind::BrokenPipe);
    let verdicts = job.client.barrier(Version(1), vec![stdout(0)], PATIENCE);
    job.say(stdout(0), b"one\n");
    job.flush(stdout(0), 1);
    let span = Span::new(Offset(0), Offset(4));
    let lost = Verdict::Lost { span, cause: "console closed".into() };
    assert_eq!(verdicts.await.streams, [(stdout(0), lost)]);
}

#[tokio::test]
async fn hosts_are_known_by_their_heartbeats() {
    let (mut job, _printer) = job();
    let (host, time) = (HostId(4), Timestamp(99));
    job.send(Message::Heartbeat(Heartbeat { host, time, answers: None }));
    until(|| job.client.heartbeats().get(&HostId(4)) == Some(&Timestamp(99))).await;
}

#[tokio::test]
async fn marks_that_come_before_a_host_has_listed_its_streams_count() {
    let (mut job, _printer) = job();
    let verdicts = job.client.open_barrier(Version(1), 2, tokio::time::sleep(PATIENCE));
    job.say(stdout(0), b"one\n");
    job.flush(stdout(0), 1);
    job.end(stdout(1));
    until(|| job.client.accounts().len() == 2).await;
    job.client.barrier_streams(Version(1), vec![stdout(0), stdout(1)]);
    job.client.barrier_streams(Version(1), vec![stdout(2)]);
    job.flush(stdout(2), 1);
    use Verdict::{Ended, Reached};
    let expected = [(stdout(0), Reached), (stdout(1), Ended), (stdout(2), Reached)];
    assert_eq!(verdicts.await.streams, expected);
    assert_eq!(job.client.stale_answers(), 0);
}

#[tokio::test]
async fn a_host_that_is_lost_is_not_waited_for_and_one_that_is_silent_is_missed() {
    let (mut job, _printer) = job();
    let verdicts = job.client.open_barrier(Version(1), 2, tokio::time::sleep(PATIENCE));
    job.client.barrier_streams(Version(1), vec![stdout(0)]);
    job.flush(stdout(0), 1);
    job.client.barrier_host_lost(Version(1));
    assert!(verdicts.await.all_reached());
    let verdicts = job.client.open_barrier(Version(2), 1, tokio::time::sleep(SOON)).await;
    assert_eq!((verdicts.missing_hosts, verdicts.summary()), (1, BarrierOutcome::TimedOut));
}

/// Its host is lost: what came before is shown, what did not is lost, and nobody waits.
#[tokio::test]
async fn a_stream_that_broke_off_is_a_loss_behind_all_that_came() {
    let (mut job, printer) = job();
    printer.gate.shut();
    job.say(stdout(0), b"a line\nopen");
    until(|| printer.gate.waiting() == 1).await;
    job.say(stdout(1), b"whole\n");
    job.end(stdout(2));
    let streams = vec![stdout(0), stdout(1), stdout(2)];
    let verdicts = tokio::spawn(job.client.barrier(Version(1), streams, PATIENCE));
    job.client.interrupt(stdout(0), Some(Offset(30)), "the host is lost");
    job.client.interrupt(stdout(1), None, "the host is lost");
    job.client.interrupt(stdout(2), Some(Offset(30)), "the host is lost");
    printer.gate.open();
    let lost = |from, to| Verdict::Lost {
        span: Span::new(Offset(from), Offset(to)),
        cause: "the host is lost".into(),
    };
    let expected =
        [(stdout(0), lost(11, 30)), (stdout(1), lost(6, 6)), (stdout(2), Verdict::Ended)];
    assert_eq!(verdicts.await.unwrap().streams, expected);
    assert_eq!(printer.lines(), ["0:a line", "1:whole", "0:open~"]);
    let account = of(&job.finish().await, stdout(0));
    assert_eq!((account.shown_bytes, account.lost.bytes()), (11, 19));
}
