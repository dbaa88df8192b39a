//! What is the framed transport's own: several peers, windows, and connections that break.

use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use lastline_line::wire::{Frame, decode, encode_credit, encode_message, window_bytes};
use lastline_line::{
    Accept, Control, Heard, Heartbeat, HostEvent, HostId, HostMessage, Inbox as _, Message, Offset,
    Sink as _, StopCause, Timestamp, Version,
};
use lastline_sender::framed::{self, FramedInbox, FramedTransport, InboxHandle, shared_inbox};
use lastline_sender::{Options, Sender, Transport as _, send};
use lastline_testing::{PATIENCE, Screen, chunk, stdout, until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::net::UnixStream;

const WINDOW: usize = 4 << 10;

fn data(rank: u32, start: u64, bytes: usize) -> Message {
    Message::Data(chunk(stdout(rank), start, &vec![b'x'; bytes]))
}

fn host(host: u32, event: HostEvent) -> Message {
    Message::Host(HostMessage { host: HostId(host.into()), event })
}

fn stage() -> HostEvent {
    HostEvent::NotSynced { what: "index".into(), cause: "why not".into() }
}

/// What an inbox's listener is given.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<Heard>>>);

impl Events {
    fn of(inbox: &mut FramedInbox) -> Self {
        let events = Self::default();
        let given = Arc::clone(&events.0);
        inbox.listen(Box::new(move |event| given.lock().expect("no panic").push(event)));
        events
    }

    fn all(&self) -> Vec<Heard> {
        self.0.lock().expect("no panic").clone()
    }

    fn lost(&self) -> Vec<(HostId, String)> {
        let lost = |event| match event {
            Heard::Host(HostMessage { host, event: HostEvent::Lost { why } }) => Some((host, why)),
            _ => None,
        };
        self.all().into_iter().filter_map(lost).collect()
    }
}

fn connect(handle: &InboxHandle) -> FramedTransport {
    let (near, far) = UnixStream::pair().expect("a pair");
    tokio::spawn(framed::serve(far, handle.clone()));
    framed::transport(near, WINDOW)
}

/// A peer that writes its frames by hand.
fn by_hand(handle: &InboxHandle) -> DuplexStream {
    let (near, far) = tokio::io::duplex(1 << 20);
    tokio::spawn(framed::serve(far, handle.clone()));
    near
}

async fn recv(inbox: &mut FramedInbox) -> Option<Message> {
    tokio::time::timeout(PATIENCE, inbox.recv()).await.expect("nothing comes")
}

async fn control(transport: &mut FramedTransport) -> Option<Control> {
    let next = std::future::poll_fn(|context| transport.poll_control(context));
    tokio::time::timeout(PATIENCE, next).await.expect("nothing is said").ok()
}

#[tokio::test]
async fn several_peers_share_an_inbox_and_get_the_same_controls() {
    let (handle, mut inbox) = shared_inbox(WINDOW);
    let events = Events::of(&mut inbox);
    let mut peers = [connect(&handle), connect(&handle)];
    drop(handle);
    for (rank, peer) in (0..).zip(&mut peers) {
        send(peer, host(rank, stage())).await.unwrap();
        send(peer, data(rank, 0, 10)).await.unwrap();
    }
    let mut received = [recv(&mut inbox).await, recv(&mut inbox).await];
    received.sort_by_key(|message| message.as_ref().and_then(Message::stream));
    assert_eq!(received, [Some(data(0, 0, 10)), Some(data(1, 0, 10))]);
    let controls = inbox.control_sender();
    for (rank, peer) in (0..).zip(&mut peers) {
        controls.send(Control::Stop { cause: StopCause::Owner });
        controls.send(Control::Acknowledge { stream: stdout(1), through: Offset(10) });
        let wanted = if rank == 0 { 1 } else { 3 };
        for _ in 0..wanted {
            let said = control(peer).await.unwrap();
            let acknowledges = matches!(said, Control::Acknowledge { .. });
            assert!(!acknowledges || rank == 1, "an acknowledgement of another peer's stream");
        }
    }
    let [first, mut second] = peers;
    drop(first);
    until(|| events.lost() == [(HostId(0), "the connection ended".to_owned())]).await;
    send(&mut second, host(1, HostEvent::Down)).await.unwrap();
    drop(second);
    assert_eq!(recv(&mut inbox).await, None);
    until(|| events.all().last() == Some(&Heard::Closed)).await;
    assert_eq!(events.lost().len(), 1);
}

#[tokio::test]
async fn a_host_that_comes_late_is_in_the_same_mode() {
    let (handle, inbox) = shared_inbox(WINDOW);
    let mode = Control::SetMode { stream_to_client: false };
    inbox.control_sender().send(mode.clone());
    assert_eq!(control(&mut connect(&handle)).await, Some(mode));
}

/// With a window of its own the sender counts what is on the way; nothing else stops it.
#[tokio::test]
async fn unread_output_stops_at_the_window_and_goes_on_with_the_credit() {
    let (mut near, far) = tokio::io::duplex(1 << 20);
    let mut transport = framed::transport(far, 1 << 20);
    for at in 0..20 {
        transport.try_send(data(0, at * 100, 100)).unwrap();
    }
    let mut input = BytesMut::new();
    let mut frames = async |near: &mut DuplexStream, count: usize| {
        let mut all = Vec::new();
        while all.len() < count {
            match decode(&mut input).unwrap() {
                Some(frame) => all.push(frame),
                None => assert!(near.read_buf(&mut input).await.unwrap() > 0),
            }
        }
        all
    };
    let beat = Heartbeat { host: HostId::HERE, time: Timestamp(1), answers: None };
    let heartbeat = Message::Heartbeat(beat);
    transport.try_send(heartbeat.clone()).unwrap();
    assert_eq!(frames(&mut near, 1).await, [Frame::Message(heartbeat)], "before any credit");
    let each = window_bytes(&data(0, 0, 100)) as u64;
    let credit = async |near: &mut DuplexStream, bytes: u64| {
        let mut out = BytesMut::new();
        encode_credit(bytes, &mut out);
        near.write_all(&out).await.unwrap();
    };
    credit(&mut near, 3 * each + 1).await;
    let sent = |from: u64, to: u64| {
        (from..to).map(|at| Frame::Message(data(0, at * 100, 100))).collect::<Vec<_>>()
    };
    assert_eq!(frames(&mut near, 3).await, sent(0, 3));
    transport.try_send(host(0, stage())).unwrap();
    assert_eq!(frames(&mut near, 1).await, [Frame::Message(host(0, stage()))], "and no output");
    credit(&mut near, 2 * each).await;
    assert_eq!(frames(&mut near, 2).await, sent(3, 5));
}

#[tokio::test]
async fn a_message_above_the_window_passes_alone() {
    let (near, far) = UnixStream::pair().unwrap();
    let (mut transport, mut inbox) = (framed::transport(near, 1000), framed::inbox(far, 1000));
    let sending = tokio::spawn(async move {
        for at in 0..10 {
            send(&mut transport, data(0, at * 100_000, 100_000)).await.unwrap();
        }
    });
    for at in 0..10 {
        assert_eq!(recv(&mut inbox).await, Some(data(0, at * 100_000, 100_000)));
    }
    sending.await.unwrap();
}

#[tokio::test]
async fn what_is_no_frame_cuts_the_peer_off_and_loses_its_host() {
    let words = Screen::new();
    let writer = words.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _subscribed = tracing::subscriber::set_default(subscriber);
    let (handle, mut inbox) = shared_inbox(WINDOW);
    let events = Events::of(&mut inbox);
    let mut good = BytesMut::new();
    encode_message(&host(7, stage()), &mut good);
    let other_version = [2, 0, 0, 0, 99, 1];
    for (bad, why) in [(&other_version[..], "version 99"), (&[255; 8], "over the limit")] {
        let mut peer = by_hand(&handle);
        peer.write_all(&good).await.unwrap();
        peer.write_all(bad).await.unwrap();
        until(|| {
            events.lost().iter().any(|(host, found)| *host == HostId(7) && found.contains(why))
        })
        .await;
        assert!(words.text().contains(why), "{}", words.text());
        let mut rest = Vec::new();
        peer.read_to_end(&mut rest).await.unwrap();
    }
    // More than the window allows.
    let mut peer = by_hand(&handle);
    let mut flood = good.clone();
    (0..100).for_each(|at| encode_message(&data(0, at * 100, 100), &mut flood));
    peer.write_all(&flood).await.unwrap();
    until(|| events.lost().iter().any(|(_, why)| why.contains("more than it may send"))).await;
    // In the middle of a frame.
    let mut peer = by_hand(&handle);
    peer.write_all(&good).await.unwrap();
    peer.write_all(&good[..10]).await.unwrap();
    drop(peer);
    until(|| events.lost().iter().any(|(_, why)| why.contains("inside a frame"))).await;
}

/// The last word of a driver is followed by its end, and that of a host by its own.
#[tokio::test]
async fn the_last_words_of_both_sides_arrive() {
    for _ in 0..50 {
        let (near, far) = UnixStream::pair().unwrap();
        let (mut transport, mut inbox) =
            (framed::transport(near, WINDOW), framed::inbox(far, WINDOW));
        let events = Events::of(&mut inbox);
        let ended = transport.ended();
        for at in 0..5 {
            transport.try_send(data(0, at * 500, 500)).unwrap();
        }
        transport.try_send(host(0, HostEvent::Down)).unwrap();
        until(|| !events.all().is_empty()).await;
        inbox.control_sender().send(Control::Dismiss);
        assert_eq!(control(&mut transport).await, Some(Control::Dismiss));
        drop(transport);
        for at in 0..5 {
            assert_eq!(recv(&mut inbox).await, Some(data(0, at * 500, 500)));
        }
        assert_eq!(recv(&mut inbox).await, None);
        tokio::time::timeout(PATIENCE, ended).await.expect("the connection ends");
        assert!(events.lost().is_empty());
    }
    let (near, far) = UnixStream::pair().unwrap();
    let (mut transport, inbox) = (framed::transport(near, WINDOW), framed::inbox(far, WINDOW));
    inbox.control_sender().send(Control::Dismiss);
    drop(inbox);
    assert_eq!(control(&mut transport).await, Some(Control::Dismiss));
    assert_eq!(control(&mut transport).await, None);
}

/// A barrier, a mode, a stop and a ping, all while nobody reads the output.
#[tokio::test]
async fn a_host_is_reached_and_answers_while_its_output_is_unread() {
    let (near, far) = UnixStream::pair().unwrap();
    let mut inbox = framed::inbox(far, WINDOW);
    let events = Events::of(&mut inbox);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let mut options = Options::default();
    options.heartbeat = Duration::from_secs(3600);
    let note = Arc::clone(&asked);
    options.on_control = Some(Arc::new(move |control| note.lock().unwrap().push(control)));
    let sender = Sender::start(framed::transport(near, WINDOW), options);
    let mut sink = sender.sink();
    for at in 0..100 {
        assert_eq!(sink.accept(&data(0, at * 1000, 1000)), Accept::Taken);
    }
    let controls = inbox.control_sender();
    let flush = Control::Flush { version: Version(1) };
    let signal = Control::Signal { rank: Some(0), signal: 10 };
    let stop = Control::Stop { cause: StopCause::Owner };
    let said = [flush, signal, stop];
    said.iter().for_each(|control| controls.send(control.clone()));
    until(|| asked.lock().unwrap().len() == 3).await;
    assert_eq!(*asked.lock().unwrap(), said.map(Ok));
    let streams = vec![stdout(0)];
    let answer = HostEvent::Barrier { version: Version(1), streams };
    assert!(sender.send_event(answer.clone()));
    until(|| {
        events.all() == [Heard::Host(HostMessage { host: HostId::HERE, event: answer.clone() })]
    })
    .await;
    controls.send(Control::SetMode { stream_to_client: false });
    controls.send(Control::Ping { id: None });
    let mut before = 0;
    while !matches!(recv(&mut inbox).await, Some(Message::Heartbeat(_))) {
        before += 1;
    }
    assert!(before < 50, "{before} of 100 messages came before it");
    assert_eq!(sink.accept(&data(0, 100_000, 1000)), Accept::Taken);
    let mut last = None;
    while !matches!(last, Some(Message::Skip { .. })) {
        last = recv(&mut inbox).await;
    }
    drop(inbox);
    until(|| asked.lock().unwrap().last().is_some_and(Result::is_err)).await;
}

#[tokio::test]
async fn a_transport_whose_peer_is_gone_says_so() {
    let (near, far) = tokio::io::duplex(100);
    let mut transport = framed::transport(near, WINDOW);
    drop(far);
    until(|| {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        matches!(transport.poll_control(&mut context), Poll::Ready(Err(_)))
    })
    .await;
    assert!(transport.try_send(host(0, stage())).is_err());
}
