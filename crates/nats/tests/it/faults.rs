//! What may happen to a broker, and to a way to it.

use lastline_line::Message;
use lastline_nats::{From, NatsOptions, NatsTransport};
use lastline_sender::{Reason, Transport as _};
use lastline_testing::PATIENCE;

use crate::job::{
    Received, Text, broker, eventually, finish, host, receive_all, send, texts, write, written,
};
use crate::proxy::Proxy;
use crate::server::{Server, is_there};

/// Small enough that a test fills it.
fn small_window(mut options: NatsOptions) -> NatsOptions {
    (options.window_bytes, options.max_message_bytes) = (256 << 10, 32 << 10);
    options
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_killed_and_comes_back_has_lost_and_doubled_nothing() {
    if !is_there() {
        return;
    }
    let mut server = Server::start();
    let broker = broker(small_window(server.options("killed"))).await;
    let mut inbox = broker.driver(From::Start).await.expect("an inbox");
    let (mut transport, mut texts) = (host(&broker).await, texts());
    let mut received = Received::default();
    for _ in 0..3 {
        write(&mut transport, &mut texts, 20).await;
        server.kill();
        server.run();
        write(&mut transport, &mut texts, 20).await;
        received.take_bytes(&mut inbox, texts[0].written.len()).await;
    }
    let (finished, ()) = tokio::join!(finish(transport, &texts), received.take_all(&mut inbox));
    let () = finished;
    assert!(received.written == written(&texts), "each byte once, for who was there");
    let late = broker.driver(From::Start).await.expect("an inbox");
    assert!(receive_all(late).await == written(&texts), "and for who comes later");
}

/// Writes until the transport is full for a while; what it did not take.
async fn fill(transport: &mut NatsTransport, text: &mut Text) -> Message {
    let mut refused: Option<Message> = None;
    let mut times = 0;
    eventually(|| {
        let next = refused.take().unwrap_or_else(|| text.next(8 << 10));
        match transport.try_send(next) {
            Ok(()) => times = 0,
            Err(full) => {
                assert_eq!(full.reason, Reason::Full, "it is not gone for good");
                refused = Some(full.message);
                times += 1;
            }
        }
        times == 50
    })
    .await;
    refused.expect("BUG: it was refused the last time")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_broker_is_away_the_transport_is_full_and_nothing_is_lost() {
    if !is_there() {
        return;
    }
    let mut server = Server::start();
    let broker = broker(small_window(server.options("away"))).await;
    let (mut transport, mut texts) = (host(&broker).await, texts());
    write(&mut transport, &mut texts, 4).await;
    server.kill();
    let refused = fill(&mut transport, &mut texts[0]).await;
    server.run();
    send(&mut transport, refused).await;
    write(&mut transport, &mut texts, 4).await;
    let inbox = broker.driver(From::Start).await.expect("an inbox");
    finish(transport, &texts).await;
    assert!(receive_all(inbox).await == written(&texts), "each byte once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_again_since_its_answer_was_lost_is_stored_once() {
    if !is_there() {
        return;
    }
    let server = Server::start();
    let proxy = Proxy::start(server.port(), 200 << 10, 12).await;
    let mut options = small_window(server.options("cut"));
    options.url = format!("nats://127.0.0.1:{}", proxy.port);
    let away = broker(options).await;
    let (mut transport, mut texts) = (host(&away).await, texts());
    let inbox = broker(server.options("cut")).await.driver(From::Start).await.expect("an inbox");
    while proxy.cuts() < 12 {
        write(&mut transport, &mut texts, 4).await;
    }
    finish(transport, &texts).await;
    assert!(receive_all(inbox).await == written(&texts), "each byte once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driver_whose_connection_breaks_misses_nothing() {
    if !is_there() {
        return;
    }
    let server = Server::start();
    // What it asks for is little: it is cut by what it asks.
    let proxy = Proxy::start(server.port(), 3 << 10, 8).await;
    let mut options = small_window(server.options("deaf"));
    options.inbox_bytes = 64 << 10;
    let near = broker(options.clone()).await;
    let (mut transport, mut texts) = (host(&near).await, texts());
    options.url = format!("nats://127.0.0.1:{}", proxy.port);
    let mut inbox = broker(options).await.driver(From::Start).await.expect("an inbox");
    let mut received = Received::default();
    while proxy.cuts() < 8 {
        write(&mut transport, &mut texts, 4).await;
        let so_far = texts.iter().map(|text| text.written.len()).sum();
        received.take_bytes(&mut inbox, so_far).await;
    }
    finish(transport, &texts).await;
    received.take_all(&mut inbox).await;
    assert!(received.written == written(&texts), "each byte once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_driver_gets_all_and_one_that_comes_back_goes_on() {
    if !is_there() {
        return;
    }
    let server = Server::start();
    let broker = broker(small_window(server.options("drivers"))).await;
    let (mut transport, mut texts) = (host(&broker).await, texts());
    let other = tokio::spawn(receive_all(broker.driver(From::Start).await.expect("an inbox")));
    let mut received = Received::default();
    let mut first = broker.driver(From::Start).await.expect("an inbox");
    let position = first.position();
    write(&mut transport, &mut texts, 20).await;
    received.take_bytes(&mut first, 400 << 10).await;
    // The client is done with what it was given before it asks for more.
    drop(first);
    write(&mut transport, &mut texts, 20).await;
    let mut second = broker.driver(From::After(position.get())).await.expect("an inbox");
    let again = tokio::spawn(async move {
        let mut messages = Vec::new();
        while let Some(message) = second.recv().await {
            messages.push(message);
        }
        messages
    });
    finish(transport, &texts).await;
    let again = tokio::time::timeout(PATIENCE, again).await.expect("it closes").expect("it ends");
    for message in again {
        let Some(message) = only_new(&received, message) else { continue };
        received.take(message);
    }
    assert!(received.written == written(&texts), "nothing is missing");
    assert!(other.await.expect("it ends") == written(&texts), "nor for the other");
}

/// What a client does with what it has already, and with what it is told that it may skip.
fn only_new(received: &Received, message: Message) -> Option<Message> {
    match message {
        Message::Data(chunk) => {
            let have = received.written.get(&chunk.stream).map_or(0, Vec::len);
            chunk.trim_before(lastline_line::Offset(have as u64)).map(Message::Data)
        }
        Message::Skip { stream, span, .. } => {
            let have = received.written.get(&stream).map_or(0, Vec::len);
            assert!(span.to.0 <= have as u64, "{stream}: {span} was never received");
            None
        }
        other => Some(other),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_full_takes_the_rest_when_it_may() {
    if !is_there() {
        return;
    }
    let server = Server::start();
    let mut options = small_window(server.options("full"));
    options.max_bytes = Some(1 << 20);
    let url = options.url.clone();
    let broker = broker(options).await;
    let (mut transport, mut texts) = (host(&broker).await, texts());
    // More than it has room for; what comes then fills the window.
    write(&mut transport, &mut texts, 17).await;
    let admin = async_nats::connect(url).await.expect("the server is there");
    let admin = async_nats::jetstream::new(admin);
    let refused = fill(&mut transport, &mut texts[0]).await;
    let stream = admin.get_stream("LASTLINE_full").await.expect("it was made");
    let bytes = stream.cached_info().state.bytes;
    assert!(bytes + (64 << 10) > 1 << 20, "{bytes} bytes are all that it has room for");
    let mut config = stream.cached_info().config.clone();
    config.max_bytes = -1;
    admin.update_stream(config).await.expect("it may be changed");
    send(&mut transport, refused).await;
    write(&mut transport, &mut texts, 4).await;
    let inbox = broker.driver(From::Start).await.expect("an inbox");
    finish(transport, &texts).await;
    assert!(receive_all(inbox).await == written(&texts), "each byte once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_nothing_to_store_learns_that_the_stream_is_gone() {
    if !is_there() {
        return;
    }
    let server = Server::start();
    let options = server.options("deleted");
    let url = options.url.clone();
    let broker = broker(options).await;
    let mut transport = host(&broker).await;
    let admin = async_nats::connect(url).await.expect("the server is there");
    let admin = async_nats::jetstream::new(admin);
    admin.delete_stream("LASTLINE_deleted").await.expect("it was made");
    let gone = std::future::poll_fn(|context| transport.poll_control(context));
    let gone = tokio::time::timeout(PATIENCE, gone).await.expect("it is told in time");
    assert!(gone.is_err(), "{gone:?}");
    assert!(transport.try_send(texts()[0].next(10)).is_err());
}
