//! A flood through the sender, beside the bare transport.
#![expect(missing_docs, reason = "criterion's macro makes a public function")]

use std::time::Duration;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lastline_line::{Accept, Chunk, Inbox, Message, Offset, Received, Sink as _, Timestamp};
use lastline_sender::{Options, Sender, channel, framed, send};
use lastline_testing::stdout;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;

const CHUNKS: u64 = 256;
const LIMIT_BYTES: usize = 1 << 20;

fn chunks(bytes: usize) -> Vec<Message> {
    let text = Bytes::from(vec![b'x'; bytes]);
    let chunk = |at| Chunk::new(stdout(0), Offset(at * bytes as u64), Timestamp(0), text.clone());
    (0..CHUNKS).map(|at| Message::Data(chunk(at))).collect()
}

fn receive(mut inbox: impl Inbox) -> u64 {
    let mut received = 0;
    while received < CHUNKS {
        match inbox.next(Some(Duration::from_secs(20))) {
            Received::Message(Message::Data(_)) => received += 1,
            Received::Message(_) => {}
            other => panic!("{other:?}"),
        }
    }
    received
}

/// Everything through a sender, received on a thread.
async fn through_a_sender(sender: Sender, inbox: impl Inbox + 'static, messages: &[Message]) {
    let receiving = tokio::task::spawn_blocking(move || receive(inbox));
    let mut sink = sender.sink();
    for message in messages {
        assert_eq!(sink.accept(message), Accept::Taken);
    }
    receiving.await.expect("the receiving thread");
}

async fn through_the_transport(messages: &[Message]) {
    let (mut transport, inbox) = channel(LIMIT_BYTES);
    let receiving = tokio::task::spawn_blocking(move || receive(inbox));
    for message in messages {
        send(&mut transport, message.clone()).await.expect("the inbox is there");
    }
    receiving.await.expect("the receiving thread");
}

fn flood(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let mut group = criterion.benchmark_group("sender");
    for bytes in [100, 64 << 10] {
        let messages = chunks(bytes);
        group.throughput(Throughput::Bytes(CHUNKS * bytes as u64));
        group.bench_with_input(BenchmarkId::new("channel", bytes), &messages, |bench, messages| {
            bench.to_async(&runtime).iter(|| async {
                let (transport, inbox) = channel(LIMIT_BYTES);
                through_a_sender(Sender::start(transport, Options::default()), inbox, messages)
                    .await;
            });
        });
        group.bench_with_input(BenchmarkId::new("socket", bytes), &messages, |bench, messages| {
            bench.to_async(&runtime).iter(|| async {
                let (near, far) = UnixStream::pair().expect("a pair");
                let transport = framed::transport(near, LIMIT_BYTES);
                let inbox = framed::inbox(far, LIMIT_BYTES);
                through_a_sender(Sender::start(transport, Options::default()), inbox, messages)
                    .await;
            });
        });
        group.bench_with_input(BenchmarkId::new("no-op", bytes), &messages, |bench, messages| {
            bench.to_async(&runtime).iter(|| through_the_transport(messages));
        });
    }
    group.finish();
}

criterion_group!(benches, flood);
criterion_main!(benches);
