//! The socket on which another terminal may ask a running job for a barrier, or to end.
//!
//! One request a connection: the line `flush`, whose answer is one line of JSON, a [`FlushAnswer`]; or
//! `stop 15`, with the number of a signal, whose answer is the line `stopping`.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lastline_client::{Verdict, Verdicts};
use lastline_line::{BarrierOutcome, StopCause, Stream};
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;

use crate::driver::DriverHandle;

/// The longest request, in bytes.
const MAX_REQUEST_BYTES: u64 = 64;
/// How long a peer has to say what it wants.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait when the system has no descriptor for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

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

/// Where the sockets of this user's jobs are: `$XDG_RUNTIME_DIR/lastline`, or a folder of the
/// user's own among the temporary files.
fn socket_dir() -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
    match runtime {
        Some(dir) => PathBuf::from(dir).join("lastline"),
        None => std::env::temp_dir().join(format!("lastline-{}", geteuid().as_raw())),
    }
}

/// The socket of a job.
pub fn control_path(job: &str) -> PathBuf {
    socket_dir().join(format!("{job}.sock"))
}

/// Answers requests while a job runs. Removes its socket when it is closed, or dropped.
#[derive(Debug)]
pub struct ControlSocket {
    path: PathBuf,
    closed: Arc<Notify>,
}

impl ControlSocket {
    /// Listens on `path`; none, and a warning, where that cannot be.
    pub fn open(path: &Path, driver: DriverHandle) -> Option<Self> {
        match listen(path) {
            Ok(listener) => {
                let closed = Arc::new(Notify::new());
                tokio::spawn(serve(listener, driver, Arc::clone(&closed)));
                Some(Self { path: path.to_owned(), closed })
            }
            Err(error) => {
                let path = path.display();
                tracing::warn!(%error, %path, "`lastline flush` will not reach this job");
                None
            }
        }
    }

    /// Answers no more requests, and removes the socket.
    pub fn close(&self) {
        self.closed.notify_one();
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::debug!(%error, path = %self.path.display(), "the control socket is left");
            }
            _ => {}
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        self.close();
    }
}

/// Listens on `path`, whose folder is made for this user alone. A socket that a dead job left is
/// replaced.
fn listen(path: &Path) -> io::Result<UnixListener> {
    if let Some(dir) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let found = std::fs::symlink_metadata(dir)?;
        let own = std::os::unix::fs::MetadataExt::uid(&found) == geteuid().as_raw();
        if !own || !found.is_dir() {
            return Err(io::Error::other(format!("{} is somebody else's", dir.display())));
        }
    }
    if std::os::unix::net::UnixStream::connect(path).is_err() {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    UnixListener::bind(path)
}

/// Answers until the socket is closed, or the job is over.
async fn serve(listener: UnixListener, driver: DriverHandle, closed: Arc<Notify>) {
    let asked = driver.clone();
    let accept = async {
        loop {
            match listener.accept().await {
                Ok((socket, _)) => {
                    let driver = asked.clone();
                    tokio::spawn(async move {
                        if let Err(error) = answer(socket, &driver).await {
                            tracing::debug!(%error, "a request was not answered");
                        }
                    });
                }
                // There may be a descriptor for the next one.
                Err(error) => {
                    tracing::debug!(%error, "a request was not taken");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = accept => {}
        () = closed.notified() => {}
        () = driver.ended() => {}
    }
}

async fn answer(socket: UnixStream, driver: &DriverHandle) -> io::Result<()> {
    if socket.peer_cred()?.uid() != geteuid().as_raw() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let (read, mut write) = socket.into_split();
    let mut request = String::new();
    let mut read = BufReader::new(read.take(MAX_REQUEST_BYTES));
    tokio::time::timeout(REQUEST_TIMEOUT, read.read_line(&mut request)).await??;
    let request = request.trim();
    let signal = request.strip_prefix("stop ").and_then(|signal| signal.parse().ok());
    let mut text = match signal {
        Some(signal) => {
            driver.stop(StopCause::Signal(signal));
            b"stopping".to_vec()
        }
        None if request == "flush" => serde_json::to_vec(&FlushAnswer::of(&driver.flush().await))?,
        None => return Err(io::Error::other(format!("unknown request `{request}`"))),
    };
    text.push(b'\n');
    write.write_all(&text).await
}

/// Asks a running job for a barrier. Blocks until it has answered.
///
/// # Errors
///
/// When no job answers there.
pub fn request_flush(job: &str) -> io::Result<FlushAnswer> {
    Ok(serde_json::from_str(&request(job, "flush")?)?)
}

/// Asks a running job to end, as this signal would have it do. Blocks until it has heard.
///
/// # Errors
///
/// When no job answers there.
pub fn request_stop(job: &str, signal: i32) -> io::Result<()> {
    request(job, &format!("stop {signal}")).map(drop)
}

/// The answer to one request.
fn request(job: &str, words: &str) -> io::Result<String> {
    use std::io::{BufRead as _, Write as _};
    let mut socket = std::os::unix::net::UnixStream::connect(control_path(job))?;
    socket.write_all(format!("{words}\n").as_bytes())?;
    let mut line = String::new();
    std::io::BufReader::new(socket).read_line(&mut line)?;
    if line.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line)
}
