//! The laws of [`Transport`].

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll, Wake, Waker};

use lastline_line::{
    Control, Heard, Heartbeat, HostEvent, HostId, HostMessage, Inbox, Message, Offset, PingId,
    Received, Timestamp, Version,
};
use lastline_sender::{Closed, Reason, Transport};

use crate::{PATIENCE, chunk, stdout, wait_until};

/// Far above what any bound on the way should be, in bytes.
const UNBOUNDED_BYTES: usize = 64 << 20;

/// Runs every law on transports that `make` makes, each with its far side's inbox. They should
/// hold a few thousand bytes. A transport that needs a runtime finds the one that the caller has
/// entered; it must have a thread of its own.
pub fn all<T, I>(mut make: impl FnMut() -> (T, I))
where
    T: Transport + 'static,
    I: Inbox + 'static,
{
    keeps_order(make());
    brings_back_controls(make());
    is_bounded(make());
    makes_progress(make());
    wakes_at_the_end(make());
    remembers_the_end(make());
    delivers_what_it_took(make());
    events_pass_output(make());
    events_are_kept_for_the_listener(make());
    events_come_before_what_follows_them(make());
    heartbeats_pass_output(make());
    says_once_that_all_hosts_are_gone(make());
}

/// Law 1: messages arrive once, those of each stream as they were sent.
pub fn keeps_order<T: Transport, I: Inbox>((mut transport, mut inbox): (T, I)) {
    let sent: Vec<Message> = (0..600).map(message).collect();
    let received = std::thread::scope(|scope| {
        let receiving = scope.spawn(move || {
            let wanted = |message: &Message| !matches!(message, Message::Heartbeat(_));
            let messages = std::iter::from_fn(|| match inbox.next(Some(PATIENCE)) {
                Received::Message(message) => Some(message),
                Received::TimedOut | Received::Closed => None,
            });
            messages.filter(wanted).collect::<Vec<_>>()
        });
        sent.iter().for_each(|message| send(&mut transport, message.clone()));
        drop(transport);
        receiving.join().expect("the receiving thread panicked")
    });
    let same = by_stream(&received) == by_stream(&sent);
    assert!(same, "law 1: {} of {} messages as sent", received.len(), sent.len());
}

/// Controls come back, in order.
pub fn brings_back_controls<T: Transport, I: Inbox>((mut transport, inbox): (T, I)) {
    let said: Vec<Control> = (0..100).map(|v| Control::Flush { version: Version(v) }).collect();
    said.iter().for_each(|control| inbox.control_sender().send(control.clone()));
    let mut events = Vec::new();
    wait_until(|| {
        if let Poll::Ready(control) = poll(|context| transport.poll_control(context)) {
            events.push(control.expect("the client is there"));
        }
        events.len() == said.len()
    });
    assert_eq!(events, said, "law 1: the controls in order");
}

/// Laws 2 and 5: while nobody receives, it becomes full, gives the message back, and never waits.
pub fn is_bounded<T: Transport + 'static, I: Inbox>((mut transport, _inbox): (T, I)) {
    let (done, finished) = mpsc::channel();
    let sending = std::thread::spawn(move || {
        let mut taken_bytes = 0;
        for step in 0.. {
            let next = message(step);
            assert!(taken_bytes < UNBOUNDED_BYTES, "law 2: it takes without bound");
            match transport.try_send(next.clone()) {
                Ok(()) => taken_bytes += next.payload_bytes() + 1,
                Err(refused) => {
                    assert_eq!(refused.reason, Reason::Full, "law 2: the far side is there");
                    assert_eq!(refused.message, next, "law 2: the message comes back as it was");
                    break;
                }
            }
        }
        done.send(transport).expect("the test waits for it");
    });
    let transport = finished.recv_timeout(PATIENCE);
    assert!(transport.is_ok() || sending.is_finished(), "law 5: a method waits");
    sending.join().expect("law 2 does not hold");
}

/// Law 3: whoever waits for room is woken when there is some.
pub fn makes_progress<T: Transport, I: Inbox>((mut transport, mut inbox): (T, I)) {
    for _ in 0..5 {
        let woken = fill(&mut transport);
        wait_until(|| {
            drop(inbox.next(Some(std::time::Duration::ZERO)));
            woken.count() > 0
        });
        wait_until(|| {
            drop(inbox.next(Some(std::time::Duration::ZERO)));
            poll(|context| transport.poll_ready(context)) == Poll::Ready(Ok(()))
        });
    }
}

/// Law 3: whoever waits for room is woken when the far side goes.
pub fn wakes_at_the_end<T: Transport, I: Inbox>((mut transport, inbox): (T, I)) {
    let woken = fill(&mut transport);
    drop(inbox);
    wait_until(|| woken.count() > 0);
    wait_until(|| poll(|context| transport.poll_ready(context)) == Poll::Ready(Err(Closed)));
}

/// Law 4: once one method says that the far side is gone, all do.
pub fn remembers_the_end<T: Transport, I: Inbox>((mut transport, inbox): (T, I)) {
    inbox.control_sender().send(Control::Flush { version: Version(1) });
    drop(inbox);
    wait_until(|| match transport.try_send(message(0)) {
        Ok(()) => false,
        Err(refused) => refused.reason == Reason::Closed,
    });
    for _ in 0..3 {
        let ready = poll(|context| transport.poll_ready(context));
        assert_eq!(ready, Poll::Ready(Err(Closed)), "law 4: poll_ready");
        let said = poll(|context| transport.poll_control(context));
        let before = Poll::Ready(Ok(Control::Flush { version: Version(1) }));
        assert!(said == before || said == Poll::Ready(Err(Closed)), "law 4: poll_control {said:?}");
        let refused = transport.try_send(message(0)).expect_err("law 4: try_send takes");
        assert_eq!(refused.reason, Reason::Closed, "law 4: try_send");
    }
}

/// Law 7: what was taken arrives, also when the transport is dropped at once.
pub fn delivers_what_it_took<T: Transport, I: Inbox>((mut transport, mut inbox): (T, I)) {
    let mut taken = Vec::new();
    while let next = message(taken.len() as u64)
        && transport.try_send(next.clone()).is_ok()
    {
        taken.push(next);
    }
    drop(transport);
    let received = rest(&mut inbox);
    let same = by_stream(&received) == by_stream(&taken);
    assert!(same, "law 7: {} of {} messages", received.len(), taken.len());
}

/// Law 6, and 2 of [`Inbox`]: what a host says of itself arrives while nobody takes its output.
pub fn events_pass_output<T: Transport, I: Inbox>((mut transport, mut inbox): (T, I)) {
    let events = listen(&mut inbox);
    for number in 0..20 {
        fill(&mut transport);
        let taken = transport.try_send(event(number));
        assert!(taken.is_ok(), "law 6: refused while it is full");
        assert_eq!(events.recv_timeout(PATIENCE).ok(), Some(said(number)), "law 2 of Inbox");
    }
}

/// Law 3 of [`Inbox`]: what hosts say before there is a listener is kept for it.
pub fn events_are_kept_for_the_listener<T: Transport, I: Inbox>(
    (mut transport, mut inbox): (T, I),
) {
    (0..10).for_each(|number| send(&mut transport, event(number)));
    // When this is here, so are they.
    send(&mut transport, message(0));
    while !matches!(inbox.next(Some(PATIENCE)), Received::Message(Message::Data(_))) {}
    let events = listen(&mut inbox);
    send(&mut transport, event(10));
    for number in 0..=10 {
        assert_eq!(events.recv_timeout(PATIENCE).ok(), Some(said(number)), "law 3 of Inbox");
    }
}

/// Law 2 of [`Inbox`]: what a host says comes before whatever it sent after that.
pub fn events_come_before_what_follows_them<T: Transport, I: Inbox>(
    (mut transport, mut inbox): (T, I),
) {
    let events = listen(&mut inbox);
    for number in 0..50 {
        send(&mut transport, event(number));
        send(&mut transport, message(number));
        while !matches!(inbox.next(Some(PATIENCE)), Received::Message(received) if received.stream().is_some())
        {
        }
        assert_eq!(events.try_recv().ok(), Some(said(number)), "law 2 of Inbox");
    }
}

/// Law 2 of [`Inbox`]: the listener hears of a heartbeat that nobody asks for, and who asks gets it.
pub fn heartbeats_pass_output<T: Transport, I: Inbox>((mut transport, mut inbox): (T, I)) {
    let events = listen(&mut inbox);
    send(&mut transport, message(0));
    let beat = Heartbeat { host: HOST, time: Timestamp(7), answers: Some(PingId(9)) };
    send(&mut transport, Message::Heartbeat(beat));
    let heard = events.recv_timeout(PATIENCE).ok();
    assert_eq!(heard, Some(Heard::Heartbeat(beat)), "law 2 of Inbox: beside data");
    let mut both = Vec::new();
    while both.len() < 2 {
        match inbox.next(Some(PATIENCE)) {
            Received::Message(received) => both.push(received),
            other => panic!("law 2 of Inbox: {other:?}"),
        }
    }
    assert!(both.contains(&Message::Heartbeat(beat)), "law 2 of Inbox: {both:?}");
}

/// Law 4 of [`Inbox`]: what is left, then the end, once and last.
pub fn says_once_that_all_hosts_are_gone<T: Transport, I: Inbox>(
    (mut transport, mut inbox): (T, I),
) {
    let events = listen(&mut inbox);
    send(&mut transport, message(0));
    let down = HostMessage { host: HOST, event: HostEvent::Down };
    send(&mut transport, Message::Host(down.clone()));
    assert_eq!(events.recv_timeout(PATIENCE).ok(), Some(Heard::Host(down)), "law 2 of Inbox");
    assert!(events.try_recv().is_err(), "law 4 of Inbox: the end came before the end");
    drop(transport);
    assert_eq!(rest(&mut inbox), [message(0)], "law 4 of Inbox: what is left");
    assert_eq!(events.recv_timeout(PATIENCE).ok(), Some(Heard::Closed), "law 4 of Inbox");
    assert!(matches!(inbox.next(None), Received::Closed), "law 4 of Inbox: it stays closed");
    drop(inbox);
    assert!(events.try_recv().is_err(), "law 4 of Inbox: something came after the end");
}

/// Messages stream by stream: across streams there is no order.
fn by_stream(messages: &[Message]) -> Vec<&Message> {
    let mut sorted: Vec<&Message> = messages.iter().collect();
    sorted.sort_by_key(|message| message.stream());
    sorted
}

/// All messages of streams until the inbox is closed.
fn rest(inbox: &mut impl Inbox) -> Vec<Message> {
    let mut all = Vec::new();
    loop {
        match inbox.next(Some(PATIENCE)) {
            Received::Message(message) => all.extend(message.stream().map(|_| message)),
            Received::Closed => return all,
            Received::TimedOut => panic!("the inbox does not close"),
        }
    }
}

/// What the inbox's listener is given.
fn listen(inbox: &mut impl Inbox) -> mpsc::Receiver<Heard> {
    let (events, given) = mpsc::channel();
    inbox.listen(Box::new(move |next| {
        // Nobody may be left who wants to know.
        drop(events.send(next));
    }));
    given
}

const HOST: HostId = HostId(3);

fn event(number: u64) -> Message {
    let Heard::Host(message) = said(number) else { unreachable!("BUG: it is a host's") };
    Message::Host(message)
}

fn said(number: u64) -> Heard {
    let event = HostEvent::NotSynced { what: "index".into(), cause: number.to_string() };
    Heard::Host(HostMessage { host: HOST, event })
}

/// Every tenth one is a mark, the others are data of three streams.
fn message(step: u64) -> Message {
    let stream = stdout(u32::try_from(step % 3).expect("BUG: below 3"));
    if step % 10 == 9 {
        let mark = Offset(step * 1000);
        return Message::Flush { stream, version: Version(step), mark };
    }
    let text = vec![b'a' + u8::try_from(step % 26).expect("BUG: below 26"); 300];
    Message::Data(chunk(stream, step * 1000, &text))
}

/// Sends, waiting for room without a runtime.
fn send(transport: &mut impl Transport, message: Message) {
    let mut message = Some(message);
    wait_until(|| match transport.try_send(message.take().expect("BUG: not sent yet")) {
        Ok(()) => true,
        Err(refused) => {
            assert_eq!(refused.reason, Reason::Full, "law 2: the far side is there");
            message = Some(refused.message);
            false
        }
    });
}

/// Sends until somebody waits for room; who counts how often they are woken.
fn fill(transport: &mut impl Transport) -> Arc<Woken> {
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    wait_until(|| {
        while transport.try_send(message(0)).is_ok() {}
        transport.poll_ready(&mut context).is_pending()
    });
    woken
}

fn poll<T>(with: impl FnOnce(&mut Context<'_>) -> T) -> T {
    with(&mut Context::from_waker(Waker::noop()))
}

/// Counts how often it is woken.
#[derive(Debug, Default)]
struct Woken(AtomicUsize);

impl Woken {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
