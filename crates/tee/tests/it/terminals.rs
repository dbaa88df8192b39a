//! A tee over real pseudo terminals.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use lastline_line::{Accept, Message, Offset, Sink, Version};
use lastline_tee::{BoxSink, End, Options, Tee};
use lastline_testing::{Recorder, stdout, terminal};

use crate::support::{assert_contiguous, sinks, until};

fn flush(version: u64, mark: u64) -> Message {
    Message::Flush { stream: stdout(0), version: Version(version), mark: Offset(mark) }
}

#[tokio::test]
async fn every_byte_arrives_as_it_was_written_and_then_one_end() {
    let recorder = Recorder::new();
    let (master, mut slave) = terminal();
    let tee = Tee::start_pty(stdout(0), master, sinks(&[&recorder]), Options::default()).unwrap();
    // Every byte there is, newlines, NUL and 0xFF among them.
    let text: Vec<u8> = (0..500_000_u32).flat_map(|at| at.to_le_bytes()).collect();
    let wanted = text.clone();
    let writer = std::thread::spawn(move || slave.write_all(&text).unwrap());
    let outcome = tee.join().await.unwrap();
    writer.join().unwrap();
    assert_eq!((outcome.end, outcome.read_bytes), (End::Eof, 2_000_000));
    assert!(outcome.error.is_none(), "{outcome:?}");
    assert!(recorder.bytes() == wanted, "the bytes are others");
    assert_contiguous(&recorder);
    let end = Message::End { stream: stdout(0), at: Offset(2_000_000) };
    assert_eq!(recorder.messages().last(), Some(&end));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_right_before_the_close_is_read() {
    for round in 0..2000_usize {
        let recorder = Recorder::new();
        let (master, mut slave) = terminal();
        let tee = Tee::start_pty(stdout(0), master, sinks(&[&recorder]), Options::default());
        let tee = tee.unwrap();
        let text = vec![b'x'; 1 + round * 7 % 9000];
        let wanted = text.len();
        let writer = std::thread::spawn(move || slave.write_all(&text).unwrap());
        let outcome = tee.join().await.unwrap();
        writer.join().unwrap();
        assert_eq!((outcome.end, recorder.bytes().len()), (End::Eof, wanted), "round {round}");
    }
}

#[tokio::test]
async fn a_terminal_that_nobody_has_open_any_more_has_ended() {
    let recorder = Recorder::new();
    let (master, mut slave) = terminal();
    slave.write_all(b"all of it").unwrap();
    drop(slave);
    let tee = Tee::start_pty(stdout(0), master, sinks(&[&recorder]), Options::default()).unwrap();
    let outcome = tee.join().await.unwrap();
    assert_eq!((outcome.end, recorder.bytes()), (End::Eof, b"all of it".to_vec()));
}

#[tokio::test]
async fn while_one_copy_is_open_others_may_come_and_go() {
    let recorder = Recorder::new();
    let (master, held) = terminal();
    let tee = Tee::start_pty(stdout(0), master, sinks(&[&recorder]), Options::default()).unwrap();
    for written in 1..=100 {
        let mut copy = held.try_clone().unwrap();
        copy.write_all(b"x").unwrap();
        drop(copy);
        until(|| tee.read() == Offset(written)).await;
    }
    assert!(!tee.is_finished());
    drop(held);
    assert_eq!(tee.join().await.unwrap().end, End::Eof);
}

#[tokio::test]
async fn a_barrier_covers_what_was_written_before_it_pushed_or_not() {
    let recorder = Recorder::new();
    let (master, mut slave) = terminal();
    let tee = Tee::start_pty(stdout(0), master, sinks(&[&recorder]), Options::default()).unwrap();
    let mut written = 0;
    // `FIONREAD` falls short of one write in three or so.
    for version in 1..=5000 {
        let text = if version % 3 == 0 { "no newline" } else { "a line\n" };
        slave.write_all(text.as_bytes()).unwrap();
        written += text.len() as u64;
        tee.barrier(Version(version));
        until(|| recorder.messages().last() == Some(&flush(version, written))).await;
    }
    assert_contiguous(&recorder);
}

#[tokio::test]
async fn a_barrier_covers_all_that_a_terminal_holds() {
    let recorder = Recorder::new();
    let (master, mut slave) = terminal();
    let tee = Tee::start_pty(stdout(0), master, sinks(&[&recorder]), Options::default()).unwrap();
    let mut written = 0;
    // Pieces of one byte and of many take different room in the kernel.
    for (version, piece) in [1, 7, 300, 5000, 100_000].into_iter().cycle().take(20).enumerate() {
        written += fill(&mut slave, piece);
        tee.barrier(Version(version as u64));
        until(|| recorder.messages().last() == Some(&flush(version as u64, written))).await;
    }
}

/// Writes pieces until the terminal takes no more; how many bytes that are.
fn fill(slave: &mut std::fs::File, piece: usize) -> u64 {
    set_blocking(slave, false);
    let (mut written, piece) = (0, vec![b'x'; piece]);
    let error = loop {
        match slave.write(&piece) {
            Ok(bytes) => written += bytes as u64,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    assert!(written < 32 << 10, "it holds {written} bytes: is what a mark allows for enough?");
    set_blocking(slave, true);
    written
}

fn set_blocking(file: &impl AsFd, blocking: bool) {
    let mut flags = rustix::fs::fcntl_getfl(file).expect("its flags");
    flags.set(rustix::fs::OFlags::NONBLOCK, !blocking);
    rustix::fs::fcntl_setfl(file, flags).expect("its flags");
}

/// Writes until it fails; counts the bytes of which it is known that they were written.
fn flood(mut slave: std::fs::File, written: &AtomicU64) {
    while slave.write_all(b"and on and on\n").is_ok() {
        written.fetch_add(14, Ordering::SeqCst);
    }
}

/// Keeps nothing but the last barrier, and how far it had got then.
#[derive(Clone, Default)]
struct Passed {
    end: Offset,
    last: Arc<Mutex<Option<(Version, Offset)>>>,
}

impl Passed {
    /// How far it had got at this barrier, if that was the last one.
    fn at(&self, version: Version) -> Option<Offset> {
        let last = *self.last.lock().expect("BUG: nothing panics with the lock");
        last.filter(|(at, _)| *at == version).map(|(_, end)| end)
    }
}

impl Sink for Passed {
    fn accept(&mut self, message: &Message) -> Accept {
        match message {
            Message::Data(chunk) => self.end = chunk.end(),
            Message::Flush { version, .. } => {
                *self.last.lock().expect("BUG: nothing panics with the lock") =
                    Some((*version, self.end));
            }
            _ => {}
        }
        Accept::Taken
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_flood_a_barrier_covers_what_was_written_before_it_and_is_not_held() {
    let (passed, written) = (Passed::default(), Arc::new(AtomicU64::new(0)));
    let (master, slave) = terminal();
    let sinks: Vec<BoxSink> = vec![Box::new(passed.clone())];
    let tee = Tee::start_pty(stdout(0), master, sinks, Options::default()).unwrap();
    let count = Arc::clone(&written);
    let writer = std::thread::spawn(move || flood(slave, &count));
    until(|| tee.read() > Offset(100_000)).await;
    for version in (1..=1000).map(Version) {
        let before = written.load(Ordering::SeqCst);
        tee.barrier(version);
        until(|| passed.at(version).is_some()).await;
        let at = passed.at(version).unwrap();
        assert!(at >= Offset(before), "{version:?} is at {at}, and {before} had been written");
    }
    tee.kill();
    until(|| tee.is_finished()).await;
    writer.join().unwrap();
}

#[tokio::test]
async fn a_stop_drains_what_is_there_while_others_hold_the_terminal() {
    let recorder = Recorder::new();
    let (master, mut slave) = terminal();
    slave.write_all(b"said before\nand half").unwrap();
    let tee = Tee::start_pty(stdout(0), master, sinks(&[&recorder]), Options::default()).unwrap();
    tee.stop();
    let outcome = tee.join().await.unwrap();
    assert_eq!((outcome.end, outcome.read_lines), (End::Stopped, 2));
    assert_eq!(recorder.bytes(), b"said before\nand half");
    assert!(slave.write_all(b"more").is_err(), "it has been hung up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_never_pauses_cannot_hold_a_stop() {
    let (master, slave) = terminal();
    let tee = Tee::start_pty(stdout(0), master, Vec::new(), Options::default()).unwrap();
    let writer = std::thread::spawn(move || flood(slave, &AtomicU64::new(0)));
    until(|| tee.read() > Offset(100_000)).await;
    tee.stop();
    assert_eq!(tee.join().await.unwrap().end, End::Stopped);
    writer.join().unwrap();
}

#[tokio::test]
async fn what_its_writer_takes_back_is_no_error() {
    let recorder = Recorder::new();
    let (master, mut slave) = terminal();
    let tee = Tee::start_pty(stdout(0), master, sinks(&[&recorder]), Options::default()).unwrap();
    for _ in 0..200 {
        slave.write_all(b"taken back").unwrap();
        rustix::termios::tcflush(&slave, rustix::termios::QueueSelector::OFlush).unwrap();
        tokio::task::yield_now().await;
    }
    slave.write_all(b"said").unwrap();
    drop(slave);
    assert_eq!(tee.join().await.unwrap().end, End::Eof);
    assert!(recorder.bytes().ends_with(b"said"));
}
