//! The laws of a transport, over both that the crate has, and what is a socket's own.

use lastline_line::{Control, Message, Offset, Received};
use lastline_sender::channel;
use lastline_sender::framed::{FramedInbox, FramedTransport, inbox, transport};
use lastline_testing::{PATIENCE, chunk, laws, stdout, until};
use tokio::net::UnixStream;

fn over_a_socket(limit_bytes: usize) -> (FramedTransport, FramedInbox) {
    let (near, far) = UnixStream::pair().expect("a pair");
    (transport(near, limit_bytes), inbox(far, limit_bytes))
}

#[test]
fn the_laws_hold_in_one_process() {
    laws::transport::all(|| channel(4 << 10));
}

#[test]
fn the_laws_hold_over_a_socket() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    laws::transport::all(|| over_a_socket(4 << 10));
}

#[test]
fn the_laws_hold_over_any_connection() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    for pipe_bytes in [64, 64 << 10] {
        laws::transport::all(|| {
            let (near, far) = tokio::io::duplex(pipe_bytes);
            (transport(near, 4 << 10), inbox(far, 4 << 10))
        });
    }
}

/// A peer that has sent all and gone gets no answers; what it sent counts all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_nobody_reads_loses_nothing() {
    use lastline_line::Inbox as _;
    let (mut near, mut far) = over_a_socket(64 << 10);
    let sent: Vec<Message> =
        (0..100).map(|at| Message::Data(chunk(stdout(0), at * 500, &[b'x'; 500]))).collect();
    for message in &sent {
        lastline_sender::send(&mut near, message.clone()).await.unwrap();
    }
    drop(near);
    let received = tokio::task::spawn_blocking(move || {
        let mut received = Vec::new();
        while let Received::Message(message) = far.next(Some(PATIENCE)) {
            let through = Offset(500 * (received.len() as u64 + 1));
            received.push(message);
            far.control_sender().send(Control::Acknowledge { stream: stdout(0), through });
            // Until the task that answers has tried.
            (0..200).for_each(|_| std::thread::yield_now());
        }
        received
    });
    assert_eq!(received.await.unwrap(), sent);
}

#[tokio::test]
async fn what_the_peer_sent_before_it_went_arrives() {
    use lastline_sender::Transport as _;
    use tokio::io::AsyncWriteExt as _;
    let (near, mut far) = UnixStream::pair().expect("a pair");
    let mut near = transport(near, 4 << 10);
    let said = Control::Acknowledge { stream: stdout(0), through: Offset(7) };
    let mut frame = bytes::BytesMut::new();
    lastline_line::wire::encode_control(&said, &mut frame);
    far.write_all(&frame).await.unwrap();
    drop(far);
    // The write fails before anything has been read.
    near.try_send(Message::Data(chunk(stdout(0), 0, b"hello\n"))).unwrap();
    let mut controls = Vec::new();
    until(|| {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match near.poll_control(&mut context) {
            std::task::Poll::Ready(Ok(control)) => controls.push(control),
            std::task::Poll::Ready(Err(_)) => return true,
            std::task::Poll::Pending => {}
        }
        false
    })
    .await;
    assert_eq!(controls, [said]);
}
