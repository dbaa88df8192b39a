//! A tee over scripted readers and real pipes.

use std::io::Write;
use std::time::Duration;

use lastline_line::{Budget, Message, Offset, Version};
use lastline_tee::{End, Options, Pool, Tee};
use lastline_testing::{Recorder, stdout};
use tokio::io::AsyncWriteExt;

use crate::support::{assert_contiguous, pipe, sinks, until};

#[tokio::test]
async fn every_sink_gets_every_byte_and_one_end() {
    let (first, second) = (Recorder::new(), Recorder::new());
    let (read, mut write) = pipe();
    let sinks = sinks(&[&first, &second]);
    let tee = Tee::start_pipe(stdout(0), read, sinks, Options::default()).unwrap();
    let text: Vec<u8> = (0..200_000_u32).flat_map(|at| at.to_le_bytes()).collect();
    let wanted = text.clone();
    let writer = std::thread::spawn(move || write.write_all(&text).unwrap());
    let outcome = tee.join().await.unwrap();
    writer.join().unwrap();
    assert_eq!((outcome.end, outcome.read_bytes), (End::Eof, 800_000));
    for recorder in [first, second] {
        assert_eq!(recorder.bytes(), wanted);
        assert_contiguous(&recorder);
        let messages = recorder.messages();
        let end = Message::End { stream: stdout(0), at: Offset(800_000) };
        assert_eq!(messages.last(), Some(&end));
        assert_eq!(messages.iter().filter(|m| matches!(m, Message::End { .. })).count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_partial_line_waits_a_tenth_of_a_second_and_no_longer() {
    let recorder = Recorder::new();
    let (mut write, read) = tokio::io::duplex(1 << 10);
    let tee = Tee::start(stdout(0), read, sinks(&[&recorder]), Options::default());
    write.write_all(b"one\ntwo").await.unwrap();
    until(|| recorder.bytes() == b"one\n").await;
    tokio::time::sleep(Duration::from_millis(99)).await;
    assert_eq!(recorder.bytes(), b"one\n");
    tokio::time::sleep(Duration::from_millis(2)).await;
    assert_eq!(recorder.bytes(), b"one\ntwo");
    assert!(recorder.chunks()[1].unterminated);
    write.write_all(b"end").await.unwrap();
    drop(write);
    let outcome = tee.join().await.unwrap();
    assert_eq!((recorder.bytes(), outcome.read_lines), (b"one\ntwoend".to_vec(), 2));
    assert_contiguous(&recorder);
}

#[tokio::test]
async fn a_barrier_covers_what_was_written_before_it_however_idle_the_reactor() {
    let recorder = Recorder::new();
    let (read, mut write) = pipe();
    let tee = Tee::start_pipe(stdout(0), read, sinks(&[&recorder]), Options::default()).unwrap();
    let mut written = 0;
    for version in 1..=5000 {
        let text = if version % 3 == 0 { "no newline" } else { "a line\n" };
        write.write_all(text.as_bytes()).unwrap();
        written += text.len() as u64;
        tee.barrier(Version(version));
        let flush =
            Message::Flush { stream: stdout(0), version: Version(version), mark: Offset(written) };
        until(|| recorder.messages().last() == Some(&flush)).await;
        if version % 500 == 0 {
            assert_eq!(recorder.bytes().len() as u64, written);
        }
    }
    assert_contiguous(&recorder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_that_never_pauses_cannot_hold_a_barrier() {
    let recorder = Recorder::new();
    let (read, mut write) = pipe();
    let tee = Tee::start_pipe(stdout(0), read, sinks(&[&recorder]), Options::default()).unwrap();
    let writer =
        std::thread::spawn(move || while write.write_all(b"and on and on and on\n").is_ok() {});
    until(|| tee.read() > Offset(100_000)).await;
    tee.barrier(Version(1));
    let passed = |m: &Message| matches!(m, Message::Flush { version: Version(1), .. });
    until(|| recorder.messages().iter().any(passed)).await;
    tee.kill();
    until(|| tee.is_finished()).await;
    writer.join().unwrap();
}

#[tokio::test]
async fn a_pause_keeps_what_waits_but_not_from_barriers_nor_the_end() {
    let recorder = Recorder::new();
    let (read, mut write) = pipe();
    let tee = Tee::start_pipe(stdout(0), read, sinks(&[&recorder]), Options::default()).unwrap();
    let long = Duration::from_secs(3600);
    tee.pause(long);
    write.write_all(b"one\n").unwrap();
    // More than a task needs that reads.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(recorder.bytes().is_empty() && !tee.waits_for_input());
    tee.barrier(Version(1));
    until(|| recorder.messages().len() == 2).await;
    assert_eq!(recorder.bytes(), b"one\n");
    write.write_all(b"two\n").unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(recorder.bytes(), b"one\n");
    tee.pause(Duration::ZERO);
    until(|| recorder.bytes() == b"one\ntwo\n").await;
    tee.pause(long);
    write.write_all(b"three\n").unwrap();
    tee.stop();
    assert_eq!(tee.join().await.unwrap().read_lines, 3);
}

#[tokio::test]
async fn a_stop_that_comes_early_is_remembered_and_drains_what_is_there() {
    let recorder = Recorder::new();
    let (read, mut write) = pipe();
    write.write_all(b"said before\nand half").unwrap();
    let tee = Tee::start_pipe(stdout(0), read, sinks(&[&recorder]), Options::default()).unwrap();
    tee.stop();
    // The write end is still open: somebody holds the pipe.
    let outcome = tee.join().await.unwrap();
    assert_eq!((outcome.end, outcome.read_lines), (End::Stopped, 2));
    assert_eq!(recorder.bytes(), b"said before\nand half");
    drop(write);
}

#[tokio::test]
async fn a_full_sink_is_asked_again_alone() {
    let (open, shut) = (Recorder::new(), Recorder::new());
    shut.set_full(true);
    let tee = Tee::start(stdout(0), &b"a line\n"[..], sinks(&[&open, &shut]), Options::default());
    until(|| shut.offers() > 0).await;
    assert_eq!((open.bytes(), shut.bytes()), (b"a line\n".to_vec(), Vec::new()));
    shut.set_full(false);
    tee.join().await.unwrap();
    assert_eq!(shut.bytes(), b"a line\n");
    assert_eq!(open.offers(), 2, "the line and the end, each offered once");
}

#[tokio::test]
async fn what_the_sinks_hold_bounds_the_reading() {
    let recorder = Recorder::new();
    let (read, mut write) = pipe();
    let mut options = Options::default();
    options.pool = Pool::new(Budget::new(64 << 10));
    options.chunk_bytes = 16 << 10;
    let pool = options.pool.clone();
    let writer = std::thread::spawn(move || write.write_all(&vec![b'x'; 4 << 20]));
    let tee = Tee::start_pipe(stdout(0), read, sinks(&[&recorder]), options).unwrap();
    until(|| pool.budget().held_bytes() > 32 << 10).await;
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert!(tee.read() <= Offset(128 << 10), "read {}", tee.read());
    assert!(pool.budget().peak_bytes() <= 64 << 10);
    tee.kill();
    assert!(tee.join().await.is_err());
    drop(recorder);
    assert!(writer.join().unwrap().is_err());
}

#[tokio::test]
async fn the_start_of_a_line_is_leased_until_it_goes() {
    let (read, mut write) = pipe();
    let mut options = Options::default();
    options.pool = Pool::new(Budget::new(1 << 20));
    options.partial_after = Duration::from_secs(3600);
    let budget = options.pool.budget().clone();
    let tee = Tee::start_pipe(stdout(0), read, Vec::new(), options).unwrap();
    for thousands in 1..=20 {
        write.write_all(&[b'x'; 1000]).unwrap();
        until(|| tee.read() == Offset(1000 * thousands)).await;
        let bytes = 1000 * usize::try_from(thousands).unwrap();
        until(|| (bytes..=4 * bytes).contains(&budget.held_bytes())).await;
    }
    // There is no sink that could hold it: what has gone takes nothing.
    tee.barrier(Version(1));
    until(|| budget.held_bytes() == 0).await;
    write.write_all(b"\nand").unwrap();
    until(|| budget.held_bytes() == 3).await;
    drop(write);
    tee.join().await.unwrap();
    assert_eq!(budget.held_bytes(), 0);
}

/// All memory would be held by lines that wait for their ends, and everybody for memory.
#[tokio::test]
async fn open_lines_of_many_streams_share_the_memory_and_come_to_their_end() {
    let mut options = Options::default();
    options.pool = Pool::new(Budget::new(256 << 10));
    options.partial_after = Duration::from_secs(3600);
    let budget = options.pool.budget().clone();
    let (mut tees, mut writers) = (Vec::new(), Vec::new());
    for rank in 0..50 {
        let (read, mut write) = pipe();
        tees.push(Tee::start_pipe(stdout(rank), read, Vec::new(), options.clone()).unwrap());
        writers.push(std::thread::spawn(move || write.write_all(&[b'x'; 250_000])));
    }
    for tee in tees {
        let outcome = tokio::time::timeout(Duration::from_secs(20), tee.join()).await;
        assert_eq!(outcome.expect("it waits for ever").unwrap().read_bytes, 250_000);
    }
    writers.into_iter().for_each(|writer| writer.join().unwrap().unwrap());
    assert!(budget.peak_bytes() <= 256 << 10, "{}", budget.peak_bytes());
    assert_eq!(budget.held_bytes(), 0);
}

#[tokio::test]
async fn the_last_lines_are_whole() {
    let (read, mut write) = pipe();
    let tee = Tee::start_pipe(stdout(0), read, Vec::new(), Options::default()).unwrap();
    let lines: Vec<String> = (0..5000).map(|at| format!("line number {at}")).collect();
    let text = lines.join("\n");
    let writer = std::thread::spawn(move || write.write_all(text.as_bytes()).unwrap());
    tee.join().await.unwrap();
    writer.join().unwrap();
    let wanted: Vec<Vec<u8>> = lines[4800..].iter().map(|line| line.clone().into_bytes()).collect();
    assert_eq!(tee.recent(), wanted);
}
