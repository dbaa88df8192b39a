//! What happens while the client is slower than the ranks.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lastline_line::{
    Budget, Cause, Message, Offset, ReadBack, ReadOutcome, Sink as _, Span, StreamId, Withheld,
};
use lastline_sender::{Options, Sender, WhenFull, channel};
use lastline_testing::{Files, stdout, until};

use crate::common::{OVERHEAD, SOON, counted, data, end, flush, give, letter, next, span};

fn spooling(files: &Files, held_bytes: usize) -> Options {
    let mut options = Options::default();
    options.held_bytes = held_bytes;
    options.spill_after = Duration::ZERO;
    options.read_back = Some(Arc::new(files.clone()));
    options
}

#[tokio::test]
async fn order_is_kept_when_the_transport_is_full() {
    let (transport, mut inbox) = channel(600);
    let sender = Sender::start(transport, Options::default());
    let mut sink = sender.sink();
    let mut sent = Vec::new();
    for at in 0..200 {
        sent.push(data(0, at * 10, "123456789\n"));
        if at % 7 == 0 {
            sent.push(flush(0, at, (at + 1) * 10));
        }
    }
    sent.push(end(0, 2000));
    sent.iter().for_each(|message| give(&mut sink, message));
    for wanted in &sent {
        assert_eq!(next(&mut inbox).await.as_ref(), Some(wanted));
    }
    let result = sender.close(SOON).await;
    assert_eq!(result[0].1.stored.get(), Offset(2000));
    assert!(result[0].1.no_route.is_empty());
}

#[tokio::test]
async fn what_is_filed_is_spilled_and_read_back_once() {
    let files = Files::new();
    let (transport, mut inbox) = channel(1000 + OVERHEAD);
    let sender = Sender::start(transport, spooling(&files, 4000));
    let mut sink = sender.sink();
    // Two chunks on the way, the ones that wait, and the one that is being given.
    let memory = Budget::new(1000 * (2 + 4 + 1));
    for at in 0..1000 {
        let message = counted(&memory, 0, at * 1000, 1000);
        files.file(&message);
        give(&mut sink, &message);
    }
    give(&mut sink, &flush(0, 1, 1_000_000));
    let mut at = 0;
    while at < 1_000_000 {
        let Some(Message::Data(chunk)) = next(&mut inbox).await else {
            panic!("data comes before the mark");
        };
        assert_eq!(chunk.start, Offset(at));
        assert!((at..).zip(&chunk.bytes).all(|(at, byte)| letter(at) == *byte));
        at = chunk.end().0;
    }
    assert_eq!(next(&mut inbox).await, Some(flush(0, 1, 1_000_000)));
    let read_back = files.read_bytes(stdout(0));
    assert!((990_000..=1_000_000).contains(&read_back), "read back {read_back}");
    assert!(sender.close(SOON).await[0].1.no_route.is_empty());
    assert_eq!(memory.held_bytes(), 0);
}

/// Every rank waits for memory that the last words of all ranks hold: no more is accepted, and
/// what has been filed since has to be spilled all the same.
#[tokio::test]
async fn what_is_filed_later_is_spilled_although_nobody_says_anything() {
    let files = Files::new();
    let (transport, mut inbox) = channel(OVERHEAD);
    let sender = Sender::start(transport, spooling(&files, 2000));
    let mut sink = sender.sink();
    let memory = Budget::new(16_000);
    for rank in 0..16 {
        let message = counted(&memory, rank, 0, 1000);
        let Message::Data(chunk) = &message else { unreachable!("it is data") };
        files.write(chunk);
        give(&mut sink, &message);
    }
    assert!(memory.held_bytes() > 15_000);
    (0..16).for_each(|rank| files.file_to(stdout(rank), Offset(1000)));
    until(|| memory.held_bytes() <= 3000).await;
    // Streams that wait for their files do not wait for each other.
    let mut sent = Vec::new();
    for _ in 0..16 {
        let Some(Message::Data(chunk)) = next(&mut inbox).await else {
            panic!("every rank's data comes");
        };
        assert_eq!((chunk.start, chunk.len()), (Offset(0), 1000));
        sent.push(chunk.stream);
    }
    sent.sort();
    assert!(sent.into_iter().eq((0..16).map(stdout)));
}

/// Files with room to keep so many bytes.
struct Bounded {
    files: Files,
    room: u64,
    kept_from: AtomicU64,
}

impl ReadBack for Bounded {
    fn read_back(&self, id: StreamId, from: Offset, into: &mut [u8]) -> io::Result<ReadOutcome> {
        self.files.read_back(id, from, into)
    }
    fn filed(&self, stream: StreamId) -> Offset {
        self.files.filed(stream)
    }
    fn keep(&self, stream: StreamId, span: Span) -> bool {
        self.holds(stream, span) && span.to.0 - self.kept_from.load(Ordering::Relaxed) <= self.room
    }
    fn let_go(&self, _: StreamId, below: Offset) {
        self.kept_from.fetch_max(below.0, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn what_files_have_no_room_to_keep_stays_in_memory() {
    for keep_spilled in [true, false] {
        let (transport, mut inbox) = channel(OVERHEAD);
        let (files, kept_from) = (Files::new(), AtomicU64::new(1000));
        let bounded = Arc::new(Bounded { files: files.clone(), room: 5000, kept_from });
        let mut options = spooling(&files, 0);
        options.read_back = Some(bounded.clone());
        options.keep_spilled = keep_spilled;
        let sender = Sender::start(transport, options);
        let (mut sink, memory) = (sender.sink(), Budget::new(20_000));
        for at in 0..20 {
            let message = counted(&memory, 0, at * 1000, 1000);
            files.file(&message);
            give(&mut sink, &message);
        }
        // What is on the way, and what comes after those that are kept.
        assert_eq!(memory.held_bytes(), if keep_spilled { 15_000 } else { 1000 });
        let mut at = 0;
        while at < 20_000 {
            let Some(Message::Data(chunk)) = next(&mut inbox).await else { panic!("it is data") };
            assert_eq!(chunk.start, Offset(at));
            at = chunk.end().0;
        }
        assert!(sender.close(SOON).await[0].1.no_route.is_empty());
        assert!(bounded.kept_from.load(Ordering::Relaxed) > 1000, "what was read is let go of");
    }
}

#[tokio::test]
async fn what_the_files_lost_is_skipped_with_their_word_for_it() {
    let files = Files::new();
    let (transport, mut inbox) = channel(100 + OVERHEAD);
    let sender = Sender::start(transport, spooling(&files, 0));
    let mut sink = sender.sink();
    files.lose(stdout(0), span(250, 430), "no space left on device");
    for at in 0..10 {
        let message = data(0, at * 100, &"x".repeat(100));
        files.file(&message);
        give(&mut sink, &message);
    }
    give(&mut sink, &end(0, 1000));
    let (mut at, mut skipped) = (0, 0);
    loop {
        match next(&mut inbox).await {
            Some(Message::Data(chunk)) => {
                assert_eq!(chunk.start, Offset(at));
                at = chunk.end().0;
            }
            Some(Message::Skip { span, cause, .. }) => {
                assert_eq!(
                    (span.from, cause),
                    (Offset(at), Cause::lost("no space left on device"))
                );
                (at, skipped) = (span.to.0, skipped + span.len());
            }
            other => break assert_eq!(other, Some(end(0, 1000))),
        }
    }
    assert_eq!((at, skipped), (1000, 180));
}

#[tokio::test]
async fn to_block_means_that_memory_is_kept_and_nothing_dropped() {
    let files = Files::new();
    let (transport, mut inbox) = channel(OVERHEAD);
    let mut options = spooling(&files, 0);
    options.when_full = WhenFull::Block;
    let sender = Sender::start(transport, options);
    let memory = Budget::new(10_000);
    for at in 0..10 {
        let message = counted(&memory, 0, at * 1000, 1000);
        files.file(&message);
        give(&mut sender.sink(), &message);
    }
    assert_eq!(memory.held_bytes(), 10_000, "the reader waits for this memory");
    for at in 0..10 {
        let message = next(&mut inbox).await;
        assert!(matches!(&message, Some(Message::Data(chunk)) if chunk.start == Offset(at * 1000)));
    }
    assert_eq!(files.read_bytes(stdout(0)), 0);
}

#[tokio::test]
async fn what_is_dropped_is_declared_in_its_place() {
    let (transport, mut inbox) = channel(OVERHEAD);
    let mut options = Options::default();
    (options.when_full, options.held_bytes) = (WhenFull::Drop, 1500);
    let sender = Sender::start(transport, options);
    let mut sink = sender.sink();
    let memory = Budget::new(3000);
    for at in 0..100 {
        give(&mut sink, &counted(&memory, 0, at * 1000, 1000));
    }
    give(&mut sink, &flush(0, 1, 100_000));
    let mut at = 0;
    let mut lost = 0;
    while at < 100_000 {
        match next(&mut inbox).await {
            Some(Message::Data(chunk)) => at = chunk.end().0,
            Some(Message::Skip { span, cause: Cause::Lost(words), .. }) => {
                assert_eq!(span.from, Offset(at));
                assert_eq!(words, "dropped: the driver was slower than the rank");
                (at, lost) = (span.to.0, lost + span.len());
            }
            other => panic!("{other:?}"),
        }
    }
    assert!((90_000..100_000).contains(&lost), "lost {lost}");
    assert_eq!(next(&mut inbox).await, Some(flush(0, 1, 100_000)));
}

#[tokio::test]
async fn streaming_off_is_said_byte_by_byte_and_ends_when_it_is_on_again() {
    let (transport, mut inbox) = channel(1 << 20);
    let sender = Sender::start(transport, Options::default());
    let mut sink = sender.sink();
    give(&mut sink, &data(0, 0, "a\n"));
    sender.set_mode(false);
    give(&mut sink, &data(0, 2, "b\n"));
    give(&mut sink, &flush(0, 1, 4));
    sender.set_mode(true);
    give(&mut sink, &data(0, 4, "c\n"));
    let cause = Cause::Withheld(Withheld::StreamingOff);
    let skip = Message::Skip { stream: stdout(0), span: span(2, 4), cause };
    for wanted in [data(0, 0, "a\n"), skip, flush(0, 1, 4), data(0, 4, "c\n")] {
        assert_eq!(next(&mut inbox).await, Some(wanted));
    }
}

#[tokio::test]
async fn marks_stay_behind_their_data_however_it_travels() {
    let files = Files::new();
    let (transport, mut inbox) = channel(OVERHEAD);
    let sender = Sender::start(transport, spooling(&files, 1500));
    let mut sink = sender.sink();
    for at in 0..50 {
        for rank in 0..2 {
            let message = data(rank, at * 1000, &"y".repeat(1000));
            if at % 3 > 0 || at < 20 {
                files.file(&message);
            } else if let Message::Data(chunk) = &message {
                files.write(chunk);
            }
            give(&mut sink, &message);
            give(&mut sink, &flush(rank, at, (at + 1) * 1000));
        }
    }
    assert!(files.filed(stdout(0)) > Offset(40_000));
    let mut reached = [0; 2];
    for _ in 0..10_000 {
        match next(&mut inbox).await {
            Some(Message::Data(chunk)) => {
                let reached = &mut reached[chunk.stream.rank as usize];
                assert_eq!(chunk.start, Offset(*reached));
                *reached = chunk.end().0;
            }
            Some(Message::Flush { stream, mark, .. }) => {
                assert_eq!(mark, Offset(reached[stream.rank as usize]));
                if reached == [50_000; 2] {
                    break;
                }
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(reached, [50_000; 2]);
    assert!(
        sink.poll_ready(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_ready()
    );
}
