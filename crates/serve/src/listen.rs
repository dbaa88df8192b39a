//! Connections, of which none may stand still for ever while something waits to be written.

use std::future::Future as _;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep, sleep};

/// How long a viewer may take nothing of what waits for it, until its connection is closed.
pub(crate) const TAKES_NOTHING: Duration = Duration::from_secs(30);
/// How long to wait when the system has no descriptor for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts viewers.
pub(crate) struct Viewers(pub(crate) TcpListener);

impl Listener for Viewers {
    type Io = Viewer;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Viewer, SocketAddr) {
        loop {
            match self.0.accept().await {
                Ok((socket, address)) => {
                    if let Err(error) = socket.set_nodelay(true) {
                        tracing::debug!(%error, "small answers may wait for others");
                    }
                    return (Viewer::new(socket, TAKES_NOTHING), address);
                }
                // There may be a descriptor for the next one.
                Err(error) => {
                    tracing::debug!(%error, "a viewer was not let in");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A connection whose writing fails when for a time nothing of it is taken.
pub(crate) struct Viewer<S = TcpStream> {
    socket: S,
    patience: Duration,
    /// Runs while something waits to be written.
    waits: Pin<Box<Sleep>>,
    waiting: bool,
}

impl<S> Viewer<S> {
    fn new(socket: S, patience: Duration) -> Self {
        Self { socket, patience, waits: Box::pin(sleep(patience)), waiting: false }
    }

    /// What came of writing, unless that has waited for too long.
    fn in_time<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = false;
            return written;
        }
        if !self.waiting {
            self.waiting = true;
            self.waits.as_mut().reset(Instant::now() + self.patience);
        }
        ready!(self.waits.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Viewer<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Viewer<S> {
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
    async fn who_takes_nothing_is_closed_and_who_takes_a_little_is_not() {
        let (ours, mut theirs) = duplex(10);
        let mut viewer = Viewer::new(ours, TAKES_NOTHING);
        viewer.write_all(b"0123456789").await.unwrap();
        let reader = async {
            tokio::time::sleep(TAKES_NOTHING - Duration::from_secs(1)).await;
            theirs.read_exact(&mut [0; 5]).await.unwrap();
        };
        let (written, ()) = tokio::join!(viewer.write_all(b"01234"), reader);
        written.unwrap();
        let started = Instant::now();
        let error = viewer.write_all(b"5").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(started.elapsed().as_secs(), TAKES_NOTHING.as_secs());
    }
}
