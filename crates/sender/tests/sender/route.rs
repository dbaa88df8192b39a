//! The far side goes away.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lastline_line::{
    Accept, Cause, Control, Inbox as _, Message, Offset, Sink as _, StreamId, Version,
};
use lastline_sender::framed::{self, FramedInbox};
use lastline_sender::{ChannelInbox, Options, Sender, channel};
use lastline_testing::{stdout, until};
use tokio::net::UnixStream;

use crate::common::{OVERHEAD, SOON, data, end, flush, give, next, on_flush, settled, span};

const NO_ROUTE: &str = "no route: the far side of the transport is gone";

fn skip(stream: StreamId, from: u64, to: u64) -> Message {
    Message::Skip { stream, span: span(from, to), cause: Cause::lost(NO_ROUTE) }
}

/// A sender over a socket, its peer's inbox, and the inbox of its detour.
fn over_a_socket(options: Options) -> (Sender, FramedInbox, ChannelInbox) {
    let (near, far) = UnixStream::pair().expect("a pair");
    let (detour, around) = channel(1 << 20);
    let transport = framed::transport(near, 1 << 20);
    let sender = Sender::with_detour(transport, Some(Box::new(detour)), options);
    (sender, framed::inbox(far, 1 << 20), around)
}

/// Until the sender knows that its peer is gone: the first word that takes the detour.
async fn gone(sender: &Sender, around: &mut ChannelInbox) -> Message {
    let mut sink = sender.sink();
    let mut version = 1000;
    loop {
        version += 1;
        give(&mut sink, &flush(9, version, 0));
        if let Ok(message) = tokio::time::timeout(Duration::from_millis(5), around.recv()).await {
            return message.expect("the detour is open");
        }
    }
}

#[tokio::test]
async fn what_was_not_acknowledged_had_no_route() {
    let asked = Arc::new(AtomicU64::new(0));
    let (mut options, seen) = (Options::default(), Arc::clone(&asked));
    options.on_control = Some(on_flush(move |version| seen.store(version.0, Ordering::SeqCst)));
    let (sender, mut peer, mut around) = over_a_socket(options);
    let mut sink = sender.sink();
    give(&mut sink, &data(0, 0, "first\n"));
    give(&mut sink, &data(0, 6, "second\n"));
    assert_eq!(next(&mut peer).await, Some(data(0, 0, "first\n")));
    peer.control_sender().send(Control::Acknowledge { stream: stdout(0), through: Offset(6) });
    assert_eq!(next(&mut peer).await, Some(data(0, 6, "second\n")));
    peer.control_sender().send(Control::Flush { version: Version(1) });
    until(|| asked.load(Ordering::SeqCst) == 1).await;
    drop(peer);
    assert_eq!(gone(&sender, &mut around).await, skip(stdout(0), 6, 13));
    give(&mut sink, &data(0, 13, "third\n"));
    assert_eq!(sink.accept(&flush(0, 1, 19)), Accept::Taken);
    give(&mut sink, &end(0, 19));
    let mut seen = Vec::new();
    while seen.last() != Some(&end(0, 19)) {
        let message = next(&mut around).await.expect("the detour is open");
        seen.extend((message.stream() == Some(stdout(0))).then_some(message));
    }
    assert_eq!(seen, [skip(stdout(0), 13, 19), flush(0, 1, 19), end(0, 19)]);
    let sent = sender.close(SOON).await;
    assert_eq!(sent[0].1.stored.get(), Offset(6));
    let gaps = sent[0].1.no_route.as_slice();
    assert_eq!((gaps.len(), gaps[0].span, &*gaps[0].cause), (1, span(6, 19), NO_ROUTE));
}

/// The detour takes less than what there is to say: it says it as room comes, in order.
#[tokio::test]
async fn a_full_detour_loses_no_word() {
    let (transport, inbox) = channel(OVERHEAD);
    let (detour, mut around) = channel(OVERHEAD);
    let sender = Sender::with_detour(transport, Some(Box::new(detour)), Options::default());
    let mut sink = sender.sink();
    for rank in 0..5 {
        give(&mut sink, &data(rank, 0, &"x".repeat(400)));
        give(&mut sink, &flush(rank, 1, 400));
    }
    drop(inbox);
    for rank in 0..5 {
        give(&mut sink, &data(rank, 400, &"x".repeat(400)));
        give(&mut sink, &end(rank, 800));
    }
    let (mut at, mut marks, mut ends) = ([0; 5], 0, 0);
    at[0] = 400; // Taken before the end: in one process that counts as stored.
    while ends < 5 {
        let message = next(&mut around).await.expect("the detour is open");
        let stream = message.stream().expect("it belongs to a stream");
        let at = &mut at[stream.rank as usize];
        match message {
            Message::Flush { mark, .. } => {
                assert!(mark.0 <= *at, "the mark of {stream} stays behind {at}");
                marks += 1;
            }
            Message::End { at: end, .. } => {
                assert_eq!(end.0, *at);
                ends += 1;
            }
            message => {
                let (_, span) = settled(&message).expect("a skip");
                assert_eq!(span.from.0, *at);
                *at = span.to.0;
            }
        }
    }
    assert_eq!((at, marks), ([800; 5], 5));
    let sent = sender.close(SOON).await;
    assert_eq!(sent.iter().map(|(_, sent)| sent.no_route.bytes()).sum::<u64>(), 5 * 800 - 400);
}

#[tokio::test]
async fn without_a_detour_everything_is_taken_and_declared() {
    let (transport, inbox) = channel(OVERHEAD);
    let sender = Sender::start(transport, Options::default());
    let mut sink = sender.sink();
    for at in 0..100 {
        give(&mut sink, &data(0, at * 100, &"x".repeat(100)));
    }
    drop(inbox);
    for at in 100..200 {
        give(&mut sink, &data(0, at * 100, &"x".repeat(100)));
    }
    let sent = sender.close(SOON).await;
    let sent = &sent[0].1;
    assert_eq!(sent.no_route.as_slice().len(), 1);
    assert_eq!(sent.no_route.bytes() + sent.stored.get().0, 20_000);
}

#[tokio::test]
async fn the_memory_of_what_lost_its_route_is_free() {
    let memory = lastline_line::Budget::new(100_000);
    let (transport, inbox) = channel(OVERHEAD);
    let sender = Sender::start(transport, Options::default());
    for at in 0..100 {
        give(&mut sender.sink(), &crate::common::counted(&memory, 0, at * 1000, 1000));
    }
    assert!(memory.held_bytes() > 90_000);
    drop(inbox);
    until(|| memory.held_bytes() == 0).await;
}
