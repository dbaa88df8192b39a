//! Reading a job without taking part in it.

use lastline_line::{Control, Inbox as _, Message, StopCause, Version};
use lastline_nats::{Broker, From, HostClaim, NatsError, Reading, connect};
use lastline_testing::PATIENCE;

use crate::job::{
    RANKS, Received, Written, broker, controls, eventually, finish, host, texts, write, written,
};
use crate::server::{Server, is_there};

/// What comes of each stream until the inbox closes.
async fn read(broker: &Broker, reading: Reading) -> Written {
    let mut inbox = broker.read(reading).await.expect("an inbox");
    let mut read = Written::new();
    let all = async {
        while let Some(message) = inbox.recv().await {
            if let Message::Data(chunk) = message {
                read.entry(chunk.stream).or_default().extend_from_slice(&chunk.bytes);
            }
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("it closes in time");
    read
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_gets_what_is_stored_or_all_until_the_job_is_over() {
    if !is_there() {
        return;
    }
    let server = Server::start();
    let broker = broker(server.options("read")).await;
    assert_eq!(broker.world_size().await.expect("it is asked"), None);
    let (mut transport, mut texts) = (host(&broker).await, texts());
    assert_eq!(broker.world_size().await.expect("it is asked"), Some(RANKS));
    let mut driver = broker.driver(From::Start).await.expect("an inbox");
    let mut received = Received::default();
    write(&mut transport, &mut texts, 3).await;
    let so_far = written(&texts);
    received.take_bytes(&mut driver, so_far.values().map(Vec::len).sum()).await;

    let mut reading = Reading::default();
    let stored = broker.last_stored().await.expect("it is asked");
    reading.until = Some(stored);
    assert!(read(&broker, reading).await == so_far, "it runs, and this is all so far");
    reading.after = stored;
    assert!(read(&broker, reading).await.is_empty());

    let follow = tokio::spawn({
        let broker = broker.clone();
        async move { read(&broker, Reading::default()).await }
    });
    write(&mut transport, &mut texts, 3).await;
    finish(transport, &texts).await;
    assert!(follow.await.expect("it ends") == written(&texts), "each byte once");
    drop(driver);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_who_reads_asks_for_goes_nowhere() {
    if !is_there() {
        return;
    }
    let server = Server::start();
    let broker = broker(server.options("asks")).await;
    let mut transport = host(&broker).await;
    let reader = broker.read(Reading::default()).await.expect("an inbox");
    let driver = broker.driver(From::Start).await.expect("an inbox");
    reader.control_sender().send(Control::Stop { cause: StopCause::Owner });
    reader.control_sender().send(Control::SetMode { stream_to_client: false });
    let flush = Control::Flush { version: Version(1) };
    driver.control_sender().send(flush.clone());
    let mut said = Vec::new();
    eventually(|| {
        said.extend(controls(&mut transport));
        said.contains(&flush)
    })
    .await;
    assert_eq!(said, [flush]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_not_to_be_made_is_not_made() {
    if !is_there() {
        return;
    }
    let server = Server::start();
    for _ in 0..2 {
        let mut options = server.options("none");
        options.create_stream = false;
        let refused = connect(options).await.expect_err("there is none");
        assert!(matches!(refused, NatsError::NoStream { .. }), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_to_the_end_waits_for_no_host_that_never_came() {
    if !is_there() {
        return;
    }
    let server = Server::start();
    let mut options = server.options("deserted");
    options.lost_after = Some(std::time::Duration::from_millis(800));
    let broker = broker(options).await;
    let claim = HostClaim::new(0..1, RANKS, "the only one");
    let mut transport = broker.host(claim).await.expect("nobody else");
    let mut texts = texts();
    texts.truncate(2);
    write(&mut transport, &mut texts, 3).await;
    finish(transport, &texts).await;
    assert!(read(&broker, Reading::default()).await == written(&texts), "it ends, with all");
}
