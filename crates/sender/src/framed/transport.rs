//! The sending side.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use lastline_line::wire::{Frame, encode_message, window_bytes};
use lastline_line::{Control, Heartbeat, Message};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, watch};

use super::connection::{Connection, Progress, WRITE_BYTES};
use super::window::Window;
use crate::transport::{Closed, Reason, Refused, Transport};

/// A transport over a connection; at most `window` bytes of output wait here for the peer's own
/// window, and one message above it passes alone. Must be called on a tokio runtime.
///
/// What it took counts as stored when the peer acknowledges it. When the peer closes the connection
/// or dies, the transport is closed. Dropped, it still delivers what it took.
pub fn transport<C>(io: C, window: usize) -> FramedTransport
where
    C: AsyncRead + AsyncWrite + Send + 'static,
{
    let link = Arc::new(Link::default());
    let (over, ended) = watch::channel(());
    tokio::spawn({
        let link = Arc::clone(&link);
        async move {
            let ended = run(Connection::new(io), &link).await;
            link.lose();
            if let Err(error) = &ended
                && error.kind() == io::ErrorKind::InvalidData
            {
                tracing::warn!("the peer of a transport sends what is no frame: {error}");
            }
            tracing::debug!(?ended, "the connection of a transport has ended");
            drop(over);
        }
    });
    FramedTransport { link, window, wanted_bytes: 0, ended }
}

/// The sending side of a connection; see [`transport()`].
#[derive(Debug)]
pub struct FramedTransport {
    link: Arc<Link>,
    window: usize,
    /// What the message last refused would take.
    wanted_bytes: usize,
    /// Closed with the connection's task.
    ended: watch::Receiver<()>,
}

/// What the transport and its task share.
#[derive(Debug, Default)]
struct Link {
    queues: Mutex<Queues>,
    /// Something is to be sent, or the transport was dropped.
    work: Notify,
}

#[derive(Debug, Default)]
struct Queues {
    /// What never waits behind output. Of heartbeats that answer nothing there is one at most.
    events: VecDeque<Message>,
    data: VecDeque<Message>,
    data_bytes: usize,
    /// What the peer has sent and nobody asked for yet.
    controls: VecDeque<Control>,
    ready: Option<Waker>,
    control: Option<Waker>,
    /// The transport was dropped: what is queued goes out, and nothing comes after it.
    dropped: bool,
    /// The far side is gone.
    gone: bool,
}

impl Queues {
    /// Whether a message of so many bytes may be queued.
    fn has_room(&self, bytes: usize, window: usize) -> bool {
        self.data.is_empty() || self.data_bytes + bytes <= window
    }

    fn push_event(&mut self, message: Message) {
        let is_unasked = |message: &Message| {
            matches!(message, Message::Heartbeat(Heartbeat { answers: None, .. }))
        };
        if is_unasked(&message) {
            self.events.retain(|event| !is_unasked(event));
        }
        self.events.push_back(message);
    }
}

impl Link {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands on a control of the peer's.
    fn push_control(&self, control: Control) {
        let waker = {
            let mut queues = self.lock();
            queues.controls.push_back(control);
            queues.control.take()
        };
        wake(waker);
    }

    /// The far side is gone.
    fn lose(&self) {
        let mut queues = self.lock();
        queues.gone = true;
        queues.data.clear();
        queues.events.clear();
        let wakers = [queues.ready.take(), queues.control.take()];
        drop(queues);
        wakers.into_iter().for_each(wake);
    }
}

pub(super) fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl FramedTransport {
    /// Waits until the connection has ended: after the transport was dropped, until what it took is
    /// on its way and the peer has closed, too. A process that exits before may lose the last of it.
    pub fn ended(&self) -> impl Future<Output = ()> + use<> + Send + 'static {
        let mut ended = self.ended.clone();
        async move { while ended.changed().await.is_ok() {} }
    }
}

impl Transport for FramedTransport {
    fn try_send(&mut self, message: Message) -> Result<(), Box<Refused>> {
        let mut queues = self.link.lock();
        let refused = |message, reason| Err(Box::new(Refused { message, reason }));
        if queues.gone {
            return refused(message, Reason::Closed);
        }
        if message.stream().is_none() {
            queues.push_event(message);
        } else {
            let bytes = window_bytes(&message);
            if !queues.has_room(bytes, self.window) {
                self.wanted_bytes = bytes;
                return refused(message, Reason::Full);
            }
            queues.data_bytes += bytes;
            queues.data.push_back(message);
        }
        drop(queues);
        self.link.work.notify_one();
        Ok(())
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        let mut queues = self.link.lock();
        if queues.gone {
            return Poll::Ready(Err(Closed));
        }
        if queues.has_room(self.wanted_bytes, self.window) {
            return Poll::Ready(Ok(()));
        }
        queues.ready = Some(context.waker().clone());
        Poll::Pending
    }

    fn poll_control(&mut self, context: &mut Context<'_>) -> Poll<Result<Control, Closed>> {
        let mut queues = self.link.lock();
        if let Some(control) = queues.controls.pop_front() {
            return Poll::Ready(Ok(control));
        }
        if queues.gone {
            return Poll::Ready(Err(Closed));
        }
        queues.control = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for FramedTransport {
    fn drop(&mut self) {
        self.link.lock().dropped = true;
        self.link.work.notify_one();
    }
}

/// Moves frames until one of the sides has ended.
async fn run<C: AsyncRead + AsyncWrite>(mut io: Connection<C>, link: &Link) -> io::Result<()> {
    let mut window = Window::default();
    loop {
        let done = fill(&mut io, link, &mut window);
        if done && io.is_written() {
            io.close().await;
            return Ok(());
        }
        let progress = tokio::select! {
            progress = io.progress() => progress?,
            () = link.work.notified() => continue,
        };
        match progress {
            Progress::Read => {
                while let Some(frame) = io.frame()? {
                    take(link, &mut window, frame);
                }
            }
            Progress::Wrote => {}
            Progress::Ended => return Ok(()),
            Progress::Unwritable(error) => {
                // What the peer sent before it went still counts.
                io.linger(|frame| take(link, &mut window, frame)).await;
                return Err(error);
            }
        }
    }
}

fn take(link: &Link, window: &mut Window, frame: Frame) {
    match frame {
        Frame::Control(control) => link.push_control(control),
        Frame::Credit { bytes } => window.credit(bytes),
        _ => tracing::trace!("a frame that a host has no use for"),
    }
}

/// Puts into the connection what may be sent, events before output; true when the transport was
/// dropped and all of it is.
fn fill<C: AsyncRead + AsyncWrite>(
    io: &mut Connection<C>,
    link: &Link,
    window: &mut Window,
) -> bool {
    let mut queues = link.lock();
    while let Some(event) = queues.events.pop_front() {
        encode_message(&event, &mut io.out);
    }
    let mut ready = None;
    while io.out.len() < WRITE_BYTES
        && let Some(message) = queues.data.front()
    {
        let bytes = window_bytes(message);
        if !window.has_room(bytes as u64) {
            break;
        }
        window.in_flight += bytes as u64;
        encode_message(message, &mut io.out);
        queues.data.pop_front();
        queues.data_bytes -= bytes;
        ready = queues.ready.take().or(ready);
    }
    let done = queues.dropped && queues.data.is_empty();
    drop(queues);
    wake(ready);
    done
}
