//! The two halves of a job in processes of their own, over a Unix socket.
//!
//! ```text
//! halves driver SOCKET REPORT COMMAND...       # shows a host's ranks, writes the report
//! halves host SOCKET DIR COMMAND...            # runs three ranks, files in DIR
//! halves both DIR REPORT COMMAND...            # the same in one process
//! ```

#![expect(clippy::print_stdout, reason = "whoever starts it waits for that")]

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use lastline_bootstrap::{Console, DriverBuilder, Files, HostBuilder, LoggingMesh, Plan};
use lastline_sender::framed;
use tokio::net::{UnixListener, UnixStream};

/// What may be on its way from the host to the driver, in bytes.
const WINDOW: usize = 1 << 20;
/// How many ranks.
const PROCS: u32 = 3;

fn plan(command: Vec<OsString>) -> Plan {
    let mut plan = Plan::new("halves", command);
    plan.procs = PROCS;
    plan.grace = Duration::from_secs(1);
    plan.teardown_timeout = Duration::from_secs(6);
    plan
}

async fn drive(socket: PathBuf, report: PathBuf, command: Vec<OsString>) -> anyhow::Result<()> {
    // Whoever sees the socket can connect: a socket is there a moment before it listens.
    let place = socket.with_extension("new");
    let listener = UnixListener::bind(&place).context("cannot listen")?;
    std::fs::rename(&place, &socket)?;
    let (stream, _) = listener.accept().await?;
    let mut plan = plan(command);
    plan.report = Some(report);
    let inbox = framed::inbox(stream, WINDOW);
    DriverBuilder::new(plan, Console::inherited(PROCS)).start(inbox)?.wait().await?;
    Ok(())
}

async fn host(socket: PathBuf, dir: PathBuf, command: Vec<OsString>) -> anyhow::Result<()> {
    let stream = UnixStream::connect(&socket).await.context("there is no driver")?;
    println!("connected");
    let mut plan = plan(command);
    plan.files = Some(Files::new(dir, Default::default()));
    let transport = framed::transport(stream, WINDOW);
    let sent = transport.ended();
    HostBuilder::new(plan).start(transport)?.wait().await?;
    // What the last words are in may still be on its way.
    tokio::time::timeout(Duration::from_secs(2), sent).await.unwrap_or_default();
    Ok(())
}

async fn both(dir: PathBuf, report: PathBuf, command: Vec<OsString>) -> anyhow::Result<()> {
    let mut plan = plan(command);
    plan.files = Some(Files::new(dir, Default::default()));
    plan.report = Some(report);
    LoggingMesh::spawn(plan, Console::inherited(PROCS))?.wait().await?;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut words = std::env::args_os().skip(1);
    let (Some(half), Some(first), Some(second)) = (words.next(), words.next(), words.next()) else {
        bail!("usage: halves driver|host|both PATH PATH COMMAND...");
    };
    let (first, second, command) = (first.into(), second.into(), words.collect());
    match half.to_str() {
        Some("driver") => drive(first, second, command).await,
        Some("host") => host(first, second, command).await,
        Some("both") => both(first, second, command).await,
        _ => bail!("`{}` is no half of a job", half.display()),
    }
}
