//! Connections of scrapers: few at once, and none on which nothing moves.

use std::future::Future as _;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// How long nothing may move on a connection until it is closed.
pub(crate) const NOTHING_MOVES: Duration = Duration::from_secs(30);
/// How many connections there may be at once; others wait in the system's queue.
pub(crate) const MOST_SCRAPERS: usize = 8;
/// How long to wait when the system has no descriptor for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts scrapers.
pub(crate) struct Scrapers {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

impl Scrapers {
    pub(crate) fn new(listener: TcpListener) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(MOST_SCRAPERS)) }
    }
}

impl Listener for Scrapers {
    type Io = Moving;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Moving, SocketAddr) {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.expect("BUG: nobody closes the places");
        loop {
            match self.listener.accept().await {
                Ok((socket, address)) => return (Moving::new(socket, Some(place)), address),
                // There may be a descriptor for the next one.
                Err(error) => {
                    tracing::debug!(%error, "a scraper was not let in");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection whose reading and writing fail when for a time nothing has moved on it.
pub(crate) struct Moving<S = TcpStream> {
    socket: S,
    still: Pin<Box<Sleep>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl<S> Moving<S> {
    fn new(socket: S, place: Option<OwnedSemaphorePermit>) -> Self {
        Self { socket, still: Box::pin(sleep(NOTHING_MOVES)), _place: place }
    }

    /// What came of it, unless nothing has for too long.
    fn in_time<T>(
        &mut self,
        moved: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if moved.is_ready() {
            self.still.as_mut().reset(Instant::now() + NOTHING_MOVES);
            return moved;
        }
        ready!(self.still.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Moving<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.socket).poll_read(cx, buffer);
        self.in_time(read, cx)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Moving<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.in_time(written, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_let_go_and_who_takes_a_little_is_not() {
        let (ours, mut theirs) = duplex(10);
        let mut scraper = Moving::new(ours, None);
        scraper.write_all(b"0123456789").await.unwrap();
        let reader = async {
            sleep(NOTHING_MOVES - Duration::from_secs(1)).await;
            theirs.read_exact(&mut [0; 5]).await.unwrap();
        };
        let (written, ()) = tokio::join!(scraper.write_all(b"01234"), reader);
        written.unwrap();
        let started = Instant::now();
        let error = scraper.write_all(b"5").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(started.elapsed().as_secs(), NOTHING_MOVES.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_let_go() {
        let (ours, _theirs) = duplex(10);
        let mut scraper = Moving::new(ours, None);
        let error = scraper.read(&mut [0; 5]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
