//! The socket on which another terminal may ask a running job for a barrier.
//!
//! One request a connection: the line `flush`. The answer is one line of JSON, a [`FlushAnswer`].

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lastline_client::{Verdict, Verdicts};
use lastline_line::Stream;
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use crate::inner::Inner;

/// The longest request, in bytes.
const MAX_REQUEST_BYTES: u64 = 64;

/// What a barrier said, as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FlushAnswer {
    /// The barrier's number.
    pub version: u64,
    /// `reached`, `lost` or `timed out`.
    pub verdict: String,
    /// The streams that were not reached.
    pub missing: Vec<Missing>,
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
    fn of(verdicts: &Verdicts) -> Self {
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
        let verdict = verdicts.summary().to_string();
        Self { version: verdicts.version.0, verdict, missing: missing.collect() }
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

/// Listens on `path`, whose folder is made for this user alone. A socket that a dead job left is
/// replaced.
pub(crate) fn listen(path: &Path) -> io::Result<UnixListener> {
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

/// Answers until the job closes the socket.
pub(crate) async fn serve(listener: UnixListener, inner: Arc<Inner>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = inner.closed.notified() => return,
        };
        match accepted {
            Ok((socket, _)) => {
                let inner = Arc::clone(&inner);
                tokio::spawn(async move {
                    if let Err(error) = answer(socket, &inner).await {
                        tracing::debug!(%error, "a request was not answered");
                    }
                });
            }
            Err(error) => {
                tracing::debug!(%error, "no more requests are taken");
                return;
            }
        }
    }
}

async fn answer(socket: UnixStream, inner: &Inner) -> io::Result<()> {
    if socket.peer_cred()?.uid() != geteuid().as_raw() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let (read, mut write) = socket.into_split();
    let mut request = String::new();
    BufReader::new(read.take(MAX_REQUEST_BYTES)).read_line(&mut request).await?;
    if request.trim() != "flush" {
        return Err(io::Error::other(format!("unknown request `{}`", request.trim())));
    }
    let answer = FlushAnswer::of(&inner.flush().await);
    let mut text = serde_json::to_vec(&answer)?;
    text.push(b'\n');
    write.write_all(&text).await
}

/// Asks a running job for a barrier. Blocks until it has answered.
///
/// # Errors
///
/// When no job answers there.
pub fn request_flush(job: &str) -> io::Result<FlushAnswer> {
    use std::io::{BufRead as _, Write as _};
    let mut socket = std::os::unix::net::UnixStream::connect(control_path(job))?;
    socket.write_all(b"flush\n")?;
    let mut line = String::new();
    std::io::BufReader::new(socket).read_line(&mut line)?;
    if line.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_str(&line)?)
}
