//! The lane of control: heartbeats and what the client says never wait behind data.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lastline_line::{Control, HostId, Inbox as _, Message, Timestamp, Version};
use lastline_sender::{Options, Sender, channel};
use lastline_testing::{Files, until};
use tokio::time::Instant;

use crate::common::{OVERHEAD, data, give, next, on_flush};

#[tokio::test(start_paused = true)]
async fn a_host_says_every_second_that_it_is_alive() {
    let (transport, mut inbox) = channel(1 << 20);
    let mut options = Options::default();
    options.host = HostId(3);
    let _sender = Sender::start(transport, options);
    let start = Instant::now();
    for beat in 1..=5 {
        let message = inbox.recv().await;
        assert!(
            matches!(message, Some(Message::Heartbeat(beat)) if beat.host == HostId(3) && beat.time > Timestamp(0))
        );
        assert_eq!(start.elapsed().as_secs(), beat);
    }
}

#[tokio::test]
async fn the_client_is_heard_while_the_transport_is_full() {
    let (transport, mut inbox) = channel(OVERHEAD);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let mut options = Options::default();
    let answer = Arc::clone(&asked);
    options.on_control = Some(on_flush(move |version| answer.lock().unwrap().push(version)));
    let sender = Sender::start(transport, options);
    for at in 0..100 {
        give(&mut sender.sink(), &data(0, at * 1000, &"z".repeat(1000)));
    }
    inbox.control_sender().send(Control::Flush { version: Version(7) });
    inbox.control_sender().send(Control::SetMode { stream_to_client: false });
    inbox.control_sender().send(Control::Flush { version: Version(8) });
    until(|| *asked.lock().unwrap() == [Version(7), Version(8)]).await;
    give(&mut sender.sink(), &data(0, 100_000, "not sent"));
    for at in 0..100 {
        assert_eq!(next(&mut inbox).await, Some(data(0, at * 1000, &"z".repeat(1000))));
    }
    assert!(matches!(next(&mut inbox).await, Some(Message::Skip { .. })));
}

#[tokio::test]
async fn a_file_that_hangs_holds_up_neither_heartbeat_nor_control() {
    let files = Files::new();
    let (transport, mut inbox) = channel(1000 + OVERHEAD);
    let asked = Arc::new(AtomicU64::new(0));
    let mut options = Options::default();
    options.held_bytes = 0;
    options.spill_after = Duration::ZERO;
    options.read_back = Some(Arc::new(files.clone()));
    options.heartbeat = Duration::from_millis(2);
    let answer = Arc::clone(&asked);
    options.on_control = Some(on_flush(move |version| answer.store(version.0, Ordering::SeqCst)));
    files.gate.shut();
    let sender = Sender::start(transport, options);
    for at in 0..3 {
        let message = data(0, at * 1000, &"z".repeat(1000));
        files.file(&message);
        give(&mut sender.sink(), &message);
    }
    assert_eq!(next(&mut inbox).await, Some(data(0, 0, &"z".repeat(1000))));
    for _ in 0..3 {
        assert!(matches!(inbox.recv().await, Some(Message::Heartbeat(_))));
    }
    until(|| files.gate.waiting() == 1).await;
    inbox.control_sender().send(Control::Flush { version: Version(9) });
    until(|| asked.load(Ordering::SeqCst) == 9).await;
    files.gate.open();
    let message = next(&mut inbox).await;
    assert!(matches!(message, Some(Message::Data(chunk)) if chunk.start.0 == 1000));
}
