//! A console that goes away.

use std::io;

use lastline_client::{JoinError, Options, Output, TextOptions};
use lastline_line::{BarrierOutcome, Stream, Version};
use lastline_testing::{PATIENCE, PrintRecorder, Screen, stdout};

use crate::common::{Job, json_on, of, stderr, text_on};

#[tokio::test]
async fn stdout_closed_leaves_stderr_alone() {
    let (out, err) = (Screen::new(), Screen::new());
    let mut job = Job::new(text_on([&out, &err], TextOptions::default()), Options::default());
    out.fail(io::ErrorKind::BrokenPipe);
    for _ in 0..50 {
        job.say(stdout(0), b"to nobody\n");
        job.say(stderr(0), b"to somebody\n");
    }
    job.say(stdout(0), b"open 1%\r2%");
    let accounts = job.finish().await;
    assert_eq!(err.text().matches("to somebody\n").count(), 50);
    let note = "lastline: stdout takes no more (console closed); the job goes on\n";
    assert_eq!(err.text().matches(note).count(), 1);
    let lost = of(&accounts, stdout(0)).lost;
    assert_eq!((lost.bytes(), lost.as_slice().len()), (510, 1));
    assert_eq!(lost.as_slice()[0].cause, "console closed");
    assert_eq!(of(&accounts, stderr(0)).shown_bytes, 600);
}

/// A large block is printed right after the other output has failed.
#[tokio::test]
async fn a_large_block_survives_the_failure_of_the_other_output() {
    let (out, err) = (Screen::new(), Screen::new());
    let mut job = Job::new(text_on([&out, &err], TextOptions::default()), Options::default());
    err.gate.shut();
    job.say(stderr(0), b"to nobody\n");
    // The client waits in the write; what comes now is printed without a flush between.
    let line = [&[b'x'; 40_000][..], b"\n"].concat();
    for _ in 0..20 {
        job.say(stderr(0), b"more\n");
        job.say(stdout(0), &line);
    }
    err.fail(io::ErrorKind::BrokenPipe);
    err.gate.open();
    let accounts = job.finish().await;
    assert_eq!(out.bytes().len(), 20 * line.len());
    assert_eq!(of(&accounts, stdout(0)).shown_bytes, 20 * line.len() as u64);
    assert_eq!(of(&accounts, stderr(0)).lost.bytes(), 110);
}

/// `2>&1 | head`: both are gone, and the second one is found out while the first one is told of.
#[tokio::test]
async fn both_closed_at_once_is_a_loss_of_both() {
    for fails_first in Stream::SEPARATE {
        let (out, err) = (Screen::new(), Screen::new());
        let mut job = Job::new(text_on([&out, &err], TextOptions::default()), Options::default());
        let first = if fails_first == Stream::Stdout { &out } else { &err };
        first.gate.shut();
        for stream in [fails_first, Stream::Stdout, Stream::Stderr, Stream::Stdout] {
            job.say(if stream == Stream::Stdout { stdout(0) } else { stderr(0) }, b"to nobody\n");
        }
        out.fail(io::ErrorKind::BrokenPipe);
        err.fail(io::ErrorKind::BrokenPipe);
        first.gate.open();
        for (stream, account) in job.finish().await {
            assert_eq!(
                (account.shown_bytes, account.lost.bytes()),
                (0, account.received.0),
                "{stream}"
            );
        }
    }
}

#[tokio::test]
async fn a_printer_with_a_buffer_for_each_output_is_asked_again() {
    let printer = PrintRecorder::new();
    let mut job = Job::new(printer.clone(), Options::default());
    printer.gate.shut();
    job.say(stdout(0), b"one\n");
    job.say(stderr(0), b"two\n");
    printer.fail(Output::Stdout, io::ErrorKind::StorageFull);
    printer.gate.open();
    let accounts = job.finish().await;
    assert_eq!(printer.lines(), ["0:two"]);
    assert_eq!(of(&accounts, stderr(0)).shown_bytes, 4);
    assert_eq!(of(&accounts, stdout(0)).lost.as_slice()[0].cause, "console: no storage space");
    assert_eq!(printer.notes().len(), 1);
}

#[tokio::test]
async fn json_on_a_closed_stdout_loses_both_streams() {
    let (out, err) = (Screen::new(), Screen::new());
    let mut job = Job::new(json_on([&out, &err]), Options::default());
    out.fail(io::ErrorKind::BrokenPipe);
    let verdicts = job.client.barrier(Version(1), vec![stdout(0), stderr(0)], PATIENCE);
    job.say(stdout(0), b"one\n");
    job.say(stderr(0), b"two\n");
    job.flush(stdout(0), 1);
    job.flush(stderr(0), 1);
    assert_eq!(verdicts.await.summary(), BarrierOutcome::Lost);
    for (_, account) in job.finish().await {
        assert_eq!(account.lost.bytes(), 4);
    }
    assert_eq!(err.text().lines().count(), 1);
}

#[test]
fn one_that_only_prints_ends_with_its_output_and_says_why() {
    let (out, err) = (Screen::new(), Screen::new());
    let mut options = Options::default();
    options.print_only = true;
    let mut job = Job::new(text_on([&out, &err], TextOptions::default()), options);
    out.fail(std::io::ErrorKind::StorageFull);
    job.say(stdout(0), b"gone\n");
    // The transport is still there.
    let Err(JoinError::Output(error)) = job.client.join() else { panic!("it has printed") };
    assert_eq!((error.output, error.is_closed()), (Output::Stdout, false));
    assert_eq!(err.text(), "");
}
