//! A job of eight streams: what its ranks write, and what a driver has of it.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use lastline_line::{
    Chunk, HostEvent, HostId, HostMessage, Message, Offset, Stream, StreamId, Timestamp,
};
use lastline_nats::{Broker, HostClaim, NatsInbox, NatsOptions, NatsTransport, connect};
use lastline_sender::Transport;
use lastline_testing::{PATIENCE, stdout};

pub(crate) const RANKS: u32 = 4;

/// All streams of the job.
pub(crate) fn streams() -> Vec<StreamId> {
    let both = |rank| Stream::SEPARATE.map(|stream| StreamId { stream, ..stdout(rank) });
    (0..RANKS).flat_map(both).collect()
}

/// What a stream writes: numbered lines, each stream its own.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    stream: StreamId,
    line: u64,
    pub(crate) written: Vec<u8>,
}

impl Text {
    pub(crate) fn of(stream: StreamId) -> Self {
        Self { stream, line: 0, written: Vec::new() }
    }

    /// The next chunk, of about `bytes` bytes.
    pub(crate) fn next(&mut self, bytes: usize) -> Message {
        let start = self.written.len();
        while self.written.len() < start + bytes {
            let line = format!("{} line {} {}\n", self.stream, self.line, "x".repeat(40));
            self.written.extend_from_slice(line.as_bytes());
            self.line += 1;
        }
        let bytes = Bytes::copy_from_slice(&self.written[start..]);
        Message::Data(Chunk::new(self.stream, Offset(start as u64), Timestamp(1), bytes))
    }

    pub(crate) fn end(&self) -> Message {
        Message::End { stream: self.stream, at: Offset(self.written.len() as u64) }
    }
}

pub(crate) type Written = BTreeMap<StreamId, Vec<u8>>;

pub(crate) fn texts() -> Vec<Text> {
    streams().into_iter().map(Text::of).collect()
}

pub(crate) fn written(texts: &[Text]) -> Written {
    texts.iter().map(|text| (text.stream, text.written.clone())).collect()
}

pub(crate) async fn broker(options: NatsOptions) -> Broker {
    connect(options).await.expect("the server is there")
}

/// The only host of the job.
pub(crate) async fn host(broker: &Broker) -> NatsTransport {
    broker.host(HostClaim::new(0..RANKS, RANKS, "here")).await.expect("nobody else")
}

pub(crate) async fn send(transport: &mut NatsTransport, message: Message) {
    let sent = lastline_sender::send(transport, message);
    let sent = tokio::time::timeout(PATIENCE, sent).await;
    sent.expect("there is room in time").expect("the far side is there");
}

/// Sends a chunk of each stream, so many times.
pub(crate) async fn write(transport: &mut NatsTransport, texts: &mut [Text], times: usize) {
    for _ in 0..times {
        for text in &mut *texts {
            send(transport, text.next(8 << 10)).await;
        }
    }
}

/// Ends all streams, and the host.
pub(crate) async fn finish(mut transport: NatsTransport, texts: &[Text]) {
    for text in texts {
        send(&mut transport, text.end()).await;
    }
    send(&mut transport, event(HostEvent::Down)).await;
    let ended = transport.ended();
    drop(transport);
    tokio::time::timeout(PATIENCE, ended).await.expect("all is delivered in time");
}

pub(crate) fn event(event: HostEvent) -> Message {
    Message::Host(HostMessage { host: HostId(1), event })
}

/// What has come of each stream. Nothing may be missing, doubled, or behind the end.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub(crate) written: Written,
    ended: BTreeMap<StreamId, Offset>,
    bytes: usize,
}

impl Received {
    pub(crate) fn take(&mut self, message: Message) {
        match message {
            Message::Data(chunk) => {
                let before = self.written.entry(chunk.stream).or_default();
                let place = Offset(before.len() as u64);
                assert_eq!(chunk.start, place, "{}: missing or doubled", chunk.stream);
                assert!(
                    !self.ended.contains_key(&chunk.stream),
                    "{}: behind its end",
                    chunk.stream
                );
                before.extend_from_slice(&chunk.bytes);
                self.bytes += chunk.bytes.len();
            }
            Message::End { stream, at } => {
                assert_eq!(self.ended.insert(stream, at), None, "{stream}: two ends");
            }
            Message::Heartbeat(_) => {}
            other => panic!("nobody sent {other:?}"),
        }
    }

    /// Until so many bytes have come.
    pub(crate) async fn take_bytes(&mut self, inbox: &mut NatsInbox, bytes: usize) {
        while self.bytes < bytes {
            let message = next(inbox).await.expect("more comes");
            self.take(message);
        }
    }

    /// Until the inbox closes.
    pub(crate) async fn take_all(&mut self, inbox: &mut NatsInbox) {
        while let Some(message) = next(inbox).await {
            self.take(message);
        }
        assert_eq!(self.ended.len(), streams().len(), "all streams end");
    }
}

async fn next(inbox: &mut NatsInbox) -> Option<Message> {
    tokio::time::timeout(2 * PATIENCE, inbox.recv()).await.expect("something happens in time")
}

/// All of a job, from an inbox that closes.
pub(crate) async fn receive_all(mut inbox: NatsInbox) -> Written {
    let mut received = Received::default();
    received.take_all(&mut inbox).await;
    received.written
}

/// Waits until `predicate` holds, without blocking the runtime's thread.
pub(crate) async fn eventually(mut predicate: impl FnMut() -> bool) {
    let all = async {
        while !predicate() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("it comes true in time");
}

/// The controls that have come.
pub(crate) fn controls(transport: &mut NatsTransport) -> Vec<lastline_line::Control> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut controls = Vec::new();
    while let std::task::Poll::Ready(Ok(control)) = transport.poll_control(&mut context) {
        controls.push(control);
    }
    controls
}
