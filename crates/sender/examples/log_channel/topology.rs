//! The processes, and how they are wired.

use std::io;
use std::process::{Child, Command};
use std::time::Duration;

use lastline_client::{Account, Client, Options as ClientOptions, Printer, Verdicts};
use lastline_line::{Launch, Off, Stream, StreamId, Version};
use lastline_sender::{Options, Sender, Sent, framed};
use lastline_tee::{BoxSink, Options as TeeOptions, Tee};
use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};

/// Names the socket on which the child serves its parent.
const CHANNEL: &str = "LASTLINE_LOG_CHANNEL";
/// Names the driver's socket.
const DRIVER: &str = "LASTLINE_EXAMPLE_DRIVER";
const LIMIT_BYTES: usize = 1 << 20;
const WITHIN: Duration = Duration::from_secs(10);

/// What became of the rank's output.
pub(crate) struct Ledger {
    pub(crate) read_bytes: u64,
    /// The sender's side.
    pub(crate) sent: Sent,
    /// The client's side.
    pub(crate) account: Account,
    /// The barrier while the child lived.
    pub(crate) before: Verdicts,
    /// The barrier after the stream's end.
    pub(crate) after: Verdicts,
}

/// The child's role: a parent on one socket, the driver on the other, frames as they are.
pub(crate) async fn serve_channel() -> io::Result<()> {
    let name = |variable| std::env::var_os(variable).ok_or(io::ErrorKind::NotFound);
    let channel = UnixListener::bind(name(CHANNEL)?)?;
    // The driver waits for this, so that the parent finds the channel bound.
    let mut driver = UnixStream::connect(name(DRIVER)?).await?;
    let (mut parent, _) = channel.accept().await?;
    tokio::io::copy_bidirectional(&mut parent, &mut driver).await?;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the example's child is no rank")]
fn start(mut child: Command) -> io::Result<Child> {
    child.spawn()
}

/// The parent's and the driver's role, with `child` between them; `kill` ends it with SIGKILL.
pub(crate) async fn run(
    child: Command,
    kill: bool,
    printer: Box<dyn Printer>,
) -> io::Result<Ledger> {
    let folder = tempfile::tempdir()?;
    let (channel_path, driver_path) = (folder.path().join("log"), folder.path().join("driver"));
    let listener = UnixListener::bind(&driver_path)?;
    let mut child = child;
    child.env(CHANNEL, &channel_path).env(DRIVER, &driver_path);
    let mut child = start(child)?;

    let (driver, inbox) = framed::shared_inbox(LIMIT_BYTES);
    let client = Client::start(inbox, Box::new(Off), printer, ClientOptions::default())?;
    let (from_child, _) = tokio::time::timeout(WITHIN, listener.accept()).await??;
    let serving = tokio::spawn(framed::serve(from_child, driver.clone()));
    let (near, far) = tokio::io::duplex(LIMIT_BYTES);
    tokio::spawn(framed::serve(far, driver));

    let transport = framed::transport(UnixStream::connect(&channel_path).await?, LIMIT_BYTES);
    let detour = Box::new(framed::transport(near, LIMIT_BYTES));
    let sender = Sender::with_detour(transport, Some(detour), Options::default());
    let stream = StreamId::new(Launch(1), 0, Stream::Stdout);
    let sinks: Vec<BoxSink> = vec![Box::new(sender.sink())];
    let (mut rank, reader) = tokio::io::duplex(LIMIT_BYTES);
    let tee = Tee::start(stream, reader, sinks, TeeOptions::default());

    rank.write_all(b"printed while the child lived\n").await?;
    let before = client.barrier(Version(1), vec![stream], WITHIN);
    tee.barrier(Version(1));
    let before = before.await;
    if kill {
        child.kill()?;
        child.wait()?;
        // The driver sees its end, too: what had come through it has arrived by now.
        drop(serving.await);
    }
    rank.write_all(b"printed after that\n").await?;
    drop(rank);
    let outcome = tee.join().await.map_err(io::Error::other)?;
    let after = client.barrier(Version(2), vec![stream], WITHIN).await;

    let sent = sender.close(WITHIN).await;
    // The child's end is the end of the driver's last peer.
    if !client.finished(WITHIN).await {
        child.kill()?;
    }
    child.wait()?;
    let (sent, accounts) = (sent.into_iter().next(), client.accounts());
    let known = "BUG: the stream has said something";
    Ok(Ledger {
        read_bytes: outcome.read_bytes,
        sent: sent.expect(known).1,
        account: accounts.into_iter().next().expect(known).1,
        before,
        after,
    })
}
