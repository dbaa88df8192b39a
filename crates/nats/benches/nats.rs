//! Eight streams from a transport to an inbox, beside raw messages of the same bytes through the same
//! broker: acknowledged publishing of 64 KiB messages, many under way, and an ordered consumer.
//!
//! Round after round each in turn, so that a machine which gets slower in between does not decide it;
//! the ratio is the median of the ratios within the rounds. `--test` does each once, with little.

use std::time::{Duration, Instant};

use async_nats::jetstream;
use async_nats::jetstream::consumer::pull;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use lastline_line::{Chunk, Message, Offset, Stream, StreamId, Timestamp};
use lastline_nats::{From, HostClaim, Storage, connect};
use lastline_testing::stdout;

#[expect(dead_code, reason = "what tests do to a server")]
#[path = "../tests/it/server.rs"]
mod server;

use server::{Server, is_there};

/// One message of the raw way, and one chunk.
const CHUNK_BYTES: usize = 64 << 10;
const STREAMS: u32 = 8;
/// Unacknowledged messages of each stream, the raw way.
const IN_FLIGHT: usize = 16;

#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
fn main() {
    if !is_there() {
        return;
    }
    let is_test = std::env::args().any(|argument| argument == "--test");
    let (rounds, chunks) = if is_test { (1, 8) } else { (7, 512) };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    println!("{:>8} {:>12} {:>12} {:>8}", "storage", "raw MB/s", "MB/s", "ratio");
    for storage in [Storage::File, Storage::Memory] {
        let server = Server::start();
        let mut figures = Vec::new();
        for round in 0..rounds {
            let raw = runtime.block_on(raw(&server, storage, round, chunks));
            let own = runtime.block_on(own(&server, storage, round, chunks));
            figures.push((raw, own));
        }
        let median = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let raw = median(figures.iter().map(|(raw, _)| *raw).collect());
        let own = median(figures.iter().map(|(_, own)| *own).collect());
        let ratio = median(figures.iter().map(|(raw, own)| own / raw).collect());
        println!("{:>8} {raw:>12.0} {own:>12.0} {ratio:>8.2}", format!("{storage:?}"));
    }
}

/// Lines of text, 64 KiB of them.
fn text() -> Bytes {
    let lines = "step 1200 loss 0.7312 grad_norm 1.84 tokens/s 48211 and some more words\n";
    Bytes::from(lines.as_bytes().iter().copied().cycle().take(CHUNK_BYTES).collect::<Vec<u8>>())
}

fn megabytes_per_second(chunks: usize, took: Duration) -> f64 {
    let bytes = u32::try_from(chunks * CHUNK_BYTES / 1000).expect("BUG: a few gigabytes at most");
    f64::from(STREAMS) * f64::from(bytes) / 1000.0 / took.as_secs_f64()
}

async fn raw(server: &Server, storage: Storage, round: u32, chunks: usize) -> f64 {
    let url = format!("nats://127.0.0.1:{}", server.port());
    let publisher = async_nats::connect(&url).await.expect("the server is there");
    let reader = async_nats::connect(&url).await.expect("the server is there");
    let (context, reading) = (jetstream::new(publisher), jetstream::new(reader));
    let name = format!("raw{round}");
    let config = jetstream::stream::Config {
        name: name.clone(),
        subjects: vec![format!("{name}.>")],
        storage: match storage {
            Storage::File => jetstream::stream::StorageType::File,
            Storage::Memory => jetstream::stream::StorageType::Memory,
        },
        ..jetstream::stream::Config::default()
    };
    let config = async |context: &jetstream::Context| context.create_stream(config.clone()).await;
    config(&context).await.expect("a stream");
    let stream = reading.get_stream(&name).await.expect("it was made");
    let consumer =
        stream.create_consumer(pull::OrderedConfig::default()).await.expect("a consumer");
    let mut messages = consumer.messages().await.expect("messages");

    let started = Instant::now();
    for stream in 0..STREAMS {
        let (context, subject) = (context.clone(), format!("{name}.{stream}"));
        tokio::spawn(publish(context, subject, chunks));
    }
    let mut left = chunks * STREAMS as usize;
    while left > 0 {
        let message = messages.next().await.expect("more comes").expect("a message");
        assert_eq!(message.payload.len(), CHUNK_BYTES);
        left -= 1;
    }
    let took = started.elapsed();
    context.delete_stream(&name).await.expect("it was there");
    megabytes_per_second(chunks, took)
}

async fn publish(context: jetstream::Context, subject: String, chunks: usize) {
    let (text, mut under_way) = (text(), FuturesUnordered::new());
    for _ in 0..chunks {
        if under_way.len() == IN_FLIGHT {
            let stored: Option<Result<_, _>> = under_way.next().await;
            stored.expect("BUG: some are under way").expect("it is stored");
        }
        let sent = context.publish(subject.clone(), text.clone()).await.expect("it is sent");
        under_way.push(sent.into_future());
    }
    while let Some(stored) = under_way.next().await {
        stored.expect("it is stored");
    }
}

async fn own(server: &Server, storage: Storage, round: u32, chunks: usize) -> f64 {
    let mut options = server.options(&format!("own{round}"));
    options.storage = storage;
    let host = connect(options.clone()).await.expect("the server is there");
    let driver = connect(options).await.expect("the server is there");
    let mut transport = host.host(HostClaim::new(0..4, 4, "here")).await.expect("nobody else");
    let mut inbox = driver.driver(From::Start).await.expect("an inbox");

    let started = Instant::now();
    let sending = tokio::spawn(async move {
        let text = text();
        for step in 0..chunks {
            for rank in 0..STREAMS / 2 {
                for stream in Stream::ALL {
                    let stream = StreamId { stream, ..stdout(rank) };
                    let place = Offset((step * CHUNK_BYTES) as u64);
                    let chunk = Chunk::new(stream, place, Timestamp(0), text.clone());
                    let sent = lastline_sender::send(&mut transport, Message::Data(chunk)).await;
                    sent.expect("the broker is there");
                }
            }
        }
        transport
    });
    let mut left = chunks * CHUNK_BYTES * STREAMS as usize;
    while left > 0 {
        if let Some(Message::Data(chunk)) = inbox.recv().await {
            left -= chunk.bytes.len();
        }
    }
    let took = started.elapsed();
    let transport = sending.await.expect("it ends");
    let admin = async_nats::connect(format!("nats://127.0.0.1:{}", server.port())).await;
    let admin = jetstream::new(admin.expect("the server is there"));
    admin.delete_stream(format!("LASTLINE_own{round}")).await.expect("it was there");
    drop(transport);
    megabytes_per_second(chunks, took)
}
