//! Answers to what is asked of a job over its socket.

use std::io;
use std::time::Duration;

use lastline_line::StopCause;
use lastline_watch::protocol::{FlushAnswer, Message, Refusal, Request, STOPPING};
use rustix::process::geteuid;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::entries;
use super::watching::Watching;
use crate::driver::DriverHandle;

/// The longest request, in bytes.
const MAX_REQUEST_BYTES: u64 = 64;
/// How long a peer has to say what it wants.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Answers one connection, of this user alone.
pub(super) async fn answer(
    socket: UnixStream,
    driver: &DriverHandle,
    watching: &Watching,
) -> io::Result<()> {
    if socket.peer_cred()?.uid() != geteuid().as_raw() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let (read, mut write) = socket.into_split();
    let mut request = String::new();
    let mut limited = BufReader::new(read.take(MAX_REQUEST_BYTES));
    tokio::time::timeout(REQUEST_TIMEOUT, limited.read_line(&mut request)).await??;
    let read = limited.into_inner().into_inner();
    match request.parse() {
        Ok(Request::Flush) => {
            let answer = FlushAnswer::of(&driver.flush().await);
            write.write_all(&answer.to_line()).await
        }
        Ok(Request::Stop(signal)) => {
            driver.stop(StopCause::Signal(signal));
            write.write_all(format!("{STOPPING}\n").as_bytes()).await
        }
        Ok(Request::Watch) => watching.watch(read, write).await,
        Ok(Request::Entries) => entries::tell(driver, watching.turns(), read, write).await,
        Ok(other) => refuse(&mut write, format!("`{other}` is not answered here")).await,
        Err(error) => refuse(&mut write, error).await,
    }
}

async fn refuse(
    write: &mut (impl AsyncWriteExt + Unpin),
    why: impl std::fmt::Display,
) -> io::Result<()> {
    write.write_all(&Message::Refused(Refusal::new(why)).to_line()).await
}
