//! The sending side that outlives its peers: it connects again, and gives whoever comes what it is owed.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use lastline_line::wire::window_bytes;
use lastline_line::{Control, Message, Offset, ReadBack, StreamId};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::Instant;

use super::link::Link;
use super::session;
use crate::transport::{Closed, Reason, Refused, Transport};

/// How a [`ReconnectingTransport`] behaves.
#[derive(Clone)]
#[non_exhaustive]
pub struct ReconnectingOptions {
    /// How much output waits here for the peer's own window, in bytes; one message above it passes
    /// alone. Default: 256 KiB.
    pub window: usize,
    /// How long to wait until it is tried again to connect. Default: 250 ms.
    pub retry: Duration,
    /// How long a host that has read all of its ranks waits for a driver to come, where there is
    /// none. Default: 5 s.
    pub linger: Duration,
    /// After how long without a driver the transport is closed although its host goes on. Default:
    /// never.
    pub give_up_after: Option<Duration>,
    /// Where to read again what was sent to a driver that is gone. Default: nowhere, that is then
    /// declared lost for the next one.
    pub read_back: Option<Arc<dyn ReadBack>>,
    /// The id of the job. A driver of another one gets nothing but the events, and is left; the ranks go on,
    /// and are looked for as if there were no driver. Default, `None`: any driver will do.
    pub job: Option<String>,
    /// Send what waits together, and is alike, once; the driver gets all of it. Default: no.
    pub fold: bool,
}

impl Default for ReconnectingOptions {
    fn default() -> Self {
        Self {
            window: 256 << 10,
            retry: Duration::from_millis(250),
            linger: Duration::from_secs(5),
            give_up_after: None,
            read_back: None,
            job: None,
            fold: false,
        }
    }
}

impl std::fmt::Debug for ReconnectingOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReconnectingOptions")
            .field("window", &self.window)
            .field("retry", &self.retry)
            .field("linger", &self.linger)
            .field("give_up_after", &self.give_up_after)
            .field("job", &self.job)
            .field("fold", &self.fold)
            .finish_non_exhaustive()
    }
}

/// A transport over connections that `connect` makes, one after the other. Must be called on a tokio
/// runtime.
///
/// While there is no connection, output is refused as full, so that whoever sends keeps it, and events
/// are kept here. Whoever is connected to next gets all events so far, in order, but for answers to
/// barriers, which were another driver's; then of each stream what it wants of what was sent before
/// ([`Resume`](lastline_line::Resume)), read back from files; then what comes. A transport that is
/// dropped still delivers, if there is a driver or one comes while it lingers.
pub fn reconnecting<C, F>(
    connect: impl FnMut() -> F + Send + 'static,
    options: ReconnectingOptions,
) -> ReconnectingTransport
where
    C: AsyncRead + AsyncWrite + Send + 'static,
    F: Future<Output = io::Result<C>> + Send + 'static,
{
    let link = Arc::new(Link::default());
    let (over, ended) = watch::channel(());
    let window = options.window;
    tokio::spawn({
        let link = Arc::clone(&link);
        async move {
            work_on(connect, &link, &options).await;
            link.lose();
            drop(over);
        }
    });
    ReconnectingTransport { link, window, wanted_bytes: 0, ended }
}

/// The sending side of one connection after the other; see [`reconnecting`].
#[derive(Debug)]
pub struct ReconnectingTransport {
    link: Arc<Link>,
    window: usize,
    /// What the message last refused would take.
    wanted_bytes: usize,
    /// Closed with the task.
    ended: watch::Receiver<()>,
}

impl ReconnectingTransport {
    /// Waits until the last connection has ended: after the transport was dropped, until what it
    /// took is on its way, or no driver is waited for any more. A process that exits before may lose
    /// the last of it.
    pub fn ended(&self) -> impl Future<Output = ()> + use<> + Send + 'static {
        let mut ended = self.ended.clone();
        async move { while ended.changed().await.is_ok() {} }
    }
}

impl Transport for ReconnectingTransport {
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
            if !queues.live || !queues.has_room(bytes, self.window) {
                self.wanted_bytes = bytes;
                return refused(message, Reason::Full);
            }
            if let Some(message) = queues.places.take(message) {
                queues.push_data(message);
            }
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
        if queues.live && queues.has_room(self.wanted_bytes, self.window) {
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

    fn unwanted_below(&self, stream: StreamId) -> Offset {
        self.link.lock().places.unwanted(stream)
    }
}

impl Drop for ReconnectingTransport {
    fn drop(&mut self) {
        let mut queues = self.link.lock();
        queues.dropped = true;
        queues.ending.get_or_insert_with(Instant::now);
        drop(queues);
        self.link.work.notify_one();
    }
}

/// Serves one driver after the other, until all was delivered or nobody is waited for any more.
async fn work_on<C, F>(
    mut connect: impl FnMut() -> F + Send,
    link: &Link,
    options: &ReconnectingOptions,
) where
    C: AsyncRead + AsyncWrite + Send,
    F: Future<Output = io::Result<C>> + Send,
{
    let (mut alone_since, mut told) = (Instant::now(), false);
    loop {
        let io = tokio::select! {
            biased;
            io = connected(&mut connect, options.retry) => io,
            () = given_up(link, alone_since, options) => return,
        };
        link.connected();
        let ended = session::run(io, link, options).await;
        tracing::debug!(?ended, "the connection to a driver has ended");
        if let Err(error) = &ended
            && error.kind() == io::ErrorKind::InvalidData
        {
            tracing::warn!("the driver sends what is no frame: {error}");
        }
        if matches!(ended, Ok(session::Ended::Delivered)) {
            return;
        }
        link.disconnected();
        match ended {
            Ok(session::Ended::OtherJob(theirs)) => {
                if !std::mem::replace(&mut told, true) {
                    let ours = options.job.as_deref().unwrap_or_default();
                    tracing::warn!(
                        "the driver that is there is of job `{theirs}`, and this is job `{ours}`: it goes on \
                         without one"
                    );
                }
                tokio::time::sleep(options.retry).await;
            }
            _ => alone_since = Instant::now(),
        }
    }
}

/// A connection, as soon as there can be one.
async fn connected<C, F>(connect: &mut (impl FnMut() -> F + Send), retry: Duration) -> C
where
    F: Future<Output = io::Result<C>> + Send,
{
    loop {
        match connect().await {
            Ok(io) => return io,
            Err(error) => tracing::trace!(%error, "there is no driver"),
        }
        tokio::time::sleep(retry).await;
    }
}

/// Ready when no driver is waited for any more.
async fn given_up(link: &Link, alone_since: Instant, options: &ReconnectingOptions) {
    loop {
        let changed = link.work.notified();
        match link.deadline(alone_since, options) {
            Some(deadline) if deadline <= Instant::now() => return,
            Some(deadline) => drop(tokio::time::timeout_at(deadline, changed).await),
            None => changed.await,
        }
    }
}
