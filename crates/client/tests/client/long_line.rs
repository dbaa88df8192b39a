//! A line that is too long to be held.

use std::time::Duration;

use lastline_client::Options;
use lastline_line::{Offset, Span};
use lastline_testing::{Files, PrintRecorder, stdout, wait_until};

use crate::common::{Job, of, reading};

const PIECE: usize = 200 << 10;

/// A line of about 10 MB in pieces, while another rank speaks.
fn say_a_long_line(job: &mut Job) -> Vec<u8> {
    let mut line = Vec::new();
    for piece in 0..50_u8 {
        let text = vec![b'a' + piece % 26; PIECE];
        job.say(stdout(0), &text);
        line.extend_from_slice(&text);
        job.say(stdout(1), b"meanwhile\n");
    }
    job.say(stdout(0), b"the end\nnext\n");
    line.extend_from_slice(b"the end");
    line
}

#[tokio::test]
async fn with_files_it_is_printed_whole_and_once() {
    let (files, printer) = (Files::new(), PrintRecorder::new());
    let mut job = Job::new(printer.clone(), reading(&files)).filing(&files);
    let line = say_a_long_line(&mut job);
    let accounts = job.finish().await;
    let lines = printer.flushed();
    assert_eq!(lines.len(), 52);
    let long: Vec<_> = lines.iter().filter(|line| line.stream == stdout(0)).collect();
    assert!(long[0].text == line && !long[0].partial && !long[0].continuation);
    assert_eq!(long[1].text, b"next");
    assert_eq!(of(&accounts, stdout(0)).shown_bytes, line.len() as u64 + 6);
}

#[tokio::test]
async fn without_files_it_is_printed_in_pieces_that_make_it_up() {
    let printer = PrintRecorder::new();
    let mut job = Job::new(printer.clone(), Options::default());
    let line = say_a_long_line(&mut job);
    job.finish().await;
    let flushed = printer.flushed();
    let pieces: Vec<_> = flushed.iter().filter(|line| line.stream == stdout(0)).collect();
    assert!(pieces.len() > 10);
    assert!(pieces.windows(2).all(|pair| pair[0].partial == pair[1].continuation));
    let joined: Vec<u8> = pieces.iter().flat_map(|piece| piece.text.clone()).collect();
    assert!(joined == [&line[..], b"next"].concat());
}

#[tokio::test]
async fn a_longer_one_than_is_printed_whole_comes_in_pieces_with_files_too() {
    let (files, printer) = (Files::new(), PrintRecorder::new());
    let mut options = reading(&files);
    options.whole_line_bytes = 1 << 20;
    let mut job = Job::new(printer.clone(), options).filing(&files);
    let line = say_a_long_line(&mut job);
    let accounts = job.finish().await;
    let flushed = printer.flushed();
    let pieces = flushed.iter().filter(|line| line.stream == stdout(0));
    let joined: Vec<u8> = pieces.flat_map(|piece| piece.text.clone()).collect();
    assert!(joined == [&line[..], b"next"].concat());
    assert_eq!(of(&accounts, stdout(0)).shown_bytes, line.len() as u64 + 6);
}

#[tokio::test]
async fn what_the_file_lost_of_it_is_declared() {
    let (files, printer) = (Files::new(), PrintRecorder::new());
    files.lose(stdout(0), Span::new(Offset(1000), Offset(2000)), "no space left on device");
    let mut job = Job::new(printer.clone(), reading(&files)).filing(&files);
    let line = say_a_long_line(&mut job);
    let account = of(&job.finish().await, stdout(0));
    assert_eq!(account.lost.as_slice()[0].cause, "no space left on device");
    assert_eq!(account.shown_bytes + account.lost.bytes(), line.len() as u64 + 6);
}

#[tokio::test]
async fn while_the_file_is_behind_it_is_held_and_printed_whole() {
    let (files, printer) = (Files::new(), PrintRecorder::new());
    let mut job = Job::new(printer.clone(), reading(&files));
    let line = say_a_long_line(&mut job);
    job.finish().await;
    let flushed = printer.flushed();
    let lines: Vec<_> = flushed.iter().filter(|line| line.stream == stdout(0)).collect();
    assert!(lines.len() == 2 && lines[0].text == line && !lines[0].partial);
}

#[test]
fn a_disk_is_waited_for_as_long_as_a_note_of_it_takes() {
    assert_eq!(Options::default().read_back_timeout, Duration::from_secs(5));
}

#[tokio::test]
async fn a_file_that_does_not_answer_keeps_nobody_for_longer_than_is_said() {
    let (files, printer) = (Files::new(), PrintRecorder::new());
    let mut options = reading(&files);
    options.read_back_timeout = Duration::from_millis(50);
    let mut job = Job::new(printer.clone(), options).filing(&files);
    files.gate.shut();
    let line = say_a_long_line(&mut job);
    job.say(stdout(1), b"after it\n");
    wait_until(|| printer.flushed().iter().any(|line| line.text == b"after it"));
    // The next one is not waited for: the first is not answered yet.
    let next = say_a_long_line(&mut job);
    job.say(stdout(1), b"once more\n");
    wait_until(|| printer.flushed().iter().any(|line| line.text == b"once more"));
    wait_until(|| files.gate.waiting() == 1);
    files.gate.open();
    // It answers again, and from then on lines are whole again.
    let mut said = 2;
    wait_until(|| {
        let last = say_a_long_line(&mut job);
        said += 1;
        let count = |text: &[u8]| printer.flushed().iter().filter(|line| line.text == text).count();
        wait_until(|| count(b"next") == said);
        count(&last) > 0
    });
    let account = of(&job.finish().await, stdout(0));
    let lost = account.lost.as_slice();
    assert!(lost.len() >= 2, "{lost:?}");
    assert!(lost.iter().all(|gap| gap.cause == "not shown: the file that has it does not answer"));
    assert!(lost[0].span.from == Offset(0) && lost[0].span.to.0 < line.len() as u64, "{lost:?}");
    assert!(lost[1].span.to.0 < (line.len() + next.len()) as u64 + 7, "{lost:?}");
}
