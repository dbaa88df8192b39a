//! What the tests of the sender share.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lastline_line::{
    Accept, Budget, Chunk, Control, Lease, Message, Offset, Sink, Span, StreamId, Timestamp,
    Version,
};
use lastline_sender::framed::FramedInbox;
use lastline_sender::{ChannelInbox, ControlHandler};
use lastline_testing::{PATIENCE, chunk, stdout};

/// What a message in the in-process channel costs beside its bytes, at most.
pub(crate) const OVERHEAD: usize = 256;

pub(crate) fn data(rank: u32, start: u64, text: &str) -> Message {
    Message::Data(chunk(stdout(rank), start, text.as_bytes()))
}

pub(crate) fn flush(rank: u32, version: u64, mark: u64) -> Message {
    Message::Flush { stream: stdout(rank), version: Version(version), mark: Offset(mark) }
}

pub(crate) fn end(rank: u32, at: u64) -> Message {
    Message::End { stream: stdout(rank), at: Offset(at) }
}

pub(crate) fn span(from: u64, to: u64) -> Span {
    Span::new(Offset(from), Offset(to))
}

/// Gives a message to a sink that has to take it.
pub(crate) fn give(sink: &mut impl Sink, message: &Message) {
    assert_eq!(sink.accept(message), Accept::Taken);
}

/// An inbox that can be awaited.
pub(crate) trait Receive {
    async fn receive(&mut self) -> Option<Message>;
}

impl Receive for ChannelInbox {
    async fn receive(&mut self) -> Option<Message> {
        self.recv().await
    }
}

impl Receive for FramedInbox {
    async fn receive(&mut self) -> Option<Message> {
        self.recv().await
    }
}

/// The next message that is no heartbeat.
pub(crate) async fn next(inbox: &mut impl Receive) -> Option<Message> {
    loop {
        let message =
            tokio::time::timeout(PATIENCE, inbox.receive()).await.expect("nothing comes")?;
        if !matches!(message, Message::Heartbeat(_)) {
            return Some(message);
        }
    }
}

/// The span of a stream that a message speaks of.
pub(crate) fn settled(message: &Message) -> Option<(StreamId, Span)> {
    match message {
        Message::Data(chunk) => Some((chunk.stream, chunk.span())),
        Message::Skip { stream, span, .. } => Some((*stream, *span)),
        _ => None,
    }
}

/// Bytes that count in a budget for as long as anybody holds them.
struct Counted(Vec<u8>, #[expect(dead_code, reason = "it counts until it is dropped")] Lease);

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// A chunk whose bytes are counted.
pub(crate) fn counted(budget: &Budget, rank: u32, start: u64, bytes: usize) -> Message {
    let lease = budget.try_acquire(bytes).expect("the memory is bounded");
    let text: Vec<u8> = (start..).take(bytes).map(letter).collect();
    let bytes = Bytes::from_owner(Counted(text, lease));
    Message::Data(Chunk::new(stdout(rank), Offset(start), Timestamp(start), bytes))
}

/// What stands at an offset.
pub(crate) fn letter(at: u64) -> u8 {
    b'a' + u8::try_from(at % 23).expect("below 23")
}

pub(crate) const SOON: Duration = Duration::from_secs(10);

/// Calls `asked` for each barrier that the driver asks for.
pub(crate) fn on_flush(asked: impl Fn(Version) + Send + Sync + 'static) -> ControlHandler {
    Arc::new(move |control| {
        if let Ok(Control::Flush { version }) = control {
            asked(version);
        }
    })
}
