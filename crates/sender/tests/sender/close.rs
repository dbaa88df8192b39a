//! Closing a sender.

use std::sync::Arc;
use std::time::Duration;

use lastline_line::{Control, Inbox as _, Message, Offset};
use lastline_sender::{Options, Sender, channel, framed};
use lastline_testing::{Files, stdout, until};
use tokio::net::UnixStream;

use crate::common::{OVERHEAD, SOON, data, end, give, next, span};

const LATE: &str = "not delivered before the deadline of the teardown";

#[tokio::test]
async fn what_is_left_at_the_deadline_is_declared() {
    let (transport, _inbox) = channel(OVERHEAD);
    let sender = Sender::start(transport, Options::default());
    let mut sink = sender.sink();
    for at in 0..10 {
        give(&mut sink, &data(0, at * 1000, &"x".repeat(1000)));
    }
    let sent = sender.close(Duration::from_millis(5)).await;
    assert_eq!(sent[0].1.stored.get(), Offset(1000));
    let gaps = sent[0].1.no_route.as_slice();
    assert_eq!((gaps.len(), gaps[0].span, &*gaps[0].cause), (1, span(1000, 10_000), LATE));
    give(&mut sink, &data(0, 10_000, "after the end"));
}

/// A socket holds what the peer has not read; only the peer's word says that it has arrived.
#[tokio::test]
async fn closing_waits_for_what_was_sent_to_be_acknowledged() {
    let (near, far) = UnixStream::pair().unwrap();
    let sender = Sender::start(framed::transport(near, 1 << 20), Options::default());
    let mut peer = framed::inbox(far, 1 << 20);
    give(&mut sender.sink(), &data(0, 0, "hello\n"));
    give(&mut sender.sink(), &end(0, 6));
    let closing = tokio::spawn(sender.close(SOON));
    assert_eq!(next(&mut peer).await, Some(data(0, 0, "hello\n")));
    assert_eq!(next(&mut peer).await, Some(end(0, 6)));
    assert!(!closing.is_finished());
    peer.control_sender().send(Control::Acknowledge { stream: stdout(0), through: Offset(6) });
    let sent = closing.await.unwrap();
    assert_eq!(sent[0].1.stored.get(), Offset(6));
    assert!(sent[0].1.no_route.is_empty());
    assert_eq!(next(&mut peer).await, None, "the socket is closed");
}

#[tokio::test]
async fn what_is_not_acknowledged_at_the_deadline_is_declared() {
    let (near, _far) = UnixStream::pair().unwrap();
    let sender = Sender::start(framed::transport(near, 1 << 20), Options::default());
    give(&mut sender.sink(), &data(0, 0, "hello\n"));
    let sent = sender.close(Duration::from_millis(5)).await;
    let gaps = sent[0].1.no_route.as_slice();
    assert_eq!((gaps.len(), gaps[0].span, &*gaps[0].cause), (1, span(0, 6), LATE));
}

/// The file answers after the deadline: what it says is nobody's any more.
#[tokio::test]
async fn closing_does_not_wait_for_a_file_that_hangs() {
    let files = Files::new();
    let (transport, mut inbox) = channel(OVERHEAD);
    let mut options = Options::default();
    options.held_bytes = 0;
    options.spill_after = Duration::ZERO;
    options.read_back = Some(Arc::new(files.clone()));
    let sender = Sender::start(transport, options);
    files.gate.shut();
    for at in 0..10 {
        let message = data(0, at * 1000, &"x".repeat(1000));
        files.file(&message);
        give(&mut sender.sink(), &message);
    }
    assert!(next(&mut inbox).await.is_some());
    drop(tokio::time::timeout(Duration::from_millis(1), inbox.recv()).await);
    until(|| files.gate.waiting() == 1).await;
    let tasks = tokio::runtime::Handle::current().metrics();
    let sent = sender.close(Duration::from_millis(5)).await;
    assert_eq!(sent[0].1.stored.get().0 + sent[0].1.no_route.bytes(), 10_000);
    files.gate.open();
    until(|| tasks.num_alive_tasks() == 0).await;
}

/// A rank's reader that hangs keeps its sink; the client learns of the end all the same.
#[tokio::test]
async fn a_sink_that_outlives_its_sender_keeps_nothing_open() {
    let (transport, mut inbox) = channel(1 << 20);
    let sender = Sender::start(transport, Options::default());
    let mut sink = sender.sink();
    give(&mut sink, &data(0, 0, "hello\n"));
    sender.close(SOON).await;
    assert_eq!(next(&mut inbox).await, Some(data(0, 0, "hello\n")));
    assert_eq!(next(&mut inbox).await, None);
    give(&mut sink, &Message::End { stream: stdout(0), at: Offset(6) });
}
