//! One connection of an inbox.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use lastline_line::wire::Frame;
use lastline_line::{HostEvent, HostId, HostMessage, Message};
use tokio::io::{AsyncRead, AsyncWrite};

use super::connection::{Connection, Progress};
use super::inbox::{Arrivals, InboxHandle};
use super::peer::Peer;

/// Hands the messages of a connection to the inbox of `handle`, and the client's controls to the
/// peer. The peer belongs to the inbox from the call on; the future does the work. It ends when the
/// peer has closed the connection and all that it sent is handed on, or with the inbox.
///
/// Each host that sent an event through the connection, and not [`HostEvent::Down`], is reported as
/// [`HostEvent::Lost`].
///
/// # Errors
///
/// When the connection fails, or the peer sends what is no frame, or more than it may.
pub fn serve<C>(io: C, handle: InboxHandle) -> impl Future<Output = io::Result<()>> + Send
where
    C: AsyncRead + AsyncWrite + Send,
{
    let peer = handle.0.add();
    let mut served = Served { handle, peer, hosts: BTreeSet::new(), why: BROKEN_OFF.to_owned() };
    async move {
        let mut io = Connection::new(io);
        let ended = served.receive_all(&mut io).await;
        if let Err(error) = &ended {
            served.why = match error.kind() {
                io::ErrorKind::InvalidData => {
                    tracing::warn!("the peer of an inbox is cut off: {error}");
                    format!("it was cut off: {error}")
                }
                _ => format!("the connection failed: {error}"),
            };
        }
        let dropped = served.arrivals().is_dropped();
        served.peer.encode(&mut io.out);
        drop(served);
        if dropped && ended.is_ok() {
            io.close().await;
        }
        ended
    }
}

/// Why a host is lost whose connection was dropped before its time.
const BROKEN_OFF: &str = "the connection ended";

/// A connection that belongs to an inbox.
struct Served {
    handle: InboxHandle,
    peer: Arc<Peer>,
    /// The hosts that have sent an event, and are not down.
    hosts: BTreeSet<HostId>,
    why: String,
}

impl Served {
    fn arrivals(&self) -> &Arrivals {
        &self.handle.0
    }

    /// Until the peer has closed its direction, or the inbox is gone.
    async fn receive_all<C>(&mut self, io: &mut Connection<C>) -> io::Result<()>
    where
        C: AsyncRead + AsyncWrite,
    {
        while !self.arrivals().is_dropped() {
            self.peer.encode(&mut io.out);
            let progress = tokio::select! {
                progress = io.progress() => progress?,
                () = self.peer.work.notified() => continue,
            };
            match progress {
                Progress::Read => {
                    while let Some(frame) = io.frame()? {
                        self.take(frame)?;
                    }
                }
                Progress::Wrote => {}
                // It may be gone; what it sent before counts.
                Progress::Unwritable(error) => tracing::debug!("a peer takes no more: {error}"),
                Progress::Ended => break,
            }
        }
        Ok(())
    }

    fn take(&mut self, frame: Frame) -> io::Result<()> {
        match frame {
            Frame::Message(message) => self.take_message(message),
            Frame::Folded(chunks) => {
                chunks.into_iter().try_for_each(|chunk| self.take_message(Message::Data(chunk)))
            }
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "a frame that no host sends")),
        }
    }

    fn take_message(&mut self, message: Message) -> io::Result<()> {
        match &message {
            Message::Host(HostMessage { host, event: HostEvent::Down }) => {
                self.hosts.remove(host);
            }
            Message::Host(HostMessage { host, .. }) => {
                self.hosts.insert(*host);
            }
            _ => {}
        }
        if self.arrivals().push(message, &self.peer) {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "more than it may send"))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.arrivals().remove(&self.peer);
        for host in std::mem::take(&mut self.hosts) {
            let event = HostEvent::Lost { why: self.why.clone() };
            self.arrivals().deliver(HostMessage { host, event });
        }
    }
}
