//! With a sender before it: while the broker is away files are the buffer, and nobody waits.

use std::sync::Arc;

use lastline_line::{Accept, Sink as _};
use lastline_nats::From;
use lastline_sender::{Options, Sender};
use lastline_testing::{Files, PATIENCE};

use crate::job::{broker, host, receive_all, texts, written};
use crate::server::{Server, is_there};

/// What a sender holds in memory, and what waits in the transport.
const HELD_BYTES: usize = 64 << 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_broker_is_away_files_are_the_buffer() {
    if !is_there() {
        return;
    }
    let mut server = Server::start();
    let mut options = server.options("spool");
    (options.window_bytes, options.max_message_bytes) = (HELD_BYTES, 16 << 10);
    let broker = broker(options).await;
    let inbox = broker.driver(From::Start).await.expect("an inbox");
    let transport = host(&broker).await;
    let ended = transport.ended();
    let files = Files::new();
    let mut options = Options::default();
    options.held_bytes = HELD_BYTES;
    options.read_back = Some(Arc::new(files.clone()));
    let sender = Sender::start(transport, options);
    let (mut sink, mut texts) = (sender.sink(), texts());
    let mut write = |times| {
        for _ in 0..times {
            for text in &mut texts {
                let message = text.next(8 << 10);
                files.file(&message);
                assert_eq!(sink.accept(&message), Accept::Taken, "nobody waits");
            }
        }
    };
    write(4);
    server.kill();
    // Far more than is held.
    write(40);
    let streams = crate::job::streams();
    let receiving = tokio::spawn(receive_all(inbox));
    server.run();
    write(4);
    let expected = written(&texts);
    for text in &texts {
        assert_eq!(sink.accept(&text.end()), Accept::Taken);
    }
    for (stream, sent) in sender.close(PATIENCE).await {
        let whole = lastline_line::Offset(expected[&stream].len() as u64);
        assert_eq!(sent.stored.get(), whole, "{stream}: all is acknowledged");
        assert!(sent.no_route.is_empty(), "{stream}: {:?}", sent.no_route);
    }
    ended.await;
    assert!(receiving.await.expect("it ends") == expected, "each byte once");
    let read_back: u64 = streams.iter().map(|stream| files.read_bytes(*stream)).sum();
    assert!(read_back > 0, "memory was released while the broker was away");
}
