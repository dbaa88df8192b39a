//! Which host has which rank.

use std::time::Duration;

use lastline_line::{Heard, HostEvent, Inbox as _};
use lastline_nats::{ClaimError, From, HostClaim, NatsOptions, WhenOver};
use lastline_sender::{Reason, Transport as _};

use crate::job::{Text, broker, eventually, send, streams};
use crate::server::{Server, is_there};

fn impatient(mut options: NatsOptions) -> NatsOptions {
    options.claim_patience = Duration::from_millis(600);
    options
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rank_has_one_host_and_a_job_one_size() {
    if !is_there() {
        return;
    }
    let server = Server::start();
    let broker = broker(impatient(server.options("claims"))).await;
    let mut inbox = broker.driver(From::Start).await.expect("an inbox");
    let (events_in, events) = std::sync::mpsc::channel();
    inbox.listen(Box::new(move |heard| drop(events_in.send(heard))));
    let first = broker.host(HostClaim::new(0..2, 4, "first")).await.expect("nobody else");
    let taken = broker.host(HostClaim::new(1..3, 4, "second")).await.expect_err("rank 1 is taken");
    let words = format!("rank 1 is taken by first, process {}", std::process::id());
    assert_eq!(taken.to_string(), words);
    let wrong = broker.host(HostClaim::new(2..4, 8, "third")).await.expect_err("another size");
    assert!(matches!(wrong, ClaimError::WorldSize { wanted: 8, found: 4, .. }), "{wrong}");
    // Nothing is kept of who was refused: rank 2 is free.
    let other = broker.host(HostClaim::new(2..4, 4, "fourth")).await.expect("free ranks");
    for expected in ["second, process", "third, process"] {
        let heard = events.recv_timeout(lastline_testing::PATIENCE).expect("drivers are told");
        let Heard::Host(message) = heard else { panic!("{heard:?}") };
        let HostEvent::Refused { why } = message.event else { panic!("{message:?}") };
        assert!(why.starts_with(expected), "{why}");
    }
    drop((first, other));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_hosts_that_come_at_once_one_gets_the_ranks() {
    if !is_there() {
        return;
    }
    let server = Server::start();
    for round in 0..5 {
        let job = format!("race-{round}");
        let one = broker(impatient(server.options(&job))).await;
        let two = broker(impatient(server.options(&job))).await;
        let claim = |name| HostClaim::new(0..8, 8, name);
        let (one, two) = tokio::join!(one.host(claim("one")), two.host(claim("two")));
        assert_eq!(u32::from(one.is_ok()) + u32::from(two.is_ok()), 1, "{one:?} {two:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_who_come_at_once_have_the_stream() {
    if !is_there() {
        return;
    }
    let server = Server::start();
    for round in 0..100 {
        let job = format!("at-once-{round}");
        let mut coming = tokio::task::JoinSet::new();
        for rank in 0..16 {
            let options = server.options(&job);
            coming.spawn(async move {
                let broker = lastline_nats::connect(options).await.expect("whoever was faster");
                if rank % 2 == 0 {
                    drop(broker.driver(From::Start).await.expect("whoever was faster"));
                } else {
                    let claim = HostClaim::new(rank..rank + 1, 16, "any");
                    drop(broker.host(claim).await.expect("whoever was faster"));
                }
            });
        }
        coming.join_all().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rank_whose_host_has_left_or_is_silent_may_be_taken() {
    if !is_there() {
        return;
    }
    let server = Server::start();
    let admit = async |name: &str| {
        let broker = broker(impatient(server.options("again"))).await;
        broker.host(HostClaim::new(0..1, 1, name)).await.expect("nobody who is alive")
    };
    let first = admit("first").await;
    let ended = first.ended();
    drop(first);
    ended.await;
    let mut second = admit("second").await;
    // The connection of a host that does not answer: here it is still there, and refuses.
    let third = broker(impatient(server.options("again"))).await;
    assert!(third.host(HostClaim::new(0..1, 1, "third")).await.is_err(), "second is alive");
    let mut text = Text::of(streams()[0]);
    send(&mut second, text.next(100)).await;
    drop(second);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_was_taken_over_stores_nothing_more() {
    if !is_there() {
        return;
    }
    let mut server = Server::start();
    // It is cut off: its way to the broker ends, and is made again later.
    let gate = crate::proxy::Gate::start(server.port()).await;
    let mut options = impatient(server.options("over"));
    options.url = format!("nats://127.0.0.1:{}", gate.port);
    let far = broker(options).await;
    let claim = HostClaim::new(0..1, 1, "first");
    let id = claim.id;
    let mut first = far.host(claim).await.expect("nobody else");
    let (mut old, mut new) = (Text::of(streams()[0]), Text::of(streams()[0]));
    send(&mut first, old.next(100)).await;
    gate.shut();
    let near = broker(impatient(server.options("over"))).await;
    let mut inbox = near.driver(From::Start).await.expect("an inbox");
    let (events_in, events) = std::sync::mpsc::channel();
    inbox.listen(Box::new(move |heard| drop(events_in.send(heard))));
    let mut second = near.host(HostClaim::new(0..1, 1, "second")).await.expect("silent");
    let heard = events.recv_timeout(lastline_testing::PATIENCE).expect("drivers are told");
    let Heard::Host(message) = heard else { panic!("{heard:?}") };
    let why = "it was silent, and second has taken over rank 0".to_owned();
    assert_eq!((message.host, message.event), (id, HostEvent::Lost { why }));
    send(&mut second, new.next(100)).await;
    gate.open();
    eventually(|| match first.try_send(old.next(100)) {
        Ok(()) => false,
        Err(refused) => refused.reason == Reason::Closed,
    })
    .await;
    send(&mut second, new.next(100)).await;
    server.kill();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driver_that_comes_later_gets_all_launches_of_a_job() {
    if !is_there() {
        return;
    }
    let server = Server::start();
    let broker = broker(server.options("twice")).await;
    let mut written = 0;
    for name in ["first", "second", "third"] {
        let claim = HostClaim::new(0..1, 1, name);
        let mut transport = broker.host(claim).await.expect("the one before has left");
        let mut text = Text::of(streams()[0]);
        send(&mut transport, text.next(1000)).await;
        written += text.written.len();
        let ended = transport.ended();
        drop(transport);
        ended.await;
    }
    let mut inbox = broker.driver(From::Start).await.expect("an inbox");
    let mut received = 0;
    while let Some(message) = inbox.recv().await {
        received += message.payload_bytes();
    }
    assert_eq!(received, written);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_over_begins_anew_once_however_many_hosts_come() {
    if !is_there() {
        return;
    }
    let server = Server::start();
    let claim = |rank: u32, when_over| {
        let mut claim = HostClaim::new(rank..rank + 1, 4, "any");
        claim.when_over = when_over;
        claim
    };
    let run = async |when_over, bytes| {
        let mut written = 0;
        let mut coming = tokio::task::JoinSet::new();
        for rank in 0..4 {
            let (options, claim) = (server.options("again"), claim(rank, when_over));
            coming.spawn(async move { (rank, broker(options).await.host(claim).await) });
        }
        for (rank, host) in coming.join_all().await {
            let mut host = host.expect("a place in the job");
            let mut text = Text::of(lastline_testing::stdout(rank));
            send(&mut host, text.next(bytes)).await;
            written += text.written.len();
            let ended = host.ended();
            drop(host);
            ended.await;
        }
        written
    };
    run(WhenOver::Refuse, 1000).await;
    let mut late =
        broker(server.options("again")).await.driver(From::Start).await.expect("an inbox");
    assert!(late.was_over());
    let refused = broker(server.options("again")).await.host(claim(0, WhenOver::Refuse)).await;
    assert!(matches!(refused, Err(ClaimError::Over)), "{refused:?}");
    for _ in 0..10 {
        let written = run(WhenOver::BeginAnew, 10).await;
        let near = broker(server.options("again")).await;
        let mut inbox = near.driver(From::Start).await.expect("an inbox");
        let mut received = 0;
        while let Some(message) = inbox.recv().await {
            received += message.payload_bytes();
        }
        assert_eq!(received, written, "what all hosts of the last run said");
    }
    // It ends, and takes nothing of another one for its own.
    while late.recv().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_not_over_is_joined() {
    if !is_there() {
        return;
    }
    let server = Server::start();
    let admit = async |ranks: std::ops::Range<u32>, when_over| {
        let mut claim = HostClaim::new(ranks, 2, "any");
        claim.when_over = when_over;
        broker(impatient(server.options("goes-on"))).await.host(claim).await
    };
    let there = admit(0..1, WhenOver::Refuse).await.expect("nobody else");
    for when_over in [WhenOver::Refuse, WhenOver::BeginAnew] {
        let left = admit(1..2, when_over).await.expect("the one before has left");
        let ended = left.ended();
        drop(left);
        ended.await;
    }
    let taken = admit(0..1, WhenOver::BeginAnew).await;
    assert!(matches!(taken, Err(ClaimError::Taken { rank: 0, .. })), "{taken:?}");
    drop(there);
}
