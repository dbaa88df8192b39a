//! What drivers ask of hosts, and hosts of each other.

use std::time::Duration;

use lastline_line::{
    Control, Exit, Heard, HostEvent, Inbox as _, Launch, StopCause, Timestamp, Version,
};
use lastline_nats::{From, HostClaim};
use lastline_testing::PATIENCE;

use crate::job::{broker, controls, event, eventually, host, send};
use crate::proxy::Gate;
use crate::server::{Server, is_there};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_may_go_when_the_broker_has_its_last_word() {
    if !is_there() {
        return;
    }
    let server = Server::start();
    let broker = broker(server.options("down")).await;
    let mut transport = host(&broker).await;
    send(&mut transport, event(HostEvent::Down)).await;
    eventually(|| controls(&mut transport).contains(&Control::Dismiss)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_comes_later_gets_the_mode() {
    if !is_there() {
        return;
    }
    let server = Server::start();
    let broker = broker(server.options("mode")).await;
    let inbox = broker.driver(From::Start).await.expect("an inbox");
    let mode = Control::SetMode { stream_to_client: false };
    inbox.control_sender().send(mode.clone());
    let mut transport = host(&broker).await;
    let first = HostEvent::NotSynced { what: "index".into(), cause: "a test".into() };
    send(&mut transport, event(first)).await;
    eventually(|| controls(&mut transport).contains(&mode)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_reaches_a_host_that_was_cut_off() {
    if !is_there() {
        return;
    }
    let server = Server::start();
    let gate = Gate::start(server.port()).await;
    let mut options = server.options("stop");
    let near = broker(options.clone()).await;
    options.url = format!("nats://127.0.0.1:{}", gate.port);
    let mut transport = host(&broker(options).await).await;
    let inbox = near.driver(From::Start).await.expect("an inbox");
    gate.shut();
    let stop = Control::Stop { cause: StopCause::Owner };
    inbox.control_sender().send(stop.clone());
    // When this one has been sent, so has the stop.
    inbox.control_sender().send(Control::Flush { version: Version(1) });
    gate.open();
    let mut said = Vec::new();
    eventually(|| {
        said.extend(controls(&mut transport));
        said.contains(&stop)
    })
    .await;
    inbox.control_sender().send(Control::Flush { version: Version(2) });
    eventually(|| {
        said.extend(controls(&mut transport));
        said.contains(&Control::Flush { version: Version(2) })
    })
    .await;
    assert_eq!(said.iter().filter(|control| **control == stop).count(), 1, "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rank_that_fails_stops_the_other_hosts_once_and_without_a_driver() {
    if !is_there() {
        return;
    }
    let server = Server::start();
    let mut options = server.options("failure");
    options.stop_others_on_failure = true;
    let broker = broker(options).await;
    let mut hosts = Vec::new();
    for rank in 0..3 {
        let claim = HostClaim::new(rank..rank + 1, 3, "here");
        hosts.push(broker.host(claim).await.expect("nobody else"));
    }
    let exited = |rank, stopped| {
        let (launch, exit, time) = (Launch(1), Exit::Code(3), Timestamp(1));
        event(HostEvent::Exited { rank, launch, exit, stopped, starts_again: false, time })
    };
    let stop = Control::Stop { cause: StopCause::Failure };
    send(&mut hosts[0], exited(0, false)).await;
    eventually(|| controls(&mut hosts[1]) == [stop.clone()]).await;
    eventually(|| controls(&mut hosts[2]) == [stop.clone()]).await;
    // One that was stopped is no failure, and a second failure no second stop.
    send(&mut hosts[1], exited(1, true)).await;
    send(&mut hosts[2], exited(2, false)).await;
    let inbox = broker.driver(From::Now).await.expect("an inbox");
    let flush = Control::Flush { version: Version(1) };
    inbox.control_sender().send(flush.clone());
    for host in &mut hosts[1..] {
        let mut said = Vec::new();
        eventually(|| {
            said.extend(controls(host));
            said.contains(&flush)
        })
        .await;
        assert_eq!(said, std::slice::from_ref(&flush));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_host_is_lost_and_the_job_is_over() {
    if !is_there() {
        return;
    }
    let server = Server::start();
    let mut options = server.options("silent");
    options.lost_after = Some(Duration::from_millis(1200));
    let broker = broker(options).await;
    let mut inbox = broker.driver(From::Start).await.expect("an inbox");
    let (events_in, events) = std::sync::mpsc::channel();
    inbox.listen(Box::new(move |heard| drop(events_in.send(heard))));
    let mut transport = host(&broker).await;
    let first = HostEvent::NotSynced { what: "index".into(), cause: "a test".into() };
    send(&mut transport, event(first)).await;
    // It is alive, and says nothing.
    let closed = tokio::time::timeout(PATIENCE, inbox.recv()).await.expect("it closes");
    assert_eq!(closed, None);
    let mut heard = Vec::new();
    while heard.last() != Some(&Heard::Closed) {
        heard.push(events.recv_timeout(PATIENCE).expect("the listener hears of the end"));
    }
    let lost = |heard: &&Heard| matches!(heard, Heard::Host(message) if matches!(message.event, HostEvent::Lost { .. }));
    assert_eq!(heard.iter().filter(lost).count(), 1, "{heard:?}");
}
