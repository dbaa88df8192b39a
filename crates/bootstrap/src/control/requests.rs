//! What is asked of a job over its socket, from both sides.

use std::io;
use std::path::Path;
use std::time::Duration;

use lastline_client::{Verdict, Verdicts};
use lastline_line::{BarrierOutcome, StopCause, Stream};
use lastline_watch::protocol::{Message, Refusal, Request};
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::entries;
use super::watching::Watching;
use crate::driver::DriverHandle;

/// The longest request, in bytes.
const MAX_REQUEST_BYTES: u64 = 64;
/// How long a peer has to say what it wants.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// What a barrier said, as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FlushAnswer {
    /// The barrier's number.
    pub version: u64,
    /// `reached`, `lost` or `timed out`.
    pub verdict: BarrierOutcome,
    /// The streams that were not reached.
    pub missing: Vec<Missing>,
    /// The hosts that could not be reached, in words: `a (silent for 60 s)`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreachable: Vec<String>,
}

/// A stream that a barrier did not reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Missing {
    /// Whose stream.
    pub rank: u32,
    /// Which.
    pub stream: Stream,
    /// Why, in words.
    pub why: String,
}

impl FlushAnswer {
    /// What a barrier's verdicts come to.
    pub fn of(verdicts: &Verdicts) -> Self {
        let missing = verdicts.streams.iter().filter_map(|(stream, verdict)| {
            let why = match verdict {
                Verdict::Lost { span, cause } => format!("bytes {span} were lost: {cause}"),
                Verdict::TimedOut { shown, wanted: Some(wanted) } => {
                    format!("shown up to byte {shown} of {wanted}")
                }
                Verdict::TimedOut { shown, .. } => format!("shown up to byte {shown}"),
                _ => return None,
            };
            Some(Missing { rank: stream.rank, stream: stream.stream, why })
        });
        let unreachable = verdicts
            .unreachable
            .iter()
            .map(|host| format!("{} (silent for {} s)", host.host, host.silent_for.as_secs()));
        Self {
            version: verdicts.version.0,
            verdict: verdicts.summary(),
            missing: missing.collect(),
            unreachable: unreachable.collect(),
        }
    }
}

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
    let request = request.trim();
    let signal = request.strip_prefix("stop ").and_then(|signal| signal.parse().ok());
    if let Some(signal) = signal {
        driver.stop(StopCause::Signal(signal));
        return write.write_all(b"stopping\n").await;
    }
    if request == "flush" {
        let mut text = serde_json::to_vec(&FlushAnswer::of(&driver.flush().await))?;
        text.push(b'\n');
        return write.write_all(&text).await;
    }
    match request.parse() {
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

/// Asks the running job of a control socket for a barrier. Blocks until it has answered.
///
/// # Errors
///
/// When no job answers there.
pub fn request_flush(socket: &Path) -> io::Result<FlushAnswer> {
    Ok(serde_json::from_str(&request(socket, "flush")?)?)
}

/// Asks the running job of a control socket to end, as this signal would have it do. Blocks until it has heard.
///
/// # Errors
///
/// When no job answers there.
pub fn request_stop(socket: &Path, signal: i32) -> io::Result<()> {
    request(socket, &format!("stop {signal}")).map(drop)
}

/// The answer to one request.
fn request(socket: &Path, words: &str) -> io::Result<String> {
    use std::io::{BufRead as _, Write as _};
    let mut socket = std::os::unix::net::UnixStream::connect(socket)?;
    socket.write_all(format!("{words}\n").as_bytes())?;
    let mut line = String::new();
    std::io::BufReader::new(socket).read_line(&mut line)?;
    if line.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line)
}
