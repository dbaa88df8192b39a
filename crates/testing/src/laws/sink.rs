//! The laws of [`Sink`].

use std::sync::Arc;
use std::sync::mpsc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use lastline_line::{Accept, Message, Offset, Sink, StreamId};

/// After how long something counts as hanging.
const DEADLINE: Duration = Duration::from_secs(20);
/// The most chunks that a sink is filled with; one that is full only later is never full.
const CHUNKS: u64 = 1024;
const CHUNK_BYTES: usize = 16 << 10;

/// A sink, and what can be done with its far side.
pub struct Subject {
    /// The sink. Its far side stands still.
    pub sink: Box<dyn Sink + Send>,
    /// Lets the far side go on.
    pub release: Box<dyn FnOnce() + Send>,
    /// Waits for what the far side is to get, and gives the bytes of each stream asked for. Is
    /// called after `release`, and after the stream's end was taken.
    pub received: Box<dyn FnMut(StreamId) -> Vec<u8> + Send>,
    /// Ends the far side, which still stands, for good.
    pub cut: Box<dyn FnOnce() + Send>,
}

impl std::fmt::Debug for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subject").finish_non_exhaustive()
    }
}

/// Runs every law on subjects that `make` makes.
pub fn all(mut make: impl FnMut() -> Subject) {
    never_blocks(make());
    delivers_what_it_took_once_and_in_order(make());
    is_never_full_for_good(make());
}

/// Law 1: `accept` returns while the far side stands still.
pub fn never_blocks(subject: Subject) {
    let (done, waits) = mpsc::channel();
    let mut sink = subject.sink;
    let filling = std::thread::spawn(move || {
        let mut taken = 0;
        while taken < CHUNKS && sink.accept(&data(crate::stdout(0), taken)) == Accept::Taken {
            taken += 1;
        }
        done.send(()).expect("the test waits");
        sink
    });
    waits.recv_timeout(DEADLINE).expect("law 1: accept blocks");
    (subject.release)();
    drop(filling.join().expect("accept panicked"));
}

/// Laws 2, 3 and 4: what was taken comes out once and in order, what was refused does not come out
/// before it is taken, and after `Full` there is room in the end.
pub fn delivers_what_it_took_once_and_in_order(subject: Subject) {
    let Subject { mut sink, release, mut received, .. } = subject;
    let streams = [crate::stdout(0), crate::stdout(1)];
    let mut release = Some(release);
    let mut expected = [Vec::new(), Vec::new()];
    for step in 0..CHUNKS {
        for (stream, expected) in streams.iter().zip(&mut expected) {
            let message = data(*stream, step);
            if sink.accept(&message) == Accept::Full {
                if let Some(release) = release.take() {
                    release();
                }
                offer(&mut *sink, &message);
            }
            if let Message::Data(chunk) = message {
                expected.extend_from_slice(&chunk.bytes);
            }
        }
    }
    if let Some(release) = release.take() {
        release();
    }
    for (stream, expected) in streams.iter().zip(&expected) {
        let at = Offset(expected.len() as u64);
        offer(&mut *sink, &Message::End { stream: *stream, at });
    }
    for (stream, expected) in streams.iter().zip(&expected) {
        let got = received(*stream);
        assert_eq!(got.len(), expected.len(), "law 2 or 3: {stream}: bytes lost or doubled");
        assert!(got == *expected, "law 3: {stream}: bytes in another order");
    }
}

/// Law 5: a sink whose far side ends while it is full takes everything.
pub fn is_never_full_for_good(subject: Subject) {
    let Subject { mut sink, cut, .. } = subject;
    let mut step = 0;
    while step < CHUNKS && sink.accept(&data(crate::stdout(0), step)) == Accept::Taken {
        step += 1;
    }
    let wait = std::thread::spawn(move || {
        for step in step..step + CHUNKS {
            offer(&mut *sink, &data(crate::stdout(0), step));
        }
    });
    cut();
    let until = Instant::now() + DEADLINE;
    while !wait.is_finished() {
        assert!(Instant::now() < until, "law 5: full for good");
        std::thread::yield_now();
    }
    wait.join().expect("law 5: full for good");
}

/// Offers a message until it is taken, as a tee does. Panics when there is no room in the end.
pub fn offer(sink: &mut (impl Sink + ?Sized), message: &Message) {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let until = Instant::now() + DEADLINE;
    while sink.accept(message) == Accept::Full {
        while sink.poll_ready(&mut context) == Poll::Pending {
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "law 4: full, and never ready");
            std::thread::park_timeout(left);
        }
        assert!(Instant::now() < until, "law 4: ready, and full for ever");
    }
}

/// The chunk number `step` of a stream: its bytes show where they belong.
fn data(stream: StreamId, step: u64) -> Message {
    let line = format!("{stream} {step:>8} ");
    let mut bytes = line.as_bytes().repeat(CHUNK_BYTES / line.len());
    bytes.push(b'\n');
    Message::Data(crate::chunk(stream, step * bytes.len() as u64, &bytes))
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
