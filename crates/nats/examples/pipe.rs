//! A pipe over a network: a host sends what it reads from its standard input, and any number of
//! drivers print it, from the start, whenever they come.
//!
//! ```text
//! nats-server --jetstream
//! cargo run --example pipe -- driver nats://127.0.0.1:4222 first
//! ping localhost | cargo run --example pipe -- host nats://127.0.0.1:4222 first
//! ```

use std::io::{Read as _, Write as _};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use lastline_line::{Chunk, Launch, Message, Offset, Sink as _, Stream, StreamId, Timestamp};
use lastline_nats::{Broker, From, HostClaim, NatsOptions, connect};
use lastline_sender::{Options, Sender};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let (Some(side), Some(url), Some(job)) = (arguments.next(), arguments.next(), arguments.next())
    else {
        return Err("usage: pipe host|driver URL JOB".into());
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let broker = connect(NatsOptions::new(url, job)).await?;
        match side.as_str() {
            "host" => send(&broker).await,
            _ => print(&broker).await,
        }
    })
}

/// Sends standard input as rank 0 of a job of one rank.
async fn send(broker: &Broker) -> Outcome {
    let claim = HostClaim::new(0..1, 1, "pipe");
    let launch = Launch(claim.id.0);
    let transport = broker.host(claim).await?;
    let delivered = transport.ended();
    let sender = Sender::start(transport, Options::default());
    let mut sink = sender.sink();
    let reading = std::thread::spawn(move || {
        let stream = StreamId::new(launch, 0, Stream::Stdout);
        let (mut place, mut buffer) = (Offset::ZERO, vec![0; 64 << 10]);
        loop {
            let read = std::io::stdin().read(&mut buffer)?;
            if read == 0 {
                let _taken = sink.accept(&Message::End { stream, at: place });
                return std::io::Result::Ok(());
            }
            let bytes = Bytes::copy_from_slice(&buffer[..read]);
            let chunk = Chunk::new(stream, place, now(), bytes);
            place = chunk.end();
            let _taken = sink.accept(&Message::Data(chunk));
        }
    });
    while !reading.is_finished() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    reading.join().expect("BUG: reading does not panic")?;
    sender.close(Duration::from_secs(10)).await;
    delivered.await;
    Ok(())
}

/// Prints all that rank 0 says, until its host has left.
async fn print(broker: &Broker) -> Outcome {
    let mut inbox = broker.driver(From::Start).await?;
    while let Some(message) = inbox.recv().await {
        if let Message::Data(chunk) = message {
            let mut out = std::io::stdout().lock();
            out.write_all(&chunk.bytes)?;
            out.flush()?;
        }
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the time that goes into a timestamp")]
fn now() -> Timestamp {
    Timestamp::from_system(SystemTime::now())
}
