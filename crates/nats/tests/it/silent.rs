//! A broker that lets clients in, and answers nothing that they ask.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lastline_nats::{From, HostClaim, NatsError, NatsOptions, connect};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::job::broker;
use crate::server::{Server, is_there};

const INFO: &[u8] =
    b"INFO {\"server_id\":\"silent\",\"server_name\":\"silent\",\"version\":\"2.9.0\",\
    \"go\":\"go\",\"host\":\"127.0.0.1\",\"port\":4222,\"max_payload\":1048576,\"proto\":1,\
    \"headers\":true,\"client_id\":1}\r\n";

/// Says what keeps a connection, and counts the questions for a stream.
async fn serve(client: TcpStream, asked: Arc<AtomicUsize>) {
    let (from_client, mut to_client) = client.into_split();
    to_client.write_all(INFO).await.expect("the client is there");
    let mut lines = BufReader::new(from_client).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if line.starts_with("PING") && to_client.write_all(b"PONG\r\n").await.is_err() {
            return;
        }
        if line.contains("$JS.API.STREAM.INFO.") {
            asked.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_does_not_answer_is_asked_again_until_it_has_been_busy_for_too_long() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client, Arc::clone(&counted)));
        }
    });
    let mut options = NatsOptions::new(format!("nats://127.0.0.1:{port}"), "silent");
    options.answer_timeout = Duration::from_millis(100);
    options.busy_timeout = Duration::from_millis(500);
    let failed = connect(options).await.expect_err("nobody answers");
    assert!(matches!(failed, NatsError::Stream { .. }), "{failed}");
    let asked = asked.load(Ordering::SeqCst);
    assert!((2..=6).contains(&asked), "asked {asked} times");
}

/// Longer than `answer_timeout`, so that what was asked of a broker that stands still gets no answer.
const STANDS_STILL: Duration = Duration::from_millis(700);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_and_drivers_come_in_when_a_broker_that_stood_still_goes_on() {
    if !is_there() {
        return;
    }
    let server = Server::start();
    let mut options = server.options("still");
    options.answer_timeout = Duration::from_millis(200);
    let broker = broker(options).await;
    server.stand_still();
    let going_on = async {
        tokio::time::sleep(STANDS_STILL).await;
        server.go_on();
    };
    let claim = HostClaim::new(0..2, 2, "patient");
    let (host, driver, reader, ()) =
        tokio::join!(broker.host(claim), broker.driver(From::Now), broker.last_stored(), going_on);
    host.expect("the broker answers in the end");
    driver.expect("the broker answers in the end");
    assert_eq!(reader.expect("the broker answers in the end").output, 0);
    assert_eq!(broker.world_size().await.expect("an answer"), Some(2));
}
