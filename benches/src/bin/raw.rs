//! Raw messages of 64 KiB through a broker's stream in files: `raw URL STREAMS CHUNKS` publishes so many
//! on each subject, many under way and each acknowledged, and receives them all with an ordered consumer.
//! It prints the bytes and the seconds from the first message to the last one received.

use std::io::{self, Write};
use std::time::Instant;

use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::stream::{Config, StorageType};
use async_nats::jetstream::{self, Context};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use lastline_benches::{Failure, on_runtime};

const CHUNK_BYTES: usize = 64 << 10;
/// Unacknowledged messages of each subject.
const IN_FLIGHT: usize = 16;
const LINE: &[u8] =
    b"step 1200 loss 0.7312 grad_norm 1.84 tokens/s 48211 and some more words of text\n";

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [url, streams, chunks] = &args[..] else {
        return Err("usage: raw URL STREAMS CHUNKS".into());
    };
    let (streams, chunks) = (streams.parse()?, chunks.parse()?);
    let seconds = on_runtime(measure(url, streams, chunks))?;
    let bytes = streams * chunks * CHUNK_BYTES;
    writeln!(io::stdout(), r#"{{"bytes": {bytes}, "seconds": {seconds:.4}}}"#)?;
    Ok(())
}

async fn measure(url: &str, streams: usize, chunks: usize) -> Result<f64, Failure> {
    // A connection for each side, as a host and a driver have.
    let near = jetstream::new(async_nats::connect(url).await?);
    let far = jetstream::new(async_nats::connect(url).await?);
    let name = format!("raw-{:016x}", fastrand::u64(..));
    let config = Config {
        name: name.clone(),
        subjects: vec![format!("{name}.>")],
        storage: StorageType::File,
        ..Config::default()
    };
    near.create_stream(config).await?;
    let consumer = far.get_stream(&name).await?;
    let consumer = consumer.create_consumer(pull::OrderedConfig::default()).await?;
    let mut messages = consumer.messages().await?;

    let started = Instant::now();
    let publishing = (0..streams).map(|stream| {
        let subject = format!("{name}.{stream}");
        tokio::spawn(publish(near.clone(), subject, chunks))
    });
    let publishing: Vec<_> = publishing.collect();
    for _ in 0..streams * chunks {
        let message = messages.next().await.ok_or("the consumer has ended")??;
        if message.payload.len() != CHUNK_BYTES {
            return Err("another message than was published".into());
        }
    }
    let took = started.elapsed().as_secs_f64();
    for published in publishing {
        published.await??;
    }
    near.delete_stream(&name).await?;
    Ok(took)
}

async fn publish(context: Context, subject: String, chunks: usize) -> Result<(), Failure> {
    let text: Bytes = LINE.iter().copied().cycle().take(CHUNK_BYTES).collect();
    let mut under_way = FuturesUnordered::new();
    for _ in 0..chunks {
        if under_way.len() == IN_FLIGHT {
            under_way.next().await.ok_or("none is under way")??;
        }
        let sent = context.publish(subject.clone(), text.clone()).await?;
        under_way.push(sent.into_future());
    }
    while let Some(stored) = under_way.next().await {
        stored?;
    }
    Ok(())
}
