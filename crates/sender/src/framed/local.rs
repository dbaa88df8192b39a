//! The place on one machine where hosts and their driver meet: a Unix socket.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::geteuid;
use tokio::net::{UnixListener, UnixStream};

use super::inbox::InboxHandle;
use super::serve::serve;

/// How long to wait when the system has no descriptor for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why a driver cannot listen somewhere.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalError {
    /// Another driver does.
    #[error("a driver is attached at {} already: one at a time", path.display())]
    Taken {
        /// Where.
        path: PathBuf,
    },
    /// What is there is no socket.
    #[error("{} is there, and is no socket", path.display())]
    NoSocket {
        /// Where.
        path: PathBuf,
    },
    /// The system says no.
    #[error("cannot listen on {}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
}

/// The driver's end of a Unix socket. Removes the socket when it is dropped.
#[derive(Debug)]
pub struct LocalListener {
    path: PathBuf,
    listener: UnixListener,
}

impl LocalListener {
    /// Listens on `path`, for this user's processes alone (mode 0600). A socket that a driver left
    /// which is gone is replaced. Must be called on a tokio runtime.
    ///
    /// # Errors
    ///
    /// When another driver listens there, or the system refuses.
    pub fn bind(path: &Path) -> Result<Self, LocalError> {
        let failed = |source| LocalError::Io { path: path.to_owned(), source };
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
        // Of two that come at once, each looks whether the other is there already.
        let one_by_one = File::open(dir.unwrap_or(Path::new("."))).map_err(failed)?;
        one_by_one.lock().unwrap_or_else(|error| {
            tracing::debug!(%error, "drivers that come at once may take each other's place");
        });
        match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => return Err(LocalError::Taken { path: path.to_owned() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) if !is_socket(path) => {
                return Err(LocalError::NoSocket { path: path.to_owned() });
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path).map_err(failed)?;
            }
            Err(error) => return Err(failed(error)),
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        std::fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed)?;
        Ok(Self { path: path.to_owned(), listener })
    }

    /// Serves every host that connects, until it is dropped; each ends by itself.
    pub async fn serve(self, handle: InboxHandle) {
        loop {
            match self.listener.accept().await {
                Ok((io, _)) if is_trusted(&io) => {
                    let serving = serve(io, handle.clone());
                    tokio::spawn(async move {
                        let ended = serving.await;
                        tracing::debug!(?ended, "the connection of a host has ended");
                    });
                }
                Ok(_) => tracing::warn!("somebody else than this user's processes was turned away"),
                // There may be a descriptor for the next one.
                Err(error) => {
                    tracing::debug!(%error, "a host was not taken");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

impl Drop for LocalListener {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(%error, path = %self.path.display(), "the socket is left");
        }
    }
}

/// A connection to the driver that listens on `path`, which must be this user's or root's.
///
/// # Errors
///
/// When there is none, or it is somebody else's.
pub async fn connect_local(path: PathBuf) -> io::Result<UnixStream> {
    let io = UnixStream::connect(&path).await?;
    if is_trusted(&io) {
        return Ok(io);
    }
    tracing::warn!("{} is another user's socket: nothing is sent there", path.display());
    Err(io::ErrorKind::PermissionDenied.into())
}

/// Whether the other side is this user's, or root's.
fn is_trusted(io: &UnixStream) -> bool {
    io.peer_cred().is_ok_and(|peer| peer.uid() == geteuid().as_raw() || peer.uid() == 0)
}

fn is_socket(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
}
